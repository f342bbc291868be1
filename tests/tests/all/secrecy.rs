//! A value that may be a secret is shown by no command and written into no file but those of its workspace.

use magus_tests::{Sandbox, files_below};

use crate::fixture::{sql, three_stages};

/// Fields with a value that may be a secret, each value with `kAnArY` in it, or its base64.
const PLANTED: [(&str, &str); 14] = [
    ("env.DB_PASS", "kAnArY-pass"),
    ("env.MYSQL_PWD", "kAnArY"),
    ("env.FERNET_KEY", "kAnArYq9X2mZ7rT4bV1nK8"),
    ("env.HOOK", "https://hooks.slack.com/services/T0AB12CD3/B0AB12CD3/kAnArY12abcdefghijklmn"),
    ("env.JDBC_URL", "jdbc:postgresql://db:5432/x?user=u&password=kAnArY"),
    ("env.ODBC", "Driver={ODBC Driver 18};Server=db;UID=u;PWD=kAnArY;"),
    ("env.JAAS", "PlainLoginModule required username=\"u\" password=\"kAnArY\";"),
    (
        "env.EVENTS",
        "Endpoint=sb://a/;SharedAccessKeyName=k;SharedAccessKey=kAnArY0123456789abcdefghijklmnopq0==",
    ),
    ("env.HEADER", "Basic YW5hOmtBbkFyWTc="),
    ("env.SAS", "https://a.blob.core.windows.net/c?sv=1&sig=kAnArYaB3%2FdE5fG7hI9jK1lM3nO5pQ7rS9tU"),
    ("env.REPOSITORY", "https://kAnArYq9X2mZ7rT4bV1nK8@git.acme.dev/p.git"),
    ("env.DATABASE_URL", "postgres://ana:kAnArY@db/x"),
    ("container_config.args", "[\"--password\",\"kAnArY\"]"),
    ("container_config.command", "[\"sh\",\"-c\",\"run --token=kAnArYq9X2mZ7rT4bV1nK8\"]"),
];

#[track_caller]
fn no_canary(what: &str, text: &str) {
    for canary in ["kAnArY", "YW5hOmtBbkFyWTc"] {
        let around = text.find(canary).map(|at| {
            let (from, to) = (at.saturating_sub(200), (at + 100).min(text.len()));
            String::from_utf8_lossy(&text.as_bytes()[from..to]).into_owned()
        });
        assert_eq!(around, None, "{canary} in {what}");
    }
}

/// Puts the values into the record of a workspace, as a person would.
fn plant(sandbox: &Sandbox, workspace: &str) {
    for (path, value) in PLANTED {
        let value = if value.starts_with('[') { format!("json('{value}')") } else { format!("'{value}'") };
        sql(
            sandbox,
            &format!(
                "UPDATE workspaces SET record = json_set(record, '$.{path}', {value}) WHERE name = '{workspace}'"
            ),
        );
    }
}

const READ_ONLY: [&[&str]; 20] = [
    &["lint"],
    &["lint", "--format", "json"],
    &["lint", "--format", "json-lines"],
    &["lint", "--format", "concise"],
    &["lint", "--format", "sarif"],
    &["lint", "--format", "junit"],
    &["lint", "--format", "github"],
    &["lint", "--format", "gitlab"],
    &["-vv", "plan"],
    &["plan", "--format", "json"],
    &["plan", "--format", "markdown"],
    &["plan", "--format", "html"],
    &["-vv", "drift"],
    &["drift", "--format", "json"],
    &["-vv", "status"],
    &["status", "--format", "json"],
    &["status", "--format", "html"],
    &["explain", "production/analytics"],
    &["explain", "production/analytics", "--format", "json"],
    &["diff", "production/analytics", "development/analytics"],
];

#[track_caller]
fn shown_by_no_command(sandbox: &Sandbox) {
    for arguments in READ_ONLY {
        let run = sandbox.magus(arguments);
        assert!(matches!(run.code, Some(0 | 2 | 4)), "{arguments:?}\n{}", run.all());
        no_canary(&arguments.join(" "), &run.all());
    }
    let run = sandbox.magus(&["diff", "production/analytics", "development/analytics", "--format", "json"]);
    no_canary("diff", &run.all());
    sandbox.magus(&["plan", "--out", "plan.json"]);
}

/// Files of the sandbox but for the declarations and the values of the workspaces themselves.
#[track_caller]
fn written_into_no_file(sandbox: &Sandbox) {
    for (path, bytes) in files_below(sandbox.path()) {
        let shown = path.strip_prefix(sandbox.path()).expect("a file of the sandbox").display().to_string();
        let is_own = shown.starts_with("environments")
            || shown.starts_with("store/magus.db")
            || shown.ends_with("/.env");
        if !is_own {
            no_canary(&shown, &String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn values_that_drifted_are_shown_nowhere() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    plant(&sandbox, "analytics-production");
    shown_by_no_command(&sandbox);
    let plan = sandbox.plan(&[]);
    let fields = plan["steps"][0]["fields"].as_array().expect("fields");
    assert_eq!(fields.len(), PLANTED.len(), "{plan:#}");
    assert!(
        fields.iter().all(|field| field["sensitive"] == true && field["before"] == "(hidden)"),
        "{plan:#}"
    );
    no_canary("apply", &sandbox.expect(0, &["-vv", "apply", "--yes"]).all());
    no_canary("history", &sandbox.expect(0, &["history", "--format", "json"]).all());
    written_into_no_file(&sandbox);
}

#[test]
fn values_of_removed_and_unmanaged_workspaces_are_shown_nowhere() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    plant(&sandbox, "ingest-development");
    sandbox.remove("environments/development/ingest.yaml");
    plant(&sandbox, "analytics-staging");
    sql(&sandbox, "UPDATE workspaces SET managed_by = NULL WHERE name = 'analytics-staging'");
    plant(&sandbox, "ingest-staging");
    sql(
        &sandbox,
        "INSERT INTO workspaces (name, record, protected) SELECT 'clicked-staging', record, 0 FROM workspaces \
         WHERE name = 'ingest-staging'",
    );
    shown_by_no_command(&sandbox);
    no_canary("apply", &sandbox.magus(&["-vv", "apply", "--yes"]).all());
    written_into_no_file(&sandbox);
}

#[test]
fn declared_values_are_shown_nowhere() {
    let sandbox = three_stages();
    sandbox.replace("environments/cluster.yaml", "name: acme\n", "name: acme\nlint: {MG301: \"off\"}\n");
    let mut text = String::from("env:\n");
    for (path, value) in PLANTED {
        if let Some(name) = path.strip_prefix("env.") {
            text.push_str(&format!("  {name}: '{value}'\n"));
        }
    }
    text.push_str("container_config:\n");
    for (path, value) in PLANTED {
        if let Some(name) = path.strip_prefix("container_config.") {
            text.push_str(&format!("  {name}: {value}\n"));
        }
    }
    sandbox.write("environments/production/analytics.yaml", &text);
    shown_by_no_command(&sandbox);
    no_canary("apply", &sandbox.expect(0, &["-vv", "apply", "plan.json", "--yes"]).all());
    assert!(sandbox.read("store/workspaces/analytics-production/.env").contains("kAnArY-pass"), "it is sent");
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    // What a declaration no longer has is hidden as well.
    sandbox.write("environments/production/analytics.yaml", "{}\n");
    shown_by_no_command(&sandbox);
    no_canary("apply", &sandbox.expect(0, &["-vv", "apply", "plan.json", "--yes"]).all());
    no_canary("history", &sandbox.expect(0, &["history", "--format", "json"]).all());
    written_into_no_file(&sandbox);
}

#[test]
fn an_import_writes_no_value_that_may_be_a_secret() {
    let sandbox = three_stages();
    sandbox.expect(0, &["apply", "--yes"]);
    plant(&sandbox, "ingest-staging");
    sql(&sandbox, "UPDATE workspaces SET managed_by = NULL WHERE name = 'ingest-staging'");
    sandbox.remove("environments/staging/ingest.yaml");
    let run = sandbox.expect(1, &["import", "ingest-staging"]);
    no_canary("import", &run.all());
    assert_eq!(
        run.stderr,
        "error: `container_config.args`, `container_config.command` of `ingest-staging` may hold a secret, and only `env` and \
         `secrets` can refer to one\n  help: move each secret to a variable of the workspace in Mage, then import it again\n"
    );
    assert!(!sandbox.file("environments/staging/ingest.yaml").exists());
    sql(
        &sandbox,
        "UPDATE workspaces SET record = json_remove(record, '$.container_config.args', '$.container_config.command') \
         WHERE name = 'ingest-staging'",
    );
    let run = sandbox.expect(0, &["import", "ingest-staging"]);
    no_canary("import", &run.all());
    let file = sandbox.read("environments/staging/ingest.yaml");
    no_canary("the file", &file);
    for (path, _) in PLANTED.iter().filter(|(path, _)| path.starts_with("env.")) {
        assert!(run.stdout.contains(&format!("  {path}: a secret")), "{}", run.all());
    }
}

/// The value was typed over a variable that came from a secret: what the mark says came from one stays hidden.
#[test]
fn what_came_from_a_secret_stays_hidden_after_its_declaration_is_gone() {
    let mut sandbox = three_stages();
    sandbox.write("environments/production/analytics.yaml", "env: {PLAIN_NAME: {secret: {env: SOURCE}}}\n");
    sandbox.set("SOURCE", "kAnArY-one");
    sandbox.expect(0, &["apply", "--yes"]);
    sql(
        &sandbox,
        "UPDATE workspaces SET record = json_set(record, '$.env.PLAIN_NAME', 'kAnArY two') \
         WHERE name = 'analytics-production'",
    );
    shown_by_no_command(&sandbox);
    sandbox.write("environments/production/analytics.yaml", "{}\n");
    shown_by_no_command(&sandbox);
    sandbox.remove("environments/production/analytics.yaml");
    sandbox.write("environments/production/analytics.yaml", "env: {PLAIN_NAME: other}\n");
    shown_by_no_command(&sandbox);
    written_into_no_file(&sandbox);
}

#[test]
fn a_hidden_value_that_changes_after_the_review_is_noticed() {
    let sandbox = three_stages();
    sandbox.replace("environments/cluster.yaml", "name: acme\n", "name: acme\nlint: {MG301: \"off\"}\n");
    sandbox.expect(0, &["apply", "--yes"]);
    let declare = |value: &str| {
        let text = format!(
            "env: {{DB_PASSWORD: {value}}}\ncontainer_config: {{args: [--password, {value}-argument]}}\n"
        );
        sandbox.write("environments/production/analytics.yaml", text);
    };
    declare("first-kAnArY");
    let reviewed = sandbox.plan(&["--out", "plan.json"]);
    declare("second-kAnArY");
    assert_ne!(sandbox.plan(&[])["digest"], reviewed["digest"]);
    let run = sandbox.expect(4, &["apply", "plan.json", "--yes"]);
    assert!(
        run.all().contains("the value of `env.DB_PASSWORD`, which is not shown, is another one"),
        "{}",
        run.all()
    );
    no_canary("apply", &run.all());
    no_canary("plan.json", &sandbox.read("plan.json"));
    // The key is in the store alone: with another one, the same value has another digest.
    let sealed = |plan: &serde_json::Value| -> Vec<String> {
        let fields = plan["steps"][0]["fields"].as_array().expect("fields").clone();
        fields.iter().filter_map(|field| Some(field["sealed"].as_str()?.to_owned())).collect()
    };
    assert_eq!(sealed(&reviewed).len(), 2, "{reviewed:#}");
    declare("first-kAnArY");
    assert_eq!(sealed(&sandbox.plan(&[])), sealed(&reviewed));
    sandbox.expect(0, &["apply", "plan.json", "--yes"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    declare("second-kAnArY");
    let before = sealed(&sandbox.plan(&[]));
    sql(&sandbox, "UPDATE keys SET key = randomblob(32)");
    let after = sealed(&sandbox.plan(&[]));
    assert!(before.iter().all(|one| !after.contains(one)), "{before:?} {after:?}");
}

#[test]
fn without_a_store_the_commit_of_the_declarations_stands_for_a_hidden_value() {
    let sandbox = three_stages();
    sandbox.replace("environments/cluster.yaml", "name: acme\n", "name: acme\nlint: {MG301: \"off\"}\n");
    sandbox.write("environments/production/analytics.yaml", "env: {DB_PASSWORD: first-kAnArY}\n");
    sandbox.git(&["init", "--quiet"]);
    sandbox.git(&["add", "environments"]);
    sandbox.git(&["commit", "--quiet", "--message", "first"]);
    sandbox.plan(&["--out", "plan.json"]);
    sandbox.write("environments/production/analytics.yaml", "env: {DB_PASSWORD: second-kAnArY}\n");
    sandbox.expect(4, &["apply", "plan.json", "--yes"]);
    sandbox.git(&["commit", "--quiet", "--all", "--message", "second"]);
    sandbox.expect(4, &["apply", "plan.json", "--yes"]);
    sandbox.git(&["checkout", "--quiet", "HEAD~1"]);
    sandbox.expect(0, &["apply", "plan.json", "--yes"]);
}
