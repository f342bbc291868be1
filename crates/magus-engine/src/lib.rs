//! What an engine can do: the traits Observe and Perform, and their errors.
