//! From differences and policy to ordered steps, withheld steps and approval. Pure.
