//! Walks an approved plan: waves, batches, waiting, events, report.
