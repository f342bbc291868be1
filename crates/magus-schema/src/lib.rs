//! JSON Schemas made from the model, validation of documents, and violations as diagnostics.
