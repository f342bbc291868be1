use magus_model::{
    diagnostic::Fix,
    rules,
    span::{FileId, SourceFile, Span},
};

use super::*;

const SECRET: &str = "sk_live_4f9a8b7c6d5e";

fn sources() -> Sources {
    Sources::new(vec![
        SourceFile::new(
            "environments/production/analytics.yaml",
            format!("# a workspace\nenv:\n  STRIPE_KEY: {SECRET}\n  POORT: 8080 # ü\nuse: [lagre]\n")
                .replace('\n', "\r\n"),
        ),
        SourceFile::new("environments/a b%,:[x].yaml", "a: 1\n"),
        SourceFile::new("environments/clean.yaml", "{}\n"),
        SourceFile::new("environments/bad.yaml", ""),
    ])
}

fn span(sources: &Sources, file: u32, part: &str) -> Span {
    let text = &sources.file(FileId(file)).expect("a file").text;
    let start = text.find(part).expect("part of the text") as u32;
    Span::new(FileId(file), start, start + part.len() as u32)
}

fn diagnostics(sources: &Sources) -> Vec<Diagnostic> {
    vec![
        Diagnostic::new(
            &rules::SECRET_LITERAL,
            span(sources, 0, SECRET),
            "`env.STRIPE_KEY` holds what looks like a secret",
        )
        .help("refer to it: `STRIPE_KEY: {secret: {env: PROD_STRIPE_KEY}}`"),
        Diagnostic::new(
            &rules::UNQUOTED_VARIABLE,
            span(sources, 0, "8080"),
            "`env.POORT` is a number, and variables are text",
        )
        .help("quote it: `\"8080\"`")
        .fix(Fix::Edit(vec![(span(sources, 0, "8080"), "\"8080\"".to_owned())])),
        Diagnostic::new(&rules::UNKNOWN_TEMPLATE, span(sources, 0, "lagre"), "there is no template `lagre`")
            .related(span(sources, 1, "a"), "templates: are 100% declared, here"),
        Diagnostic::new(
            &rules::IMAGE_TAG,
            span(sources, 1, "1"),
            "50% [of\r\nit]\u{1b}[2J is {odd}: a, <b> & 'c'",
        ),
        Diagnostic::new(&rules::EMPTY_FILE, Span::start_of(FileId(3)), "the file is empty"),
        Diagnostic::new(&rules::BYTE_ORDER_MARK, Span::BUILT_IN, "nowhere in particular"),
    ]
}

fn rendered(format: LintFormat) -> String {
    let sources = sources();
    let diagnostics = diagnostics(&sources);
    let report = LintReport {
        diagnostics: &diagnostics,
        sources: &sources,
        files: 12,
        magus_version: "0.1.0",
        width: 100,
        place: Place::default(),
    };
    render(format, &report, &Styles::plain())
}

#[test]
fn text_shows_the_line_and_never_the_secret() {
    assert_eq!(
        rendered(LintFormat::Text),
        r#"error[MG301]: `env.STRIPE_KEY` holds what looks like a secret
 --> environments/production/analytics.yaml:3:15
  |
3 |   STRIPE_KEY: ********************
  |               ^^^^^^^^^^^^^^^^^^^^
  |
  = help: refer to it: `STRIPE_KEY: {secret: {env: PROD_STRIPE_KEY}}`

error[MG203]: `env.POORT` is a number, and variables are text
 --> environments/production/analytics.yaml:4:10
  |
4 |   POORT: 8080 # ü
  |          ^^^^
  |
  = help: quote it: `"8080"`

error[MG104]: there is no template `lagre`
 --> environments/production/analytics.yaml:5:7
  |
5 | use: [lagre]
  |       ^^^^^
  |
 ::: environments/a b%,:[x].yaml:1:1
  |
1 | a: 1
  | - templates: are 100% declared, here

warning[MG701]: 50% [of\r\nit]\u{1b}[2J is {odd}: a, <b> & 'c'
 --> environments/a b%,:[x].yaml:1:4
  |
1 | a: 1
  |    ^

error[MG007]: the file is empty
--> environments/bad.yaml:1:1

hint[MG706]: nowhere in particular

4 errors, 1 warning, 1 hint in 4 of 12 files
1 of them is mended by `magus lint --fix`
"#
    );
}

/// Another finding on the line of a secret, and one that shows the line as a related place.
#[test]
fn no_finding_shows_the_secret_of_another() {
    let sources = sources();
    let key = span(&sources, 0, "STRIPE_KEY");
    let mut found = diagnostics(&sources);
    found.push(Diagnostic::new(&rules::RESERVED_VARIABLE, key, "reserved"));
    found.push(Diagnostic::new(&rules::UNKNOWN_KEY, span(&sources, 0, "use"), "near").related(key, "here"));
    for format in ALL {
        for styles in [Styles::plain(), Styles::colored()] {
            let report = LintReport {
                diagnostics: &found,
                sources: &sources,
                files: 4,
                magus_version: "0",
                width: 80,
                place: Place::default(),
            };
            let shown = render(format, &report, &styles);
            assert!(!shown.contains(SECRET) && !shown.contains(&SECRET[8..]), "{format:?}\n{shown}");
        }
    }
}

const ALL: [LintFormat; 8] = [
    LintFormat::Text,
    LintFormat::Concise,
    LintFormat::Json,
    LintFormat::JsonLines,
    LintFormat::Github,
    LintFormat::Gitlab,
    LintFormat::Junit,
    LintFormat::Sarif,
];

#[test]
fn no_findings_are_valid_in_every_format() {
    let sources = sources();
    let report = LintReport {
        diagnostics: &[],
        sources: &sources,
        files: 4,
        magus_version: "0.1.0",
        width: 80,
        place: Place::default(),
    };
    let shown = |format| render(format, &report, &Styles::plain());
    assert_eq!(shown(LintFormat::Text), "no findings in 4 files\n");
    for nothing in [LintFormat::Concise, LintFormat::JsonLines, LintFormat::Github] {
        assert_eq!(shown(nothing), "");
    }
    assert_eq!(shown(LintFormat::Gitlab), "[]\n");
    assert_eq!(junit(&shown(LintFormat::Junit)).len(), 4, "a clean file passes");
    check_sarif(&shown(LintFormat::Sarif));
    let document: LintDocument = serde_json::from_str(&shown(LintFormat::Json)).expect("valid JSON");
    assert_eq!(document.summary, LintSummary { files: 4, ..LintSummary::default() });
}

#[test]
fn concise_is_one_line_each() {
    assert_eq!(
        rendered(LintFormat::Concise),
        "environments/production/analytics.yaml:3:15: error[MG301]: `env.STRIPE_KEY` holds what looks like a secret\n\
         environments/production/analytics.yaml:4:10: error[MG203]: `env.POORT` is a number, and variables are text\n\
         environments/production/analytics.yaml:5:7: error[MG104]: there is no template `lagre`\n\
         environments/a b%,:[x].yaml:1:4: warning[MG701]: 50% [of\\r\\nit]\\u{1b}[2J is {odd}: a, <b> & 'c'\n\
         environments/bad.yaml:1:1: error[MG007]: the file is empty\n\
         hint[MG706]: nowhere in particular\n"
    );
}

#[test]
fn json_has_the_contract() {
    let document: serde_json::Value = serde_json::from_str(&rendered(LintFormat::Json)).expect("valid JSON");
    assert_eq!(document["format_version"], 1);
    assert_eq!(document["summary"], serde_json::json!({"errors": 4, "warnings": 1, "hints": 1, "files": 12}));
    assert_eq!(
        document["diagnostics"][1],
        serde_json::json!({
            "code": "MG203",
            "severity": "error",
            "message": "`env.POORT` is a number, and variables are text",
            "file": "environments/production/analytics.yaml",
            "line": 4,
            "column": 10,
            "end_line": 4,
            "end_column": 14,
            "help": "quote it: `\"8080\"`",
            "url": "https://magus.dev/rules/MG203",
        })
    );
    let located: Vec<LocatedDiagnostic> = rendered(LintFormat::JsonLines)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON document on each line"))
        .collect();
    assert_eq!(serde_json::to_value(&located).expect("JSON"), document["diagnostics"]);
}

/// A workflow command, read as GitHub's runner reads it (actions/runner, `ActionCommand.TryParseV2`).
struct Command {
    name: String,
    properties: std::collections::BTreeMap<String, String>,
    data: String,
}

fn command(line: &str) -> Command {
    let line = line.trim_start().strip_prefix("::").expect("a command begins with two colons");
    let (head, data) = line.split_once("::").expect("two colons end the command");
    let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
    let undo = |text: &str, codes: &[(&str, &str)]| {
        codes.iter().fold(text.to_owned(), |text, (code, c)| text.replace(code, c))
    };
    let in_data = [("%0D", "\r"), ("%0A", "\n"), ("%25", "%")];
    let in_property = [("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")];
    Command {
        name: name.to_owned(),
        properties: properties
            .split(',')
            .filter_map(|pair| pair.split_once('='))
            .map(|(key, value)| (key.trim().to_owned(), undo(value, &in_property)))
            .collect(),
        data: undo(data, &in_data),
    }
}

#[test]
fn github_reads_what_was_meant() {
    let shown = rendered(LintFormat::Github);
    let commands: Vec<Command> = shown.lines().map(command).collect();
    let located: Vec<LocatedDiagnostic> = rendered(LintFormat::JsonLines)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(commands.len(), located.len());
    for (command, found) in commands.iter().zip(&located) {
        let kind = match found.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Hint => "notice",
        };
        assert_eq!(command.name, kind);
        let help = found.help.as_ref().map(|help| format!("\nhelp: {help}")).unwrap_or_default();
        let message = found.message.replace("\r\n", "\\r\\n").replace('\u{1b}', "\\u{1b}");
        assert_eq!(command.data, message + &help);
        assert_eq!(command.properties["title"], found.code);
        if found.file.is_empty() {
            assert_eq!(command.properties.len(), 1);
            continue;
        }
        let number = |key: &str| command.properties[key].parse::<u32>().expect("a number");
        assert_eq!(command.properties["file"], *found.file);
        assert_eq!((number("line"), number("endLine")), (found.line, found.end_line));
        assert_eq!((number("col"), number("endColumn")), (found.column, found.end_column));
    }
}

/// docs.gitlab.com, "Code Quality report format": the fields that are required, and their values.
#[test]
fn gitlab_has_the_required_fields() {
    let issues: Vec<serde_json::Value> =
        serde_json::from_str(&rendered(LintFormat::Gitlab)).expect("a JSON list");
    let mut fingerprints = std::collections::BTreeSet::new();
    for issue in &issues {
        for key in ["description", "check_name", "fingerprint", "severity"] {
            assert!(issue[key].as_str().is_some_and(|text| !text.is_empty()), "{issue}");
        }
        assert!(
            ["info", "minor", "major", "critical", "blocker"]
                .contains(&issue["severity"].as_str().expect("text"))
        );
        let path = issue["location"]["path"].as_str().expect("a path");
        assert!(!path.is_empty() && !path.starts_with("./"), "{path}");
        assert!(issue["location"]["lines"]["begin"].as_u64().is_some_and(|line| line > 0));
        assert!(fingerprints.insert(issue["fingerprint"].as_str().expect("text").to_owned()), "unique");
    }
    assert_eq!(issues.len(), 6);
}

#[test]
fn a_fingerprint_stays_when_lines_move_and_differs_for_twins() {
    let at = |line: u32| LocatedDiagnostic {
        code: "MG101".into(),
        severity: Severity::Error,
        message: "m".into(),
        file: "a.yaml".into(),
        line,
        column: 1,
        end_line: line,
        end_column: 2,
        help: None,
        url: String::new(),
    };
    let twins = fingerprints(&[at(1), at(2)]);
    assert_ne!(twins[0], twins[1]);
    assert_eq!(fingerprints(&[at(7), at(9)]), twins);
    let other = LocatedDiagnostic { message: "n".into(), ..at(1) };
    assert!(!twins.contains(&fingerprints(&[other])[0]));
}

/// The test cases of a JUnit file: suite, name, and the text of a failure. Checks the counts of suites on the way.
fn junit(xml: &str) -> Vec<(String, String, Option<String>)> {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    let attribute = |element: &quick_xml::events::BytesStart<'_>, key: &str| {
        let value = element.try_get_attribute(key).expect("valid attributes")?;
        Some(value.normalized_value(quick_xml::XmlVersion::Implicit1_0).expect("valid text").into_owned())
    };
    let mut path: Vec<String> = Vec::new();
    let mut cases = Vec::new();
    let mut suite = (String::new(), 0, 0);
    let mut promised = (0, 0);
    let mut seen = (0, 0);
    loop {
        let event = reader.read_event().expect("well-formed XML");
        match &event {
            Event::Start(element) | Event::Empty(element) => {
                let name = element.name().as_ref().to_owned();
                let parent = path.last().map(String::as_str);
                let number = |key| {
                    attribute(element, key).and_then(|text| text.parse::<usize>().ok()).expect("a number")
                };
                match (parent, name.as_str()) {
                    (None, "testsuites") => promised = (number("tests"), number("failures")),
                    (Some("testsuites"), "testsuite") => {
                        suite = (
                            attribute(element, "name").expect("a name"),
                            number("tests"),
                            number("failures"),
                        );
                    }
                    (Some("testsuite"), "testcase") => {
                        assert!(attribute(element, "classname").is_some());
                        cases.push((suite.0.clone(), attribute(element, "name").expect("a name"), None));
                        suite.1 -= 1;
                        seen.0 += 1;
                    }
                    (Some("testcase"), "failure") => {
                        suite.2 -= 1;
                        seen.1 += 1;
                        cases.last_mut().expect("a case").2 = attribute(element, "message");
                    }
                    (Some("testcase"), "system-out") => {}
                    other => panic!("{other:?} has no place in JUnit XML"),
                }
                if matches!(event, Event::Start(_)) {
                    path.push(name);
                }
            }
            Event::End(_) => {
                let ended = path.pop();
                if ended.as_deref() == Some("testsuite") {
                    assert_eq!((suite.1, suite.2), (0, 0), "the counts of {} are right", suite.0);
                }
            }
            Event::Eof => break,
            _ => {}
        }
    }
    assert!(path.is_empty());
    assert_eq!(promised, seen);
    cases
}

#[test]
fn junit_is_red_where_lint_is() {
    let cases = junit(&rendered(LintFormat::Junit));
    let failures: Vec<_> = cases.iter().filter(|(.., failure)| failure.is_some()).collect();
    assert_eq!(failures.len(), 4);
    assert!(cases.contains(&("environments/clean.yaml".into(), "no findings".into(), None)));
    assert!(cases.contains(&(
        "environments/production/analytics.yaml".into(),
        "MG104 at 5:7".into(),
        Some("there is no template `lagre`".into())
    )));
    let warning = cases.iter().find(|(_, name, _)| name == "MG701 at 1:4").expect("the warning");
    assert_eq!((warning.0.as_str(), &warning.2), ("environments/a b%,:[x].yaml", &None));
}

/// Checks against the schema that OASIS publishes, formats included.
fn check_sarif(text: &str) -> serde_json::Value {
    let schema = include_str!("../../../../tests/fixtures/formats/sarif-schema-2.1.0.json");
    let mut schema: serde_json::Value = serde_json::from_str(schema).expect("the schema is JSON");
    // The published pattern of a language has a bracket that ECMA 262 refuses in Unicode mode; we name no language.
    for owner in ["run", "toolComponent"] {
        let language = &mut schema["definitions"][owner]["properties"]["language"];
        assert!(language.as_object_mut().expect("a schema").remove("pattern").is_some());
    }
    let validator =
        jsonschema::options().should_validate_formats(true).build(&schema).expect("the schema is a schema");
    let document: serde_json::Value = serde_json::from_str(text).expect("SARIF is JSON");
    let faults: Vec<String> =
        validator.iter_errors(&document).map(|fault| format!("{}: {fault}", fault.instance_path())).collect();
    assert!(faults.is_empty(), "{faults:#?}");
    document
}

#[test]
fn sarif_follows_its_published_schema() {
    let mut broken: serde_json::Value = check_sarif(&rendered(LintFormat::Sarif));
    let run = broken["runs"][0].take();
    assert_eq!(run["columnKind"], "unicodeCodePoints");
    let results = run["results"].as_array().expect("results");
    assert_eq!(results.len(), 6);
    for result in results {
        let index = result["ruleIndex"].as_u64().expect("an index") as usize;
        assert_eq!(run["tool"]["driver"]["rules"][index]["id"], result["ruleId"]);
        assert!(result["partialFingerprints"]["magus/v1"].is_string());
    }
    assert_eq!(
        results[1]["fixes"][0]["artifactChanges"][0]["replacements"][0],
        serde_json::json!({
            "deletedRegion": {"startLine": 4, "startColumn": 10, "endLine": 4, "endColumn": 14},
            "insertedContent": {"text": "\"8080\""},
        })
    );
    assert_eq!(
        results[3]["locations"][0]["physicalLocation"]["artifactLocation"],
        serde_json::json!({"uri": "environments/a%20b%25%2C%3A%5Bx%5D.yaml", "uriBaseId": "%SRCROOT%"})
    );
    assert_eq!(
        results[3]["message"]["text"],
        "50% \\[of\\\\r\\\\nit\\]\\\\u{{1b}}\\[2J is {{odd}}: a, <b> & 'c'"
    );
    assert_eq!(results[2]["relatedLocations"][0]["message"]["text"], "templates: are 100% declared, here");
    assert_eq!(results[5]["locations"], serde_json::json!([]));
}

#[test]
fn colours_change_nothing_but_colours() {
    let sources = sources();
    let found = diagnostics(&sources);
    let report = LintReport {
        diagnostics: &found,
        sources: &sources,
        files: 12,
        magus_version: "0.1.0",
        width: 100,
        place: Place::default(),
    };
    for format in ALL {
        let plain = render(format, &report, &Styles::plain());
        assert!(!plain.contains('\u{1b}'), "{format:?}");
        let colored = render(format, &report, &Styles::colored());
        assert_eq!(crate::testing::without_styles(&colored), plain, "{format:?}");
    }
}

#[test]
fn services_find_files_from_the_root_of_the_repository() {
    let place = Place { working_directory: "/srv/repo/sub/deep", root: "/srv/repo" };
    for (path, expected) in [
        ("../../environments/a.yaml", "environments/a.yaml"),
        ("../cluster.yaml", "sub/cluster.yaml"),
        ("a.yaml", "sub/deep/a.yaml"),
        ("./x/../a.yaml", "sub/deep/a.yaml"),
        ("/srv/repo/environments/a.yaml", "environments/a.yaml"),
        ("../../../other/a.yaml", "/srv/other/a.yaml"),
        ("/elsewhere/a.yaml", "/elsewhere/a.yaml"),
        ("", ""),
    ] {
        assert_eq!(place.relative_to_root(path), expected, "{path}");
    }
    let sources = Sources::new(vec![SourceFile::new("../../environments/a.yaml", "a: 1\n")]);
    let found = [Diagnostic::new(&rules::UNKNOWN_KEY, Span::new(FileId(0), 0, 1), "unknown key `a`")];
    let report =
        LintReport { diagnostics: &found, sources: &sources, files: 1, magus_version: "0", width: 80, place };
    let sarif: serde_json::Value =
        serde_json::from_str(&render(LintFormat::Sarif, &report, &Styles::plain())).expect("JSON");
    let artifact = &sarif["runs"][0]["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"];
    assert_eq!(*artifact, serde_json::json!({"uri": "environments/a.yaml", "uriBaseId": "%SRCROOT%"}));
    for format in [LintFormat::Github, LintFormat::Gitlab, LintFormat::Sarif] {
        let shown = render(format, &report, &Styles::plain());
        assert!(shown.contains("environments/a.yaml") && !shown.contains(".."), "{format:?}\n{shown}");
    }
}
