//! One look and one act of Magus in a world, and what has to hold whatever the world is.

use std::{collections::BTreeSet, process::Stdio, time::Duration};

use magus_tests::{Run, files_below};
use serde_json::Value;

use super::{
    cluster::{Row, Snapshot, differences, leaves},
    effects::{self, Effects},
    outside::interfere,
    random::Random,
    recorder::Recorder,
    stand_in::{Act, Asked, At, Event, Fault as Failure},
    world::{CANARY, Engine, STAGES, World, name_of, stem},
};

/// What a world has shown: the reason, for people.
pub type Fault = String;

/// Fails with a reason unless something holds.
pub fn ensure(holds: bool, reason: impl FnOnce() -> String) -> Result<(), Fault> {
    if holds { Ok(()) } else { Err(reason()) }
}

/// What has happened in all worlds, so that a test can show that it has seen something.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Plans that were made.
    pub plans: usize,
    /// Declarations that were invalid.
    pub invalid: usize,
    /// Plans without a change.
    pub in_sync: usize,
    /// Steps that were planned.
    pub steps: usize,
    /// Applies that were killed at work.
    pub killed: usize,
    /// Plan files that were refused.
    pub stale: usize,
    /// Guards that held something back.
    pub guards: BTreeSet<String>,
    /// Commands that lift a guard, and were run.
    pub unblocked: usize,
    /// Requests to which a fault happened.
    pub faults: usize,
    /// Requests before which a person acted.
    pub acts: usize,
}

impl Seen {
    /// Adds what another folder has shown.
    pub fn add(&mut self, other: Self) {
        let Self { plans, invalid, in_sync, steps, killed, stale, guards, unblocked, faults, acts } = other;
        for (all, more) in [
            (&mut self.plans, plans),
            (&mut self.invalid, invalid),
            (&mut self.in_sync, in_sync),
            (&mut self.steps, steps),
            (&mut self.killed, killed),
            (&mut self.stale, stale),
            (&mut self.unblocked, unblocked),
            (&mut self.faults, faults),
            (&mut self.acts, acts),
        ] {
            *all += more;
        }
        self.guards.extend(guards);
    }
}

/// Plans, checks the plan, acts on it and checks what became of the cluster.
pub fn round(world: &mut World<'_>, random: &mut Random, seen: &mut Seen) -> Result<(), Fault> {
    let flags = flags(random);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let before = Snapshot::of(world);
    seen.plans += 1;
    let Some(plan) = look(world, &before, &flags)? else {
        seen.invalid += 1;
        let run = world.recorder.magus(&["apply", "--yes"]);
        ensure(run.code == Some(1), || format!("invalid declarations are applied: {run:?}"))?;
        return unchanged(world, &before, "an apply of invalid declarations");
    };
    seen.steps += list(&plan, "steps").len();
    seen.guards.extend(list(&plan, "withheld").iter().map(|held| text(held, "guard")));
    let in_sync = ["steps", "withheld", "unknown"].iter().all(|key| list(&plan, key).is_empty());
    seen.in_sync += usize::from(in_sync);
    if random.percent(40) {
        drift(world, &before, &plan)?;
    }
    if random.percent(25) {
        unblock(world, &plan, random, seen)?;
    }
    unchanged(world, &before, "a command that only looks")?;
    act(world, &plan, &flags, random, seen)?;
    no_work_is_lost(world)
}

/// Flags that lift guards; most of the time none.
fn flags(random: &mut Random) -> Vec<String> {
    let environment = random.one(&STAGES).0;
    let words: &[&str] = match random.below(16) {
        0 => &["--allow-delete", environment, "--reason", "a test"],
        1 => &["--allow-empty", environment],
        2 => &["--allow-replace", environment, "--reason", "a test"],
        3 => &["--max-deletes", "100%"],
        4 => &["--allow-unprotect", environment, "--reason", "a test"],
        5 => &["--override-gate", "runs-before", "--override-gate", "freezes", "--reason", "a test"],
        _ => &[],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Plans, and holds the plan against what the world knows; nothing if the declarations are invalid.
fn look(world: &mut World<'_>, before: &Snapshot, flags: &[&str]) -> Result<Option<Value>, Fault> {
    let mut words = vec!["plan", "--format", "json", "--out", "plan.json"];
    words.extend(flags);
    let run = looking(world, |recorder| recorder.magus(&words))?;
    if run.code == Some(1) {
        return Ok(None);
    }
    let plan: Value = serde_json::from_str(&run.stdout).map_err(|error| format!("{error}: {run:?}"))?;
    let differing = differences(world, before);
    let mut mentioned = BTreeSet::new();
    for key in ["steps", "withheld", "unknown"] {
        mentioned.extend(list(&plan, key).iter().map(|one| text(one, "workspace")));
    }
    for (name, reasons) in &differing {
        ensure(mentioned.contains(name), || {
            format!("the plan does not mention `{name}`, which differs: {reasons:#?}")
        })?;
    }
    for name in &mentioned {
        let of = |key: &str| list(&plan, key).iter().filter(|one| text(one, "workspace") == *name).collect();
        let [steps, withheld, unknown] =
            ["steps", "withheld", "unknown"].map(|key| -> Vec<&Value> { of(key) });
        // Which code is in a workspace of Mage that is stopped, its mark alone says.
        let is_stopped = steps.iter().chain(&withheld).all(|step| is_unread_code(world, before, step));
        ensure(differing.contains_key(name) || !unknown.is_empty() || is_stopped, || {
            format!("the plan mentions `{name}`, which is as declared: {steps:#?} {withheld:#?}")
        })?;
    }
    effects::lawful(world, before, &plan, flags)?;
    Ok(Some(plan))
}

/// Whether a step deploys to a workspace of Mage that is stopped.
fn is_unread_code(world: &World<'_>, snapshot: &Snapshot, step: &Value) -> bool {
    let row = snapshot.rows.get(&text(step, "workspace"));
    world.stand_in().is_some()
        && row.is_some_and(|row| state(row) == "stopped")
        && text(step, "action") == "deploy"
}

/// Whether a workspace runs, as its record says.
fn state(row: &Row) -> String {
    let leaves = leaves(&row.record).unwrap_or_default();
    leaves.get("state").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// `No drift` is said only if nothing was changed outside Magus.
fn drift(world: &mut World<'_>, before: &Snapshot, plan: &Value) -> Result<(), Fault> {
    let run = looking(world, |recorder| recorder.magus(&["drift"]))?;
    if run.code != Some(0) {
        return ensure(matches!(run.code, Some(2 | 5)), || format!("{run:?}"));
    }
    let drifted = effects::drifted(world, before, plan);
    ensure(drifted.is_empty(), || format!("No drift, but: {drifted:#?}\n{}", run.stdout))
}

/// Runs a command that the plan shows for something withheld: it is then not withheld for the same reason.
fn unblock(world: &mut World<'_>, plan: &Value, random: &mut Random, seen: &mut Seen) -> Result<(), Fault> {
    let commands: Vec<&Value> = list(plan, "withheld")
        .iter()
        .filter(|held| text(held, "unblock").starts_with("magus plan "))
        .collect();
    let Some(held) = random.any(&commands) else { return Ok(()) };
    let command = text(held, "unblock").replace("WHY", "a test") + " --format json";
    let run = looking(world, |recorder| recorder.shell(&command))?;
    let lifted: Value = serde_json::from_str(&run.stdout).map_err(|error| format!("{error}: {run:?}"))?;
    let same = |other: &&Value| {
        ["workspace", "guard", "action"].iter().all(|key| text(other, key) == text(held, key))
    };
    let still = list(&lifted, "withheld").iter().find(same);
    seen.unblocked += 1;
    ensure(still.is_none(), || format!("`{command}` does not lift the guard: {still:#?}"))
}

/// Applies in one of many ways, and checks that nothing but the plan was done.
fn act(
    world: &mut World<'_>,
    plan: &Value,
    flags: &[&str],
    random: &mut Random,
    seen: &mut Seen,
) -> Result<(), Fault> {
    let mut reviewed = vec!["apply", "plan.json", "--yes", "--format", "json"];
    reviewed.extend(flags);
    let mut anew = vec!["apply", "--yes", "--format", "json"];
    anew.extend(flags);
    let before = Snapshot::of(world);
    if world.is_mage() {
        let seconds = if world.real().is_some() { "20" } else { "1" };
        reviewed.extend(["--timeout", seconds]);
        anew.extend(["--timeout", seconds]);
        if random.percent(40) {
            return faulty(world, plan, &reviewed, flags, random, seen);
        }
    }
    match random.below(100) {
        0..=54 => {
            let run = world.recorder.magus(&reviewed);
            settled(world, plan, &before, flags, &run)
        }
        55..=64 => {
            let run = world.recorder.magus(&anew);
            settled(world, plan, &before, flags, &run)
        }
        65..=69 => {
            let Some((environment, path)) = random.any(&world.workspaces()) else { return Ok(()) };
            let name = stem(&path).to_owned();
            anew.extend(["-e", &environment, "-w", &name]);
            let run = world.recorder.magus(&anew);
            no_secret(&run)?;
            let selected = world.environments[&environment].workspaces.get(&path);
            let selected = selected.map(|one| name_of(&environment, &path, one)).unwrap_or_default();
            let mut part = plan.clone();
            if let Some(steps) = part["steps"].as_array_mut() {
                steps.retain(|step| text(step, "workspace") == selected);
            }
            Effects::new(&part, report(&run).as_ref()).check(world, &before, flags)
        }
        70..=76 => {
            let killed = kill(world, &anew, Duration::from_micros(random.below(30_000) as u64));
            seen.killed += usize::from(killed);
            Effects::new(plan, None).check(world, &before, flags)
        }
        77..=84 => {
            interfere(world, random);
            let changed = Snapshot::of(world);
            let run = world.recorder.magus(&reviewed);
            no_secret(&run)?;
            seen.stale += usize::from(run.code == Some(4));
            let moved =
                effects::touched(plan).iter().any(|name| before.rows.get(name) != changed.rows.get(name));
            if moved {
                ensure(matches!(run.code, Some(1 | 3 | 4 | 5)), || {
                    format!("a stale plan is applied: {run:?}")
                })?;
                return unchanged(world, &changed, "a stale plan");
            }
            Effects::new(plan, report(&run).as_ref()).check(world, &changed, flags)
        }
        85 | 86 => {
            let Some((environment, path)) = random.any(&world.workspaces()) else { return Ok(()) };
            let name = stem(&path).to_owned();
            let run = world.recorder.magus(&["restart", "-e", &environment, "-w", &name, "--yes"]);
            no_secret(&run)?;
            let restarted =
                name_of(&environment, &path, world.workspace(&(environment.clone(), path.clone())));
            let mut before = before;
            before.allow_restart(&restarted, &Snapshot::of(world));
            unchanged(world, &before, "a restart")
        }
        87 => {
            let environment = random.one(&STAGES).0;
            let mut words = vec!["destroy", "-e", environment, "--yes"];
            words.extend(flags);
            let run = world.recorder.magus(&words);
            no_secret(&run)?;
            effects::destroyed(world, environment, &before, flags)
        }
        88..=92 => {
            let mut altered = plan.clone();
            match altered["steps"].as_array_mut() {
                Some(steps) if !steps.is_empty() => drop(steps.remove(random.below(steps.len()))),
                _ => altered["overrides"]["allow_delete"] = serde_json::json!(["production", "staging"]),
            }
            world.recorder.write("plan.json", &altered.to_string());
            let run = world.recorder.magus(&reviewed);
            seen.stale += usize::from(run.code == Some(4));
            ensure(run.code == Some(4), || format!("an altered plan file is applied: {run:?}"))?;
            unchanged(world, &before, "an altered plan file")
        }
        _ => {
            let blocked = match world.engine() {
                Engine::Local => random.one(&["store/staging", "home/.cache", "store/history.db"]),
                Engine::StandIn | Engine::Real => random.one(&["home/.local", "home/.cache"]),
            };
            block(world, blocked);
            let run = world.recorder.magus(&anew);
            no_secret(&run)?;
            Effects::new(plan, report(&run).as_ref()).check(world, &before, flags)?;
            world.recorder.remove(blocked);
            Ok(())
        }
    }
}

/// Applies while requests fail and people act, and checks that the report is true and that nothing of theirs is lost.
fn faulty(
    world: &mut World<'_>,
    plan: &Value,
    words: &[&str],
    flags: &[&str],
    random: &mut Random,
    seen: &mut Seen,
) -> Result<(), Fault> {
    let before = Snapshot::of(world);
    let events = events(random, seen.acts + 1);
    world.recorder.comment(&format!("while these happen: {events:?}"));
    if let Some(real) = world.real() {
        let faults = events.iter().filter_map(|(at, event)| match (at, event) {
            (At::Any(number), Event::Fault(fault)) => Some((false, *number, *fault)),
            (At::Write(number), Event::Fault(fault)) => Some((true, *number, *fault)),
            _ => None,
        });
        real.plan(faults.collect());
        let run = world.recorder.magus(words);
        no_secret(&run)?;
        if let Some(real) = world.real() {
            real.plan(Vec::new());
            real.settle();
        }
        let effects = Effects::new(plan, report(&run).as_ref());
        return effects.check(world, &before, flags).map_err(|reason| format!("{reason}\n{run:?}"));
    }
    let Some(stand_in) = world.stand_in() else { return Ok(()) };
    stand_in.state().asked.clear();
    stand_in.state().plan(events);
    let run = world.recorder.magus(words);
    no_secret(&run)?;
    let Some(stand_in) = world.stand_in() else { return Ok(()) };
    let (asked, acts) = {
        let mut state = stand_in.state();
        state.plan(Vec::new());
        (std::mem::take(&mut state.asked), std::mem::take(&mut state.acts))
    };
    seen.faults += asked.iter().filter(|asked| matches!(asked.event, Some(Event::Fault(_)))).count();
    seen.acts += acts.len();
    for (name, act) in &acts {
        keeps(world, name, act).map_err(|reason| format!("{reason}\n{run:?}\n{asked:#?}"))?;
        if let Act::Work(text) = act {
            world.work.insert(format!("{name}:utils/value.py"), text.clone());
        }
    }
    let report = report(&run);
    let effects = Effects::new(plan, report.as_ref()).besides(acts.into_iter().map(|(name, _)| name));
    effects.check(world, &before, flags).map_err(|reason| format!("{reason}\n{run:?}\n{asked:#?}"))
}

/// A few things that happen to requests.
fn events(random: &mut Random, number: usize) -> Vec<(At, Event)> {
    let faults = [
        Failure::CutBefore,
        Failure::CutAfter,
        Failure::HalfAnswer,
        Failure::Gateway,
        Failure::GatewayAfter,
        Failure::Error,
        Failure::ErrorAfter,
        Failure::EmptyList,
    ];
    let mut events = Vec::new();
    for _ in 0..1 + random.below(2) {
        events.push(match random.below(10) {
            0 | 1 => (At::Any(random.below(12)), Event::Fault(random.one(&faults))),
            2..=5 => (At::Write(random.below(6)), Event::Fault(random.one(&faults[..7]))),
            6 | 7 => (At::Look(random.below(16)), Event::Act(Act::Edit(format!("BY_HAND_{number}")))),
            _ => {
                let text = format!("uncommitted by a person, {number} and {}", random.below(1_000_000));
                (At::Look(random.below(16)), Event::Act(Act::Work(text)))
            }
        });
    }
    events
}

/// What a person did right before Magus looked at a workspace is still there.
fn keeps(world: &World<'_>, name: &str, act: &Act) -> Result<(), Fault> {
    let Some(stand_in) = world.stand_in() else { return Ok(()) };
    let state = stand_in.state();
    match act {
        Act::Edit(variable) => {
            let text = state.workspaces.get(name).map(|workspace| workspace.text.clone());
            let holds = text.as_ref().is_some_and(|text| text.contains(variable));
            ensure(holds, || format!("`{name}` lost the edit `{variable}` of a person: {text:?}"))
        }
        Act::Work(text) => {
            let project = state.volumes.get(name);
            let holds = project.is_some_and(|project| project.changed.values().any(|one| one == text));
            ensure(holds, || format!("`{name}` lost `{text}`, which Magus could see: {:?}", state.lost))
        }
    }
}

/// After an apply that ended by itself, what is left is what was withheld.
fn settled(
    world: &mut World<'_>,
    plan: &Value,
    before: &Snapshot,
    flags: &[&str],
    run: &Run,
) -> Result<(), Fault> {
    no_secret(run)?;
    let report = report(run);
    Effects::new(plan, report.as_ref()).check(world, before, flags)?;
    let after = Snapshot::of(world);
    let Some(left) = look(world, &after, flags)? else {
        return Err(format!("the declarations are invalid after an apply: {run:?}"));
    };
    if matches!(run.code, Some(0 | 4)) {
        // What a gate or a limit held back may go on once other steps are done.
        let waited: BTreeSet<String> =
            list(plan, "withheld").iter().map(|held| text(held, "workspace")).collect();
        let is_left = |step: &&Value| !waited.contains(&text(step, "workspace"));
        let steps: Vec<&Value> = list(&left, "steps").iter().filter(is_left).collect();
        ensure(steps.is_empty(), || {
            format!("after an apply (exit code {:?}) is left: {steps:#?}", run.code)
        })?;
        return Ok(());
    }
    // Code may not be deployed over what is left in the folder of a workspace whose row was deleted.
    let left_behind = |name: &String| before.folders.contains_key(name) && !before.rows.contains_key(name);
    let failed = report.iter().flat_map(|report| list(report, "results"));
    let failed: Vec<&Value> = failed.filter(|one| text(one, "outcome") != "applied").collect();
    // What a person took out of a text still runs, so that Mage has nothing to restart when it comes back.
    let is_as_it_ran = |one: &&Value| {
        let name = text(one, "workspace");
        let is_same = before.interruptions.get(&name) == after.interruptions.get(&name);
        is_same && text(one, "message").contains("its rollout was not observed")
            || text(one, "outcome") == "skipped"
    };
    let is_known = match run.code {
        Some(3) if world.stand_in().is_some() => !failed.is_empty() && failed.iter().all(is_as_it_ran),
        Some(3) => !failed.is_empty() && failed.iter().all(|one| left_behind(&text(one, "workspace"))),
        Some(5) => !list(plan, "unknown").is_empty(),
        _ => false,
    };
    ensure(is_known, || {
        format!("an apply without a fault ends with {:?}: {}\n{}", run.code, run.stderr, run.stdout)
    })
}

/// Starts an apply and kills it; whether it was still at work.
fn kill(world: &mut World<'_>, words: &[&str], after: Duration) -> bool {
    world.recorder.killed(words);
    let mut command = world.recorder.sandbox.command(words);
    let mut apply = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("magus starts");
    std::thread::park_timeout(after);
    let at_work = apply.try_wait().expect("a status").is_none();
    let _ = apply.kill();
    apply.wait().expect("ended");
    if let Some(stand_in) = world.stand_in() {
        world.recorder.wait_for_children();
        stand_in.wait_until_left();
    }
    if let Some(real) = world.real() {
        std::thread::park_timeout(Duration::from_millis(100));
        real.settle();
    }
    at_work
}

/// Puts a file where Magus needs a folder, or a folder where it needs a file. Read-only folders do not stop root.
fn block(world: &mut World<'_>, path: &str) {
    world.recorder.remove(path);
    if path.ends_with(".db") {
        world.recorder.write(&format!("{path}/file"), "");
    } else {
        world.recorder.write(path, "");
    }
}

/// Runs a command that only looks: it prints no secret, and asks a server for nothing else.
fn looking(world: &mut World<'_>, run: impl FnOnce(&mut Recorder) -> Run) -> Result<Run, Fault> {
    if let Some(stand_in) = world.stand_in() {
        let mut state = stand_in.state();
        state.settle();
        state.asked.clear();
    }
    if let Some(real) = world.real() {
        real.settle();
        real.proxy.clear();
    }
    let run = run(&mut world.recorder);
    no_secret(&run)?;
    let asked = world.stand_in().map(|stand_in| std::mem::take(&mut stand_in.state().asked));
    let asked = asked.unwrap_or_default();
    let written: Vec<&Asked> = asked.iter().filter(|asked| asked.writes()).collect();
    let sent = world.real().map_or(0, |real| {
        real.proxy.count(|request| request.method != "GET" && !request.path.ends_with("/sessions"))
    });
    ensure(sent == 0, || "a command that only looks writes to a real server".to_owned())?;
    ensure(written.is_empty(), || format!("a command that only looks sends {written:?}"))?;
    Ok(run)
}

fn report(run: &Run) -> Option<Value> {
    serde_json::from_str(&run.stdout).ok()
}

fn unchanged(world: &World<'_>, before: &Snapshot, what: &str) -> Result<(), Fault> {
    let after = Snapshot::of(world);
    ensure(after == *before, || format!("{what} changed the cluster: {:#?}", before.changes(&after)))
}

fn no_secret(run: &Run) -> Result<(), Fault> {
    ensure(!run.all().contains(CANARY), || format!("a secret is printed: {run:?}"))
}

/// The secret is nowhere but in its file and in what workspaces read.
pub fn no_secret_is_left(world: &World<'_>) -> Result<(), Fault> {
    for (path, bytes) in files_below(world.recorder.sandbox.path()) {
        let is_allowed = path.ends_with("_token") || path.ends_with(".env");
        let found = bytes.windows(CANARY.len()).any(|part| part == CANARY.as_bytes());
        ensure(is_allowed || !found, || format!("a secret is in {}", path.display()))?;
    }
    Ok(())
}

fn no_work_is_lost(world: &World<'_>) -> Result<(), Fault> {
    if let Some(stand_in) = world.stand_in() {
        let lost = stand_in.state().lost.clone();
        ensure(lost.is_empty(), || lost.join("; "))?;
    }
    let after = Snapshot::of(world);
    for (path, text) in &world.work {
        ensure(after.holds(text), || format!("the uncommitted change of {path} is lost"))?;
    }
    Ok(())
}

/// A list of a plan.
pub fn list<'v>(plan: &'v Value, key: &str) -> &'v [Value] {
    plan[key].as_array().map_or(&[], Vec::as_slice)
}

/// A text of a plan.
pub fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}
