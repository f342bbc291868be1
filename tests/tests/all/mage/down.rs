//! Kubernetes is down behind Mage, or cannot be reached from here: one cause is one message with a count.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use magus_tests::proxy::{Fault, Request};

use super::Bed;

const WORKSPACES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Every command that looks says the cause once in each output, and that six workspaces are unknown.
#[track_caller]
fn is_told_once(bed: &Bed, cause: &str) {
    for arguments in [
        &["plan"][..],
        &["plan", "--format", "markdown"],
        &["plan", "--format", "html"],
        &["drift"],
        &["status"],
        &["status", "--format", "html"],
        &["apply", "--yes"],
    ] {
        let run = bed.sandbox.expect(5, arguments);
        for output in [&run.stdout, &run.stderr] {
            assert!(output.matches(cause).count() <= 1, "{arguments:?}: {output}");
        }
        assert!(run.all().contains(cause), "{arguments:?}: {}", run.all());
        assert!(!run.all().contains("No drift."), "{arguments:?}: {}", run.all());
        assert!(run.all().contains('6'), "{arguments:?}: {}", run.all());
    }
}

#[test]
fn kubernetes_that_is_down_is_told_once() {
    let Some((bed, kubernetes)) = Bed::with_kubernetes("kubernetes_that_is_down_is_told_once") else {
        return;
    };
    for name in WORKSPACES {
        bed.declare("development", name, "env: {A: \"1\"}\n");
    }
    // It goes down after the plan has looked: each create is sent, and none is seen.
    let asked = Mutex::new(BTreeSet::new());
    kubernetes.decide(move |request| {
        match asked.lock().unwrap_or_else(PoisonError::into_inner).insert(request.path.clone()) {
            true => Fault::Pass,
            false => Fault::CutBefore,
        }
    });
    let run = bed.apply(3, &[]);
    for output in [&run.stdout, &run.stderr] {
        assert_eq!(output.matches("kubernetes cannot be reached").count(), 1, "{output}");
    }
    assert!(
        run.stdout.contains("6 workspaces  create uncertain: sent, but `NAME` cannot be read"),
        "{}",
        run.stdout
    );

    // Down for whoever asks it from here: as a whole, and of the parts of workspaces alone.
    kubernetes.decide(|_| Fault::CutBefore);
    is_told_once(&bed, "kubernetes cannot be reached");
    kubernetes.decide(|request: &Request| match request.path.ends_with("/services") {
        true => Fault::CutBefore,
        false => Fault::Pass,
    });
    is_told_once(&bed, "kubernetes cannot be reached");
    kubernetes.decide(|_| Fault::Pass);
    bed.apply_seen();

    // Down behind Mage, with `kubernetes:` and without.
    bed.shared.decide(&bed.place, |_| Fault::CutBefore);
    is_told_once(&bed, "mage got no answer from kubernetes");
    bed.sandbox.replace("environments/cluster.yaml", ", kubernetes: {context: magus-test}", "");
    is_told_once(&bed, "mage got no answer from kubernetes");
    bed.shared.decide(&bed.place, |_| Fault::Pass);
    bed.sandbox.expect(0, &["drift"]);
}
