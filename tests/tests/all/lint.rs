//! Lint from outside: formats, exit codes, severities, ignores and fixes.

use serde_json::Value;

use crate::fixture::three_stages;

#[test]
fn every_format_says_the_same() {
    let sandbox = three_stages();
    sandbox
        .write("environments/development/ingest.yaml", "env: {PORT: 80}\nowner: \"100%, a:b\"\nbogus: 1\n");
    for format in ["text", "concise", "json", "json-lines", "github", "gitlab", "junit", "sarif"] {
        let run = sandbox.expect(1, &["lint", "--format", format]);
        for word in ["MG203", "MG020", "environments/development/ingest.yaml"] {
            assert!(run.stdout.contains(word), "{format} lacks {word}:\n{}", run.stdout);
        }
    }
    let report: Value =
        serde_json::from_str(&sandbox.magus(&["lint", "--format", "json"]).stdout).expect("JSON");
    assert_eq!(report["format_version"], 1);
    let finding = report["diagnostics"]
        .as_array()
        .expect("diagnostics")
        .iter()
        .find(|finding| finding["code"] == "MG203")
        .expect("the finding");
    assert_eq!(
        (&finding["line"], &finding["column"], &finding["end_line"], &finding["end_column"]),
        (&1.into(), &13.into(), &1.into(), &15.into())
    );
    assert_eq!(finding["severity"], "error");
    assert!(report["summary"].is_object());
}

#[test]
fn paths_of_other_tools_start_at_the_repository_wherever_lint_runs() {
    let sandbox = three_stages();
    sandbox.write(
        "environments/development/ingest.yaml",
        "env: {PORT: 80}\nowner: x\nbogus: 1\n# magus: ignore[MG301] nothing\n",
    );
    sandbox.git(&["init", "--quiet", "platform repo"]);
    std::fs::create_dir_all(sandbox.file("platform repo/ops/scripts")).expect("folders");
    std::fs::create_dir_all(sandbox.file("platform repo/data")).expect("folders");
    std::fs::rename(sandbox.file("environments"), sandbox.file("platform repo/data/environments"))
        .expect("a folder");
    const FILE: &str = "data/environments/development/ingest.yaml";
    // From the root, a folder beside, the directory itself and a file's own folder.
    for (from, directory) in [
        ("", "data/environments"),
        ("ops/scripts", "../../data/environments"),
        ("data", "environments"),
        ("data/environments", "."),
        ("data/environments/development", ".."),
    ] {
        let lint = |format: &str| {
            let mut lint = sandbox.command(&["-C", directory, "lint", "--format", format]);
            let output =
                lint.current_dir(sandbox.file("platform repo").join(from)).output().expect("it runs");
            assert_eq!(output.status.code(), Some(1), "{from} {format}: {output:?}");
            String::from_utf8(output.stdout).expect("UTF-8")
        };
        let sarif: Value = serde_json::from_str(&lint("sarif")).expect("SARIF");
        let results = sarif["runs"][0]["results"].as_array().expect("results");
        assert!(results.len() >= 2, "{sarif:#}");
        for result in results {
            let place = &result["locations"][0]["physicalLocation"]["artifactLocation"];
            assert_eq!(place["uri"], FILE, "{from}: {place}");
            assert_eq!(place["uriBaseId"], "%SRCROOT%", "{from}: {place}");
        }
        assert!(lint("github").contains(&format!("file={FILE},")), "{from}");
        let gitlab: Value = serde_json::from_str(&lint("gitlab")).expect("JSON");
        assert_eq!(gitlab[0]["location"]["path"], FILE, "{from}");
    }
}

#[test]
fn severities_and_ignores_are_as_designed() {
    let sandbox = three_stages();
    sandbox.write(
        "environments/development/ingest.yaml",
        "env: {A: b}\ncontainer_config: {image: mageai/mageai:latest}\n",
    );
    let lint = || sandbox.magus(&["lint", "--format", "concise"]);
    assert!(lint().stdout.contains("warning[MG701]"), "{}", lint().stdout);
    assert_eq!(lint().code, Some(0));
    sandbox.expect(1, &["lint", "--fail-on", "warning"]);
    let cluster = sandbox.read("environments/cluster.yaml");
    sandbox.write("environments/cluster.yaml", format!("{cluster}lint: {{MG701: error}}\n"));
    assert!(lint().stdout.contains("error[MG701]"));
    sandbox.expect(1, &["plan"]);
    sandbox.write("environments/cluster.yaml", format!("{cluster}lint: {{MG701: off}}\n"));
    assert!(!lint().stdout.contains("MG701"), "{}", lint().stdout);
    let plan = sandbox.expect(0, &["plan"]);
    assert!(plan.all().contains("MG701"), "a severity that was lowered is shown: {}", plan.all());
    sandbox.write("environments/cluster.yaml", &cluster);
    sandbox.replace(
        "environments/development/ingest.yaml",
        "latest}",
        "latest}   # magus: ignore[MG701] we follow the nightly on purpose",
    );
    assert!(!lint().stdout.contains("MG701"), "{}", lint().stdout);
    sandbox.replace("environments/development/ingest.yaml", "latest", "0.9.80");
    assert!(lint().stdout.contains("MG705"), "an unused ignore is a finding: {}", lint().stdout);
}

#[test]
fn fixes_keep_comments_and_layout() {
    let sandbox = three_stages();
    let before =
        "# top\nenv:\n    PORT:   8080   # the port\n    DEBUG: true\n\n    VERSION: 1.10 # keep the zero\n";
    sandbox.write("environments/development/ingest.yaml", before);
    sandbox.expect(0, &["lint", "--fix"]);
    let after = sandbox.read("environments/development/ingest.yaml");
    assert_eq!(
        after,
        before.replace("8080", "\"8080\"").replace("true", "\"true\"").replace("1.10", "\"1.10\"")
    );
    sandbox.write("environments/development/old.yml", "env: {A: b}\n");
    sandbox.expect(1, &["lint"]);
    sandbox.expect(0, &["lint", "--fix"]);
    assert!(sandbox.file("environments/development/old.yaml").is_file());
}

#[test]
fn a_secret_in_a_file_is_found_and_not_shown() {
    let sandbox = three_stages();
    sandbox.write(
        "environments/development/ingest.yaml",
        "env:\n  DATABASE_URL: postgresql://mage:kAnArY-pa55@db.acme.dev/mage\n",
    );
    for format in ["text", "concise", "json", "github", "gitlab", "junit", "sarif"] {
        let run = sandbox.expect(1, &["lint", "--format", format]);
        assert!(run.stdout.contains("MG301"), "{format}: {}", run.stdout);
        assert!(!run.all().contains("kAnArY"), "{format}: {}", run.all());
    }
    assert!(!sandbox.magus(&["plan"]).all().contains("kAnArY"));
}

#[test]
fn paths_narrow_what_is_shown() {
    let sandbox = three_stages();
    sandbox.write("environments/development/ingest.yaml", "bogus: 1\n");
    sandbox.write("environments/staging/ingest.yaml", "bogus: 1\n");
    let run = sandbox.expect(1, &["lint", "--format", "concise", "environments/staging"]);
    assert!(
        run.stdout.contains("staging/ingest.yaml") && !run.stdout.contains("development"),
        "{}",
        run.stdout
    );
    sandbox.expect(0, &["lint", "environments/production/analytics.yaml"]);
    sandbox.expect(1, &["lint", "no/such/path"]);
}

#[test]
fn a_modeline_that_points_nowhere_or_to_an_old_schema_is_found() {
    let sandbox = three_stages();
    let modeline =
        |name: &str| format!("# yaml-language-server: $schema=../.schemas/{name}.json\nenv: {{A: b}}\n");
    sandbox.write("environments/development/ingest.yaml", modeline("missing"));
    sandbox.write("environments/development/analytics.yaml", modeline("workspace"));
    let schema = sandbox.expect(0, &["schema", "workspace"]).stdout;
    sandbox.write("environments/.schemas/workspace.json", &schema);
    let lint = || sandbox.expect(0, &["lint", "--format", "concise"]).stdout;
    let found = lint();
    assert!(found.contains("development/ingest.yaml:1:") && found.contains("MG703"), "{found}");
    assert!(!found.contains("MG704"), "{found}");
    let version = env!("CARGO_PKG_VERSION");
    assert!(schema.contains(version));
    sandbox.write("environments/.schemas/workspace.json", schema.replace(version, "0.0.1"));
    assert!(lint().contains("MG704"), "{}", lint());
}
