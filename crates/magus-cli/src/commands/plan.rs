//! `magus plan`: what would change, and why. Changes nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write as _,
    path::Path,
};

use magus_model::Text;
use magus_plan::Intent;
use magus_report::plan::{Detail, PlanOptions};
use magus_resolve::Heads;

use crate::{
    arguments::{Format, Global, Plan},
    declarations::{self, Checked, Look},
    engines::Engines,
    error::{CommandError, Exit},
    output::Output,
    pipeline::{self, Planned, Wish, quoted},
    place,
};

/// Runs the command.
pub fn run(global: &Global, arguments: &Plan, output: &Output) -> Result<Exit, CommandError> {
    if arguments.since.is_some() && arguments.out.is_some() {
        return Err(CommandError::new(
            Exit::Usage,
            "`--out` does not go with `--since`: an apply does the whole plan, and would refuse a file that holds a part",
        )
        .hint("write the whole plan with `--out`, and show the part of these commits in a run of its own"));
    }
    let mut wish = Wish {
        at: arguments.at.as_deref(),
        ..Wish::new(global, &arguments.guards, "plan", Intent::Converge)?.of_orphans(arguments.orphans)
    };
    let assumed = assumed(&arguments.assume)?;
    let engines = Engines::new(global);
    let look = Look::to_deploy(global, Heads::Assumed(&assumed)).into_code().with_clusters(&engines);
    let checked = declarations::check_valid(global, wish.at, look, output)?;
    check_assumed(&assumed, &checked)?;
    wish.assumed = assumed.clone();
    if let Some(revision) = &arguments.since {
        let revision = if revision.is_empty() { pull_request(global)? } else { revision.clone() };
        wish.since = Some(declarations::baseline(global, &revision, wish.at, output)?);
    }
    let planned = pipeline::plan(global, &checked, &wish, &engines)?;
    let plan = &planned.plan;
    if let Some(path) = &arguments.out {
        write(path, &magus_report::plan::json(plan))?;
    }
    let mut next = match &wish.since {
        // What is shown is a part, and what follows it is the whole.
        Some(_) => shown(&wish.command),
        None => next_command(&wish, arguments.out.as_deref()),
    };
    if global.format == Format::Markdown && wish.since.is_none() {
        // Read on a pull request, and run where no terminal is.
        next.push_str(" --yes");
    }
    let rest = arguments.out.as_ref().map(|path| format!("the whole plan is in `{}`", path.display()));
    let options = PlanOptions {
        detail: if output.verbose > 0 { Detail::Full } else { Detail::Normal },
        width: output.width,
        next: (plan.has_changes && wish.at.is_none() && assumed.is_empty()).then_some(next.as_str()),
        rest: rest.as_deref(),
    };
    let text = match global.format {
        Format::Json => magus_report::plan::json(plan),
        Format::Markdown => magus_report::plan::markdown(plan, &options),
        Format::Html => magus_report::plan::html(plan, &options),
        _ => match pipeline::nothing(&wish, plan) {
            Some(nothing) => nothing.to_owned(),
            None => place::complete_report(magus_report::plan::text(plan, &options, &output.styles())),
        },
    };
    output.result(&text)?;
    pipeline::say_idle_flags(&checked.resolution.desired, &planned, &wish, output);
    pipeline::say_unreadable(&planned, output);
    let exit = verdict(&planned, arguments.detailed_exitcode);
    pipeline::leave((checked, planned));
    Ok(exit)
}

/// The revision that the pull request starts from which CI runs for.
fn pull_request(global: &Global) -> Result<String, CommandError> {
    // The base as a commit, and as a branch that was fetched from `origin`.
    const COMMITS: [&str; 1] = ["CI_MERGE_REQUEST_DIFF_BASE_SHA"];
    const BRANCHES: [&str; 4] = [
        "GITHUB_BASE_REF",
        "BITBUCKET_PR_DESTINATION_BRANCH",
        "CHANGE_TARGET",
        "SYSTEM_PULLREQUEST_TARGETBRANCH",
    ];
    let value = |name: &&str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let commit = COMMITS.iter().find_map(value);
    let branch = || {
        let branch = BRANCHES.iter().find_map(value)?;
        Some(format!("origin/{}", branch.strip_prefix("refs/heads/").unwrap_or(&branch)))
    };
    let target = commit.or_else(branch).ok_or_else(|| {
        CommandError::new(Exit::Usage, "`--since` has no revision, and CI names no pull request")
            .hint("name the revision: `--since origin/main`")
    })?;
    magus_load::merge_base(&global.dir, &declarations::working_directory()?, &target)
        .map_err(declarations::load_error)
}

/// What branches are taken for; each once.
fn assumed(given: &[(Text, Text)]) -> Result<BTreeMap<Text, Text>, CommandError> {
    let mut assumed = BTreeMap::new();
    for (branch, commit) in given {
        if assumed.insert(branch.clone(), commit.clone()).is_some_and(|other| other != *commit) {
            let message = format!("`--assume` takes the branch `{branch}` for two commits");
            return Err(CommandError::new(Exit::Usage, message).hint("name each branch once"));
        }
    }
    Ok(assumed)
}

/// A branch that nobody deploys is a slip of the pen.
fn check_assumed(assumed: &BTreeMap<Text, Text>, checked: &Checked) -> Result<(), CommandError> {
    let environments = checked.resolution.desired.clusters.iter().flat_map(|one| &one.environments);
    let workspaces = environments.flat_map(|environment| &environment.workspaces);
    let known: BTreeSet<&str> =
        workspaces.filter_map(|one| one.code.as_ref()).map(|code| code.branch.as_str()).collect();
    let Some(branch) = assumed.keys().find(|branch| !known.contains(branch.as_str())) else { return Ok(()) };
    let message = format!("nothing deploys the branch `{branch}`, which `--assume` names");
    Err(CommandError::new(Exit::Usage, message).hint(magus_model::suggest::help(
        branch,
        known.iter().copied(),
        "nothing is deployed from a branch at all",
    )))
}

fn verdict(planned: &Planned, detailed: bool) -> Exit {
    let changes = detailed && planned.plan.has_changes;
    pipeline::verdict(planned).or(if changes { Exit::Changes } else { Exit::Done })
}

/// What applies this plan, ready to paste.
fn next_command(wish: &Wish<'_>, out: Option<&Path>) -> String {
    let mut words = wish.command.clone();
    words[1] = "apply".to_owned();
    if let Some(path) = out {
        words.insert(2, path.to_string_lossy().into_owned());
    }
    shown(&words)
}

/// Words as a shell takes them.
fn shown(words: &[String]) -> String {
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Writes a plan file as a whole or not at all, so that a full disk leaves no half of one. What a link leads to is
/// written, and not the link; a pipe or a device is written to, and not put out of the way.
fn write(path: &Path, text: &str) -> Result<(), CommandError> {
    let written = match fs::metadata(path) {
        Ok(known) if !known.is_file() => fs::write(path, text),
        _ => replace(&fs::canonicalize(path).unwrap_or_else(|_| path.to_owned()), text),
    };
    written.map_err(|error| {
        CommandError::new(Exit::Invalid, format!("`{}` cannot be written", path.display())).source(error)
    })
}

fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let written = fs::File::create(&beside).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)
    });
    written.inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}
