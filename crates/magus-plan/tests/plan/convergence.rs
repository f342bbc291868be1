//! Apply, and plan again.
