//! Review and approval.
