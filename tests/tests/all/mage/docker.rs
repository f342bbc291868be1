//! Workspaces on Docker, as the documentation of Mage Pro has them. Nobody can run Mage Pro here: an open-source server
//! stores the texts, and says of itself that its workspaces run on Docker.

use magus_tests::proxy::Fault;
use serde_json::json;

use super::Bed;

#[test]
fn workspaces_on_docker_get_texts_of_their_own() {
    let Some(bed) = Bed::new("workspaces_on_docker_get_texts_of_their_own") else { return };
    let statuses = bed.shared.mage.get(&bed.owner, "/api/statuses").to_string();
    let docker = statuses.replace("\"instance_type\":\"k8s\"", "\"instance_type\":\"docker\"");
    assert_ne!(docker, statuses);
    bed.proxy.decide(move |request| match request.path.as_str() {
        "/api/statuses" => Fault::Status(200, docker.clone()),
        _ => Fault::Pass,
    });
    bed.sandbox.replace("environments/cluster.yaml", "namespace: ", "edition: pro, namespace: ");
    let text = |name: &str| bed.detail(name)["container_config"].as_str().expect("a text").to_owned();

    let volumes = "container_config:\n  volumes: {/srv/one: {bind: /home/src, mode: rw}}\n";
    bed.declare("development", "one", &format!("env: {{N: \"1\"}}\n{volumes}"));
    bed.apply(0, &[]);
    let stored = text("one-development");
    assert!(stored.contains("environment:\n  \"ENV\": \"dev\"\n  \"N\": \"1\"\n"), "{stored}");
    assert!(stored.contains("bind: \"/home/src\""), "{stored}");
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    // A variable that goes is left out; nothing of Kubernetes is in the text.
    bed.declare("development", "one", volumes);
    bed.proxy.clear();
    bed.apply(3, &[]);
    assert_eq!(bed.proxy.count(|request| request.method == "PUT"), 1, "nothing is taken away first");
    let stored = text("one-development");
    assert!(!stored.contains("\"N\"") && !stored.contains("$patch"), "{stored}");
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    bed.edit("one-development", |text| text.replace("\"dev\"", "\"other\""));
    assert!(bed.sandbox.expect(2, &["drift"]).stdout.contains("env.ENV"));
    bed.declare("development", "one", &format!("{volumes}state: stopped\n"));
    bed.apply(0, &[]);
    assert_eq!(bed.set("one-development").expect("a StatefulSet")["spec"]["replicas"], 0);
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);

    // What means nothing on Docker is not made, and what a person made is not marked.
    bed.declare("development", "two", "service_account_name: mage\n");
    bed.create(
        "three-development",
        json!({ "container_config": "environment: {ENV: dev}\nimage: mageai/mageai:0.9.80\n" }),
    );
    bed.declare("development", "three", "{}\n");
    let run = bed.apply(4, &[]);
    assert!(
        run.all().contains("no workspace of this cluster can be given `service_account_name`"),
        "{}",
        run.all()
    );
    assert!(run.all().contains("whether a mark restarts a workspace on Docker"), "{}", run.all());
    assert!(bed.set("two-development").is_none());
}
