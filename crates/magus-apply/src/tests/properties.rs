//! Random plans, random faults, cancelled at a random moment: what has to be true of every apply.

use std::sync::atomic::AtomicUsize;

use proptest::{prelude::*, sample::select};

use super::*;

#[derive(Debug, Clone)]
struct Case {
    steps: Vec<Step>,
    faults: Vec<(Text, Fault)>,
    rollout: Rollout,
    jobs: usize,
    /// Cancelled when so many steps have a result; never where that is more than there are.
    cancel_after: usize,
}

fn cases() -> impl Strategy<Value = Case> {
    let fault = prop_oneof![
        6 => Just(None),
        1 => select(vec![Fault::Fails, Fault::Uncertain, Fault::Moved, Fault::Waits, Fault::Panics]).prop_map(Some),
    ];
    let action = select(vec![Action::Update, Action::Restart]);
    let place = (
        0..3_usize,
        select(vec!["acme", "beta"]),
        action,
        fault,
        any::<prop::sample::Index>(),
        any::<bool>(),
    );
    let rollout = (prop::option::of(1..4_u32), any::<bool>()).prop_map(|(batch, stop_on_failure)| Rollout {
        batch,
        wait_for_runs: 0,
        stop_on_failure,
    });
    (prop::collection::vec(place, 0..24), rollout, 1..6_usize, 0..40_usize).prop_map(
        |(mut places, rollout, jobs, cancel_after)| {
            places.sort_by_key(|place| place.0);
            let mut steps: Vec<Step> = Vec::new();
            let mut faults = Vec::new();
            for (at, (stage, cluster, action, fault, before, needs)) in places.into_iter().enumerate() {
                let environment = ["development", "staging", "production"][stage];
                let mut step = step(cluster, environment, &format!("w{at}"), action);
                if needs && at > 0 {
                    step.needs.push(steps[before.index(at)].id.clone());
                }
                faults.extend(fault.map(|fault| (step.id.clone(), fault)));
                steps.push(step);
            }
            Case { steps, faults, rollout, jobs, cancel_after }
        },
    )
}

proptest! {
    #[test]
    fn the_report_is_true_whenever_it_ends(case in cases()) {
        let engine = Memory::faults(case.faults.iter().map(|(id, fault)| (id.as_str(), *fault)));
        let ended = AtomicUsize::new(0);
        let listen = |told: &Told, cancelled: &AtomicBool| {
            if matches!(told, Told::Ended(..)) && ended.fetch_add(1, Ordering::Relaxed) + 1 >= case.cancel_after {
                cancelled.store(true, Ordering::Relaxed);
            }
        };
        let desired = desired(case.rollout);
        let scene = Scene { desired: desired.clone(), jobs: case.jobs, listen: &listen, ..Scene::default() };
        let plan = plan(case.steps.clone());
        let (report, told) = scene.run(&plan, &engine);

        // One result for each step, in the plan's order, and counts that fit.
        let ids: Vec<_> = report.results.iter().map(|result| &result.step).collect();
        prop_assert_eq!(ids, plan.steps.iter().map(|step| &step.id).collect::<Vec<_>>());
        let summary = report.summary;
        let counted =
            summary.applied + summary.failed + summary.uncertain + summary.skipped + summary.not_started;
        prop_assert_eq!(counted, plan.steps.len());
        // What is called applied was done, and nothing else; what did not begin never reached the engine.
        let asked = engine.asked.lock().unwrap().clone();
        let done = engine.done.lock().unwrap().clone();
        let waits = |step: &&Step| engine.faults.get(&step.id) == Some(&Fault::Waits);
        let waited = plan.steps.iter().filter(waits).filter(|step| asked.contains(&step.id)).count();
        if summary.not_started > waited {
            prop_assert!(report.interrupted);
        }
        if report.interrupted {
            prop_assert!(case.cancel_after <= plan.steps.len() && summary.not_started + summary.uncertain > 0);
        }
        let outcome: BTreeMap<&Text, Outcome> =
            report.results.iter().map(|result| (&result.step, result.outcome)).collect();
        for step in &plan.steps {
            let times = asked.iter().filter(|id| **id == step.id).count();
            match outcome[&step.id] {
                Outcome::Applied => prop_assert!(times == 1 && done.contains(&step.id)),
                Outcome::Failed | Outcome::Uncertain => prop_assert!(times == 1 && !done.contains(&step.id)),
                Outcome::NotStarted if waits(&step) => prop_assert!(times <= 1 && !done.contains(&step.id)),
                Outcome::Skipped | Outcome::NotStarted => prop_assert_eq!(times, 0),
            }
            if times == 1 {
                prop_assert!(step.needs.iter().all(|id| outcome[id] == Outcome::Applied));
            }
        }
        check_order(&plan, &told, &case, &outcome)?;

        // What is left over can be done by another apply, after which everything was done once.
        let left: Vec<Step> = plan.steps.iter().filter(|step| outcome[&step.id] != Outcome::Applied).cloned().collect();
        let again = left.into_iter().map(|step| Step { needs: Vec::new(), ..step }).collect();
        let second = Memory::default();
        Scene { desired, ..Scene::default() }.run(&super::plan(again), &second);
        let all: BTreeSet<_> = plan.steps.iter().map(|step| step.id.clone()).collect();
        let both: BTreeSet<_> = done.union(&second.done.lock().unwrap()).cloned().collect();
        prop_assert_eq!(both, all);
    }
}

/// Limits, waves and `stop_on_failure`, read from the events in the order in which they came.
fn check_order(
    plan: &Plan,
    told: &[Told],
    case: &Case,
    outcome: &BTreeMap<&Text, Outcome>,
) -> Result<(), TestCaseError> {
    let by_id: BTreeMap<&str, &Step> = plan.steps.iter().map(|step| (step.id.as_str(), step)).collect();
    let lane = |step: &Step| (step.cluster.clone(), step.environment.clone());
    let mut running: BTreeSet<&str> = BTreeSet::new();
    let mut bad: Vec<&Step> = Vec::new();
    for told in told {
        match told {
            Told::Began(id) => {
                let step = by_id[id.as_str()];
                prop_assert!(running.iter().all(|other| by_id[other].environment == step.environment));
                prop_assert!(
                    bad.iter().all(|other| other.environment == step.environment),
                    "{id} after a failure"
                );
                if case.rollout.stop_on_failure {
                    prop_assert!(bad.iter().all(|other| lane(other) != lane(step)));
                }
                running.insert(id);
                prop_assert!(running.len() <= case.jobs);
                if let Some(batch) = case.rollout.batch {
                    let changes = running.iter().filter(|other| {
                        let other = by_id[*other];
                        !matches!(other.action, Action::Create | Action::Start | Action::Adopt)
                            && lane(other) == lane(step)
                    });
                    prop_assert!(changes.count() <= batch as usize);
                }
            }
            Told::Ended(id, ended) => {
                running.remove(id.as_str());
                let step = by_id[id.as_str()];
                prop_assert_eq!(*ended, outcome[&step.id]);
                if matches!(ended, Outcome::Failed | Outcome::Uncertain | Outcome::NotStarted) {
                    bad.push(step);
                }
            }
            Told::Wave(..) | Told::Interrupted(_) | Told::Note(_) => {}
        }
    }
    prop_assert!(running.is_empty());
    Ok(())
}
