//! `magus apply`, `restart`, `destroy` and `forget`: plan, show, ask, and do exactly that.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use magus_apply::{ApplyRequest, ResolveRequest, UnresolvedSecret, apply, resolve_secrets};
use magus_engine::{EngineErrorKind, Perform};
use magus_git::Unread;
use magus_history::{Lock, LockError};
use magus_model::{
    Text,
    desired::Cluster,
    history::Operation,
    plan::{FORMAT_VERSION, Plan, Refused},
    report::ApplySummary,
};
use magus_plan::{Filter, Intent, StalePlan};
use magus_report::{
    Styles,
    apply::Listing,
    plan::{Detail, PlanOptions},
    stale::Moved,
};
use magus_resolve::Heads;
use magus_secrets::Resolver;

use crate::{
    arguments::{Apply, Approval, Destroy, Forget, Format, Global, Restart},
    declarations::{self, Checked, Look},
    engines::{self, Engines},
    entries::Entries,
    error::{CommandError, Exit},
    history,
    output::Output,
    pipeline::{self, Planned, Wish},
    place,
    progress::Progress,
    repository,
};

/// How a process ends that was interrupted before it began any step, as shells count.
const INTERRUPTED_CODE: i32 = 130;

/// Whether a signal lets running steps finish.
static FINISHES_STEPS: AtomicBool = AtomicBool::new(false);

/// Set by Ctrl-C or SIGTERM: what is under way ends, nothing else begins.
pub static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// `magus apply`.
pub fn run(global: &Global, arguments: &Apply, output: &Output) -> Result<Exit, CommandError> {
    let wish = Wish::new(global, &arguments.approval.guards, "apply", Intent::Converge)?
        .of_orphans(arguments.orphans);
    converge(global, &arguments.approval, &wish, arguments.plan.as_deref(), output)
}

/// `magus restart`.
pub fn restart(global: &Global, arguments: &Restart, output: &Output) -> Result<Exit, CommandError> {
    if global.workspace.is_empty() && global.environment.is_empty() {
        return Err(CommandError::new(Exit::Usage, "nothing is selected to be restarted")
            .hint(format!("name a workspace: magus restart{} -w NAME", pipeline::directory_flag(global))));
    }
    let wish = Wish::new(global, &arguments.approval.guards, "restart", Intent::Restart)?;
    converge(global, &arguments.approval, &wish, None, output)
}

/// `magus forget`: removes the marks of workspaces that are not declared.
pub fn forget(global: &Global, arguments: &Forget, output: &Output) -> Result<Exit, CommandError> {
    if global.workspace.is_empty() {
        return Err(CommandError::new(Exit::Usage, "no workspace is named that should be forgotten")
            .hint("magus forget -w NAME --reason WHY"));
    }
    let reason = arguments.approval.guards.reason.as_deref().unwrap_or_default();
    if reason.trim().is_empty() {
        return Err(CommandError::new(
            Exit::Usage,
            "`magus forget` needs `--reason`, which the history keeps",
        )
        .hint("magus forget -w NAME --reason WHY"));
    }
    let wish = Wish::new(global, &arguments.approval.guards, "forget", Intent::Forget)?;
    converge(global, &arguments.approval, &wish, None, output)
}

/// A declared workspace is not forgotten: the next apply would adopt it again.
fn refuse_declared(wish: &Wish<'_>, checked: &Checked) -> Result<(), CommandError> {
    let environments = checked.resolution.desired.clusters.iter().flat_map(|one| &one.environments);
    let mut workspaces = environments
        .flat_map(|environment| environment.workspaces.iter().map(move |workspace| (environment, workspace)));
    let selected = workspaces.find(|(environment, workspace)| {
        wish.intent == Intent::Forget
            && wish.filter.selects(&environment.name, &workspace.declared, &workspace.name)
    });
    let Some((environment, workspace)) = selected else { return Ok(()) };
    let (environment, declared) = (&environment.name, &workspace.declared);
    let message = format!("`{}` is declared: it is `{environment}/{declared}`", workspace.name);
    Err(CommandError::new(Exit::Refused, message)
        .hint("remove its file, and forget it before the next apply, which would delete it"))
}

/// `magus destroy`.
pub fn destroy(global: &Global, arguments: &Destroy, output: &Output) -> Result<Exit, CommandError> {
    if global.workspace.is_empty() && global.environment.is_empty() {
        return Err(CommandError::new(Exit::Usage, "nothing is selected to be deleted")
            .hint(format!("name an environment: magus destroy{} -e ENV", pipeline::directory_flag(global))));
    }
    let wish = Wish::new(global, &arguments.approval.guards, "destroy", Intent::Destroy)?;
    converge(global, &arguments.approval, &wish, None, output)
}

fn converge(
    global: &Global,
    approval: &Approval,
    wish: &Wish<'_>,
    reviewed: Option<&Path>,
    output: &Output,
) -> Result<Exit, CommandError> {
    let engines = Engines::new(global).with_timeout(approval.timeout);
    let mut expectation = reviewed.map(|path| read_plan(global, path)).transpose()?;
    let checked = {
        // What is reviewed is what is deployed, whatever was pushed since.
        let heads = expectation.as_ref().map_or(Heads::AsTheyAre, |plan| Heads::Reviewed(&plan.heads));
        let look = match wish.intent {
            Intent::Converge => Look::to_deploy(global, heads).into_code(),
            Intent::Restart | Intent::Destroy | Intent::Orphans | Intent::Forget => Look::OFFLINE,
        };
        let mut checked = declarations::check_valid(global, None, look.with_clusters(&engines), output)?;
        if wish.intent != Intent::Converge {
            checked.deploy_nothing();
        }
        checked
    };
    refuse_other_branch(global, &checked)?;
    refuse_declared(wish, &checked)?;
    if !approval.yes {
        let planned = pipeline::plan(global, &checked, wish, &engines)?;
        if let Some(expected) = &expectation {
            magus_plan::approve(planned.plan.clone(), Some(expected))
                .map_err(|stale| refused(global, &stale, wish, (expected, &planned.plan)))?;
        }
        show(global, wish, &planned, output)?;
        refuse_older(&planned.plan)?;
        if planned.plan.has_changes
            && !output.ask("Apply this plan?", "pass `--yes` to apply without asking")?
        {
            output.message("nothing was applied");
            return Ok(Exit::Done);
        }
        // What was shown is what was approved, and is compared with the plan that is made under the lock.
        expectation = Some(planned.plan);
    }
    let wait = approval.lock_timeout.unwrap_or_default();
    // Locks that are held are released, whatever ends the command.
    finish_steps_on_signal();
    let opened = open(global, &checked, wish, &engines, wait, output)?;
    let planned = pipeline::plan(global, &checked, wish, &engines)?;
    check(&planned, &checked)?;
    let approved = magus_plan::approve(planned.plan.clone(), expectation.as_ref()).map_err(|stale| {
        let expected = expectation.as_ref().unwrap_or(&planned.plan);
        refused(global, &stale, wish, (expected, &planned.plan))
    })?;
    if approval.yes {
        show(global, wish, &planned, output)?;
    }
    refuse_older(&planned.plan)?;
    pipeline::say_idle_flags(&checked.resolution.desired, &planned, wish, output);

    if INTERRUPTED.load(Ordering::SeqCst) {
        let why = opened.locks.iter().find_map(Lock::lost).unwrap_or_else(|| "interrupted".to_owned());
        return Err(CommandError::new(Exit::Incomplete, format!("{why}; nothing was sent")));
    }
    let secrets = Resolver::new(checked.loaded.root.clone(), Box::new(|name| std::env::var_os(name)));
    let performing: BTreeMap<Text, &dyn Perform> =
        opened.engines.iter().map(|(name, engine)| (name.clone(), &**engine)).collect();
    let entries = Entries::begin(global, &checked, operation(wish.intent), &planned.plan, &opened.engines);
    let repositories: BTreeMap<Text, PathBuf> =
        checked.repositories.iter().map(|(url, code)| (url.clone(), code.path().to_owned())).collect();
    let jobs = global.jobs.map_or_else(engines::default_jobs, usize::from);
    resolve_secrets(
        &approved,
        &ResolveRequest {
            engines: &performing,
            desired: &checked.resolution.desired,
            secrets: &secrets,
            jobs,
            cancelled: &INTERRUPTED,
        },
    )
    .map_err(|unresolved| unresolved_secrets(&unresolved))?;
    let progress = Progress::new(planned.plan.steps.len(), output);
    let report = apply(
        &approved,
        &ApplyRequest {
            engines: &performing,
            desired: &checked.resolution.desired,
            secrets: &secrets,
            repositories: &repositories,
            move_branch: &|branch| repository::move_deploy_branch(&repositories, branch),
            selected: &|environment, workspace| {
                wish.intent == Intent::Converge
                    && wish.filter.selects(&environment.name, &workspace.declared, &workspace.name)
            },
            may_go_on: &|| opened.may_go_on(),
            jobs,
            cancelled: &INTERRUPTED,
            clock: &Timestamp::now,
            events: &|event| progress.tell(&event),
        },
    );
    progress.end();
    entries.end(&planned, &report, &performing, output);
    let text = match global.format {
        Format::Json => magus_report::apply::json(&report),
        _ if report.results.is_empty() && report.notes.is_empty() => String::new(),
        _ => place::complete_helps(&magus_report::apply::text(&report, Listing::Problems, &output.styles()))
            .into_owned(),
    };
    output.result(&text)?;
    let ApplySummary { applied: _, failed, uncertain, skipped, not_started } = report.summary;
    let incomplete = failed + uncertain + skipped + not_started > 0 || report.interrupted;
    let exit = if incomplete { Exit::Incomplete } else { Exit::Done };
    let unopened = if opened.failed { Exit::Unreachable } else { Exit::Done };
    Ok(exit.or(unopened).or(pipeline::verdict(&planned)))
}

/// All secrets that the plan needs and that have no value. Nothing was sent.
fn unresolved_secrets(unresolved: &[UnresolvedSecret]) -> CommandError {
    let verb = if unresolved.len() == 1 { "secret cannot" } else { "secrets cannot" };
    let mut message = format!("{} {verb} be resolved; nothing was sent", unresolved.len());
    for UnresolvedSecret { error, fields } in unresolved {
        let mut needed_by = fields.iter();
        let first = needed_by.next().map(|(workspace, path)| format!(" for `{path}` of `{workspace}`"));
        let more = match needed_by.count() {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let line = format!("{}, needed{}{more}", error.fact(), first.unwrap_or_default());
        message.push_str(&format!("\n  {}", magus_report::escape::line(&line)));
    }
    let helps: BTreeSet<&str> = unresolved.iter().map(|one| one.error.help()).collect();
    helps.into_iter().fold(CommandError::new(Exit::Invalid, message), CommandError::hint)
}

/// A cluster whose declarations count on one branch is changed from that one alone.
fn refuse_other_branch(global: &Global, checked: &Checked) -> Result<(), CommandError> {
    for cluster in &checked.resolution.desired.clusters {
        let Some(branch) = &cluster.declared_on else { continue };
        let place = magus_load::off_branch(&global.dir, branch).map_err(|error| {
            let mut said = declarations::load_error(error);
            said.hints.push(format!("`declarations` in cluster.yaml wants them on `{branch}`"));
            said
        })?;
        if let Some(place) = place {
            let message = format!(
                "cluster `{}` is changed from the branch `{branch}` alone, and these declarations are those of {place}",
                cluster.name
            );
            return Err(CommandError::new(Exit::Refused, message)
                .hint(format!("merge into `{branch}`, and apply there; `magus plan` works everywhere")));
        }
    }
    Ok(())
}

/// The clusters that are open for writing.
#[derive(Default)]
struct Opened {
    /// What keeps others from changing those that have a lock on a remote.
    locks: Vec<Lock>,
    /// Those that could be opened, by name.
    engines: BTreeMap<Text, Arc<dyn Perform>>,
    /// Whether any could not.
    failed: bool,
}

impl Opened {
    /// Whether every lock is still held. After an interruption, no remote is asked for it.
    fn may_go_on(&self) -> Result<(), String> {
        if INTERRUPTED.load(Ordering::SeqCst) {
            return self.locks.iter().find_map(Lock::lost).map_or(Ok(()), Err);
        }
        self.locks.iter().try_for_each(Lock::check)
    }
}

/// Opens every cluster for writing, each with its lock. One that cannot be opened is said, and fails its own steps.
fn open(
    global: &Global,
    checked: &Checked,
    wish: &Wish<'_>,
    engines: &Engines,
    wait: Duration,
    output: &Output,
) -> Result<Opened, CommandError> {
    let mut opened = Opened::default();
    let mut clusters: Vec<_> = checked.resolution.desired.clusters.iter().collect();
    // Locks are taken in one order by everybody.
    clusters.sort_by(|a, b| a.name.cmp(&b.name));
    for cluster in clusters {
        let operation = wish.command.join(" ");
        opened.locks.extend(lock(global, cluster, &operation, wait)?);
        match engines.open(cluster, &operation, wish.overrides.reason.as_deref(), wait) {
            Ok(engine) => {
                opened.engines.insert(cluster.name.clone(), engine);
            }
            Err(error) => {
                if let EngineErrorKind::Locked { holder } = &error.kind {
                    return Err(locked(global, cluster, holder));
                }
                tracing::debug!(cluster = %cluster.name, %error, "not opened");
                opened.failed = true;
                let mut said = CommandError::new(
                    Exit::Unreachable,
                    format!("cluster `{}` cannot be changed", cluster.name),
                );
                said.hints.extend(error.help.clone());
                output.message(&said.source(error).describe());
            }
        }
    }
    Ok(opened)
}

/// Takes the lock of a cluster on a remote, where it has one. Without it nothing is changed.
fn lock(
    global: &Global,
    cluster: &Cluster,
    operation: &str,
    wait: Duration,
) -> Result<Option<Lock>, CommandError> {
    history::lock(global, cluster, operation, wait).map_err(|error| match error {
        LockError::Held(_) => locked(global, cluster, &error.to_string()).hint(format!(
            "if the process that holds it has ended: magus lock release{} {}",
            pipeline::directory_flag(global),
            pipeline::quoted(&cluster.name)
        )),
        LockError::Failed(why) => {
            let message = format!("the lock of cluster `{}` cannot be taken: {why}", cluster.name);
            let error = CommandError::new(Exit::Unreachable, message);
            match why {
                Unread::Failed { help, .. } => error.hint(help),
                _ => error,
            }
        }
    })
}

/// Somebody else changes the cluster.
fn locked(global: &Global, cluster: &Cluster, holder: &str) -> CommandError {
    let message = format!("guard `lock`: cluster `{}` is being changed by {holder}", cluster.name);
    CommandError::new(Exit::Refused, message).hint(format!(
        "wait until it has ended, then run `magus plan{}`; `--lock-timeout 10m` waits by itself",
        pipeline::directory_flag(global)
    ))
}

/// What is recorded as having been done.
fn operation(intent: Intent) -> Operation {
    match intent {
        Intent::Converge => Operation::Apply,
        Intent::Restart => Operation::Restart,
        Intent::Destroy => Operation::Destroy,
        Intent::Orphans => Operation::Orphans,
        Intent::Forget => Operation::Forget,
    }
}

fn show(global: &Global, wish: &Wish<'_>, planned: &Planned, output: &Output) -> Result<(), CommandError> {
    let options = |width| PlanOptions {
        detail: if output.verbose > 0 { Detail::Full } else { Detail::Normal },
        width,
        next: None,
        rest: None,
    };
    let text = |styles: &Styles| match pipeline::nothing(wish, &planned.plan) {
        Some(sentence) => sentence.to_owned(),
        None => {
            place::complete_report(magus_report::plan::text(&planned.plan, &options(output.width), styles))
        }
    };
    match global.format {
        Format::Json => output.note(text(&output.message_styles()).trim_end()),
        _ => output.result(&text(&output.styles()))?,
    }
    pipeline::say_unreadable(planned, output);
    Ok(())
}

/// A plan that is refused as a whole is not applied.
fn refuse_older(plan: &Plan) -> Result<(), CommandError> {
    let Some(refused) = plan.refused.first() else { return Ok(()) };
    let Refused { cluster: _, guard: _, message, unblock } = refused;
    let error = CommandError::new(Exit::Refused, magus_report::escape::line(message).into_owned());
    Err(error.hint("pull the newer declarations: git pull").hint(format!("or apply these: {unblock}")))
}

/// Refuses a plan in which the checker finds a fault: the planner has an error, and nothing may be applied.
fn check(planned: &Planned, checked: &Checked) -> Result<(), CommandError> {
    let (plan, desired) = (&planned.plan, &checked.resolution.desired);
    let mut faults = magus_check::check(plan, desired);
    faults.extend(magus_check::check_owners(plan, desired, &planned.observations, &planned.recollection));
    if faults.is_empty() {
        return Ok(());
    }
    let faults: Vec<_> = faults
        .iter()
        .map(|fault| magus_report::escape::line(&magus_report::faults::sentence(fault)).into_owned())
        .collect();
    Err(CommandError::new(Exit::Invalid, format!("the plan has a fault: {}", faults.join("; ")))
        .hint("nothing was sent; please report this with the output of `magus plan`"))
}

fn read_plan(global: &Global, path: &Path) -> Result<Plan, CommandError> {
    let invalid = |message: String| {
        CommandError::new(Exit::Invalid, format!("`{}` {message}", path.display()))
            .hint(format!("to write a plan file: magus plan{} --out FILE", pipeline::directory_flag(global)))
    };
    let text = fs::read_to_string(path).map_err(|error| invalid("cannot be read".into()).source(error))?;
    /// The part of every plan file that has to be understood first.
    #[derive(serde::Deserialize)]
    struct Version {
        format_version: u32,
    }
    let Version { format_version } =
        serde_json::from_str(&text).map_err(|error| invalid("is not a plan file".into()).source(error))?;
    if format_version != FORMAT_VERSION {
        return Err(invalid(format!(
            "has format version {format_version}, and this Magus knows {FORMAT_VERSION}"
        )));
    }
    let plan: Plan =
        serde_json::from_str(&text).map_err(|error| invalid("is not a plan file".into()).source(error))?;
    if !plan.assumed.is_empty() {
        let assumed = plan.assumed.iter().map(|(branch, commit)| format!("`--assume {branch}={commit}`"));
        let assumed = magus_report::escape::line(&assumed.collect::<Vec<_>>().join(" and ")).into_owned();
        let message = format!("`{}` was made with {assumed}; such a plan is for reading", path.display());
        let directory = pipeline::directory_flag(global);
        let file = pipeline::quoted(&path.to_string_lossy());
        return Err(CommandError::new(Exit::Refused, message)
            .hint(format!("make a plan that can be applied: magus plan{directory} --out {file}")));
    }
    match &plan.since {
        None => Ok(plan),
        Some(since) => Err(invalid(format!(
            "is a plan of only what changed since `{}`, and an apply does the whole",
            magus_report::escape::line(&since.revision)
        ))),
    }
}

/// The refusal of a plan that is not the one that was reviewed, with what differs and which side moved.
fn refused(
    global: &Global,
    stale: &StalePlan,
    wish: &Wish<'_>,
    (expected, current): (&Plan, &Plan),
) -> CommandError {
    let lines: Vec<String> = stale
        .difference
        .differences
        .iter()
        .map(|difference| format!("`{}`: {}", difference.subject, difference.message))
        .collect();
    let moved: Vec<Moved<'_>> = stale
        .difference
        .differences
        .iter()
        .zip(&lines)
        .map(|(difference, message)| Moved { side: difference.side.as_str(), message })
        .collect();
    let differences = magus_report::stale::text(&moved, &Styles::plain());
    let message = format!("{stale}\n{}", differences.trim_end());
    let directory = pipeline::directory_flag(global);
    let error = CommandError::new(Exit::Refused, message)
        .hint(format!("review the current plan: magus plan{directory} --out FILE"));
    let is_part = expected.steps.iter().all(|step| current.steps.iter().any(|current| current.id == step.id));
    if wish.filter == Filter::default() && is_part && expected.steps.len() < current.steps.len() {
        return error.hint("a plan that was made with `-e` or `-w` is applied with the same names");
    }
    error
}

/// From now on a signal lets running steps finish, instead of ending the command at once.
pub fn finish_steps_on_signal() {
    FINISHES_STEPS.store(true, Ordering::SeqCst);
}

/// Handles Ctrl-C and SIGTERM, with the child processes that run at the time. A command that has begun no step ends at once. Later,
/// the first signal lets running steps finish, the second one stops child processes and requests, and the third one ends the
/// command.
///
/// # Errors
/// If no handler can be installed.
pub fn handle_signals() -> Result<(), CommandError> {
    let seen = AtomicUsize::new(0);
    let handle = move || {
        if !FINISHES_STEPS.load(Ordering::SeqCst) {
            end();
        }
        INTERRUPTED.store(true, Ordering::SeqCst);
        match seen.fetch_add(1, Ordering::SeqCst) {
            0 => Output::say("interrupted: finishing running steps; no new step will start"),
            1 => {
                Output::say("interrupted again: stopping child processes and requests");
                magus_process::stop_all();
            }
            _ => end(),
        }
    };
    ctrlc::set_handler(handle)
        .map_err(|error| CommandError::new(Exit::Incomplete, "cannot listen for signals").source(error))
}

/// Ends the process and its children.
#[expect(clippy::exit, reason = "a signal ends the process wherever it is")]
fn end() -> ! {
    magus_process::stop_all();
    std::process::exit(INTERRUPTED_CODE)
}
