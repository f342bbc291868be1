//! The second half of the way, from declarations that were checked to a plan: observe → diff → plan.

use std::collections::{BTreeMap, BTreeSet};

use clap::ValueEnum as _;
use jiff::Timestamp;
use magus_code::Between;
use magus_diff::{Change, ChangeSet, WorkspaceChange};
use magus_engine::{Declared, DeclaredCode, EngineError, EngineErrorKind};
pub use magus_model::shell::word as quoted;
use magus_model::{
    Text,
    desired::{Cluster, Desired, MaxDeletes, Workspace},
    diagnostic::LocatedDiagnostic,
    name::WorkspaceName,
    observed::{Observation, Recollection},
    plan::{Movement, Overrides, Plan, Source},
};
use magus_plan::{Baseline, Filter, Intent, Move, Movements, PlanRequest, Project, Readers};
use magus_report::drift::Drift;

use crate::{
    VERSION,
    arguments::{Gate, Global, Guards},
    declarations::{self, Checked, Since},
    engines::Engines,
    error::{CommandError, Exit},
    flags, history,
    output::Output,
    place,
    recall::{self, Histories},
    selection::{check_filter, filter, texts},
};

/// The directory that need not be named in a command.
const DEFAULT_DIRECTORY: &str = "environments";

/// What a plan is asked for with.
pub struct Wish<'a> {
    /// The command that is run, for the commands that lift guards: `plan`, `apply`.
    pub command: Vec<String>,
    /// Which steps.
    pub filter: Filter,
    /// The guards that flags lift.
    pub overrides: Overrides,
    /// What it is to reach.
    pub intent: Intent,
    /// As of which revision.
    pub at: Option<&'a str>,
    /// Where only what changed since counts: what was declared then.
    pub since: Option<Since>,
    /// The branches for which `--assume` chose a commit, with the commit.
    pub assumed: BTreeMap<Text, Text>,
    /// Whether work of people is looked for in all that is selected, and not only where a step would take it.
    pub look_for_work: bool,
}

impl<'a> Wish<'a> {
    /// Reads the flags; names in them have to be declared, or at least known to the clusters.
    pub fn new(
        global: &Global,
        guards: &Guards,
        command: &str,
        intent: Intent,
    ) -> Result<Self, CommandError> {
        if let Some(wrong) = guards.max_deletes.as_ref().filter(|text| MaxDeletes::parse(text).is_none()) {
            let message =
                format!("invalid value `{wrong}` for `--max-deletes`: expected a number or a percentage");
            return Err(CommandError::new(Exit::Usage, message)
                .hint("pass a number such as `3`, or a percentage such as `50%`"));
        }
        let Guards {
            allow_delete,
            allow_replace,
            allow_empty,
            allow_unprotect,
            adopt,
            allow_older,
            max_deletes,
            refresh_secrets,
            override_gate,
            discard_changes,
            reason,
        } = guards;
        Ok(Self {
            command: words(global, guards, command),
            filter: filter(global),
            overrides: Overrides {
                allow_delete: texts(allow_delete),
                allow_replace: texts(allow_replace),
                allow_empty: texts(allow_empty),
                allow_unprotect: texts(allow_unprotect),
                adopt: texts(adopt),
                allow_older: *allow_older,
                max_deletes: max_deletes.as_ref().map(Text::from),
                refresh_secrets: texts(refresh_secrets),
                override_gate: override_gate.iter().map(|gate| gate.name().into()).collect(),
                discard_changes: texts(discard_changes),
                reason: reason.as_ref().map(Text::from),
            },
            intent,
            at: None,
            since: None,
            assumed: BTreeMap::new(),
            look_for_work: false,
        })
    }

    /// The same whatever gates hold back, for a command that only looks.
    #[must_use]
    pub fn through_gates(mut self) -> Self {
        self.overrides.override_gate = Gate::value_variants().iter().map(|gate| gate.name().into()).collect();
        self.overrides.reason = Some(Text::new_static("only looked at"));
        self
    }

    /// The same of what was left behind alone, where that is asked for.
    #[must_use]
    pub fn of_orphans(mut self, orphans: bool) -> Self {
        if orphans {
            self.intent = Intent::Orphans;
            self.command.push("--orphans".to_owned());
            self.command = magus_plan::in_order(self.command);
        }
        self
    }
}

/// The command line again, as words: without the plan file, the formats and what only this run is for.
fn words(global: &Global, guards: &Guards, command: &str) -> Vec<String> {
    let mut words = vec!["magus".to_owned(), command.to_owned()];
    let mut flag = |name: &str, value: &str| words.extend([name.to_owned(), value.to_owned()]);
    if global.dir.as_os_str() != DEFAULT_DIRECTORY {
        flag("-C", &global.dir.to_string_lossy());
    }
    for name in &global.environment {
        flag("-e", name);
    }
    for name in &global.workspace {
        flag("-w", name);
    }
    for (name, values) in [
        ("--allow-delete", &guards.allow_delete),
        ("--allow-replace", &guards.allow_replace),
        ("--allow-empty", &guards.allow_empty),
        ("--allow-unprotect", &guards.allow_unprotect),
        ("--adopt", &guards.adopt),
        ("--refresh-secrets", &guards.refresh_secrets),
        ("--discard-changes", &guards.discard_changes),
    ] {
        for value in values {
            flag(name, value);
        }
    }
    for gate in &guards.override_gate {
        flag("--override-gate", gate.name());
    }
    for (name, value) in [("--max-deletes", &guards.max_deletes), ("--reason", &guards.reason)] {
        if let Some(value) = value {
            flag(name, value);
        }
    }
    words.extend(guards.allow_older.then(|| "--allow-older".to_owned()));
    magus_plan::in_order(words)
}

/// ` -C DIR` where the directory is not the default one, for commands that are shown.
pub fn directory_flag(global: &Global) -> String {
    if global.dir.as_os_str() == DEFAULT_DIRECTORY {
        String::new()
    } else {
        format!(" -C {}", quoted(&global.dir.to_string_lossy()))
    }
}

/// A plan, and what it was made from.
pub struct Planned {
    /// The plan.
    pub plan: Plan,
    /// The clusters that could not be read, with the reason.
    pub unreadable: Vec<(Text, EngineError)>,
    /// What each cluster answered.
    pub observations: Vec<Observation>,
    /// The workspaces without a mark that something else shows to be ours.
    pub recollection: Recollection,
    /// Why histories were not read in which gates look for something.
    pub unread: BTreeSet<Text>,
    /// What differs and was not changed by a declaration.
    pub drift: Drift,
    /// What cannot be told of the declarations, in words for people.
    pub notes: Vec<String>,
}

/// Reads every cluster, all at once, and plans.
pub fn plan(
    global: &Global,
    checked: &Checked,
    wish: &Wish<'_>,
    engines: &Engines,
) -> Result<Planned, CommandError> {
    let desired = &checked.resolution.desired;
    flags::check_adopted(desired, &wish.overrides)?;
    let (observations, unreadable) = observe(desired, wish, engines);
    let histories = Histories::new(global);
    let recollection = recall::recollection(desired, &observations, &histories);
    let changes = magus_diff::diff_recalled(desired, &observations, &recollection, &checked.loaded.sources);
    if let Err(error) = check_filter(desired, &observations, &wish.filter) {
        let Some((cluster, why)) = unreadable.first() else { return Err(error) };
        // It may name something in what could not be read.
        let mut said = unreadable_cluster(cluster, why);
        said.message = format!("{}, as far as could be read: {}", error.message, said.message);
        return Err(said);
    }
    let now = Timestamp::now();
    let source = source(global, checked);
    let (newer, notes) = match wish.intent {
        Intent::Converge => recall::newer(global, desired, &source, &changes, &histories),
        Intent::Restart | Intent::Destroy | Intent::Orphans | Intent::Forget => Default::default(),
    };
    let movements = movements(&changes, checked, now);
    let (wanted, back) = deploys(&changes, &movements);
    let asked = history::Asked { wanted, back };
    let evidence = history::evidence(global, desired, asked, &checked.repositories, &observations);
    let unread = evidence.unread().cloned().collect();
    let mut plan = magus_plan::plan(&PlanRequest {
        desired,
        changes: &changes,
        filter: wish.filter.clone(),
        overrides: wish.overrides.clone(),
        source,
        newer,
        now,
        magus_version: VERSION.into(),
        diagnostics: checked.located(),
        intent: wish.intent,
        since: wish.since.as_ref().map(|Since { revision, commit, desired }| Baseline {
            revision: revision.clone(),
            commit: commit.clone(),
            desired,
        }),
        assumed: wish.assumed.clone(),
        movements,
        readers: readers(&changes, checked),
        evidence,
        command: wish.command.clone(),
    });
    if plan.since.is_none() {
        let faults = magus_check::check_owners(&plan, desired, &observations, &recollection);
        debug_assert_eq!(faults, [], "the plan changes what it may not");
    }
    plan.diagnostics.extend(lacking_now(checked, &observations, &plan));
    for withheld in &mut plan.withheld {
        withheld.message = place::complete(&withheld.message).into_owned();
    }
    let drift = magus_report::drift::drift(&changes, &plan, &|change| {
        let WorkspaceChange { environment, workspace, change: _ } = change;
        wish.filter.selects(&environment.name, &workspace.declared, &workspace.name)
    });
    Ok(Planned { plan, unreadable, observations, recollection, unread, drift, notes })
}

/// An environment and a commit that is to be deployed to it.
type Target = (Text, Text);

/// What is to be deployed where, and which of it goes back to an earlier commit.
fn deploys(changes: &ChangeSet<'_>, movements: &Movements) -> (BTreeSet<Target>, BTreeSet<Target>) {
    let (mut wanted, mut back) = (BTreeSet::new(), BTreeSet::new());
    for change in changes.clusters.iter().flat_map(|cluster| &cluster.workspaces) {
        let Some(one) = code_move(change) else { continue };
        let target = (change.environment.name.clone(), one.to.clone());
        if movements.of(&one).is_some_and(Movement::is_rollback) {
            back.insert(target.clone());
        }
        wanted.insert(target);
    }
    (wanted, back)
}

/// The commits that the code of a workspace moves between; nothing if its code does not move.
fn code_move(change: &WorkspaceChange<'_>) -> Option<Move> {
    let code = change.workspace.code.as_ref()?;
    let from = match &change.change {
        Change::Create(_) => None,
        Change::Update(update) => update.code?.observed.commit.clone(),
        Change::Conflict { adoption, .. } => adoption.as_ref()?.code?.observed.commit.clone(),
        Change::Adopt { .. } | Change::Unchanged { .. } | Change::Unknown(_) => return None,
    };
    let (repository, directory) = (code.repository.clone(), code.source.directory.clone());
    Some(Move { repository, directory, from, to: code.commit.clone().ok()? })
}

/// What lies between the commits of all code that moves.
fn movements(changes: &ChangeSet<'_>, checked: &Checked, now: Timestamp) -> Movements {
    let Checked { repositories, projects, .. } = checked;
    let workspaces = changes.clusters.iter().flat_map(|cluster| &cluster.workspaces);
    let moves: BTreeSet<Move> = workspaces.filter_map(code_move).collect();
    let moved = moves.into_iter().filter_map(|one| {
        let Move { repository, directory, from, to } = &one;
        let code = repositories.get(repository)?;
        // A movement that is unknown is left out, which plans say of the step.
        let between = Between { from: from.as_deref(), to, directory, now };
        let movement = projects.movement(code, between).ok().flatten()?;
        Some((one, movement))
    });
    moved.collect()
}

/// What workspaces lack of the code that they run, where this plan leaves them another than the declared one: it was deployed once,
/// or a gate holds the next.
fn lacking_now(checked: &Checked, observations: &[Observation], plan: &Plan) -> Vec<LocatedDiagnostic> {
    let Checked { loaded, resolution, repositories, projects, .. } = checked;
    let is_off = |rule: &str| resolution.lint.root.get(rule).is_some_and(|(severity, _)| severity.is_none());
    let deployed: BTreeSet<(&str, &str)> = plan
        .steps
        .iter()
        .filter(|step| step.deploy.is_some())
        .map(|step| (step.cluster.as_str(), step.workspace.as_str()))
        .collect();
    let runs_for_now = |cluster: &Cluster, workspace: &Workspace| {
        let observation = observations.iter().find(|one| one.cluster == cluster.name)?;
        let runs = observation.present.get(&workspace.name)?.code.commit.as_ref()?;
        let is_other = workspace.code.as_ref()?.commit.as_ref() != Ok(runs);
        let stays = !deployed.contains(&(cluster.name.as_str(), workspace.name.as_str()));
        (is_other && stays).then_some(runs)
    };
    let stages = magus_resolve::stages(&resolution.desired, repositories, projects, &runs_for_now);
    let mut findings: Vec<_> =
        stages.iter().flat_map(|stage| magus_resolve::lacking_now(stage, &loaded.sources)).collect();
    findings.retain(|finding| !is_off(finding.rule.code));
    findings.iter().map(|finding| finding.locate(&loaded.sources)).collect()
}

/// Which pipelines read what, of the code of every workspace whose configuration changes.
fn readers(changes: &ChangeSet<'_>, checked: &Checked) -> Readers {
    let workspaces = changes.clusters.iter().flat_map(|cluster| &cluster.workspaces);
    let changed = workspaces.filter(|change| matches!(change.change, Change::Update(_)));
    let projects: BTreeSet<Project> = changed
        .filter_map(|change| {
            let code = change.workspace.code.as_ref()?;
            Some((code.repository.clone(), code.source.directory.clone(), code.commit.clone().ok()?))
        })
        .collect();
    let read = projects.into_iter().filter_map(|project| {
        let (repository, directory, commit) = &project;
        let code = checked.repositories.get(repository)?;
        let needs = checked.projects.needs(code, commit, directory).ok().flatten()?;
        let by_path = needs.names.iter().filter(|need| !need.pipelines.is_empty());
        let by_path = by_path.map(|need| {
            (magus_resolve::path_of(need.kind, &need.name), need.pipelines.iter().cloned().collect())
        });
        Some((project.clone(), by_path.collect()))
    });
    read.collect()
}

/// What every declared cluster answers. One that cannot be read makes its workspaces unknown.
pub fn observe(
    desired: &Desired,
    wish: &Wish<'_>,
    engines: &Engines,
) -> (Vec<Observation>, Vec<(Text, EngineError)>) {
    let answers: Vec<(Text, Result<Observation, EngineError>)> = std::thread::scope(|scope| {
        let threads: Vec<_> = desired
            .clusters
            .iter()
            .map(|cluster| {
                let declared: Vec<Declared> = cluster
                    .environments
                    .iter()
                    .flat_map(|environment| {
                        environment.workspaces.iter().map(move |workspace| (environment, workspace))
                    })
                    .map(|(environment, workspace)| Declared {
                        name: workspace.name.clone(),
                        look_for_work: (wish.look_for_work || wish.intent == Intent::Destroy)
                            && wish.filter.selects(&environment.name, &workspace.declared, &workspace.name),
                        code: workspace.code.as_ref().map(|code| DeclaredCode {
                            commit: code.commit.clone().ok(),
                            source: code.source.clone(),
                            untold: code.source.deployment.is_some(),
                        }),
                        secrets: workspace.fields.iter().any(|field| field.path.is_within("secrets")),
                    })
                    .collect();
                (cluster.name.clone(), scope.spawn(move || engines.observer(cluster)?.observe(&declared)))
            })
            .collect();
        threads
            .into_iter()
            .map(|(name, thread)| {
                let panicked =
                    |_| Err(EngineError::new(EngineErrorKind::Damaged, "reading the cluster failed"));
                let answer = thread.join().unwrap_or_else(panicked);
                (name, answer)
            })
            .collect()
    });
    let mut observations = Vec::with_capacity(answers.len());
    let mut unreadable = Vec::new();
    for (cluster, answer) in answers {
        match answer {
            Ok(observation) => observations.push(observation),
            Err(error) => {
                observations.push(Observation {
                    cluster: cluster.clone(),
                    incomplete: Some(error.to_string()),
                    ..Observation::default()
                });
                unreadable.push((cluster, error));
            }
        }
    }
    (observations, unreadable)
}

/// What the declarations were read from. A repository that git does not trust, as in containers, keeps nobody from
/// planning: the plan then names no commit.
fn source(global: &Global, checked: &Checked) -> Source {
    let path = Text::from(global.dir.to_string_lossy());
    if let Some(revision) = &checked.loaded.revision {
        return Source { path, revision: Some(revision.into()), dirty: false };
    }
    match magus_load::source_revision(&global.dir) {
        Ok(source) => Source { path, revision: source.revision.map(Text::from), dirty: source.dirty },
        Err(error) => {
            if !global.quiet {
                Output::say(&declarations::load_error(error).describe().replacen(
                    "error:",
                    "note: the plan names no commit:",
                    1,
                ));
            }
            Source { path, revision: None, dirty: false }
        }
    }
}

/// What to say where nothing is to be restarted, deleted or removed. Nobody asked whether it is as declared.
pub fn nothing(wish: &Wish<'_>, plan: &Plan) -> Option<&'static str> {
    let is_empty = plan.steps.is_empty() && plan.withheld.is_empty() && plan.unknown.is_empty();
    match wish.intent {
        Intent::Restart if is_empty => {
            Some("Nothing to restart: what is selected is stopped, or not in the cluster.\n")
        }
        Intent::Destroy if is_empty => {
            Some("Nothing to delete: nothing managed is selected in the cluster.\n")
        }
        Intent::Forget if is_empty => {
            Some("Nothing to forget: nothing managed is selected in the cluster.\n")
        }
        Intent::Orphans if is_empty => Some("Nothing to remove: nothing that is selected was left behind.\n"),
        _ => None,
    }
}

/// Says which flags lift no guard because no environment has that name: a slip of the pen, or a flag that outlived its
/// environment. Neither is a failure, because a guard that is not lifted holds.
pub fn say_idle_flags(desired: &Desired, planned: &Planned, wish: &Wish<'_>, output: &Output) {
    let declared = desired.clusters.iter().flat_map(|cluster| &cluster.environments);
    let present = planned.observations.iter().flat_map(|one| one.present.values());
    let marks = present.filter_map(|one| one.mark.as_ref());
    let known: BTreeSet<&str> = declared
        .map(|environment| environment.name.as_str())
        .chain(marks.map(|mark| mark.environment.as_str()))
        .collect();
    let Overrides {
        allow_delete,
        allow_replace,
        allow_empty,
        allow_unprotect,
        adopt: _,
        allow_older: _,
        max_deletes: _,
        refresh_secrets,
        override_gate: _,
        discard_changes,
        reason: _,
    } = &wish.overrides;
    for (flag, names) in [
        ("--allow-delete", allow_delete),
        ("--allow-replace", allow_replace),
        ("--allow-empty", allow_empty),
        ("--allow-unprotect", allow_unprotect),
        ("--refresh-secrets", refresh_secrets),
    ] {
        for name in names.iter().filter(|name| !known.contains(name.as_str())) {
            let close = magus_model::suggest::closest(name, known.iter().copied());
            let help = close.map_or_else(String::new, |close| format!("\n  help: did you mean `{close}`?"));
            output.note(&format!("note: there is no environment `{name}` for `{flag}`{help}"));
        }
    }
    let present = || planned.observations.iter().flat_map(|one| one.present.keys());
    let orphans = || planned.observations.iter().flat_map(|one| &one.orphans).map(|orphan| &orphan.name);
    let names: BTreeSet<&str> = present().chain(orphans()).map(WorkspaceName::as_str).collect();
    for name in discard_changes.iter().filter(|name| !names.contains(name.as_str())) {
        let close = magus_model::suggest::closest(name, names.iter().copied());
        let help = close.map_or_else(String::new, |close| format!("\n  help: did you mean `{close}`?"));
        output.note(&format!("note: no cluster has a workspace `{name}` for `--discard-changes`{help}"));
    }
}

/// Leaves memory to the system, which takes it back at once when the process ends: freeing the values of ten thousand
/// workspaces one by one takes longer than finding that nothing is to do.
pub fn leave<T>(value: T) {
    std::mem::forget(value);
}

/// How a plan ends, as an exit code, before anything is applied.
pub fn verdict(planned: &Planned) -> Exit {
    let plan = &planned.plan;
    let mut exit = Exit::Done;
    if !planned.unreadable.is_empty() || !planned.unread.is_empty() || !plan.unknown.is_empty() {
        exit = exit.or(Exit::Unreachable);
    }
    // What a gate holds back waits, and is no failure.
    if plan.withheld.iter().any(|held| !held.guard.is_gate()) || !plan.refused.is_empty() {
        exit = exit.or(Exit::Refused);
    }
    exit
}

/// Says which clusters could not be read, and what to do.
pub fn say_unreadable(planned: &Planned, output: &Output) {
    for (cluster, error) in &planned.unreadable {
        output.message(&unreadable_cluster(cluster, error).describe());
    }
    for note in &planned.notes {
        output.note(&format!("warning: {note}"));
    }
    for why in &planned.unread {
        let message = format!("gates stay closed for what nobody knows: {why}");
        output.message(&CommandError::new(Exit::Unreachable, message).hint("magus history").describe());
    }
}

fn unreadable_cluster(cluster: &Text, error: &EngineError) -> CommandError {
    let mut said = CommandError::new(Exit::Unreachable, format!("cluster `{cluster}`: {error}"));
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        said.message.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    match &error.help {
        Some(help) => said.hint(help.clone()),
        None => said,
    }
}
