//! From files, in a work tree or a git revision, to documents with spans; and edits that keep comments.
