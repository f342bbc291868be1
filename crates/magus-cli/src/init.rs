//! `magus init`: the files that a repository starts with.
//!
//! Everything was compiled in; nothing is asked of a cluster or of the network. A file that is
//! already there stays as it is, and so does a directory of declarations that is already in use: an example beside real
//! workspaces would be workspaces that the next apply creates.

use std::{
    fs,
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

/// What to write, and where.
#[derive(Debug, Clone, Copy)]
pub struct InitRequest<'a> {
    /// The working directory, absolute: where the editor settings and workflows go.
    pub working_directory: &'a Path,
    /// The directory of the declarations, as `--dir` gave it. One that does not lie below the working directory takes
    /// the rest beside it.
    pub directory: &'a Path,
    /// Which declarations to write.
    pub example: Example,
    /// The JSON Schemas.
    pub schemas: Schemas<'a>,
}

/// Which declarations to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    /// One small workspace in each environment, with comments that explain every key.
    Commented,
    /// The worked example of Magus' own repository.
    Demo,
}

/// The texts of the JSON Schemas.
#[derive(Debug, Clone, Copy)]
pub struct Schemas<'a> {
    /// Of `cluster.yaml`.
    pub cluster: &'a str,
    /// Of `environment.yaml`.
    pub environment: &'a str,
    /// Of a workspace.
    pub workspace: &'a str,
}

/// What was written, and what was not. Paths are relative to `root` and have `/`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct InitReport {
    /// The folder that everything lies in.
    pub root: PathBuf,
    /// Files that are new.
    pub written: Vec<String>,
    /// Files that were there, with exactly this content.
    pub unchanged: Vec<String>,
    /// Files that were there with another content, and were left alone.
    pub kept: Vec<String>,
    /// What the user has to do by hand, as sentences without a full stop.
    pub advice: Vec<String>,
}

/// Why nothing more was written.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The directory has no name under which workflows could refer to it.
    #[error("`{}` cannot be the directory of the declarations: it has no name of its own, or one that is not UTF-8", .0.display())]
    NoName(PathBuf),
    /// Something that is no directory has its name.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// A file or folder could not be read or written. What was written before it stays.
    #[error("`{}` cannot be written", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The repository of the demo's pipelines could not be made.
    #[error("the pipelines of the demo cannot be unpacked")]
    Pipelines(#[source] magus_git::Unread),
}

/// Where git finds the source of Magus: what the package says, and nothing where it says nothing.
const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// A template of a declaration: its path below the directory, and its text without the modeline.
type Declaration = (&'static str, &'static str);

const COMMENTED: &[Declaration] = &[
    ("cluster.yaml", include_str!("../templates/environments/cluster.yaml")),
    ("development/environment.yaml", include_str!("../templates/environments/development/environment.yaml")),
    ("development/analytics.yaml", include_str!("../templates/environments/development/analytics.yaml")),
    ("staging/environment.yaml", include_str!("../templates/environments/staging/environment.yaml")),
    ("staging/analytics.yaml", include_str!("../templates/environments/staging/analytics.yaml")),
    ("production/environment.yaml", include_str!("../templates/environments/production/environment.yaml")),
    ("production/analytics.yaml", include_str!("../templates/environments/production/analytics.yaml")),
];

/// The repository's own declarations; their first lines name the schemas of the repository.
const DEMO: &[Declaration] = &[
    ("cluster.yaml", include_str!("../../../environments/cluster.yaml")),
    ("development/environment.yaml", include_str!("../../../environments/development/environment.yaml")),
    ("development/analytics.yaml", include_str!("../../../environments/development/analytics.yaml")),
    ("development/ingest.yaml", include_str!("../../../environments/development/ingest.yaml")),
    ("development/people/ana.yaml", include_str!("../../../environments/development/people/ana.yaml")),
    ("development/people/ben.yaml", include_str!("../../../environments/development/people/ben.yaml")),
    ("development/people/chris.yaml", include_str!("../../../environments/development/people/chris.yaml")),
    (
        "development/_warehouse-password.demo",
        include_str!("../../../environments/development/_warehouse-password.demo"),
    ),
    ("staging/environment.yaml", include_str!("../../../environments/staging/environment.yaml")),
    ("staging/analytics.yaml", include_str!("../../../environments/staging/analytics.yaml")),
    ("staging/ingest.yaml", include_str!("../../../environments/staging/ingest.yaml")),
    ("production/environment.yaml", include_str!("../../../environments/production/environment.yaml")),
    ("production/analytics.yaml", include_str!("../../../environments/production/analytics.yaml")),
    ("production/ingest.yaml", include_str!("../../../environments/production/ingest.yaml")),
];

/// The pipelines of the example, as a git bundle, and where the example's declarations look for it.
const PIPELINES: &[u8] = include_bytes!("../../../tests/fixtures/pipelines.bundle");
const BUNDLE: &str = "../tests/fixtures/pipelines.bundle";

/// Where the demo keeps its pipelines: a repository that can be pushed to, relative to the declarations.
const REPOSITORY_OF_DEMO: &str = "../.magus/pipelines.git";

/// What stands beside the declarations. `@dir@`, `@version@` and `@repository@` are filled in; all three stand in
/// double quotes, in JSON as in YAML.
const BESIDE: &[(&str, &str)] = &[
    (".vscode/settings.json", include_str!("../templates/vscode/settings.json")),
    (".vscode/extensions.json", include_str!("../templates/vscode/extensions.json")),
    (GITHUB, include_str!("../templates/ci/github.yml")),
    (GITLAB, include_str!("../templates/ci/gitlab.yml")),
    (".github/magus-pipelines.yml", include_str!("../templates/ci/github-pipelines.yml")),
    (".gitlab/magus-pipelines.yml", include_str!("../templates/ci/gitlab-pipelines.yml")),
];

const GITHUB: &str = ".github/workflows/magus.yml";
const GITLAB: &str = ".gitlab/magus.yml";
const GITIGNORE: &str = ".gitignore";

/// Writes what is not there yet.
///
/// # Errors
/// A directory without a usable name, and the first file or folder that cannot be written.
pub fn init(request: &InitRequest<'_>) -> Result<InitReport, InitError> {
    let InitRequest { working_directory, directory, example, schemas } = *request;
    let (root, dir) = place(working_directory, directory)?;
    let declarations = root.join(&dir);
    let mut report = InitReport { root, ..InitReport::default() };

    let templates = match example {
        Example::Commented => COMMENTED,
        Example::Demo => DEMO,
    };
    let in_use = in_use(&declarations)?;
    if in_use {
        report.advice.push(format!("`{dir}` holds declarations already, so no example was written there"));
    }
    for (path, text) in templates {
        let text = declaration(path, text).replace(BUNDLE, REPOSITORY_OF_DEMO);
        let path = format!("{dir}/{path}");
        if !in_use || report.root.join(&path).exists() {
            write(&mut report, path, &text)?;
        }
    }
    for (kind, text) in
        [("cluster", schemas.cluster), ("environment", schemas.environment), ("workspace", schemas.workspace)]
    {
        let path = format!("{dir}/.schemas/{kind}.json");
        write(&mut report, path.clone(), text)?;
        if report.kept.contains(&path) {
            report.advice.push(format!(
                "`{path}` is not the schema of this version; `magus schema {kind} > '{path}'` replaces it"
            ));
        }
    }
    for (path, text) in BESIDE {
        write(&mut report, (*path).to_owned(), &fill(text, &dir))?;
    }
    if example == Example::Demo && !in_use {
        pipelines(&mut report, &dir)?;
    }
    keep_stores_out_of_git(&mut report)?;
    advise(&mut report);
    Ok(report)
}

/// The folder for everything, and the path of the declarations in it.
fn place(working_directory: &Path, directory: &Path) -> Result<(PathBuf, String), InitError> {
    let no_name = || InitError::NoName(directory.to_owned());
    let mut names = Vec::new();
    for component in directory.components() {
        match component {
            Component::CurDir => {}
            Component::Normal(name) => names.push(name.to_str().ok_or_else(no_name)?),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                names.clear();
                break;
            }
        }
    }
    if !names.is_empty() {
        return Ok((working_directory.to_owned(), names.join("/")));
    }
    let full = working_directory.join(directory);
    // `.` and `..` say which directory is meant only where it exists.
    let full = full.canonicalize().unwrap_or(full);
    match (full.parent(), full.file_name().and_then(|name| name.to_str())) {
        (Some(parent), Some(name)) => Ok((parent.to_owned(), name.to_owned())),
        _ => Err(no_name()),
    }
}

/// Whether anything lies in the directory besides what begins with a dot.
fn in_use(declarations: &Path) -> Result<bool, InitError> {
    match fs::read_dir(declarations) {
        Ok(entries) => Ok(entries
            .filter_map(Result::ok)
            .any(|entry| !entry.file_name().as_encoded_bytes().starts_with(b"."))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            Err(InitError::NotADirectory(declarations.to_owned()))
        }
        Err(source) => Err(InitError::Write { path: declarations.to_owned(), source }),
    }
}

/// A declaration with the modeline that leads to its schema in the user's own repository.
fn declaration(path: &str, text: &str) -> String {
    const MODELINE: &str = "# yaml-language-server: $schema=";
    let name = path.rsplit('/').next().unwrap_or(path);
    let kind = match name {
        "cluster.yaml" => "cluster",
        "environment.yaml" => "environment",
        _ if name.ends_with(".yaml") => "workspace",
        _ => return text.to_owned(),
    };
    let body = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with(MODELINE) => rest,
        _ => text,
    };
    let up = "../".repeat(path.matches('/').count());
    format!("{MODELINE}{up}.schemas/{kind}.json\n{body}")
}

/// Fills in the placeholders, each as the inside of a string in double quotes.
fn fill(text: &str, dir: &str) -> String {
    let inside = |value: &str| {
        let quoted = serde_json::Value::from(value).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    text.replace("@dir@", &inside(dir))
        .replace("@version@", &inside(crate::VERSION))
        .replace("@repository@", &inside(REPOSITORY))
}

/// Writes a file that is not there yet, and notes which it was.
fn write(report: &mut InitReport, path: String, text: &str) -> Result<(), InitError> {
    let full = report.root.join(&path);
    let failed = |source| InitError::Write { path: full.clone(), source };
    if let Some(folder) = full.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    match fs::OpenOptions::new().write(true).create_new(true).open(&full) {
        Ok(mut file) => {
            if let Err(source) = file.write_all(text.as_bytes()) {
                // Half a file would be taken for the user's own by the next run.
                let _ = fs::remove_file(&full);
                return Err(failed(source));
            }
            report.written.push(path);
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => match fs::read(&full) {
            Ok(present) if present == text.as_bytes() => report.unchanged.push(path),
            _ => report.kept.push(path),
        },
        Err(error) => return Err(failed(error)),
    }
    Ok(())
}

/// Makes the repository of the demo's pipelines, where there is none yet.
fn pipelines(report: &mut InitReport, dir: &str) -> Result<(), InitError> {
    let beside = dir.rsplit_once('/').map_or(String::new(), |(parent, _)| format!("{parent}/"));
    let path = format!("{beside}{}", REPOSITORY_OF_DEMO.trim_start_matches("../"));
    let repository = &report.root.join(&path);
    if repository.exists() {
        report.kept.push(path);
        return Ok(());
    }
    let failed = |source| InitError::Write { path: repository.to_owned(), source };
    if let Some(folder) = repository.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let mut bundle = tempfile::NamedTempFile::new().map_err(failed)?;
    bundle.write_all(PIPELINES).map_err(failed)?;
    magus_git::unbundle(bundle.path(), repository).map_err(InitError::Pipelines)?;
    report.written.push(path);
    Ok(())
}

/// The stores of the embedded engine hold what was resolved from secrets.
fn keep_stores_out_of_git(report: &mut InitReport) -> Result<(), InitError> {
    const LINE: &str = ".magus/";
    write(
        report,
        GITIGNORE.to_owned(),
        &format!("# The stores of Magus' embedded engine, with resolved secrets in them.\n{LINE}\n"),
    )?;
    if report.kept.last().is_some_and(|path| path == GITIGNORE) {
        let present = fs::read_to_string(report.root.join(GITIGNORE)).unwrap_or_default();
        let ignored =
            present.lines().any(|line| matches!(line.trim(), ".magus" | ".magus/" | "/.magus" | "/.magus/"));
        if !ignored {
            report.advice.push(format!(
                "add `{LINE}` to `{GITIGNORE}`: the embedded engine keeps resolved secrets there"
            ));
        }
    }
    Ok(())
}

/// What the new files cannot do by themselves.
fn advise(report: &mut InitReport) {
    let wrote = |path: &str| report.written.iter().any(|written| written == path);
    let mut advice = Vec::new();
    let top = report.root.ancestors().find(|folder| folder.join(".git").exists());
    if let Some(top) = top.filter(|top| *top != report.root) {
        advice.push(format!(
            "the top of this git repository is `{}`: `.github`, `.gitlab` and `.vscode` work only there, with their paths adjusted",
            top.display()
        ));
    }
    if REPOSITORY.is_empty() && (wrote(GITHUB) || wrote(GITLAB)) {
        advice.push(format!(
            "fill in MAGUS_REPOSITORY in `{GITHUB}` or `{GITLAB}`, and delete the one that you do not use"
        ));
    }
    if wrote(GITLAB) {
        advice.push(format!("on GitLab, let `.gitlab-ci.yml` include it: `include: [{{local: {GITLAB}}}]`"));
    }
    report.advice.extend(advice);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    const SCHEMAS: Schemas<'_> =
        Schemas { cluster: "{\"c\": 1}", environment: "{\"e\": 1}", workspace: "{\"w\": 1}" };

    fn run(root: &Path, dir: &str, example: Example) -> InitReport {
        let request =
            InitRequest { working_directory: root, directory: Path::new(dir), example, schemas: SCHEMAS };
        init(&request).expect("a new folder can be written")
    }

    fn files(folder: &Path) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut open = vec![folder.to_owned()];
        while let Some(next) = open.pop() {
            for entry in fs::read_dir(&next).expect("a folder") {
                let path = entry.expect("an entry").path();
                // A repository is one thing.
                if path.is_dir() && path.extension().is_none_or(|ending| ending != "git") {
                    open.push(path);
                } else {
                    let relative =
                        path.strip_prefix(folder).expect("below").to_string_lossy().replace('\\', "/");
                    found.insert(relative);
                }
            }
        }
        found
    }

    #[test]
    fn what_is_reported_is_what_is_there_and_a_second_run_writes_nothing() {
        for example in [Example::Commented, Example::Demo] {
            let root = tempfile::tempdir().expect("a folder");
            let report = run(root.path(), "environments", example);
            assert_eq!(report.written.iter().cloned().collect::<BTreeSet<_>>(), files(root.path()));
            assert!(report.kept.is_empty() && report.unchanged.is_empty());

            let again = run(root.path(), "environments", example);
            assert!(again.written.is_empty() && again.kept.is_empty(), "{again:?}");
            assert!(again.advice[0].contains("holds declarations already"), "{again:?}");
        }
    }

    #[test]
    fn the_demo_is_the_whole_example_of_the_repository() {
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../environments");
        let demo: BTreeSet<_> = DEMO.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(demo, files(&own));
    }

    #[test]
    fn every_modeline_leads_to_a_schema_that_was_written() {
        for example in [Example::Commented, Example::Demo] {
            let root = tempfile::tempdir().expect("a folder");
            for path in run(root.path(), "environments", example).written {
                let full = root.path().join(&path);
                if !path.starts_with("environments/") || !path.ends_with(".yaml") {
                    continue;
                }
                let text = fs::read_to_string(&full).expect("text");
                let first = text.lines().next().expect("a line");
                let schema = first.strip_prefix("# yaml-language-server: $schema=").expect("a modeline");
                assert!(full.parent().expect("a folder").join(schema).is_file(), "{path}: {first}");
                assert_eq!(text.matches("yaml-language-server").count(), 1, "{path}");
            }
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let root = tempfile::tempdir().expect("a folder");
        let theirs = [
            ".vscode/settings.json",
            GITHUB,
            GITLAB,
            GITIGNORE,
            "environments/.schemas/workspace.json",
            "environments/production/analytics.yaml",
        ];
        for path in theirs {
            let full = root.path().join(path);
            fs::create_dir_all(full.parent().expect("a folder")).expect("a folder");
            fs::write(full, "theirs\n").expect("a file");
        }
        let report = run(root.path(), "environments", Example::Demo);
        for path in theirs {
            assert_eq!(fs::read_to_string(root.path().join(path)).expect("text"), "theirs\n", "{path}");
        }
        assert_eq!(report.kept.len(), theirs.len(), "{report:?}");
        let declared = report.written.iter().filter(|path| path.ends_with(".yaml")).count();
        assert_eq!(declared, 0, "no example beside real workspaces: {report:?}");
        let advice = report.advice.join("\n");
        assert!(advice.contains("add `.magus/` to `.gitignore`"), "{advice}");
        assert!(
            advice.contains("magus schema workspace > 'environments/.schemas/workspace.json'"),
            "{advice}"
        );
    }

    #[test]
    fn a_gitignore_that_knows_the_stores_needs_no_advice() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join(GITIGNORE), "target\n/.magus\n").expect("a file");
        let report = run(root.path(), "environments", Example::Commented);
        assert!(!report.advice.iter().any(|advice| advice.contains(GITIGNORE)), "{report:?}");
    }

    #[test]
    fn the_rest_goes_beside_a_directory_that_lies_elsewhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("a path");
        let inner = root.join("inner");
        fs::create_dir(&inner).expect("a folder");
        for (working, dir, place_root, name) in [
            (&root, "environments", &root, "environments"),
            (&root, "./infra/mage/", &root, "infra/mage"),
            (&inner, ".", &root, "inner"),
            (&inner, "../inner", &root, "inner"),
            (&inner, root.join("new").to_str().expect("UTF-8"), &root, "new"),
        ] {
            let expected = (place_root.clone(), name.to_owned());
            assert_eq!(place(working, Path::new(dir)).expect("a place"), expected, "{dir}");
        }
        assert!(matches!(place(&root, Path::new("/")), Err(InitError::NoName(_))));
    }

    #[test]
    fn a_file_in_the_place_of_the_directory_is_an_error() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("environments"), "").expect("a file");
        let request = InitRequest {
            working_directory: root.path(),
            directory: Path::new("environments"),
            example: Example::Commented,
            schemas: SCHEMAS,
        };
        assert!(matches!(init(&request), Err(InitError::NotADirectory(_))));
    }

    #[test]
    fn editor_settings_and_workflows_are_valid_for_any_name_of_the_directory() {
        let root = tempfile::tempdir().expect("a folder");
        for dir in ["environments", "my \"own\" environments", "infra/mage"] {
            for (path, text) in BESIDE {
                let text = fill(text, dir);
                assert!(
                    !text.contains("@dir@") && !text.contains("@version@") && !text.contains("@repository@")
                );
                let value: serde_json::Value = if path.ends_with(".json") {
                    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
                } else {
                    serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
                };
                match *path {
                    GITHUB => assert_eq!(value["env"]["MAGUS_DIR"], dir),
                    GITLAB => assert_eq!(value[".magus"]["variables"]["MAGUS_DIR"], dir),
                    _ => {}
                }
            }
        }
        drop(root);
    }

    #[test]
    fn every_line_of_the_pipeline_is_a_command_and_not_a_map() {
        let pipelines = [BESIDE[3].1, BESIDE[5].1].map(|text| fill(text, "environments"));
        let pipelines = pipelines.map(|text| serde_yaml::from_str::<serde_json::Value>(&text).expect("YAML"));
        let mut seen = 0;
        for (name, job) in pipelines.iter().flat_map(|pipeline| pipeline.as_object().expect("jobs")) {
            for key in ["before_script", "script", "after_script"] {
                for line in job[key].as_array().into_iter().flatten() {
                    assert!(line.is_string(), "{name}: {line}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 16, "{seen}");
    }

    #[test]
    fn workflows_run_no_unpinned_action_and_give_a_pull_request_no_secret() {
        for template in [BESIDE[2].1, BESIDE[4].1] {
            workflow(&fill(template, "environments"));
        }
    }

    fn workflow(text: &str) {
        for line in text.lines().filter(|line| line.contains("uses: ")) {
            let (_, action) = line.split_once("uses: ").expect("an action");
            let (commit, version) =
                action.split_once('@').and_then(|(_, rest)| rest.split_once(" # v")).expect(line);
            assert!(commit.len() == 40 && commit.bytes().all(|byte| byte.is_ascii_hexdigit()), "{line}");
            assert!(!version.is_empty(), "{line}");
        }
        let workflow: serde_json::Value = serde_yaml::from_str(text).expect("YAML");
        assert_eq!(workflow["permissions"], serde_json::json!({}));
        assert!(workflow["on"].get("pull_request_target").is_none());
        let jobs = workflow["jobs"].as_object().expect("jobs");
        for (name, job) in jobs {
            let condition = job["if"].as_str().unwrap_or_default();
            let writes =
                job["permissions"].as_object().expect("permissions").values().any(|level| level == "write");
            let runs_code = job.to_string().contains("magus --dir");
            assert!(!(writes && runs_code), "{name} may write and runs what a pull request brought");
            if writes {
                assert!(condition.contains("!github.event.pull_request.head.repo.fork"), "{name}");
            }
            // What may read the declarations is no secret of the cluster; a stranger's pull request gets not even that.
            let text = job.to_string();
            let reads = text.contains("secrets.MAGUS_DECLARATIONS_TOKEN") && name != "apply";
            if reads {
                assert!(condition.contains("!github.event.pull_request.head.repo.fork"), "{name}");
            }
            if text.replace("secrets.MAGUS_DECLARATIONS_TOKEN", "").contains("secrets.") || name == "apply" {
                assert!(condition.contains("github.event_name != 'pull_request'"), "{name}");
            }
            // What others wrote reaches a script through the environment, never through its text.
            for step in job["steps"].as_array().expect("steps") {
                assert!(!step["run"].as_str().unwrap_or_default().contains("${{"), "{name}: {step}");
            }
        }
    }
}
