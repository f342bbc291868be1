//! Resolves the secrets of a plan before anything is sent.
//!
//! A secret that fails in the middle of an apply leaves half of a change behind. Here all of them are resolved first, each
//! source once, and all failures are told together.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
};

use magus_engine::Perform;
use magus_model::{
    Text,
    desired::{Desired, Workspace},
    name::WorkspaceName,
    path::FieldPath,
    plan::{Action, Plan, Step},
    value::{FieldValue, SecretReference, SecretSource},
};
use magus_plan::ApprovedPlan;
use magus_secrets::{Resolver, SecretError};

/// What resolving needs besides the plan.
pub struct ResolveRequest<'a> {
    /// The engine of each cluster, by the cluster's name.
    pub engines: &'a BTreeMap<Text, &'a dyn Perform>,
    /// The declarations that the plan was made from.
    pub desired: &'a Desired,
    /// Where the values come from. It keeps them in memory for the steps.
    pub secrets: &'a Resolver,
    /// How many sources are asked at once; 0 counts as 1.
    pub jobs: usize,
    /// Set by a signal: no further source is asked.
    pub cancelled: &'a AtomicBool,
}

/// A source that has no usable value.
#[derive(Debug)]
pub struct UnresolvedSecret {
    /// Why. No part of a value is in it.
    pub error: SecretError,
    /// The fields that need it, each with its workspace.
    pub fields: BTreeSet<(WorkspaceName, FieldPath)>,
}

/// Resolves every secret that the steps of a plan send. Nothing is sent.
///
/// # Errors
/// All sources that have no usable value, in the order of the first step that needs each.
pub fn resolve_secrets(
    approved: &ApprovedPlan,
    request: &ResolveRequest<'_>,
) -> Result<(), Vec<UnresolvedSecret>> {
    resolve_plan(approved.plan(), request)
}

pub(crate) fn resolve_plan(plan: &Plan, request: &ResolveRequest<'_>) -> Result<(), Vec<UnresolvedSecret>> {
    let mut sources: Vec<SecretReference> = Vec::new();
    let mut fields: BTreeMap<SecretSource, BTreeSet<(WorkspaceName, FieldPath)>> = BTreeMap::new();
    for step in &plan.steps {
        for (path, reference) in sent(step, plan, request) {
            let needed_by = fields.entry(reference.source.clone()).or_insert_with(|| {
                sources.push(reference.clone());
                BTreeSet::new()
            });
            needed_by.insert((step.workspace.clone(), path));
        }
    }
    let mut failures = failures(&sources, request);
    failures.sort_by_key(|(at, _)| *at);
    let unresolved: Vec<_> = failures
        .into_iter()
        .map(|(at, error)| {
            let fields = fields.remove(&sources[at].source).unwrap_or_default();
            UnresolvedSecret { error, fields }
        })
        .collect();
    if unresolved.is_empty() { Ok(()) } else { Err(unresolved) }
}

/// Asks every source, several at once. Which failed, and why.
fn failures(sources: &[SecretReference], request: &ResolveRequest<'_>) -> Vec<(usize, SecretError)> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while !request.cancelled.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(reference) = sources.get(at) else { return };
            if let Err(error) = request.secrets.resolve(reference) {
                failed.lock().unwrap_or_else(PoisonError::into_inner).push((at, error));
            }
        }
    };
    thread::scope(|scope| {
        let others = request.jobs.clamp(1, sources.len().max(1)) - 1;
        for number in 0..others {
            // Where the system gives no more threads, this one does their work.
            let _ = thread::Builder::new().name(format!("secret-{number}")).spawn_scoped(scope, work);
        }
        work();
    });
    failed.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// The secrets that a step sends.
fn sent(step: &Step, plan: &Plan, request: &ResolveRequest<'_>) -> Vec<(FieldPath, SecretReference)> {
    let mut sent: Vec<(FieldPath, SecretReference)> = Vec::new();
    for field in &step.fields {
        if let Some(FieldValue::Secret(reference)) = &field.after
            // Where no value runs, also one that is to be kept comes from its source.
            && (!reference.keep || field.before.is_none())
        {
            sent.push((field.path.clone(), (**reference).clone()));
        }
    }
    let refreshes =
        step.action == Action::Update && plan.overrides.refresh_secrets.contains(&step.environment);
    if refreshes && let Some(workspace) = declared(step, request.desired) {
        for field in &workspace.fields {
            if let FieldValue::Secret(reference) = &field.value
                && !reference.keep
            {
                sent.push((field.path.clone(), (**reference).clone()));
            }
        }
    }
    if let Some(engine) = request.engines.get(&step.cluster) {
        sent.extend(engine.lost_secrets(step));
    }
    sent
}

fn declared<'a>(step: &Step, desired: &'a Desired) -> Option<&'a Workspace> {
    let cluster = desired.clusters.iter().find(|cluster| cluster.name == step.cluster)?;
    let environment = cluster.environments.iter().find(|environment| environment.name == step.environment)?;
    environment.workspaces.iter().find(|workspace| workspace.name == step.workspace)
}
