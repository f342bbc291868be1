//! Workspaces that lack parts, as a plan lists them.

use serde::{Deserialize, Serialize};

use crate::{Text, name::WorkspaceName, observed::MissingPart};

/// A declared workspace that lacks parts in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Incomplete {
    /// The cluster.
    pub cluster: Text,
    /// The environment.
    pub environment: Text,
    /// The workspace's name in the cluster.
    pub workspace: WorkspaceName,
    /// What is missing, ordered.
    pub missing: Vec<MissingPart>,
}
