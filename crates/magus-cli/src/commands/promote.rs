//! `magus promote`: merges the branch of one stage into that of the next, and moves that branch. Nothing is deployed by it:
//! that is what the next apply does.

use std::{collections::BTreeSet, path::Path};

use jiff::Timestamp;
use magus_code::{Between, Projects};
use magus_git::{Code, Counts, Lease, Merge, Tracking, Unpushed, Unread};
use magus_load::edit;
use magus_model::{
    Text,
    desired::Environment,
    plan::{Movement, Waiting},
    span::Span,
};
use magus_plan::{Closed, Intent, Keeper};
use magus_report::promote::{self, Conflicting, FORMAT_VERSION, Kind, Promotion, Stage};
use magus_resolve::DeclaredCode;

use crate::{
    arguments::{Format, Global, Guards, Promote},
    commands::conflict,
    declarations::{self, Checked, Look, News},
    engines::Engines,
    error::{CommandError, Exit},
    history,
    output::Output,
    pipeline::{self, Wish},
    repository,
    selection::unknown_name,
};

/// Runs the command.
pub fn run(global: &Global, arguments: &Promote, output: &Output) -> Result<Exit, CommandError> {
    let news = if global.offline { News::Never } else { News::Always };
    let checked = declarations::check_valid(global, None, Look { news, ..Look::OFFLINE }, output)?;
    let (from, to) = stages(global, &checked, arguments)?;
    let url = &to.repository.url;
    let Some(code) = checked.repositories.get(url) else {
        // The finding is only a warning, and this command can do nothing without it.
        return Err(match checked.unread.get(url) {
            Some(why) => unread(why),
            None => CommandError::new(Exit::Unreachable, format!("repository `{url}` was not read")),
        });
    };
    let (source, target) = (stage(code, from)?, stage(code, to)?);
    let directory = to.repository.directory.as_ref().map_or("", |(folder, _)| folder.as_str());
    if let Some(Tracking { name, counts: Counts::TrackingAlone }) = code.tracking(&target.branch) {
        let branch = &target.branch;
        let message = format!(
            "`{url}` has `{branch}` only as the remote-tracking branch `{name}`, and a promotion moves a branch"
        );
        return Err(CommandError::new(Exit::Invalid, message).hint(format!(
            "git -C {} branch --no-track {} {}, or name the remote's URL as the `url` of the `repository`",
            pipeline::quoted(url),
            pipeline::quoted(branch),
            pipeline::quoted(name)
        )));
    }
    let (mut promotion, tree) = compare((code, &checked.projects), source, target, directory)?;
    let pin = pin(to, &promotion);
    let declared = environment(&checked, &to.environment);
    promotion.hold = declared.and_then(|declared| declared.hold.clone());
    if promotion.kind != Kind::Nothing {
        promotion.gates = gates(global, &checked, declared, &promotion)?;
        promotion.missing = missing(&checked, code, declared, &promotion, directory)?;
    }

    if arguments.pull_request {
        output.result(&match global.format {
            Format::Json => promote::json(&promotion),
            _ => promote::pull_request(&promotion),
        })?;
        return Ok(Exit::Done);
    }
    if global.format == Format::Text {
        output.result(&promote::text(&promotion, &output.styles()))?;
    }
    if let Some(why) = &promotion.hold {
        if global.format == Format::Json {
            output.result(&promote::json(&promotion))?;
        }
        let message =
            format!("`{}` is held: {}; nothing was changed", to.environment, magus_report::escape::line(why));
        return Err(CommandError::new(Exit::Refused, message).hint(format!(
            "who may let go on removes `hold` from the environment.yaml of `{}`",
            to.environment
        )));
    }
    match promotion.kind {
        Kind::Conflict => {
            if global.format == Format::Json {
                output.result(&promote::json(&promotion))?;
            }
            let target = &promotion.to.branch;
            return Err(CommandError::new(
                Exit::Refused,
                format!("`{}` and `{target}` are in conflict; nothing was changed", promotion.from.branch),
            )
            .hint(format!(
                "merge `{target}` into `{}` there, where people can decide, and promote again",
                promotion.from.branch
            )));
        }
        Kind::Nothing if pin.is_none() => {}
        Kind::Nothing | Kind::FastForward | Kind::Merge => {
            let instead =
                "pass `--yes` to promote without asking, or `--pull-request` to only write its text";
            if !arguments.yes && !output.ask("Promote this?", instead)? {
                output.message("nothing was promoted");
                return Ok(Exit::Done);
            }
            if promotion.kind != Kind::Nothing {
                let to = moved_to(code, &promotion, tree.as_deref())?;
                push(url, code, &promotion, &to, output)?;
                promotion.pushed = Some(to);
            }
            if let Some((span, of_source)) = &pin {
                let commit = promotion.pushed.as_ref().unwrap_or(of_source);
                move_pin(&checked, *span, commit, output)?;
                promotion.pinned = Some(commit.clone());
            }
        }
    }
    if global.format == Format::Json {
        output.result(&promote::json(&promotion))?;
    }
    if promotion.pushed.is_some() || promotion.pinned.is_some() {
        let directory = pipeline::directory_flag(global);
        output.note(&format!("next: magus plan{directory} -e {}", pipeline::quoted(&to.environment)));
    }
    Ok(Exit::Done)
}

/// The two stages, if one is promoted to the other and both have a branch of one repository.
fn stages<'a>(
    global: &Global,
    checked: &'a Checked,
    arguments: &Promote,
) -> Result<(&'a DeclaredCode, &'a DeclaredCode), CommandError> {
    let resolution = &checked.resolution;
    let known: Vec<&str> = resolution.environment_folders.iter().map(Text::as_str).collect();
    unknown_name("environment", &[&arguments.from, &arguments.to], &known)?;
    let find = |name: &str| {
        let found = resolution.code.iter().find(|declared| declared.environment == name);
        found.filter(|declared| declared.revision.branch.is_some()).ok_or_else(|| {
            CommandError::new(Exit::Usage, format!("`{name}` has no branch that could be promoted"))
                .hint("declare the `repository` in cluster.yaml, and the `branch` in its environment.yaml")
        })
    };
    let (from, to) = (find(&arguments.from)?, find(&arguments.to)?);
    if to.promotes_from.as_deref() != Some(from.environment.as_str()) {
        return Err(wrong_order(global, &resolution.code, from, to));
    }
    if from.repository.url != to.repository.url {
        let message = format!("`{}` and `{}` have different repositories", from.environment, to.environment);
        return Err(CommandError::new(Exit::Invalid, message).hint("a merge needs both branches in one"));
    }
    Ok((from, to))
}

/// Two stages that do not follow each other: with the promotion that was meant, or the key that makes them follow.
fn wrong_order(
    global: &Global,
    code: &[DeclaredCode],
    from: &DeclaredCode,
    to: &DeclaredCode,
) -> CommandError {
    let (source, target) = (from.environment.as_str(), to.environment.as_str());
    let wrong = CommandError::new(Exit::Usage, format!("`{target}` is not promoted from `{source}`"));
    let promote = |before: &str, after: &str| {
        let (before, after) = (pipeline::quoted(before), pipeline::quoted(after));
        format!("magus promote{} {before} {after}", pipeline::directory_flag(global))
    };
    if let Some(before) = &to.promotes_from {
        return wrong.hint(promote(before, target));
    }
    let find = |name: &str| code.iter().find(|one| one.environment == name);
    // The stages before the source, the nearest first. Declarations with a cycle are invalid and do not get here.
    let earlier = std::iter::successors(Some(from), |one| find(one.promotes_from.as_deref()?));
    match earlier.take(code.len()).find(|one| one.promotes_from.as_deref() == Some(target)) {
        Some(after) => wrong.hint(promote(target, &after.environment)),
        None if source == target => wrong.hint("name two environments"),
        None => wrong.hint(format!("set `promotes_from: {source}` in the environment.yaml of `{target}`")),
    }
}

fn stage(code: &Code, declared: &DeclaredCode) -> Result<Stage, CommandError> {
    let branch = declared.revision.branch.as_ref().map(|(branch, _)| branch.clone()).unwrap_or_default();
    let head = code
        .head(&branch)
        .map_err(|why| repository::unknown(&format!("whether the branch `{branch}` exists"), &why))?;
    let commit = head.ok_or_else(|| {
        CommandError::new(Exit::Invalid, format!("the repository has no branch `{branch}`"))
    })?;
    Ok(Stage { environment: declared.environment.clone(), branch, commit: commit.into() })
}

/// What the promotion brings, and whether it goes together; and the tree of a merge that is still to be committed.
fn compare(
    (code, projects): (&Code, &Projects),
    from: Stage,
    to: Stage,
    directory: &str,
) -> Result<(Promotion, Option<String>), CommandError> {
    let merge = code.merge(&from.commit, &to.commit).map_err(|why| unread(&why))?;
    let between = Between { from: Some(&to.commit), to: &from.commit, directory, now: Timestamp::now() };
    let unknown = |why| repository::unknown("what the promotion brings", &why);
    let gone = || {
        let message = format!("the repository lacks `{}` or `{}`", from.commit, to.commit);
        CommandError::new(Exit::Unreachable, message).hint("run the command again")
    };
    let movement = projects.movement(code, between).map_err(unknown)?.ok_or_else(gone)?;
    let hotfixes = match movement.behind {
        0 => Vec::new(),
        _ => code.movement(Some(&from.commit), &to.commit).map_err(unknown)?.ok_or_else(gone)?.commits,
    };
    let (kind, tree, conflicts) = match merge {
        Merge::Nothing => (Kind::Nothing, None, Vec::new()),
        Merge::FastForward => (Kind::FastForward, None, Vec::new()),
        Merge::Tree(tree) => (Kind::Merge, Some(tree), Vec::new()),
        Merge::Conflicts(conflicts) => (Kind::Conflict, None, conflicts),
    };
    let movement = match kind {
        Kind::Nothing => Movement { commits: Vec::new(), ..movement },
        _ => movement,
    };
    let conflicts =
        conflicts.iter().map(|one| Conflicting { path: one.path.clone(), keys: conflict::keys(one) });
    let conflicts = conflicts.collect();
    let promotion = Promotion {
        format_version: FORMAT_VERSION,
        from,
        to,
        kind,
        movement,
        hotfixes,
        conflicts,
        hold: None,
        gates: Vec::new(),
        missing: Vec::new(),
        pushed: None,
        pinned: None,
    };
    Ok((promotion, tree))
}

/// What is declared of an environment whose cluster can be reached.
fn environment<'a>(checked: &'a Checked, name: &str) -> Option<&'a Environment> {
    let clusters = &checked.resolution.desired.clusters;
    clusters.iter().flat_map(|cluster| &cluster.environments).find(|declared| declared.name == name)
}

/// The gates that will hold the deploy of what is promoted. A merge brings what the source has.
fn gates(
    global: &Global,
    checked: &Checked,
    declared: Option<&Environment>,
    promotion: &Promotion,
) -> Result<Vec<Waiting>, CommandError> {
    let Some(declared) = declared.filter(|declared| declared.gates.look_back()) else {
        return Ok(Vec::new());
    };
    let mut desired = checked.resolution.desired.clone();
    let environments = desired.clusters.iter_mut().flat_map(|cluster| &mut cluster.environments);
    for target in environments.filter(|target| target.name == declared.name) {
        let codes = target.workspaces.iter_mut().filter_map(|workspace| workspace.code.as_mut());
        codes.for_each(|code| code.commit = Ok(promotion.from.commit.clone()));
    }
    let wish = Wish::new(global, &Guards::default(), "promote", Intent::Converge)?;
    let (observations, _) = pipeline::observe(&desired, &wish, &Engines::new(global));
    let wanted = BTreeSet::from([(declared.name.clone(), promotion.from.commit.clone())]);
    let asked = history::Asked { wanted, ..history::Asked::default() };
    let evidence = history::evidence(global, &desired, asked, &checked.repositories, &observations);
    let closed =
        Keeper::new(Timestamp::now(), &evidence, &wish.overrides).deploy(declared, &promotion.from.commit);
    let waiting = |Closed { gate, message, opens_at }: Closed| Waiting {
        gate,
        message,
        opens_at: opens_at.map(|at| at.to_string().into()),
    };
    Ok(closed.into_iter().map(waiting).collect())
}

/// What the code that is promoted needs and the target, or a stage that it goes on to, does not define.
fn missing(
    checked: &Checked,
    code: &Code,
    target: Option<&Environment>,
    promotion: &Promotion,
    directory: &str,
) -> Result<Vec<String>, CommandError> {
    let mut sentences = Vec::new();
    let needs = checked.projects.needs(code, &promotion.from.commit, directory);
    let Some(needs) = needs.map_err(|why| repository::unknown("what the code needs", &why))? else {
        return Ok(sentences);
    };
    let mut next = target;
    let mut seen: Vec<&str> = Vec::new();
    while let Some(environment) = next.filter(|next| !seen.contains(&next.name.as_str())) {
        sentences.extend(magus_resolve::would_lack(environment, &needs));
        seen.push(&environment.name);
        let mut all = checked.resolution.desired.clusters.iter().flat_map(|cluster| &cluster.environments);
        next = all.find(|other| other.promotes_from.as_ref() == Some(&environment.name));
    }
    Ok(sentences)
}

/// The place of a pin that the promotion moves, and the commit that it names afterwards where the branch stays.
fn pin(to: &DeclaredCode, promotion: &Promotion) -> Option<(Span, Text)> {
    let (commit, span) = to.revision.commit.as_ref().filter(|_| to.pinned)?;
    let head = &promotion.to.commit;
    let is_there = promotion.kind == Kind::Nothing && commit == head;
    (!is_there && promotion.kind != Kind::Conflict).then(|| (*span, head.clone()))
}

/// The commit that the target's branch is to be at: that of the source, or a new one that merges both.
fn moved_to(code: &Code, promotion: &Promotion, tree: Option<&str>) -> Result<Text, CommandError> {
    let Promotion { from, to, .. } = promotion;
    let Some(tree) = tree else { return Ok(from.commit.clone()) };
    let message = format!("Promote {} to {}\n", from.environment, to.environment);
    let made = code.commit_merge(tree, &to.commit, &from.commit, &message);
    made.map(Text::from).map_err(|why| unread(&why))
}

fn push(
    url: &str,
    code: &Code,
    promotion: &Promotion,
    to: &Text,
    output: &Output,
) -> Result<(), CommandError> {
    let Stage { branch, commit, .. } = &promotion.to;
    let replaced = code.replaced_by_push(branch);
    let lease = Lease { branch, from: replaced.as_deref(), to };
    match repository::push(url, code, lease) {
        Ok(()) => {
            output.message(&format!("pushed `{branch}`: {commit} → {to}"));
            Ok(())
        }
        Err(Unpushed::Moved(branch)) => Err(CommandError::new(
            Exit::Refused,
            format!("`{branch}` was moved by somebody else meanwhile; nothing was changed"),
        )
        .hint("promote again, and look at what came")),
        Err(Unpushed::Bundle) => {
            Err(CommandError::new(Exit::Invalid, "the `repository` is a bundle, and nobody can push to one")
                .hint(format!("git clone --bare {} pipelines.git, and name that", pipeline::quoted(url))))
        }
        Err(Unpushed::Failed(why)) => Err(unread(&why)),
    }
}

/// Writes another commit where the declarations pin one. Comments and layout stay.
fn move_pin(checked: &Checked, span: Span, commit: &str, output: &Output) -> Result<(), CommandError> {
    let Some(file) = checked.loaded.sources.file(span.file) else { return Ok(()) };
    let written = edit::set(span.file, &file.text, "branch", &[("commit", commit)])
        .and_then(|text| edit::write(Path::new(&*file.path), &file.text, &text));
    written.map_err(|error| {
        CommandError::from_error(Exit::Incomplete, error)
            .hint(format!("the branch has moved; write `commit: \"{commit}\"` into `{}` yourself", file.path))
    })?;
    output.message(&format!("wrote `commit: \"{commit}\"` into `{}`", file.path));
    Ok(())
}

fn unread(why: &Unread) -> CommandError {
    let error = CommandError::new(Exit::Unreachable, why.to_string());
    match why {
        Unread::Failed { help, .. } => error.hint(help.clone()),
        Unread::NotFetched(_) => error.hint("without `--offline` it is fetched"),
        Unread::Missing(_) | Unread::Refused { .. } => error.hint("check the `url` of the `repository`"),
    }
}
