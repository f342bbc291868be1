//! Single applies, looked at closely.

use Outcome::{Applied, Failed, NotStarted, Skipped, Uncertain};

use super::*;

#[test]
fn stages_come_one_after_the_other_over_all_clusters() {
    let steps = vec![
        step("acme", "development", "a", Action::Create),
        step("beta", "development", "b", Action::Create),
        step("beta", "staging", "c", Action::Create),
        step("acme", "production", "d", Action::Create),
    ];
    let engine = Memory::default();
    let (report, told) = Scene::default().run(&plan(steps), &engine);
    assert_eq!(outcomes(&report), [Applied; 4]);
    let waves: Vec<_> = told.iter().filter(|told| matches!(told, Told::Wave(..))).collect();
    let wave =
        |number, names: &[&str]| Told::Wave(number, 3, names.iter().map(ToString::to_string).collect());
    assert_eq!(
        waves,
        [
            &wave(1, &["acme/development", "beta/development"]),
            &wave(2, &["beta/staging"]),
            &wave(3, &["acme/production"]),
        ]
    );
    let asked = engine.asked.into_inner().unwrap();
    assert_eq!(asked[2..], ["beta/c/create", "acme/d/create"], "later stages begin when earlier ones ended");
}

#[test]
fn no_wave_begins_once_the_lock_is_somebody_elses() {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let may_go_on = || match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
        0 => Ok(()),
        _ => Err("the lock of cluster `acme` was taken away".to_owned()),
    };
    let scene = Scene { may_go_on: &may_go_on, ..Scene::default() };
    let steps = updates(&["development/a", "staging/c", "production/d"]);
    let (report, _) = scene.run(&plan(steps), &Memory::default());
    assert_eq!(outcomes(&report), [Applied, NotStarted, NotStarted]);
    assert_eq!(message(&report, 1), "the lock of cluster `acme` was taken away");
    assert_eq!(message(&report, 2), message(&report, 1));
}

#[test]
fn a_destroy_goes_in_the_order_of_its_plan() {
    let order = ["production", "staging", "development"];
    let steps: Vec<_> = order.iter().map(|name| step("acme", name, name, Action::Delete)).collect();
    let engine = Memory::fault("acme/staging/delete", Fault::Fails);
    let (report, _) = Scene::default().run(&plan(steps), &engine);
    assert_eq!(outcomes(&report), [Applied, Failed, Skipped]);
    assert_eq!(*engine.asked.lock().unwrap(), ["acme/production/delete", "acme/staging/delete"]);
}

#[test]
fn each_way_to_end_is_reported_and_keeps_later_stages_from_beginning() {
    for (fault, outcome, said) in [
        (Fault::Fails, Failed, "the disk is full"),
        (Fault::Moved, Failed, "somebody else changed it"),
        (Fault::Uncertain, Uncertain, "no answer within 30 s"),
        (Fault::Waits, NotStarted, "it would interrupt 2 pipeline runs"),
        (Fault::Panics, Uncertain, "the engine panicked, which is a fault of Magus"),
    ] {
        let steps = updates(&["development/a", "development/b", "staging/c", "production/d"]);
        let engine = Memory::fault("acme/a/update", fault);
        let (report, _) = Scene::default().run(&plan(steps), &engine);
        assert_eq!(outcomes(&report), [outcome, Applied, Skipped, Skipped], "{fault:?}");
        assert_eq!(message(&report, 0), said);
        assert!(message(&report, 2).starts_with("`acme/a/update` "), "{}", message(&report, 2));
        assert_eq!(message(&report, 2), message(&report, 3));
        assert!(!report.interrupted);
        let summary = report.summary;
        assert_eq!((summary.applied, summary.skipped), (1, 2));
        assert_eq!(summary.failed + summary.uncertain + summary.not_started, 1);
    }
}

#[test]
fn what_needs_a_failed_step_is_skipped_and_the_rest_of_the_stage_goes_on() {
    let mut steps = updates(&["development/a", "development/b"]);
    let mut deploy = step("acme", "development", "a", Action::Deploy);
    deploy.needs.push("acme/a/update".into());
    let mut start = step("acme", "development", "a", Action::Start);
    start.precondition = Precondition::Follows("acme/a/deploy".into());
    steps.extend([deploy, start]);
    let (report, _) = Scene::default().run(&plan(steps), &Memory::fault("acme/a/update", Fault::Fails));
    assert_eq!(outcomes(&report), [Failed, Applied, Skipped, Skipped]);
    assert_eq!(message(&report, 2), "needs `acme/a/update`, which failed");
    assert_eq!(message(&report, 3), "needs `acme/a/deploy`, which was skipped");
}

#[test]
fn needs_that_no_order_can_satisfy_are_skipped_and_nothing_hangs() {
    let mut steps = updates(&["development/a", "development/b", "development/c", "development/d"]);
    steps[0].needs.push("acme/nobody/update".into());
    steps[1].needs.push("acme/c/update".into());
    steps[2].needs.push("acme/b/update".into());
    let engine = Memory::default();
    let (report, _) = Scene::default().run(&plan(steps), &engine);
    assert_eq!(outcomes(&report), [Skipped, Skipped, Skipped, Applied]);
    assert_eq!(message(&report, 0), "needs `acme/nobody/update`, which does not come before it in the plan");
    assert_eq!(*engine.asked.lock().unwrap(), ["acme/d/update"]);
}

#[test]
fn a_step_follows_what_it_needs() {
    let mut steps = updates(&["development/a"]);
    for (before, action) in [("update", Action::Deploy), ("deploy", Action::Start)] {
        let mut next = step("acme", "development", "a", action);
        next.needs.push(format!("acme/a/{before}").into());
        steps.push(next);
    }
    let engine = Memory::default();
    let (report, _) = Scene::default().run(&plan(steps), &engine);
    assert_eq!(outcomes(&report), [Applied; 3]);
    assert_eq!(*engine.asked.lock().unwrap(), ["acme/a/update", "acme/a/deploy", "acme/a/start"]);
}

/// The test decides when each step ends, and looks at what begins because of it.
#[test]
fn changes_go_in_batches_and_what_changes_nothing_that_runs_passes_them() {
    let restarts = ["r1", "r2", "r3", "r4"];
    let mut steps: Vec<_> =
        restarts.iter().map(|name| step("acme", "development", name, Action::Restart)).collect();
    let starts = ["u1", "u2", "u3"];
    steps.extend(starts.iter().map(|name| step("acme", "development", name, Action::Start)));
    let engine = Memory::default();
    let (sender, events) = mpsc::channel();
    let listen = |told: &Told, _: &AtomicBool| sender.send(told.clone()).unwrap();
    let rollout = Rollout { batch: Some(2), ..Rollout::default() };
    let scene = Scene { desired: desired(rollout), listen: &listen, ..Scene::default() };
    let plan = plan(steps);
    std::thread::scope(|scope| {
        // Dropped where an assertion fails, so that no step waits any longer.
        let mut gates: BTreeMap<_, _> =
            plan.steps.iter().map(|step| (step.id.to_string(), engine.gate(&step.id))).collect();
        let running = scope.spawn(|| scene.run(&plan, &engine));
        let expect = |wanted: &[&str]| {
            for wanted in wanted {
                let told = match events.recv_timeout(DEADLINE).unwrap() {
                    Told::Began(id) => format!("began {id}"),
                    Told::Ended(id, outcome) => format!("{} {id}", outcome.as_str()),
                    Told::Wave(..) => "wave".to_owned(),
                    other => format!("{other:?}"),
                };
                assert_eq!(told, *wanted);
            }
        };
        expect(&["wave", "began acme/r1/restart", "began acme/r2/restart"]);
        expect(&["began acme/u1/start", "began acme/u2/start"]);
        let mut let_through = |id: &str| drop(gates.remove(id));
        let_through("acme/u1/start");
        expect(&["applied acme/u1/start", "began acme/u3/start"]);
        let_through("acme/u2/start");
        expect(&["applied acme/u2/start"]);
        let_through("acme/r2/restart");
        expect(&["applied acme/r2/restart", "began acme/r3/restart"]);
        let_through("acme/r1/restart");
        expect(&["applied acme/r1/restart", "began acme/r4/restart"]);
        for id in ["acme/u3/start", "acme/r3/restart", "acme/r4/restart"] {
            let_through(id);
            expect(&[&format!("applied {id}")]);
        }
        let (report, _) = running.join().unwrap();
        assert_eq!(report.summary.applied, 7);
    });
}

/// The first failure keeps the others from beginning, though none of the steps restarts anything.
#[test]
fn changes_without_a_restart_are_rolled_out_one_workspace_at_a_time() {
    for action in [Action::Deploy, Action::Update, Action::Stop, Action::Delete] {
        let steps = ["a", "b", "c"]
            .map(|name| Step { restarts: Restarts::No, ..step("acme", "development", name, action) });
        let rollout = Rollout { batch: Some(1), stop_on_failure: true, ..Rollout::default() };
        let scene = Scene { desired: desired(rollout), ..Scene::default() };
        let id = format!("acme/a/{}", action.as_str());
        let (report, _) = scene.run(&plan(steps.to_vec()), &Memory::fault(&id, Fault::Fails));
        assert_eq!(outcomes(&report), [Failed, Skipped, Skipped], "{action:?}");
    }
}

/// A place in the batch is taken until the last step of a workspace ended.
#[test]
fn a_workspace_is_finished_before_the_next_one_is_changed() {
    let mut steps = Vec::new();
    for name in ["a", "b"] {
        let update = step("acme", "development", name, Action::Update);
        let mut start = step("acme", "development", name, Action::Start);
        start.needs = vec![update.id.clone()];
        steps.extend([update, start]);
    }
    let rollout = Rollout { batch: Some(1), ..Rollout::default() };
    let (_, told) =
        Scene { desired: desired(rollout), ..Scene::default() }.run(&plan(steps), &Memory::default());
    let ended: Vec<String> = told
        .iter()
        .filter_map(|told| match told {
            Told::Ended(id, _) => Some(id.clone()),
            _ => None,
        })
        .collect();
    assert_eq!(ended, ["acme/a/update", "acme/a/start", "acme/b/update", "acme/b/start"]);
}

/// Ten thousand steps that wait for a place in one batch: looking at all of them for each place would take minutes.
#[test]
fn a_long_queue_for_one_batch_is_short_work() {
    let restart = |at: usize| step("acme", "development", &format!("w{at}"), Action::Restart);
    let plan = plan((0..10_000).map(restart).collect());
    let rollout = Rollout { batch: Some(1), ..Rollout::default() };
    let (report, _) = Scene { desired: desired(rollout), ..Scene::default() }.run(&plan, &Memory::default());
    assert_eq!(report.summary.applied, 10_000);
}

#[test]
fn a_step_that_may_restart_counts_as_one_that_does() {
    let mut steps = updates(&["development/a", "development/b"]);
    steps.iter_mut().for_each(|step| step.restarts = Restarts::Unknown);
    let rollout = Rollout { batch: Some(1), ..Rollout::default() };
    let (_, told) =
        Scene { desired: desired(rollout), ..Scene::default() }.run(&plan(steps), &Memory::default());
    let order = ["acme/a/update", "acme/b/update"].map(String::from);
    let [first, second] = order;
    assert_eq!(
        told[1..],
        [
            Told::Began(first.clone()),
            Told::Ended(first, Applied),
            Told::Began(second.clone()),
            Told::Ended(second, Applied)
        ]
    );
}

#[test]
fn stop_on_failure_stops_its_environment_and_no_other() {
    let mut steps = updates(&["development/a", "development/b", "development/c"]);
    steps.push(step("beta", "development", "d", Action::Update));
    let rollout = Rollout { stop_on_failure: true, ..Rollout::default() };
    let scene = Scene { desired: desired(rollout), jobs: 1, ..Scene::default() };
    let (report, _) = scene.run(&plan(steps), &Memory::fault("acme/a/update", Fault::Fails));
    assert_eq!(outcomes(&report), [Failed, Skipped, Skipped, Applied]);
    assert_eq!(
        message(&report, 1),
        "`acme/a/update` failed, and `development` has `rollout.stop_on_failure`"
    );
}

#[test]
fn a_cancelled_apply_lets_running_steps_end_and_starts_no_other() {
    let steps = updates(&["development/a", "development/b", "development/c", "production/d"]);
    let engine = Memory::default();
    let gates = Mutex::new(Some((engine.gate("acme/a/update"), engine.gate("acme/b/update"))));
    let listen = |told: &Told, cancelled: &AtomicBool| {
        if *told == Told::Began("acme/b/update".into()) {
            cancelled.store(true, Ordering::Relaxed);
            drop(gates.lock().unwrap().take());
        }
    };
    let scene = Scene { jobs: 2, listen: &listen, ..Scene::default() };
    let (report, told) = scene.run(&plan(steps), &engine);
    assert_eq!(outcomes(&report), [Applied, Applied, NotStarted, NotStarted]);
    assert!(report.interrupted);
    assert_eq!(message(&report, 2), "interrupted before it began");
    assert!(told.contains(&Told::Interrupted(1)));
    assert_eq!(engine.asked.lock().unwrap().len(), 2);
}

#[test]
fn an_apply_that_was_cancelled_after_its_last_step_was_not_interrupted() {
    let listen = |told: &Told, cancelled: &AtomicBool| {
        cancelled.store(matches!(told, Told::Ended(..)), Ordering::Relaxed);
    };
    let scene = Scene { listen: &listen, ..Scene::default() };
    let (report, _) = scene.run(&plan(updates(&["development/a"])), &Memory::default());
    assert_eq!(outcomes(&report), [Applied]);
    assert!(!report.interrupted);
}

#[test]
fn a_cluster_without_an_engine_fails_its_steps() {
    let steps = vec![step("gone", "development", "a", Action::Delete)];
    let (report, _) = Scene::default().run(&plan(steps), &Memory::default());
    assert_eq!(outcomes(&report), [Failed]);
    assert_eq!(message(&report, 0), "no engine was opened for cluster `gone`");
}

#[test]
fn marks_are_refreshed_stage_by_stage_where_all_went_well() {
    let mut plan = plan(updates(&["staging/c"]));
    plan.marks = ["production", "development", "gone", "staging"].map(|name| mark(name, name)).into();
    let names =
        |engine: &Memory| engine.marks.lock().unwrap().iter().map(ToString::to_string).collect::<Vec<_>>();

    let engine = Memory::default();
    let (report, _) = Scene::default().run(&plan, &engine);
    assert_eq!(names(&engine), ["development", "staging", "production", "gone"]);
    assert_eq!((report.results.len(), report.notes.len()), (1, 0));

    let engine = Memory::fault("acme/c/update", Fault::Fails);
    Scene::default().run(&plan, &engine);
    assert_eq!(
        names(&engine),
        ["development"],
        "a stage that failed is left as it is, and so are later ones"
    );

    let engine = Memory::fault("mark/staging", Fault::Moved);
    let (report, told) = Scene::default().run(&plan, &engine);
    assert_eq!(names(&engine), ["development", "production", "gone"]);
    let note =
        "the mark on `staging` was not refreshed, the next apply tries again: somebody else changed it";
    assert_eq!(report.notes, [note]);
    assert!(told.contains(&Told::Note(note.into())));
    assert_eq!(outcomes(&report), [Applied]);
}

#[test]
fn a_plan_without_steps_reports_nothing_and_ends() {
    let (report, told) = Scene { jobs: 0, ..Scene::default() }.run(&plan(Vec::new()), &Memory::default());
    assert_eq!((report.results.len(), told.len()), (0, 0));
    assert_eq!(
        (report.started_at.as_str(), report.finished_at.as_str()),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:01Z")
    );
    assert_eq!((report.magus_version.as_str(), report.plan_digest.as_str()), ("0.1.0", "sha256:2"));
}

#[test]
fn how_long_a_step_took_is_from_its_begin_to_its_end() {
    let (report, _) =
        Scene { jobs: 1, ..Scene::default() }.run(&plan(updates(&["development/a"])), &Memory::default());
    assert_eq!(report.results[0].duration_ms, 1000);
}
