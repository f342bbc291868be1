//! A mark that is lost, and how a workspace is adopted and forgotten: what Mage's API and Kubernetes have to say for it.

use magus_tests::proxy::Fault;
use serde_json::{Value, json};

use super::Bed;

/// The second copy of the mark.
const COPY: &str = "magus.dev/mark";

impl Bed {
    /// Saves the configuration through Mage's API as a script does that makes the text anew: every comment is lost, and `A` is
    /// what the script has.
    fn overwrite(&self, name: &str) {
        self.edit(name, |_| {
            "image: mageai/mageai:0.9.80\nenv:\n- {name: A, value: '9'}\n- {name: ENV, value: dev}\n".into()
        });
    }

    fn stored(&self, name: &str) -> String {
        self.detail(name)["container_config"].as_str().expect("a text").to_owned()
    }

    fn copy_of_mark(&self, name: &str) -> Value {
        self.set(name).expect("a StatefulSet")["metadata"]["annotations"][COPY].clone()
    }

    fn history(&self) -> Vec<Value> {
        let run = self.sandbox.expect(0, &["history", "--format", "json"]);
        let history: Value = serde_json::from_str(&run.stdout).expect("json");
        history["entries"].as_array().expect("entries").clone()
    }

    /// Loses all that was kept besides: the files below the home folder.
    fn lose_history(&self) {
        self.sandbox.remove("home");
        std::fs::create_dir(self.sandbox.file("home")).expect("a home folder");
    }

    /// Waits until what was sent runs.
    fn comes_up(&self, name: &str) {
        self.shared.kubernetes.wait("it comes up", || {
            let set = self.set(name)?;
            let status = &set["status"];
            let is_up = status["availableReplicas"] == 1 && status["updatedReplicas"] == 1;
            (is_up && status["observedGeneration"] == set["metadata"]["generation"]).then_some(())
        });
    }

    fn remove_copy(&self, name: &str) {
        let patch = json!({ "metadata": { "annotations": { COPY: null } } });
        assert_eq!(self.shared.kubernetes.patch(&self.set_path(name), &patch).status, 200);
    }
}

/// How long a rollout is waited for, in seconds: only with `kubernetes:` it is seen.
fn patience(code: i32) -> &'static str {
    if code == 0 { "90" } else { "1" }
}

/// The mark is lost, and a variable is changed: drift, until the next apply heals both.
fn heals(bed: &Bed, evidence: &str, code: i32) {
    let name = bed.name("one-development");
    let drift = bed.sandbox.expect(2, &["drift"]).stdout;
    assert!(drift.contains("mark removed: Magus applied it"), "{drift}");
    assert!(drift.contains("env.A: \"9\" → \"1\"  (drift"), "{drift}");
    assert_eq!(bed.steps(), ["adopt one-development", "update one-development"]);
    let plan = bed.sandbox.plan(&[]);
    let reason = plan["steps"][0]["reason"].as_str().expect("a reason");
    assert!(reason.starts_with("its mark was removed, and") && reason.contains(evidence), "{reason}");
    assert_eq!((&plan["steps"][0]["restarts"], &plan["withheld"]), (&json!(false), &json!([])));
    // Nothing is deleted or restarted without the mark itself.
    bed.sandbox.expect(4, &["restart", "-w", "one", "--yes"]);
    let nothing = bed.sandbox.magus(&["destroy", "-w", &name, "--yes"]);
    assert!(nothing.stdout.contains("Nothing to delete"), "{}", nothing.all());
    bed.sandbox.expect(code, &["apply", "--yes", "--timeout", patience(code)]);
    assert_eq!(bed.env("one-development")["A"]["value"], "1");
    assert!(bed.stored("one-development").starts_with("# magus: {"), "{}", bed.stored("one-development"));
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    bed.sandbox.expect(0, &["drift"]);
}

/// The mark alone is lost: the next apply restores it and restarts nothing.
fn heals_without_a_restart(bed: &Bed) {
    bed.comes_up("one-development");
    let text = bed.stored("one-development");
    let unmarked = |text: &str| text.split_once('\n').expect("a mark").1.to_owned();
    bed.edit("one-development", unmarked);
    let (generation, pod) = (bed.generation("one-development"), bed.pod_uid("one-development"));
    bed.sandbox.expect(2, &["drift"]);
    assert_eq!(bed.steps(), ["adopt one-development"]);
    bed.apply(0, &[]);
    let now = bed.stored("one-development");
    assert_eq!(unmarked(&now), unmarked(&text));
    assert!(now.starts_with("# magus: {"), "{now}");
    assert_eq!((bed.generation("one-development"), bed.pod_uid("one-development")), (generation, pod));
    bed.sandbox.expect(0, &["drift"]);
}

/// Nothing says that it is ours: it is withheld, and adopted as the plan says.
fn is_adopted_by_name(bed: &Bed, code: i32) {
    let name = bed.name("one-development");
    let plan = bed.sandbox.plan(&[]);
    let withheld = &plan["withheld"][0];
    assert_eq!((&plan["steps"], &withheld["guard"]), (&json!([]), &json!("conflict")), "{plan:#}");
    assert_eq!(withheld["unblock"], format!("magus plan --adopt {name}"));
    let drift = bed.sandbox.expect(2, &["drift"]).stdout;
    assert!(drift.contains("unmanaged: declared") && drift.contains("env.A: \"9\" → \"1\""), "{drift}");
    bed.apply(4, &[]);
    assert_eq!(bed.env("one-development")["A"]["value"], "9");
    let shown = bed.sandbox.expect(0, &["plan", "--adopt", &name]).stdout;
    assert!(shown.contains(&format!("←~ {name}")) && shown.contains("env.A"), "{shown}");
    bed.sandbox.expect(code, &["apply", "--yes", "--timeout", patience(code), "--adopt", &name]);
    assert_eq!(bed.env("one-development")["A"]["value"], "1");
    bed.sandbox.expect(0, &["plan", "--detailed-exitcode"]);
    bed.sandbox.expect(0, &["drift"]);
}

/// The mark goes, its copy too, and nothing else.
fn is_forgotten(bed: &Bed) {
    let name = bed.name("one-development");
    let refused = bed.sandbox.expect(4, &["forget", "-w", &name, "--reason", "sold", "--yes"]);
    assert!(refused.stderr.contains("is declared: it is `development/one`"), "{}", refused.all());
    let file = bed.sandbox.read("environments/development/one.yaml");
    bed.sandbox.remove("environments/development/one.yaml");
    bed.comes_up("one-development");
    let text = bed.stored("one-development");
    let before =
        (bed.generation("one-development"), bed.pod_uid("one-development"), bed.env("one-development"));
    let shown = bed.sandbox.expect(0, &["forget", "-w", &name, "--reason", "sold", "--yes"]).stdout;
    assert!(shown.contains(&format!("→ {name}")), "{shown}");
    let after =
        (bed.generation("one-development"), bed.pod_uid("one-development"), bed.env("one-development"));
    assert_eq!(after, before);
    assert_eq!(bed.stored("one-development"), text.split_once('\n').expect("a mark").1);
    assert_eq!(bed.copy_of_mark("one-development"), Value::Null);
    let entry = &bed.history()[0];
    assert_eq!((&entry["operation"], &entry["reason"]), (&json!("forget"), &json!("sold")));
    assert_eq!(bed.steps(), Vec::<String>::new());
    // Declared again, it is one that is unmanaged: it was given up.
    bed.declare("development", "one", &file.replace("A: \"1\"", "A: \"2\""));
    assert_eq!(bed.sandbox.plan(&[])["withheld"][0]["guard"], "conflict");
}

#[test]
fn a_mark_that_is_overwritten_is_healed_by_the_history() {
    let Some(bed) = Bed::new("a_mark_that_is_overwritten_is_healed_by_the_history") else { return };
    bed.declare("development", "one", "env: {A: \"1\"}\n");
    bed.apply_seen();
    assert_eq!(bed.copy_of_mark("one-development"), Value::Null);
    bed.overwrite("one-development");
    heals(&bed, "entry `", 3);
    heals_without_a_restart(&bed);
    // Made again by hand under the same name, it is another one.
    bed.overwrite("one-development");
    bed.lose_history();
    is_adopted_by_name(&bed, 3);
    is_forgotten(&bed);
}

#[test]
fn a_mark_that_is_overwritten_is_healed_by_its_copy() {
    let Some((bed, kubernetes)) = Bed::with_kubernetes("a_mark_that_is_overwritten_is_healed_by_its_copy")
    else {
        return;
    };
    bed.declare("development", "one", "env: {A: \"1\"}\n");
    bed.apply_seen();
    let copy = bed.copy_of_mark("one-development");
    assert!(bed.stored("one-development").starts_with(copy.as_str().expect("a copy")), "{copy}");
    bed.lose_history();
    bed.overwrite("one-development");
    bed.comes_up("one-development");
    heals(&bed, "copy", 0);
    bed.lose_history();
    heals_without_a_restart(&bed);
    // Neither.
    bed.lose_history();
    bed.remove_copy("one-development");
    bed.overwrite("one-development");
    is_adopted_by_name(&bed, 0);
    // A login that may not patch is told so, and the mark stays.
    let patches = |request: &magus_tests::proxy::Request| request.method == "PATCH";
    kubernetes.decide(move |request| match patches(request) {
        true => Fault::Status(
            403,
            r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"cannot patch","code":403}"#
                .into(),
        ),
        false => Fault::Pass,
    });
    let name = bed.name("one-development");
    bed.sandbox.remove("environments/development/one.yaml");
    let run = bed.sandbox.expect(3, &["forget", "-w", &name, "--reason", "sold", "--yes"]);
    assert!(run.all().contains("kubernetes does not allow it"), "{}", run.all());
    assert!(bed.stored("one-development").starts_with("# magus: {"));
    kubernetes.decide(|_| Fault::Pass);
    bed.declare("development", "one", "env: {A: \"1\"}\n");
    is_forgotten(&bed);
}
