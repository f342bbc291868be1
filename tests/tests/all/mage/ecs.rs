//! Workspaces on ECS: a real Mage server, and the tasks of moto.

use magus_tests::{
    Sandbox,
    mage::{Caller, EcsServer, MageServer, Mode, Options},
    proxy::{Fault, Proxy},
};
use serde_json::{Value, json};

fn instance(server: &MageServer, name: &str) -> Value {
    let detail = server.get(&Caller::default(), &format!("/api/workspaces/{name}"));
    detail["workspace"]["instance"].clone()
}

#[test]
fn workspaces_on_ecs_are_made_stopped_resumed_and_deleted() {
    let test = "workspaces_on_ecs_are_made_stopped_resumed_and_deleted";
    let ecs = match EcsServer::start() {
        Ok(ecs) => ecs,
        Err(missing) => return missing.skip(test),
    };
    let server = match MageServer::start(&Mode::MainEcs(&ecs), &Options::default()) {
        Ok(server) => server,
        Err(missing) => return missing.skip(test),
    };
    let mut sandbox = Sandbox::new();
    let url = server.url();
    sandbox.set("MAGE_URL", &url);
    sandbox.write(
        "environments/cluster.yaml",
        format!("name: acme\nengine: {{mage: {{url: \"{url}\"}}}}\nworkspace_name: ${{workspace}}\n"),
    );
    sandbox.write("environments/development/environment.yaml", "{}\n");
    let declare = |name: &str, text: &str| {
        sandbox.write(&format!("environments/development/{name}.yaml"), text);
    };
    let apply = |code: i32, more: &[&str]| {
        let mut arguments = vec!["apply", "--yes", "--timeout", "5"];
        arguments.extend(more);
        sandbox.expect(code, &arguments)
    };

    // Made, and then planned to nothing; one that is to be stopped is made too.
    declare("one", "{}\n");
    declare("two", "state: stopped\n");
    apply(0, &[]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    let first = instance(&server, "one");
    assert_eq!(
        (&first["status"], &instance(&server, "two")["status"]),
        (&json!("RUNNING"), &json!("STOPPED"))
    );

    // Stop and resume: the task goes, and exactly one comes.
    declare("one", "state: stopped\n");
    apply(0, &[]);
    assert_eq!(instance(&server, "one")["status"], "STOPPED");
    declare("one", "state: running\n");
    apply(0, &[]);
    let second = instance(&server, "one");
    assert_eq!(second["status"], "RUNNING");
    assert_ne!(second["task_arn"], first["task_arn"]);
    sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    sandbox.expect(0, &["restart", "--yes", "--timeout", "5", "-w", "one"]);
    let third = instance(&server, "one");
    assert_eq!(third["status"], "RUNNING");
    assert_ne!(third["task_arn"], second["task_arn"]);

    // What Mage gives no workspace there holds back its creation, and a change of one that exists.
    declare("three", "container_config: {image: \"mageai/mageai:0.9.80\"}\n");
    declare("two", "state: stopped\nenv: {A: \"1\"}\n");
    let run = apply(4, &[]);
    assert!(
        run.all().contains("no workspace of this cluster can be given `container_config.image`"),
        "{}",
        run.all()
    );
    assert!(run.all().contains("Mage cannot change a workspace there once it is made"), "{}", run.all());
    sandbox.remove("environments/development/three.yaml");
    declare("two", "state: stopped\n");

    // One that a person made cannot take a mark, is therefore nobody's, and stays.
    server.create_workspace(&Caller::default(), &json!({ "name": "four" }));
    declare("four", "{}\n");
    let run = apply(4, &[]);
    assert!(run.all().contains("nor can it take a mark"), "{}", run.all());
    sandbox.remove("environments/development/four.yaml");
    let import = sandbox.expect(1, &["import", "-e", "development", "four"]);
    assert!(import.stderr.contains("nor can it take a mark"), "{}", import.stderr);
    let plan = sandbox.plan(&[]);
    assert_eq!(plan["unmanaged"][0]["name"], "four");

    // What is no longer declared goes, with its task and what was changed in it, which no server shows.
    sandbox.remove("environments/development/one.yaml");
    let run = apply(4, &[]);
    assert!(run.all().contains("uncommitted changes cannot be checked"), "{}", run.all());
    apply(0, &["--discard-changes", "one", "--reason", "it was a trial"]);
    let list = server.get(&Caller::default(), "/api/workspaces");
    let mut names: Vec<&str> = list["workspaces"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["four", "two"]);

    // Of Cloud Run nothing can be run here but what Mage says of itself: it can make a workspace, and that is all.
    let statuses = server.get(&Caller::default(), "/api/statuses").to_string();
    let cloud_run = statuses.replace("\"instance_type\":\"ecs\"", "\"instance_type\":\"cloud_run\"");
    assert_ne!(cloud_run, statuses);
    let proxy = Proxy::start(&url);
    proxy.decide(move |request| match request.path.as_str() {
        "/api/statuses" => Fault::Status(200, cloud_run.clone()),
        _ => Fault::Pass,
    });
    sandbox.set("MAGE_URL", &proxy.url());
    sandbox.replace("environments/cluster.yaml", &url, &proxy.url());
    sandbox.write("environments/development/two.yaml", "state: running\n");
    sandbox.write("environments/development/five.yaml", "{}\n");
    let run = sandbox.expect(4, &["apply", "--yes", "--timeout", "5"]);
    assert!(run.all().contains("all that Mage can do on Cloud Run is to make a workspace"), "{}", run.all());
    assert_eq!(instance(&server, "five")["status"], "RUNNING");
    assert_eq!(instance(&server, "two")["status"], "STOPPED");
}
