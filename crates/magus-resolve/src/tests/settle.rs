use magus_model::diagnostic::{Diagnostic, Fix, Severity};

use super::builder::{lines, load, resolve};
use crate::{Settled, settle};

fn settled(files: &[(&str, &str)]) -> (Settled, Vec<String>) {
    let loaded = load(files);
    let resolution = resolve(&loaded);
    let mut all = loaded.diagnostics.clone();
    all.extend(resolution.diagnostics.clone());
    let settled = settle(all, &loaded, &resolution);
    let lines = lines(&settled.diagnostics, &loaded);
    (settled, lines)
}

const LINT: (&str, &str) = (
    "cluster.yaml",
    "name: a
engine: {local: {path: x}}
lint: {MG701: error, MG205: off, MG301: warning, MG103: off}
",
);

#[test]
fn the_nearest_cluster_sets_the_severities() {
    let (found, lines) = settled(&[
        LINT,
        ("dev/a.yaml", "env: {KUBE_NAMESPACE: x, DB_PASSWORD: hunter2!}\ncontainer_config: {image: mage}\n"),
        ("prod/cluster.yaml", "name: p\nengine: {local: {path: p}}\nlint: {MG205: hint, MG701: warning}\n"),
        ("prod/a.yaml", "env: {KUBE_NAMESPACE: x, DB_PASSWORD: hunter2!}\ncontainer_config: {image: mage}\n"),
    ]);
    let severities: Vec<(String, Severity)> = lines
        .iter()
        .zip(&found.diagnostics)
        .map(|(line, d)| (line[..line.find(" MG").unwrap() + 6].to_owned(), d.severity))
        .collect();
    let severities: Vec<(&str, Severity)> =
        severities.iter().map(|(line, severity)| (line.as_str(), *severity)).collect();
    assert_eq!(
        severities,
        [
            ("cluster.yaml:3:57 MG023", Severity::Error),
            ("dev/a.yaml:1:39 MG301", Severity::Warning),
            ("dev/a.yaml:2:27 MG701", Severity::Error),
            ("prod/a.yaml:1:7 MG205", Severity::Hint),
            ("prod/a.yaml:1:39 MG301", Severity::Warning),
            ("prod/a.yaml:2:27 MG701", Severity::Warning),
        ]
        .map(|(line, severity)| (&line[..line.len()], severity))
    );
    let lowered: Vec<_> = found.lowered.iter().map(|l| (l.rule.code, l.from, l.to)).collect();
    assert_eq!(
        lowered,
        [
            ("MG205", Severity::Warning, None),
            ("MG205", Severity::Warning, Some(Severity::Hint)),
            ("MG301", Severity::Error, Some(Severity::Warning)),
        ]
    );
}

#[test]
fn comments_silence_their_line_and_unused_ones_are_found() {
    let (found, lines) = settled(&[
        ("cluster.yaml", "name: a\nengine: {local: {path: x}}\n"),
        (
            "dev/a.yaml",
            "env:
  KUBE_NAMESPACE: x   # magus: ignore[MG205] ours
  # magus: ignore[MG205, MG301] both
  PROJECT_TYPE: x
  # magus: ignore[MG301]
  DB_PASSWORD: hunter2!

  OTHER: x   # magus: ignore[MG301]
  # magus: ignore[MG3O1]
  THIRD: x
  # magus: ignore[MG101] x
  FOURTH: x
",
        ),
    ]);
    assert_eq!(
        lines,
        [
            "dev/a.yaml:3:26 MG705 `MG301` finds nothing here",
            "dev/a.yaml:8:30 MG705 `MG301` finds nothing here",
            "dev/a.yaml:9:19 MG705 there is no rule `MG3O1`",
            "dev/a.yaml:11:19 MG705 `MG101` cannot be silenced",
        ]
    );
    let fixes: Vec<bool> = found.diagnostics.iter().map(|d| d.fix.is_some()).collect();
    assert_eq!(fixes, [false, true, false, false], "a comment of which a part is used stays");
    let Some(Fix::Edit(edits)) = &found.diagnostics[1].fix else { panic!("no edit") };
    assert_eq!((edits[0].0.end - edits[0].0.start) as usize, "   # magus: ignore[MG301]".len());
}

#[test]
fn what_was_not_read_cannot_be_silenced() {
    let (found, lines) = settled(&[
        ("cluster.yaml", "name: a\nengine: {local: {path: x}}\nlint: {MG001: off}\n"),
        ("dev/a.yaml", "# magus: ignore[MG001]\na: [\n"),
        ("dev/My.yaml", "# magus: ignore[MG101] mine\n{}\n"),
    ]);
    let codes: Vec<&str> = found.diagnostics.iter().map(|d: &Diagnostic| d.rule.code).collect();
    assert_eq!(codes, ["MG023", "MG101", "MG705", "MG001"], "{lines:#?}");
    assert!(found.lowered.is_empty());
}

#[test]
fn a_finding_about_a_whole_file_is_silenced_at_its_top() {
    let files = |top: &'static str, below: &'static str| {
        [
            ("cluster.yaml", "name: a\nengine: {local: {path: x}}\n"),
            ("a/environment.yaml", "branch: a\n"),
            ("b/environment.yaml", "promotes_from: a\n"),
            ("c/environment.yaml", if top.is_empty() { below } else { top }),
        ]
    };
    assert_eq!(
        settled(&files("\n# magus: ignore[MG107] a sandbox\nbranch: c\n", "")).1,
        Vec::<String>::new()
    );
    assert_eq!(settled(&files("", "branch: c   # magus: ignore[MG107]\n")).1.len(), 0);
    assert_eq!(settled(&files("", "branch: c\nprotected: true # magus: ignore[MG107]\n")).1.len(), 2);
}

#[test]
fn a_text_of_several_lines_is_silenced_where_it_begins() {
    let key = ["-----BEGIN RSA PRIV", "ATE KEY-----"].concat();
    let file = format!(
        "env:\n  # magus: ignore[MG301] of the demo\n  KEY: |\n    {key}\n    MII\n  OTHER: >- # magus: ignore[MG301]\n    {key}\n"
    );
    let (_, lines) =
        settled(&[("cluster.yaml", "name: a\nengine: {local: {path: x}}\n"), ("dev/a.yaml", &file)]);
    assert_eq!(lines, Vec::<String>::new());
}
