//! `magus init`: what it writes is ready to use, and nothing is overwritten.

use magus_tests::Sandbox;

#[test]
fn what_init_writes_is_clean_and_nothing_is_overwritten() {
    let sandbox = Sandbox::new();
    sandbox.expect(0, &["init"]);
    let lint = sandbox.expect(0, &["lint", "--fail-on", "hint"]);
    assert!(!lint.all().contains("MG"), "{}", lint.all());
    for file in [
        "environments/cluster.yaml",
        "environments/.schemas/workspace.json",
        ".vscode/settings.json",
        ".github/workflows/magus.yml",
    ] {
        assert!(sandbox.file(file).is_file(), "{file}");
    }
    sandbox.write("environments/cluster.yaml", "name: mine\nengine: {local: {path: ../s}}\n");
    let run = sandbox.magus(&["init"]);
    assert!(run.all().contains("environments/cluster.yaml"), "{}", run.all());
    assert_eq!(sandbox.read("environments/cluster.yaml"), "name: mine\nengine: {local: {path: ../s}}\n");
}

#[test]
fn the_demo_applies_at_once() {
    let sandbox = Sandbox::new();
    sandbox.expect(0, &["init", "--demo"]);
    let lint = sandbox.expect(0, &["lint"]).stdout;
    assert!(lint.contains("1 warning in 1 of") && lint.contains("ARCHIVE_BUCKET"), "{lint}");
    sandbox.expect(0, &["apply", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
}
