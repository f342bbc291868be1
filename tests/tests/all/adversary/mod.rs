//! An adversary: random worlds of declarations, clusters, marks, people's work and branches, with random faults, driven
//! through the real program. The worlds know what they declared and what is in the store; nothing of Magus judges Magus.
//!
//! Five worlds live in one folder, one after the other, so that each but the first finds a cluster with a past. One that
//! fails is made again with fewer changes, until every change that is left is needed, and is then printed as a script.

mod change;
mod cluster;
mod effects;
mod outside;
mod random;
mod recorder;
mod rounds;
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

use crate::adversary::{cluster::Snapshot, random::Random, rounds::Seen, template::Template, world::World};

/// How many worlds live in one folder.
const LIVES: usize = 5;
/// The most changes before one look of Magus.
const CHANGES: usize = 4;

/// A folder that failed.
struct Failure {
    seed: u64,
    reason: String,
    script: String,
}

/// Lives the worlds of one seed, without the changes that are left out.
fn live(template: &Template, seed: u64, without: &BTreeSet<usize>, seen: &mut Seen) -> Result<(), Failure> {
    let mut world = World::new(template, &mut Random::new(seed, 0));
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
        world.left = Snapshot::of(&world.recorder.sandbox);
    }
    Ok(())
}

/// Leaves out every change without which the worlds of a seed fail for the same reason.
fn shrink(template: &Template, mut failure: Failure) -> Failure {
    let kind = |failure: &Failure| failure.reason.split('`').next().unwrap_or_default().to_owned();
    let mut without = BTreeSet::new();
    for number in (1..=LIVES * 2 * CHANGES).rev() {
        without.insert(number);
        match live(template, failure.seed, &without, &mut Seen::default()) {
            Err(smaller) if kind(&smaller) == kind(&failure) => failure = smaller,
            _ => drop(without.remove(&number)),
        }
    }
    failure
}

/// Lives the worlds of many seeds on all processors.
fn live_all(template: &Template, seeds: u64) -> (Seen, Vec<Failure>) {
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
                    let lived = live(template, seed, &BTreeSet::new(), &mut seen);
                    let failure = lived.err().map(|failure| shrink(template, failure));
                    let mut all = all.lock().expect("no thread panics");
                    all.0.add(seen);
                    all.1.extend(failure);
                }
            });
        }
    });
    all.into_inner().expect("no thread panics")
}

#[test]
fn no_world_surprises() {
    let template = Template::new();
    let one = std::env::var("MAGUS_SEED").ok().and_then(|seed| seed.parse().ok());
    if let Some(seed) = one {
        let lived = live(&template, seed, &BTreeSet::new(), &mut Seen::default());
        let failure = lived.err().map(|failure| shrink(&template, failure));
        return assert!(failure.is_none(), "{}", failure.map(describe).unwrap_or_default());
    }
    let worlds = cases(500, 20_000);
    let (seen, failures) = live_all(&template, (worlds / LIVES) as u64);
    let failures: Vec<String> = failures.into_iter().map(describe).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    // A test that saw nothing shows nothing.
    assert!(seen.plans >= worlds, "{seen:#?}");
    assert!(seen.invalid * 4 < seen.plans && seen.in_sync * 50 > seen.plans, "{seen:#?}");
    assert!(
        seen.steps * 4 > seen.plans && seen.killed > 0 && seen.stale > 0 && seen.unblocked > 0,
        "{seen:#?}"
    );
    assert!(seen.guards.len() >= 5, "{seen:#?}");
}

fn describe(failure: Failure) -> String {
    let Failure { seed, reason, script } = failure;
    format!(
        "MAGUS_SEED={seed} fails: {reason}\n--- in an empty folder, with HOME={}:\n{script}---\n",
        "\"$PWD/home\""
    )
}
