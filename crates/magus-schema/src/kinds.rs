//! The three kinds of files, and their schemas as they are built in.

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemaKind {
    /// `cluster.yaml`.
    Cluster,
    /// `environment.yaml`.
    Environment,
    /// Every other file.
    Workspace,
}

impl SchemaKind {
    /// All kinds.
    pub const ALL: [SchemaKind; 3] = [SchemaKind::Cluster, SchemaKind::Environment, SchemaKind::Workspace];

    /// Its name, as `magus schema` takes it.
    pub fn name(self) -> &'static str {
        match self {
            SchemaKind::Cluster => "cluster",
            SchemaKind::Environment => "environment",
            SchemaKind::Workspace => "workspace",
        }
    }

    /// The name of its schema's file, in `schemas/` here and in `.schemas/` beside the declarations.
    pub fn file_name(self) -> &'static str {
        match self {
            SchemaKind::Cluster => "cluster.json",
            SchemaKind::Environment => "environment.json",
            SchemaKind::Workspace => "workspace.json",
        }
    }
}

/// The schema that is built in: the file in `schemas/`.
pub fn text(kind: SchemaKind) -> &'static str {
    match kind {
        SchemaKind::Cluster => include_str!("../../../schemas/cluster.json"),
        SchemaKind::Environment => include_str!("../../../schemas/environment.json"),
        SchemaKind::Workspace => include_str!("../../../schemas/workspace.json"),
    }
}

/// The version of Magus that wrote a schema; nothing where the text is no schema of ours.
pub fn version(schema: &str) -> Option<String> {
    let schema: serde_json::Value = serde_json::from_str(schema).ok()?;
    Some(schema.get("x-magus-version")?.as_str()?.to_owned())
}
