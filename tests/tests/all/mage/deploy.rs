//! Code on a real Mage server: its own git sync fetches it from a bare repository.

use std::{fs, path::Path};

use magus_tests::{
    Sandbox,
    mage::{Logins, MageServer, Mode, OWNER_PASSWORD, Options, PROJECT},
    proxy::Fault,
    tunnel::Tunnel,
};
use serde_json::{Value, json};

use super::{Bed, INGRESS};

/// Where Mage Pro is asked for a deployment.
const DEPLOYMENTS: &str = "/api/deployment_settings/live/deployments";

/// A pipeline with one block and an API trigger.
fn pipeline(name: &str, line: &str) -> Vec<(String, String)> {
    let block = format!("@custom\ndef run(*args, **kwargs):\n    {line}\n");
    let metadata = format!(
        "blocks:\n- all_upstream_blocks_executed: true\n  downstream_blocks: []\n  executor_type: local_python\n  \
         language: python\n  name: {name}\n  status: not_executed\n  type: custom\n  upstream_blocks: []\n  \
         uuid: {name}\nname: {name}\ntype: python\nuuid: {name}\n"
    );
    let triggers = format!(
        "triggers:\n- name: api\n  pipeline_uuid: {name}\n  schedule_interval: null\n  schedule_type: api\n  \
         status: active\n  start_time: 2024-01-01 00:00:00\n  variables: {{}}\n"
    );
    vec![
        (format!("custom/{name}.py"), block),
        (format!("pipelines/{name}/metadata.yaml"), metadata),
        (format!("pipelines/{name}/triggers.yaml"), triggers),
    ]
}

/// A bare repository of pipelines, and where somebody works on it.
struct Pipelines<'a>(&'a Sandbox);

impl<'a> Pipelines<'a> {
    fn new(sandbox: &'a Sandbox) -> Self {
        sandbox.git(&["init", "--quiet", "--bare", "--initial-branch", "main", "pipe lines.git"]);
        sandbox.git(&["clone", "--quiet", "pipe lines.git", "work"]);
        sandbox.git(&["-C", "work", "checkout", "--quiet", "-B", "main"]);
        Self(sandbox)
    }

    /// Commits these files and pushes them to `main`; the number of the commit.
    fn push(&self, files: &[(String, String)]) -> String {
        for (path, text) in files {
            self.0.write(&format!("work/{path}"), text);
        }
        self.0.git(&["-C", "work", "add", "--all"]);
        self.0.git(&["-C", "work", "commit", "--quiet", "--message", "work"]);
        self.0.git(&["-C", "work", "push", "--quiet", "origin", "main"]);
        self.0.git(&["-C", "work", "rev-parse", "HEAD"]).trim().to_owned()
    }

    /// The deploy branch of the one workspace.
    fn branch(&self) -> String {
        let told = self.0.git(&[
            "-C",
            "pipe lines.git",
            "for-each-ref",
            "--format",
            "%(refname)",
            "refs/heads/deploy/",
        ]);
        told.trim().to_owned()
    }

    fn deployed(&self) -> String {
        self.0.git(&["-C", "pipe lines.git", "rev-parse", &self.branch()]).trim().to_owned()
    }

    fn set_deployed(&self, commit: &str) {
        self.0.git(&["-C", "pipe lines.git", "update-ref", &self.branch(), commit]);
    }
}

fn file(path: &str, text: &str) -> (String, String) {
    (path.to_owned(), text.to_owned())
}

/// What git says of a project: what is checked out, and the files that differ from it, but for Mage's own.
fn project_of(sandbox: &Sandbox, project: &Path) -> (String, Vec<String>) {
    let project = project.to_str().expect("a path");
    let head = sandbox.git(&["-C", project, "rev-parse", "HEAD"]).trim().to_owned();
    let status = sandbox.git(&["-C", project, "status", "--porcelain", "--untracked-files=no"]);
    let changed = status.lines().map(|line| line[3..].to_owned());
    (head, changed.filter(|path| !path.ends_with("/triggers.yaml")).collect())
}

fn withheld(plan: &Value) -> Vec<(&str, &str)> {
    let withheld = plan["withheld"].as_array().expect("a list").iter();
    withheld
        .map(|one| (one["action"].as_str().expect("text"), one["guard"].as_str().expect("text")))
        .collect()
}

#[test]
fn a_workspace_runs_the_code_that_is_declared() {
    let Some(mut bed) = Bed::new("a_workspace_runs_the_code_that_is_declared") else { return };
    bed.make_ingress();
    let bare = bed.sandbox.file("pipe lines.git");
    let bare = bare.to_str().expect("a path").to_owned();
    let cluster = bed.sandbox.read("environments/cluster.yaml");
    let sync = format!("repository: {{url: \"../pipe lines.git\", sync: {{url: \"{bare}\"}}}}\n");
    bed.sandbox.write("environments/cluster.yaml", format!("{cluster}{sync}"));
    bed.sandbox.write(
        "environments/development/environment.yaml",
        "branch: main\ndeploy: head\nverify: {pipelines: [passes], timeout: 5m}\n",
    );
    let pipelines = Pipelines::new(&bed.sandbox);
    let mut files = pipeline("passes", "pass");
    files.extend(pipeline("fails", "raise Exception('not today')"));
    files.push(file("utils/answer.py", "ANSWER = 41\n"));
    files.push(file("io_config.yaml", "version: 0.1.1\n"));
    let first = pipelines.push(&files);

    // It is made, and where its server is nobody knows yet: what cannot be seen is not said to be done.
    let declare = |bed: &Bed, path: &str| {
        let text = format!("env: {{GIT_REPO_PATH: \"{path}\"}}\ningress_name: {INGRESS}\n");
        bed.declare("development", "ana", &text);
    };
    declare(&bed, "/home/src/later");
    let run = bed.apply(3, &[]);
    assert!(run.stdout.contains("the code of"), "{}", run.all());
    assert_eq!(pipelines.deployed(), first, "the branch is there before the workspace looks for it");
    let variables = bed.env("ana-development");
    let own = format!("deploy/development+{}", bed.name("ana-development"));
    assert_eq!(pipelines.branch(), format!("refs/heads/{own}"));
    for (name, value) in [
        ("GIT_BRANCH", own.as_str()),
        ("GIT_REPO_LINK", bare.as_str()),
        ("GIT_AUTH_TYPE", "https"),
        ("GIT_SYNC_ON_START", "1"),
    ] {
        assert_eq!(variables[name], json!({ "value": value }));
    }

    // Its server did not find the branch when it started, and holds what Mage put there: no work of anybody.
    bed.sandbox.git(&["-C", "pipe lines.git", "update-ref", "-d", &pipelines.branch()]);
    bed.lead_to("ana-development");
    let uuid = bed.detail("ana-development")["project_uuid"].as_str().expect("a uuid").to_owned();
    let of_pod = variables.iter().filter(|(name, _)| name.starts_with("GIT_"));
    let mut of_server: Vec<(String, String)> = of_pod
        .map(|(name, value)| (name.clone(), value["value"].as_str().expect("a value").to_owned()))
        .collect();
    of_server.retain(|(name, _)| name != "GIT_REPO_PATH");
    of_server.push(("GIT_REPO_PATH".to_owned(), PROJECT.to_owned()));
    let options = Options { logins: Logins::On, project_uuid: Some(uuid), variables: of_server };
    let mut server =
        MageServer::start(&Mode::Standalone, &options).unwrap_or_else(|missing| panic!("{missing:?}"));
    let tunnel = Tunnel::to(&server.address());
    bed.sandbox.set("HTTP_PROXY", &tunnel.url());
    let run = bed.sandbox.expect(4, &["plan"]);
    assert!(run.stdout.contains("MAGE_WORKSPACES_URL"), "{}", run.all());
    assert!(run.stdout.contains("uncommitted changes cannot be checked"), "{}", run.all());
    assert!(!tunnel.sent().contains(OWNER_PASSWORD), "a server that nobody trusts is asked for nothing");
    bed.sandbox.set("MAGE_WORKSPACES_URL", "http://workspaces.acme.test/");
    let pipelines = Pipelines(&bed.sandbox);
    assert_eq!(bed.steps(), ["deploy ana-development"]);
    bed.sandbox.expect(0, &["apply", "--yes"]);
    let project = server.project();
    assert_eq!(project_of(&bed.sandbox, &project), (first.clone(), Vec::new()));
    assert_eq!(pipelines.deployed(), first);
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    // What comes after it is told, and fetched; a file of people that git does not know stays.
    fs::write(project.join("custom/mine.py"), "mine\n").expect("a file");
    let second = pipelines.push(&[file("utils/answer.py", "ANSWER = 42\n")]);
    let plan = bed.sandbox.plan(&[]);
    let deploy = &plan["steps"][0]["deploy"];
    assert_eq!((&deploy["from"], &deploy["to"]), (&json!(first), &json!(second)));
    assert_eq!(deploy["follows"], json!({"name": own, "from": first}));
    assert_eq!(deploy["movement"]["ahead"], 1);
    bed.sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(project_of(&bed.sandbox, &project), (second.clone(), Vec::new()));
    assert_eq!(fs::read_to_string(project.join("custom/mine.py")).expect("a file"), "mine\n");
    let status = bed.sandbox.expect(0, &["status", "--format", "json"]).stdout;
    assert!(status.contains(&second), "{status}");

    // The pipelines that came with it run.
    bed.sandbox.expect(0, &["verify", "development", "--run"]);
    bed.sandbox.replace("environments/development/environment.yaml", "[passes]", "[fails]");
    bed.sandbox.expect(3, &["verify", "development", "--run"]);

    // Work of people is not taken away: changed files, also in what a restart would reset, and commits.
    let third = pipelines.push(&[file("utils/answer.py", "ANSWER = 43\n")]);
    fs::write(project.join("io_config.yaml"), "version: mine\n").expect("a file");
    let plan = bed.sandbox.plan(&[]);
    assert_eq!(withheld(&plan), [("deploy", "uncommitted-changes")]);
    assert!(plan["withheld"][0]["message"].as_str().expect("text").contains("`io_config.yaml`"), "{plan}");
    bed.declare(
        "development",
        "ana",
        &format!("env: {{GIT_REPO_PATH: \"/home/src/later\", A: \"1\"}}\ningress_name: {INGRESS}\n"),
    );
    let plan = bed.sandbox.plan(&[]);
    assert_eq!(withheld(&plan), [("update", "uncommitted-changes"), ("deploy", "uncommitted-changes")]);
    bed.sandbox.expect(4, &["apply", "--yes"]);
    assert_eq!(project_of(&bed.sandbox, &project), (second.clone(), vec!["io_config.yaml".to_owned()]));
    declare(&bed, "/home/src/later");
    let project_text = project.to_str().expect("a path").to_owned();
    let person = ["-c", "user.name=Ana", "-c", "user.email=ana@acme.test"];
    let commit =
        [&["-C", project_text.as_str()][..], &person, &["commit", "--quiet", "-am", "mine"]].concat();
    bed.sandbox.git(&commit);
    let plan = bed.sandbox.plan(&[]);
    assert!(plan["withheld"][0]["message"].as_str().expect("text").contains("`commit "), "{plan}");
    bed.sandbox.git(&["-C", &project_text, "reset", "--quiet", "--hard", &second]);

    // Its file is removed while it has a changed file, and its server is not trusted any more: nothing is concluded from what was
    // known of it.
    fs::write(project.join("io_config.yaml"), "version: mine\n").expect("a file");
    let declared = bed.sandbox.read("environments/development/ana.yaml");
    bed.sandbox.remove("environments/development/ana.yaml");
    bed.sandbox.set("MAGE_WORKSPACES_URL", "http://elsewhere.acme.test/");
    for command in [&["apply", "--allow-empty", "development"][..], &["destroy", "-w", "ana"]] {
        let run = bed.sandbox.expect(4, &[command, &["--yes"]].concat());
        assert!(run.stdout.contains("uncommitted changes cannot be checked"), "{}", run.all());
        assert!(bed.set("ana-development").is_some());
    }
    bed.sandbox.set("MAGE_WORKSPACES_URL", "http://workspaces.acme.test/");
    bed.sandbox.write("environments/development/ana.yaml", declared);
    bed.sandbox.git(&["-C", &project_text, "reset", "--quiet", "--hard", &second]);

    // Nor is a file that git does not know and a commit brings.
    fs::create_dir_all(project.join("reports")).expect("a folder");
    fs::write(project.join("reports/year.md"), "mine\n").expect("a file");
    let fourth = Pipelines(&bed.sandbox).push(&[file("reports/year.md", "theirs\n")]);
    let run = bed.sandbox.expect(3, &["apply", "--yes"]);
    assert!(run.stdout.contains("would be lost: `reports/year.md`"), "{}", run.all());
    assert_eq!(project_of(&bed.sandbox, &project).0, second);
    fs::remove_dir_all(project.join("reports")).expect("a folder");
    bed.sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(project_of(&bed.sandbox, &project), (fourth.clone(), Vec::new()));

    // Other packages: it restarts as well. What is asked for here is there already.
    let pipelines = Pipelines(&bed.sandbox);
    let fifth = pipelines.push(&[file("requirements.txt", "pip\n")]);
    let plan = bed.sandbox.plan(&[]);
    assert_eq!(
        (&plan["steps"][0]["action"], &plan["steps"][0]["restarts"]),
        (&json!("deploy"), &json!(true))
    );
    let generation = bed.generation("ana-development");
    bed.sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(project_of(&bed.sandbox, &project), (fifth.clone(), Vec::new()));
    assert_ne!(bed.generation("ana-development"), generation, "stopped and started");

    // Somebody moves the branch that it follows.
    pipelines.set_deployed(&third);
    let plan = bed.sandbox.plan(&[]);
    let reason = plan["steps"][0]["reason"].as_str().expect("text");
    assert!(reason.starts_with(&format!("`{own}` was moved to")), "{reason}");
    bed.sandbox.expect(2, &["drift"]);
    bed.sandbox.expect(0, &["apply", "--yes"]);
    assert_eq!(pipelines.deployed(), fifth);

    // What is stopped takes it when it starts, and is not said to be behind.
    let stop = json!({ "workspace": { "action": "stop" } });
    let path = format!("/api/workspaces/{}", bed.name("ana-development"));
    bed.shared.mage.send(&bed.owner, "PUT", &path, Some(&stop));
    bed.shared.kubernetes.wait("it stops", || {
        (bed.detail("ana-development")["instance"]["status"] == "STOPPED").then_some(())
    });
    server.stop();
    bed.declare(
        "development",
        "ana",
        &format!("state: stopped\nenv: {{GIT_REPO_PATH: \"/home/src/later\"}}\ningress_name: {INGRESS}\n"),
    );
    let sixth = pipelines.push(&[file("utils/answer.py", "ANSWER = 44\n")]);
    let plan = bed.sandbox.plan(&[]);
    let reason = plan["steps"][0]["reason"].as_str().expect("text");
    assert!(reason.ends_with("it is stopped, and takes it when it starts"), "{reason}");
    bed.sandbox.expect(0, &["apply", "--yes"]);
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    assert_eq!(project_of(&bed.sandbox, &project).0, fifth);
    server.start_again();
    server.wait("it fetches its code", || (project_of(&bed.sandbox, &project).0 == sixth).then_some(()));
}

/// As its documentation has it: nobody can run Mage Pro here.
#[test]
fn mage_pro_is_asked_for_a_deployment_once() {
    let Some(bed) = Bed::new("mage_pro_is_asked_for_a_deployment_once") else { return };
    let cluster =
        bed.sandbox.read("environments/cluster.yaml").replace("namespace: ", "edition: pro, namespace: ");
    bed.sandbox
        .write("environments/cluster.yaml", format!("{cluster}repository: {{url: \"../pipe lines.git\"}}\n"));
    bed.sandbox.write(
        "environments/development/environment.yaml",
        "branch: main\ndeploy: head\ndeployments: {setting: live, branch: to-deploy}\n",
    );
    let first = Pipelines::new(&bed.sandbox).push(&[file("a.py", "1\n")]);
    for name in ["one", "two"] {
        bed.declare("development", name, "{}\n");
    }
    let answer = |status: u16, text: &'static str| {
        bed.proxy.clear();
        bed.proxy.decide(move |request| match request.path.as_str() {
            DEPLOYMENTS => Fault::Status(status, text.to_owned()),
            _ => Fault::Pass,
        });
    };
    answer(200, r#"{"error": {"code": 400, "message": "no such setting", "type": "x"}}"#);
    let run = bed.apply(3, &[]);
    assert!(run.stdout.contains("no such setting"), "{}", run.all());
    // People may have changed something since: a deployment is not asked for unless that may be lost.
    let names = ["one-development", "two-development"].map(|name| bed.name(name));
    let discard = names.iter().flat_map(|name| ["--discard-changes", name.as_str()]);
    let discard: Vec<&str> = discard.chain(["--reason", "nobody works there"]).collect();
    answer(200, r#"{"deployment": {"id": 1}}"#);
    bed.apply(4, &[]);
    bed.apply(0, &discard);
    let asked: Vec<Value> = bed
        .proxy
        .exchanges()
        .iter()
        .filter(|exchange| exchange.request.path == DEPLOYMENTS)
        .map(|exchange| exchange.request.json())
        .collect();
    let title = format!("magus: development {}", &first[..10]);
    assert_eq!(
        asked,
        [json!({"deployment": {
            "source": {"head": {"name": "main"}, "name": title, "version": first},
            "stage": {"branch": {"name": "to-deploy"}, "environment": "development"},
        }})]
    );
    let run = bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(run.stdout.contains("mage does not tell what became of its deployments"), "{}", run.all());
    let status = bed.sandbox.expect(0, &["status", "--format", "json"]).stdout;
    assert!(status.contains(&first), "{status}");
    Pipelines(&bed.sandbox).push(&[file("a.py", "2\n")]);
    assert_eq!(withheld(&bed.sandbox.plan(&[])), [("deploy", "uncommitted-changes"); 2]);
    let plan = bed.sandbox.plan(&discard);
    let actions: Vec<&Value> =
        plan["steps"].as_array().expect("steps").iter().map(|step| &step["action"]).collect();
    assert_eq!(actions, ["deploy", "deploy"]);
}
