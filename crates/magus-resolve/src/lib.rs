//! Layers, names and cross-file rules: from documents to the desired state with origins.
