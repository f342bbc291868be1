//! What must not happen: to workspaces, to secrets, and to logins.

use magus_tests::{
    mage::{OWNER_PASSWORD, Role},
    proxy::{Fault, Proxy},
};
use serde_json::json;

use super::Bed;

#[test]
fn a_mark_that_is_lost_or_copied_deletes_nothing() {
    let Some(bed) = Bed::new("a_mark_that_is_lost_or_copied_deletes_nothing") else { return };
    bed.declare("development", "one", "env: {A: \"1\"}\n");
    bed.declare("development", "two", "env: {A: \"1\"}\n");
    bed.apply(0, &[]);
    // Without its mark a workspace belongs to nobody: taken over where it is as declared, and else left alone.
    let unmarked = |text: &str| text.lines().skip(1).map(|line| format!("{line}\n")).collect::<String>();
    bed.edit("one-development", unmarked);
    assert_eq!(bed.steps(), ["adopt one-development"]);
    bed.sandbox.remove("environments/development/one.yaml");
    let plan = bed.sandbox.plan(&[]);
    assert_eq!(plan["steps"], json!([]));
    assert_eq!(plan["unmanaged"][0]["name"], bed.name("one-development"));

    // A copy of a whole text is another workspace's mark, and means nothing.
    let text = bed.detail("two-development")["container_config"].clone();
    bed.create("copy", json!({ "container_config": text }));
    let plan = bed.sandbox.plan(&[]);
    assert_eq!(plan["steps"], json!([]), "{plan:#}");
    let unmanaged: Vec<_> =
        plan["unmanaged"].as_array().expect("a list").iter().map(|one| one["name"].clone()).collect();
    assert_eq!(unmanaged, [json!(bed.name("copy")), json!(bed.name("one-development"))]);
}

#[test]
fn who_may_only_look_plans_and_does_not_apply() {
    let Some(mut bed) = Bed::new("who_may_only_look_plans_and_does_not_apply") else { return };
    bed.declare("development", "one", "{}\n");
    let (email, password) = (format!("{}viewer@magus.test", bed.place.prefix), "viewer-canary-88aa");
    bed.shared.mage.add_user(&bed.owner, &email, password, Some(Role::Viewer));
    bed.sandbox.set("MAGE_EMAIL", &email);
    bed.sandbox.set("MAGE_PASSWORD", password);
    assert_eq!(bed.steps(), ["create one-development"]);
    let run = bed.sandbox.expect(0, &["status", "-v"]);
    assert!(
        run.stdout.contains("mage: 0.9.80 (open source)") && run.stdout.contains("login: viewer"),
        "{}",
        run.stdout
    );
    bed.proxy.clear();
    let run = bed.apply(3, &[]);
    assert!(run.stderr.contains("may look at workspaces and not change them"), "{}", run.stderr);
    assert_eq!(bed.proxy.count(|request| request.method != "GET" && request.path != "/api/sessions"), 0);

    // No login, a wrong one, and a wrong token: each has its own message, and nobody tries a hundred times.
    for (email, password, token, says) in [
        ("", "", "", "mage wants a login, and none is given"),
        (email.as_str(), "wrong-canary-9d1e", "", "mage does not accept the login"),
        ("", "", "wrong-canary-9d1e", "mage does not accept the token"),
    ] {
        bed.sandbox.set("MAGE_EMAIL", email);
        bed.sandbox.set("MAGE_PASSWORD", password);
        bed.sandbox.set("MAGE_TOKEN", token);
        bed.proxy.clear();
        let run = bed.sandbox.expect(5, &["-vv", "plan"]);
        assert!(run.stderr.contains(says) && run.stderr.contains("help: "), "{}", run.stderr);
        assert!(!run.all().contains("canary"), "{}", run.all());
        assert!(bed.proxy.count(|request| request.path == "/api/sessions") <= 1);
    }
}

#[test]
fn a_server_that_nobody_trusts_gets_no_request() {
    let Some(mut bed) = Bed::new("a_server_that_nobody_trusts_gets_no_request") else { return };
    bed.declare("development", "one", "{}\n");
    let elsewhere = Proxy::start(&bed.shared.mage.url());
    bed.sandbox.replace("environments/cluster.yaml", &bed.proxy.url(), &elsewhere.url());
    for command in [&["plan"][..], &["status"], &["drift"], &["import"], &["apply", "--yes"]] {
        let run = bed.sandbox.magus(command);
        assert!(matches!(run.code, Some(3 | 5)), "{:?} {}", run.code, run.all());
        assert!(run.stderr.contains("is not trusted: `MAGE_URL` is"), "{}", run.stderr);
    }
    bed.sandbox.set("MAGE_URL_ACME", &elsewhere.url());
    let run = bed.sandbox.expect(5, &["plan"]);
    assert!(
        run.stderr.contains("none is given"),
        "the login of MAGE_URL is not that of MAGE_URL_ACME: {}",
        run.stderr
    );
    assert_eq!(elsewhere.count(|request| request.path != "/api/statuses"), 0);
    assert!(elsewhere.exchanges().iter().all(|one| !one.sends(OWNER_PASSWORD)));
    assert_eq!(bed.proxy.exchanges().len(), 0);
}

#[test]
fn secrets_are_in_what_is_sent_and_nowhere_else() {
    let Some(mut bed) = Bed::new("secrets_are_in_what_is_sent_and_nowhere_else") else { return };
    let (first, second) = ("secret-canary-51f7", "secret-canary-62e8");
    bed.sandbox.set("TOKEN", first);
    bed.declare("development", "one", "env:\n  TOKEN: {secret: {env: TOKEN}}\n  OTHER: \"1\"\n");
    let mut outputs = String::new();
    outputs += &bed.sandbox.expect(0, &["-vv", "plan", "--out", "plan.json"]).all();
    assert_eq!(
        bed.proxy.exchanges().iter().filter(|one| one.sends(first)).count(),
        0,
        "a plan resolves nothing"
    );
    outputs += &bed.sandbox.expect(0, &["-vv", "apply", "--yes", "--timeout", "1", "plan.json"]).all();
    assert_eq!(bed.env("one-development")["TOKEN"], json!({ "value": first }));
    outputs += &bed.sandbox.expect(0, &["-vv", "plan", "--detailed-exitcode"]).all();

    // A value that changed is noticed and not sent; it is sent when somebody asks for it.
    bed.sandbox.set("TOKEN", second);
    let run = bed.apply(0, &["-vv"]);
    assert!(
        run.all().contains("the value of the secret `env.TOKEN` changed without a new `version`"),
        "{}",
        run.all()
    );
    outputs += &run.all();
    assert_eq!(bed.env("one-development")["TOKEN"], json!({ "value": first }));
    outputs += &bed.apply(3, &["-vv", "--refresh-secrets", "development"]).all();
    assert_eq!(bed.env("one-development")["TOKEN"], json!({ "value": second }));
    // Others change without it being resolved again.
    bed.sandbox.set("TOKEN", "");
    bed.sandbox.replace("environments/development/one.yaml", "OTHER: \"1\"", "OTHER: \"2\"");
    outputs += &bed.apply(3, &["-vv"]).all();
    assert_eq!(bed.env("one-development")["TOKEN"], json!({ "value": second }));
    // What somebody writes over it is drift, and not shown.
    bed.edit("one-development", |text| text.replace(second, "secret-canary-73d9"));
    let run = bed.sandbox.expect(2, &["-vv", "drift"]);
    assert!(run.stdout.contains("env.TOKEN"), "{}", run.stdout);
    outputs += &run.all();
    // Kubernetes refuses what it gets, and Mage quotes it.
    bed.sandbox.set("TOKEN", second);
    bed.declare(
        "development",
        "two",
        "env: {TOKEN: {secret: {env: TOKEN}}}\n\
         # magus: ignore[MG207] Kubernetes is to refuse it\n\
         container_config: {resources: {requests: {example.com/gpu: \"1\"}}}\n",
    );
    outputs += &bed.apply(3, &["-vv"]).all();
    assert!(bed.set("two-development").is_none(), "it was refused");
    for canary in [first, second, "secret-canary-73d9", OWNER_PASSWORD, bed.owner.token().expect("a token")] {
        assert!(!outputs.contains(canary), "{canary} in {outputs}");
        assert!(!bed.sandbox.read("plan.json").contains(canary));
    }
}

#[test]
fn lists_and_answers_that_fail_delete_nothing() {
    let Some(bed) = Bed::new("lists_and_answers_that_fail_delete_nothing") else { return };
    for name in ["one", "two"] {
        bed.declare("development", name, "{}\n");
    }
    bed.apply(0, &[]);
    let is_list = |path: &str| path == "/api/workspaces";
    // An empty list: what is declared is looked up, and what is not is nobody's.
    bed.proxy.decide(move |request| if is_list(&request.path) { Fault::EmptyList } else { Fault::Pass });
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    bed.sandbox.remove("environments/development/two.yaml");
    assert_eq!(bed.steps(), Vec::<String>::new());
    // No list, no answer, half an answer, somebody else's answer: nothing is known.
    for fault in [
        Fault::Status(500, r#"{"error": {"code": 500, "message": "canary", "type": "x"}}"#.to_owned()),
        Fault::Status(200, "<html><title>Log in</title></html>".to_owned()),
        Fault::Status(200, r#"{"workspaces": {}}"#.to_owned()),
        Fault::HalfAnswer,
        Fault::CutBefore,
    ] {
        let told = format!("{fault:?}");
        bed.proxy.decide(move |request| if is_list(&request.path) { fault.clone() } else { Fault::Pass });
        let plan = bed.sandbox.plan(&[]);
        assert_eq!(
            (&plan["steps"], plan["unknown"].as_array().map(Vec::len)),
            (&json!([]), Some(1)),
            "{told}"
        );
        let run = bed.sandbox.expect(5, &["plan"]);
        assert!(run.stderr.contains("cluster `acme`"), "{told} {}", run.stderr);
    }
    // A detail that fails makes one workspace unknown, and the others are still planned.
    bed.declare("development", "three", "{}\n");
    bed.declare("development", "four", "{}\n");
    let broken = format!("/api/workspaces/{}", bed.name("three-development"));
    bed.proxy.decide(move |request| match request.path == broken {
        true => Fault::Status(500, "{}".to_owned()),
        false => Fault::Pass,
    });
    let plan = bed.sandbox.plan(&[]);
    assert_eq!(plan["unknown"][0]["workspace"], bed.name("three-development"));
    assert_eq!(bed.steps(), ["create four-development", "delete two-development"]);
}

#[test]
fn a_lost_answer_is_looked_after() {
    let Some(bed) = Bed::new("a_lost_answer_is_looked_after") else { return };
    for name in ["one", "two"] {
        bed.declare("development", name, "{}\n");
    }
    // Done although no answer came: Magus looks, and sees it.
    bed.proxy.decide(|request| {
        if request.method == "POST" && request.path == "/api/workspaces" {
            Fault::CutAfter
        } else {
            Fault::Pass
        }
    });
    bed.apply(0, &[]);
    assert_eq!(
        bed.proxy.count(|request| request.method == "POST" && request.path == "/api/workspaces"),
        2,
        "no retry"
    );
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    // Not done, and no answer: uncertain, and the next run does it.
    bed.declare("development", "three", "{}\n");
    bed.proxy.decide(|request| {
        if request.method == "POST" && request.path == "/api/workspaces" {
            Fault::CutBefore
        } else {
            Fault::Pass
        }
    });
    let run = bed.apply(3, &[]);
    assert!(
        run.all().contains("create uncertain") && run.all().contains("parts of it may be left"),
        "{}",
        run.all()
    );
    bed.proxy.decide(|_| Fault::Pass);
    bed.apply(0, &[]);
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    // Kubernetes loses a delete: Mage forgets the workspace, and the report says what still runs.
    bed.sandbox.remove("environments/development/three.yaml");
    bed.shared.decide(&bed.place, |request| {
        if request.method == "DELETE" { Fault::Status(500, "{}".to_owned()) } else { Fault::Pass }
    });
    let run = bed.apply(3, &[]);
    assert!(
        run.all().contains("delete uncertain") && run.all().contains("it may still run: `kubectl"),
        "{}",
        run.all()
    );
    assert!(bed.set("three-development").is_some());
}

/// Mage tells a duplicate from no other failure, and knows no condition for a write (MAGE.md 4.14).
#[test]
fn what_somebody_makes_at_the_same_moment_is_theirs() {
    let Some(bed) = Bed::new("what_somebody_makes_at_the_same_moment_is_theirs") else { return };
    let (mage, owner) = (&bed.shared.mage, bed.owner.clone());
    let theirs = json!({
        "name": bed.name("one-development"),
        "namespace": bed.place.namespace,
        "container_config": "env: [{name: THEIRS, value: '1'}]\nimage: mageai/mageai:0.9.80\n",
    });
    bed.proxy.decide(move |request| {
        if request.method == "POST" && request.path == "/api/workspaces" {
            mage.create_workspace(&owner, &theirs);
        }
        Fault::Pass
    });
    bed.declare("development", "one", "{}\n");
    let run = bed.apply(3, &[]);
    assert!(run.all().contains("create failed"), "{}", run.all());
    bed.proxy.decide(|_| Fault::Pass);
    let set = bed.set("one-development").expect("their StatefulSet");
    assert_eq!(bed.env("one-development")["THEIRS"], json!({ "value": "1" }));
    let plan = bed.sandbox.plan(&[]);
    assert_eq!((&plan["steps"], &plan["withheld"][0]["guard"]), (&json!([]), &json!("conflict")), "{plan:#}");
    bed.apply(4, &[]);
    // Its status goes on by itself.
    let stays = bed.set("one-development").expect("it stays");
    assert_eq!((&stays["metadata"]["uid"], &stays["spec"]), (&set["metadata"]["uid"], &set["spec"]));
}

#[test]
fn what_moved_since_the_plan_is_left_alone() {
    let Some(bed) = Bed::new("what_moved_since_the_plan_is_left_alone") else { return };
    bed.declare("development", "one", "env: {A: \"1\"}\n");
    bed.apply(0, &[]);
    bed.sandbox.replace("environments/development/one.yaml", "\"1\"", "\"2\"");
    bed.sandbox.expect(0, &["plan", "--out", "plan.json"]);
    bed.edit("one-development", |text| format!("{text}workingDir: /tmp\n"));
    let run = bed.sandbox.expect(4, &["apply", "--yes", "plan.json"]);
    assert!(run.stderr.contains("container_config.workingDir"), "{}", run.stderr);
    assert_eq!(bed.env("one-development")["A"], json!({ "value": "1" }));
}

#[test]
fn a_secret_across_the_end_of_a_cut_message_is_not_left_in_part() {
    let Some(mut bed) = Bed::new("a_secret_across_the_end_of_a_cut_message_is_not_left_in_part") else {
        return;
    };
    let value = "Zq".repeat(40);
    bed.sandbox.set("KEY", &value);
    bed.declare(
        "development",
        "one",
        "env: {KEY: {secret: {env: KEY}}, PASSWORD: {valueFrom: {secretKeyRef: {name: a, key: b}}}}\n",
    );
    // Mage repeats what it was sent, so that the value stands where a message ends.
    let refusal = |value: &str| {
        let text = format!("{}{value}", ".".repeat(270));
        Fault::Status(400, json!({ "error": { "code": 400, "type": "x", "message": text } }).to_string())
    };
    let said = refusal(&value);
    bed.proxy.decide(move |request| {
        if request.method == "POST" && request.path == "/api/workspaces" { said.clone() } else { Fault::Pass }
    });
    let run = bed.apply(3, &["-vv"]);
    assert!(run.all().contains("....") && !run.all().contains("Zq"), "{}", run.all());

    // The same with a value that is sent again as it runs, and with one that a person typed in.
    bed.proxy.decide(|_| Fault::Pass);
    bed.apply(0, &[]);
    bed.edit("one-development", |text| format!("{text}workingDir: /tmp\n"));
    let said = refusal(&value);
    bed.proxy.decide(move |request| if request.method == "PUT" { said.clone() } else { Fault::Pass });
    let run = bed.apply(3, &["-vv"]);
    assert!(run.all().contains("....") && !run.all().contains("Zq"), "{}", run.all());
    bed.proxy.decide(|_| Fault::Pass);
    let typed = "Xw".repeat(40);
    bed.create("two-development", json!({ "container_config": format!("image: mageai/mageai:0.9.80\nenv: [{{name: DB_PASSWORD, value: {typed}}}, {{name: ENV, value: dev}}]\n") }));
    bed.sandbox.expect(0, &["import", "-e", "development"]);
    let said = refusal(&typed);
    bed.proxy.decide(move |request| if request.method == "PUT" { said.clone() } else { Fault::Pass });
    let run = bed.apply(3, &["-vv", "-w", "two"]);
    assert!(run.all().contains("....") && !run.all().contains("Xw"), "{}", run.all());
}
