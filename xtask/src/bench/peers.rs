//! The validators that people use today, on the same files and the same schema.
//!
//! They are installed below target/peers by their own package managers; what cannot be installed is left out by
//! name. Both only validate: they know no layers, no names across files, and ajv no line numbers.

use std::{fs, path::Path};

use super::{Row, Target, rows};
use crate::{
    process::{program, run as run_program, works},
    root,
};

const AJV: &str = "ajv-cli@5.0.0";
const CHECK_JSONSCHEMA: &str = "check-jsonschema==0.39.0";

/// Measures each peer that can be installed.
pub fn measure_all(environments: &Path) -> Result<Vec<Row>, String> {
    let folder = root().join("target/peers");
    fs::create_dir_all(&folder).map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
    let folder = folder.display().to_string();
    let schema = "schemas/workspace.json".to_owned();
    // Relative to the root, where both run: ten thousand longer paths are more than the kernel takes at once.
    let files = workspaces(environments)?;
    let mut all = Vec::new();
    if let Some(ajv) = ajv(&folder) {
        let mut words = vec![ajv, "validate".into(), "--strict=false".into(), "-s".into(), schema.clone()];
        words.extend(files.iter().flat_map(|file| ["-d".to_owned(), file.clone()]));
        keep(&mut all, rows(&[("ajv-cli, schema only", words, Target::None)], 1));
    }
    if let Some(check) = check_jsonschema(&folder) {
        let mut words = vec![check, "--schemafile".into(), schema];
        words.extend(files);
        keep(&mut all, rows(&[("check-jsonschema, schema only", words, Target::None)], 1));
    }
    Ok(all)
}

fn keep(all: &mut Vec<Row>, rows: Result<Vec<Row>, String>) {
    match rows {
        Ok(rows) => all.extend(rows),
        Err(why) => eprintln!("left out: {}", why.chars().take(400).collect::<String>()),
    }
}

fn ajv(folder: &str) -> Option<String> {
    let installed = format!("{folder}/node_modules/.bin/ajv");
    let install = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", folder, AJV];
    provide("ajv-cli", installed, &["npm", "--version"], &[&install])
}

fn check_jsonschema(folder: &str) -> Option<String> {
    let venv = format!("{folder}/venv");
    let pip = format!("{venv}/bin/pip");
    let make = ["python3", "-m", "venv", venv.as_str()];
    let install = [pip.as_str(), "install", "--quiet", CHECK_JSONSCHEMA];
    let installed = format!("{venv}/bin/check-jsonschema");
    provide("check-jsonschema", installed, &["python3", "--version"], &[&make, &install])
}

fn provide(name: &str, installed: String, needs: &[&str], steps: &[&[&str]]) -> Option<String> {
    if Path::new(&installed).exists() {
        return Some(installed);
    }
    if !works(program(needs)) {
        eprintln!("left out: {name}, because `{}` is not on this machine", needs.join(" "));
        return None;
    }
    for step in steps {
        if let Err(why) = run_program(program(step)) {
            eprintln!("left out: {name}: {why}");
            return None;
        }
    }
    Some(installed)
}

/// The files of workspaces: the schema of the others is another one.
fn workspaces(folder: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() {
                folders.push(path);
            } else if name != "cluster.yaml" && name != "environment.yaml" {
                files.push(path.strip_prefix(root()).unwrap_or(&path).display().to_string());
            }
        }
    }
    files.sort();
    Ok(files)
}
