//! Random faults between Magus and Mage, and between Mage and Kubernetes, over random plans.
//!
//! Whatever breaks: nothing is deleted or replaced that the plan did not have, nothing is lost, every run ends with a report
//! that is true, and the next run without faults converges, or names what somebody has to clean up.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use magus_tests::{
    cases,
    proxy::{Fault, Proxy, Request},
};
use serde_json::{Value, json};

use super::Bed;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

/// Numbers that look random and are the same in every run.
#[derive(Clone)]
struct Dice(Arc<AtomicU64>);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(Arc::new(AtomicU64::new(seed)))
    }

    /// A number below `sides`.
    fn roll(&self, sides: u64) -> u64 {
        // SplitMix64: the state is a counter, and the mixing makes the number.
        let mut mixed = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }

    fn fault(&self) -> Fault {
        match self.roll(8) {
            0 | 1 => Fault::CutBefore,
            2 | 3 => Fault::CutAfter,
            4 => Fault::HalfAnswer,
            5 => Fault::EmptyList,
            6 => Fault::Delay(Duration::from_millis(30)),
            _ => Fault::Status([500, 502, 503][self.roll(3) as usize], "{}".to_owned()),
        }
    }
}

/// Declares other workspaces than before: each may be there or not, with other variables, running or stopped, and on other
/// nodes where `schedules`.
fn declare(bed: &Bed, dice: &Dice, schedules: bool) {
    for name in NAMES {
        let path = format!("environments/development/{name}.yaml");
        if bed.sandbox.file(&path).exists() {
            bed.sandbox.remove(&path);
        }
        if dice.roll(4) > 0 {
            let state = ["running", "stopped", "auto"][dice.roll(3) as usize];
            let variables: Vec<String> =
                (0..dice.roll(3)).map(|at| format!("V{at}: \"{}\"", dice.roll(3))).collect();
            let scheduling = match schedules && dice.roll(2) > 0 {
                true => format!(
                    "container_config: {{tolerations: [{{key: k{}, operator: Exists}}]}}\n",
                    dice.roll(3)
                ),
                false => String::new(),
            };
            let text = format!("state: {state}\nenv: {{{}}}\n{scheduling}", variables.join(", "));
            bed.declare("development", name, &text);
        }
    }
}

/// The StatefulSets that there are, with their identities.
fn sets(bed: &Bed) -> BTreeMap<String, Value> {
    let path = format!("/apis/apps/v1/namespaces/{}/statefulsets", bed.place.namespace);
    let list = bed.shared.kubernetes.send("GET", &path, None).json;
    let items = list["items"].as_array().expect("a list");
    let pair = |item: &Value| {
        let name = item["metadata"]["name"].as_str().expect("a name").to_owned();
        (name, item["metadata"]["uid"].clone())
    };
    items.iter().map(pair).collect()
}

/// Removes what Mage does not know and Kubernetes still has, as the report of a run says.
fn clean_up(bed: &Bed) -> usize {
    let known: BTreeSet<String> = NAMES
        .iter()
        .filter(|name| bed.detail(&format!("{name}-development")) != Value::Null)
        .map(|name| bed.name(&format!("{name}-development")))
        .collect();
    let mut cleaned = 0;
    for name in NAMES.map(|name| bed.name(&format!("{name}-development"))) {
        if known.contains(&name) {
            continue;
        }
        let namespace = &bed.place.namespace;
        for path in [
            format!("/apis/apps/v1/namespaces/{namespace}/statefulsets/{name}"),
            format!("/api/v1/namespaces/{namespace}/services/{name}-service"),
            format!("/api/v1/namespaces/{namespace}/configmaps/{name}-hooks"),
        ] {
            cleaned += usize::from(bed.shared.kubernetes.send("DELETE", &path, None).status == 200);
        }
    }
    cleaned
}

#[test]
fn faults_destroy_nothing_and_the_next_run_converges() {
    let Some(bed) = Bed::new("faults_destroy_nothing_and_the_next_run_converges") else { return };
    check(&bed, None, cases(200, 1000));
}

#[test]
fn faults_between_magus_and_kubernetes_destroy_nothing_either() {
    let test = "faults_between_magus_and_kubernetes_destroy_nothing_either";
    let Some((bed, kubernetes)) = Bed::with_kubernetes(test) else { return };
    check(&bed, Some(&kubernetes), cases(40, 1000));
}

/// Makes so many faults; with `kubernetes`, also between Magus and that.
fn check(bed: &Bed, kubernetes: Option<&Proxy>, wanted: usize) {
    bed.sandbox.replace(
        "environments/cluster.yaml",
        "defaults:\n",
        "limits: {max_deletes: 100%}\ndefaults:\n",
    );
    let dice = Dice::new(0x6d61_6775_7321);
    let (broken, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let decide = || {
        let (dice, broken, made) = (dice.clone(), Arc::clone(&broken), Arc::clone(&made));
        move |_: &Request| {
            if !broken.load(Ordering::SeqCst) || dice.roll(5) > 0 {
                return Fault::Pass;
            }
            made.fetch_add(1, Ordering::SeqCst);
            dice.fault()
        }
    };
    bed.proxy.decide(decide());
    bed.shared.decide(&bed.place, decide());
    if let Some(kubernetes) = kubernetes {
        kubernetes.decide(decide());
    }
    let apply = ["apply", "--yes", "--timeout", "0", "--allow-empty", "development", "--format", "json"];
    let mut round = 0;
    while made.load(Ordering::SeqCst) < wanted {
        round += 1;
        assert!(round < 10 * wanted, "faults are made");
        declare(bed, &dice, kubernetes.is_some());
        let plan = bed.sandbox.plan(&["--allow-empty", "development"]);
        let doomed: BTreeSet<&str> = plan["steps"]
            .as_array()
            .expect("steps")
            .iter()
            .filter(|step| step["action"] == "delete")
            .filter_map(|step| step["workspace"].as_str())
            .collect();
        let before = sets(bed);

        broken.store(true, Ordering::SeqCst);
        let run = bed.sandbox.magus(&apply);
        broken.store(false, Ordering::SeqCst);
        assert!(matches!(run.code, Some(0 | 3 | 4 | 5)), "round {round}: {:?}\n{}", run.code, run.all());
        assert!(!run.stderr.contains("has a fault"), "round {round}: {}", run.stderr);
        let after = sets(bed);
        for (name, uid) in &before {
            match after.get(name) {
                Some(now) => assert_eq!(now, uid, "round {round}: `{name}` was replaced\n{}", run.all()),
                None => {
                    assert!(doomed.contains(name.as_str()), "round {round}: `{name}` is gone\n{}", run.all())
                }
            }
        }
        // The report is true: what it calls applied is there, or gone.
        if let Ok(report) = serde_json::from_str::<Value>(&run.stdout) {
            for result in report["results"].as_array().expect("results") {
                let name = result["workspace"].as_str().expect("a name");
                if result["outcome"] == "applied" {
                    let there = after.contains_key(name);
                    assert_eq!(there, result["action"] != "delete", "round {round}: {result}\n{}", run.all());
                }
            }
        }

        // Without faults: converged, after what the report names was cleaned up where Mage left something.
        let mut cleaned = 0;
        for _ in 0..3 {
            let run = bed.sandbox.magus(&apply);
            let plan = bed.sandbox.plan(&["--allow-empty", "development"]);
            if plan["steps"] == json!([]) && plan["unknown"] == json!([]) {
                break;
            }
            if kubernetes.is_some() {
                // What it finds by itself it removes by itself; a Service that was left alone is found by nobody.
                let names = NAMES.map(|name| bed.name(&format!("{name}-development")));
                let discard = names.iter().flat_map(|name| ["--discard-changes", name.as_str()]);
                let discard: Vec<&str> = discard.chain(["--reason", "a test"]).collect();
                bed.sandbox.expect(0, &[&["apply", "--orphans", "--yes"][..], &discard].concat());
                let orphans = &bed.sandbox.magus(&["plan", "--orphans", "--format", "json"]).stdout;
                let orphans: Value = serde_json::from_str(orphans).expect("a plan");
                let left = (&orphans["steps"], &orphans["withheld"]);
                assert_eq!(left, (&json!([]), &json!([])), "round {round}");
            }
            cleaned += clean_up(bed);
            let leftover = run.all().contains("kubectl");
            let uncertain = run.all().contains("uncertain");
            assert!(leftover || uncertain, "round {round}: not converged\n{}\n{plan:#}", run.all());
        }
        let plan = bed.sandbox.plan(&["--allow-empty", "development"]);
        assert_eq!(
            (&plan["steps"], &plan["unknown"]),
            (&json!([]), &json!([])),
            "round {round}, {cleaned} cleaned"
        );
        clean_up(bed);
        let declared: BTreeSet<String> = NAMES
            .iter()
            .filter(|name| bed.sandbox.file(&format!("environments/development/{name}.yaml")).exists())
            .map(|name| bed.name(&format!("{name}-development")))
            .collect();
        assert_eq!(sets(bed).into_keys().collect::<BTreeSet<_>>(), declared, "round {round}");
    }
}
