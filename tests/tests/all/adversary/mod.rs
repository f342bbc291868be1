//! An adversary: random worlds of declarations, clusters, marks, people's work and branches, with random faults, driven
//! through the real program. The worlds know what they declared and what is in the store; nothing of Magus judges Magus.
//!
//! Five worlds live in one folder, one after the other, so that each but the first finds a cluster with a past. One that
//! fails is made again with fewer changes, until every change that is left is needed, and is then printed as a script.

mod change;
mod cluster;
mod effects;
mod expected;
mod outside;
mod people;
mod random;
mod real;
mod recorder;
mod rounds;
mod stand_in;
mod template;
mod world;

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use magus_tests::cases;

use crate::adversary::{
    cluster::Snapshot,
    random::Random,
    rounds::Seen,
    template::Template,
    world::{Engine, World},
};

/// How many worlds live in one folder.
const LIVES: usize = 5;
/// The most changes before one look of Magus.
const CHANGES: usize = 4;

/// What all worlds of a test have in common.
#[derive(Clone, Copy)]
struct Worlds<'t> {
    template: &'t Template,
    engine: Engine,
}

/// A folder that failed.
struct Failure {
    seed: u64,
    reason: String,
    script: String,
}

/// Lives the worlds of one seed, without the changes that are left out.
fn live(worlds: Worlds<'_>, seed: u64, without: &BTreeSet<usize>, seen: &mut Seen) -> Result<(), Failure> {
    let mut world = World::new(worlds.template, worlds.engine, &mut Random::new(seed, 0));
    let mut number = 0;
    for life in 0..LIVES {
        let mut random = Random::new(seed, 1000 + life as u64);
        let (changes, interferences) = match life {
            0 => (0, 0),
            _ => (random.below(CHANGES + 1), random.below(CHANGES - 1)),
        };
        for change in 0..changes + interferences {
            number += 1;
            if without.contains(&number) {
                continue;
            }
            let mut random = Random::new(seed, number as u64);
            world.recorder.comment(&format!("change {number}"));
            if change < changes {
                change::change(&mut world, &mut random);
            } else {
                outside::interfere(&mut world, &mut random);
            }
        }
        let outcome = rounds::round(&mut world, &mut random, seen);
        let outcome = outcome.and_then(|()| rounds::no_secret_is_left(&world));
        let outcome = match &world.recorder.hung {
            Some(command) => Err(format!("a command hangs: `{command}`")),
            None => outcome,
        };
        outcome.map_err(|reason| Failure { seed, reason, script: world.recorder.script().to_owned() })?;
        world.left = Snapshot::of(&world);
    }
    Ok(())
}

/// Leaves out every change without which the worlds of a seed fail for the same reason.
fn shrink(worlds: Worlds<'_>, mut failure: Failure) -> Failure {
    let kind = |failure: &Failure| failure.reason.split('`').next().unwrap_or_default().to_owned();
    let mut without = BTreeSet::new();
    for number in (1..=LIVES * 2 * CHANGES).rev() {
        without.insert(number);
        match live(worlds, failure.seed, &without, &mut Seen::default()) {
            Err(smaller) if kind(&smaller) == kind(&failure) => failure = smaller,
            _ => drop(without.remove(&number)),
        }
    }
    failure
}

/// Lives the worlds of many seeds on all processors.
fn live_all(worlds: Worlds<'_>, seeds: u64) -> (Seen, Vec<Failure>) {
    let next = AtomicU64::new(0);
    let all = Mutex::new((Seen::default(), Vec::new()));
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds || all.lock().expect("no thread panics").1.len() > 2 {
                        return;
                    }
                    let mut seen = Seen::default();
                    let lived = live(worlds, seed, &BTreeSet::new(), &mut seen);
                    let failure = lived.err().map(|failure| shrink(worlds, failure));
                    let mut all = all.lock().expect("no thread panics");
                    all.0.add(seen);
                    all.1.extend(failure);
                }
            });
        }
    });
    all.into_inner().expect("no thread panics")
}

/// Lives as many worlds as the suite has time for, or those of the seed in the variable.
fn surprises(engine: Engine, worlds: usize, variable: &str) -> Option<Seen> {
    let template = Template::new();
    let all = Worlds { template: &template, engine };
    let one = std::env::var(variable).ok().and_then(|seed| seed.parse().ok());
    if let Some(seed) = one {
        let lived = live(all, seed, &BTreeSet::new(), &mut Seen::default());
        let failure = lived.err().map(|failure| shrink(all, failure));
        assert!(
            failure.is_none(),
            "{}",
            failure.map(|failure| describe(failure, variable)).unwrap_or_default()
        );
        return None;
    }
    let (seen, failures) = live_all(all, (worlds / LIVES) as u64);
    let failures: Vec<String> = failures.into_iter().map(|failure| describe(failure, variable)).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // A test that saw nothing shows nothing.
    assert!(seen.plans >= worlds, "{seen:#?}");
    assert!(seen.invalid * 4 < seen.plans && seen.in_sync * 50 > seen.plans, "{seen:#?}");
    assert!(
        seen.steps * 4 > seen.plans && seen.killed > 0 && seen.stale > 0 && seen.unblocked > 0,
        "{seen:#?}"
    );
    assert!(seen.guards.len() >= 5, "{seen:#?}");
    Some(seen)
}

/// Lives so many worlds on the shared real server, one after the other.
pub fn no_real_world_surprises(worlds: usize) {
    let template = Template::new();
    let all = Worlds { template: &template, engine: Engine::Real };
    let mut seen = Seen::default();
    let one = std::env::var("MAGUS_REAL_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    let seeds = one.map_or(0..(worlds / LIVES) as u64, |seed| seed..seed + 1);
    for seed in seeds {
        let lived = live(all, seed, &BTreeSet::new(), &mut seen);
        assert!(
            lived.is_ok(),
            "{}",
            lived.err().map(|it| describe(it, "MAGUS_REAL_SEED")).unwrap_or_default()
        );
    }
    assert!(one.is_some() || seen.plans >= worlds && seen.steps > worlds, "{seen:#?}");
}

#[test]
fn no_world_surprises() {
    surprises(Engine::Local, cases(1_500, 20_000), "MAGUS_SEED");
}

#[test]
fn no_world_of_mage_surprises() {
    let seen = surprises(Engine::StandIn, cases(500, 20_000), "MAGUS_MAGE_SEED");
    assert!(seen.is_none_or(|seen| seen.faults > 0 && seen.acts > 0));
}

fn describe(failure: Failure, variable: &str) -> String {
    let Failure { seed, reason, script } = failure;
    format!(
        "{variable}={seed} fails: {reason}\n--- in an empty folder, with HOME={}:\n{script}---\n",
        "\"$PWD/home\""
    )
}
