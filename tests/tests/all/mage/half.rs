//! Steps of several requests that end after the first: they are uncertain and say what was done, never failed.

use std::sync::{Arc, Mutex, PoisonError};

use magus_tests::{
    Run,
    proxy::{Fault, Request},
};
use serde_json::{Value, json};

use super::Bed;

/// What Mage says where it refuses a change.
fn refused() -> Fault {
    Fault::Status(200, json!({ "error": { "code": 400, "message": "no", "type": "x" } }).to_string())
}

fn action(request: &Request) -> Option<String> {
    let body: Value = serde_json::from_slice(&request.body).ok()?;
    body["workspace"]["action"].as_str().map(str::to_owned)
}

/// Refuses what Mage is asked to do with a workspace: each of these actions, after as many of it as are let through.
fn refuse(bed: &Bed, what: &'static str, after: usize) {
    let count = Arc::new(Mutex::new(0));
    bed.proxy.decide(move |request| {
        if request.method != "PUT" || action(request).as_deref() != Some(what) {
            return Fault::Pass;
        }
        let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        if *count > after { refused() } else { Fault::Pass }
    });
}

/// The step was begun: the report says so, and what was done.
#[track_caller]
fn is_uncertain(run: &Run, says: &str) {
    assert!(run.all().contains("uncertain in") && run.all().contains(says), "{says}: {}", run.all());
    assert!(!run.all().contains("failed in"), "{}", run.all());
}

#[test]
fn after_its_first_request_no_step_is_failed() {
    let Some((bed, _kubernetes)) = Bed::with_kubernetes("after_its_first_request_no_step_is_failed") else {
        return;
    };
    bed.declare("development", "one", "env: {A: \"1\"}\n");
    bed.apply_seen();

    // The Service is restored, and Mage refuses the rest.
    let service = format!(
        "/api/v1/namespaces/{}/services/{}-service",
        bed.place.namespace,
        bed.name("one-development")
    );
    let delete = || assert_eq!(bed.shared.kubernetes.send("DELETE", &service, None).status, 200);
    delete();
    bed.sandbox.replace("environments/development/one.yaml", "A: \"1\"", "A: \"2\"");
    refuse(&bed, "patch", 0);
    is_uncertain(&bed.apply(3, &[]), "the missing parts were restored, and then: ");
    delete();
    bed.sandbox.replace("environments/development/one.yaml", "A: \"2\"", "A: \"1\"");
    is_uncertain(&bed.apply(3, &[]), "the missing parts were restored, and then: ");
    bed.proxy.decide(|_| Fault::Pass);
    bed.apply_seen();

    // What is taken away goes first: the second patch is refused.
    bed.declare("development", "one", "{}\n");
    refuse(&bed, "patch", 1);
    is_uncertain(&bed.apply(3, &[]), "the change was sent, and then: ");
    bed.proxy.decide(|_| Fault::Pass);
    bed.apply_seen();

    // Its pod fails, and Mage refuses to stop it.
    bed.shared.kubernetes.rule_for_image(&bed.place.namespace, "broken", "pull");
    bed.declare("development", "one", "container_config: {image: \"mageai/mageai:broken\"}\n");
    refuse(&bed, "stop", 0);
    is_uncertain(&bed.sandbox.expect(3, &["apply", "--yes", "--timeout", "5"]), "was not seen to be running");
    bed.declare("development", "one", "{}\n");
    is_uncertain(
        &bed.sandbox.expect(3, &["apply", "--yes", "--timeout", "30"]),
        "the change was sent, and then: ",
    );
    bed.proxy.decide(|_| Fault::Pass);
    bed.apply_seen();

    // The copy of the mark is removed, and Mage refuses to change the text.
    bed.sandbox.remove("environments/development/one.yaml");
    refuse(&bed, "patch", 0);
    let name = bed.name("one-development");
    let forget = ["forget", "-w", &name, "--reason", "sold", "--yes"];
    is_uncertain(&bed.sandbox.expect(3, &forget), "the second copy of its mark was removed, and then: ");
    bed.proxy.decide(|_| Fault::Pass);
    bed.sandbox.expect(0, &forget);
}
