//! What the manifests say: which crates there are, where they lie, and what they depend on.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::{
    process::{cargo, output},
    root,
};

/// One of our crates.
pub struct Member {
    pub name: String,
    /// The crate's folder, relative to the root.
    pub folder: PathBuf,
    pub manifest: String,
    pub dependencies: Vec<Dependency>,
}

/// A line under one of the dependency headings.
pub struct Dependency {
    /// The name under which source code knows it.
    pub name: String,
    /// Whether only tests and examples see it.
    pub dev: bool,
    /// Whether it is a crate of this repository.
    pub ours: bool,
}

/// The members of the workspace, ordered by name.
pub fn members() -> Result<Vec<Member>, String> {
    let json = output(cargo("metadata --format-version 1 --no-deps --offline"))?;
    let metadata: Value = serde_json::from_str(&json).map_err(|error| format!("cargo metadata: {error}"))?;
    let root = root();
    let mut members = Vec::new();
    for package in list(&metadata["packages"]) {
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        let folder = manifest.parent().unwrap_or(&root);
        members.push(Member {
            name: text(&package["name"]).to_owned(),
            folder: folder.strip_prefix(&root).unwrap_or(folder).to_owned(),
            manifest: read(&manifest)?,
            dependencies: list(&package["dependencies"]).iter().map(dependency).collect(),
        });
    }
    members.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(members)
}

fn dependency(json: &Value) -> Dependency {
    let name = json["rename"].as_str().unwrap_or_else(|| text(&json["name"]));
    Dependency { name: name.to_owned(), dev: json["kind"] == "dev", ours: json["path"].is_string() }
}

/// A file's text, or what is wrong with it in words for people.
pub fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot read `{}`: {error}", path.display()))
}

fn list(json: &Value) -> &[Value] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn text(json: &Value) -> &str {
    json.as_str().unwrap_or_default()
}
