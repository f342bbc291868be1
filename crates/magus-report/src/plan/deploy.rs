//! What a deploy brings and takes away, in lines.

use magus_model::{
    plan::{Commit, Deploy, DeployBranch, Difference, Movement, Schedule},
    source::{Deployment, ProjectSource},
};

use crate::{escape, words::count};

/// How many digits of a commit are shown.
const DIGITS: usize = 10;

/// A commit, short.
pub(crate) fn short(commit: &str) -> String {
    escape::line(commit.get(..DIGITS).unwrap_or(commit)).into_owned()
}

/// A commit, in a line.
pub(crate) fn commit_line(symbol: &str, Commit { id, title, author }: &Commit) -> String {
    format!("{symbol} {} {} ({})", short(id), escape::line(title), escape::line(author))
}

/// From which code to which.
pub(super) fn from_to(deploy: &Deploy) -> (String, String) {
    (deploy.from.as_deref().map_or("nothing".to_owned(), short), short(&deploy.to))
}

/// What lies between, a line each, ready to be shown.
pub(crate) fn between(deploy: &Deploy) -> Vec<String> {
    let moves = deploy.follows.as_ref().filter(|branch| branch.from.as_ref() != Some(&deploy.to));
    let moves = moves.map(|DeployBranch { name, from }| {
        let from = from.as_deref().map_or_else(String::new, |from| format!(" from {}", short(from)));
        format!("moves the branch {}{from}", escape::line(name))
    });
    let mut lines =
        deploy.source_before.as_ref().map_or_else(Vec::new, |before| sources(before, &deploy.source));
    let brings = deploy.movement.as_ref().filter(|_| deploy.from.as_ref() != Some(&deploy.to));
    let Some(movement) = brings else {
        lines.extend(moves);
        return lines;
    };
    let Movement { ahead, behind, commits, .. } = movement;
    let (symbol, all) = if *ahead == 0 && *behind > 0 { ("-", *behind) } else { ("+", (*ahead).max(1)) };
    lines.extend(commits.iter().map(|commit| commit_line(symbol, commit)));
    let more = all.saturating_sub(commits.len());
    if more > 0 {
        lines.push(format!("{symbol} and {more} more"));
    }
    if *ahead > 0 && *behind > 0 {
        lines.push(format!("- {} of what runs", count(*behind, "commit")));
    }
    if deploy.from.is_some() {
        lines.extend(touched(movement));
    }
    lines.extend(moves);
    lines
}

/// What changes in the source of the code.
fn sources(before: &ProjectSource, after: &ProjectSource) -> Vec<String> {
    let ProjectSource { repository, directory, deployment } = after;
    let deployed = |deployment: &Option<Deployment>| match deployment {
        Some(Deployment { setting, branch, environment, target_directory }) => {
            let folder = target_directory.as_ref().map_or_else(String::new, |folder| format!(" in {folder}"));
            format!("{setting} of {branch} for {environment}{folder}")
        }
        None => "none".to_owned(),
    };
    let rows = [
        ("repository", before.repository.to_string(), repository.to_string()),
        ("directory", before.directory.to_string(), directory.to_string()),
        ("Mage Pro deployment", deployed(&before.deployment), deployed(deployment)),
    ];
    let changed = rows.into_iter().filter(|(_, before, after)| before != after);
    changed
        .map(|(what, before, after)| format!("{what}: {} → {}", escape::line(&before), escape::line(&after)))
        .collect()
}

/// What differs, in the words of a Mage project.
pub(crate) fn touched(movement: &Movement) -> Vec<String> {
    let Movement { files, pipelines, triggers, schedules, requirements, .. } = movement;
    if *files == 0 {
        return vec!["no file differs".to_owned()];
    }
    let differ = if *files == 1 { "differs" } else { "differ" };
    let mut lines = vec![format!("{} {differ}", count(*files, "file"))];
    if !pipelines.is_empty() {
        let noun = if pipelines.len() == 1 { "pipeline" } else { "pipelines" };
        lines.push(format!("{noun}: {}", some(pipelines.iter().map(|name| escape::line(name).into_owned()))));
    }
    for (noun, all) in [("trigger", triggers), ("requirement", requirements)] {
        lines.extend(all.iter().take(MOST).map(|one| format!("{noun} {}", difference(one))));
        if all.len() > MOST {
            lines.push(format!("and {} more", count(all.len() - MOST, noun)));
        }
    }
    lines.extend(schedules.iter().take(MOST).map(schedule));
    if schedules.len() > MOST {
        lines.push(format!("and {} more", count(schedules.len() - MOST, "schedule")));
    }
    lines
}

/// When a trigger runs next.
fn schedule(Schedule { name, when, envs, next, at_once }: &Schedule) -> String {
    let (name, when) = (escape::line(name), escape::line(when));
    let place = match envs.is_empty() {
        true => String::new(),
        false => format!(" where ENV is {}", some(envs.iter().map(|env| escape::line(env).into_owned()))),
    };
    let next = match (at_once, next) {
        (Some(why), _) => format!("at once: {}", escape::line(why)),
        (None, Some(next)) => escape::line(next).into_owned(),
        (None, None) => "never".to_owned(),
    };
    format!("{name} ({when}) runs{place} next: {next}")
}

/// How many of a kind are named.
const MOST: usize = 10;

fn some(names: impl ExactSizeIterator<Item = String>) -> String {
    let all = names.len();
    let mut shown: Vec<String> = names.take(MOST).collect();
    if all > MOST {
        shown.push(format!("and {} more", all - MOST));
    }
    shown.join(", ")
}

fn difference(Difference { name, before, after }: &Difference) -> String {
    let name = escape::line(name);
    match (before.as_deref().map(escape::line), after.as_deref().map(escape::line)) {
        (Some(before), Some(after)) => format!("{name}: {before} → {after}"),
        (None, Some(after)) => format!("{name} comes: {after}").trim_end_matches(": ").to_owned(),
        (Some(_), None) | (None, None) => format!("{name} goes"),
    }
}

#[cfg(test)]
mod tests {
    use magus_model::plan::{Action, Restarts, Step};

    use super::*;
    use crate::{
        Styles,
        plan::{
            PlanOptions, groups,
            samples::{plan, step},
            text,
        },
    };

    #[test]
    fn a_workspace_that_an_update_and_a_deploy_restart_is_one() {
        let both = [Action::Update, Action::Deploy].map(|action| {
            let mut step = step(action, "production", "a", Vec::new());
            step.restarts = Restarts::Yes;
            step
        });
        let perhaps = Step { restarts: Restarts::Unknown, ..both[0].clone() };
        assert_eq!(groups::restarts(both.iter().chain([&perhaps])), (1, 0));
        assert_eq!(groups::restarts([&perhaps].into_iter()), (0, 1));
        let options = PlanOptions { width: 100, ..PlanOptions::default() };
        assert!(text(&plan(both.to_vec()), &options, &Styles::plain()).contains("Restarts 1 workspace.\n"));
    }

    #[test]
    fn a_branch_that_moves_is_named() {
        let deploy = |from: Option<&str>, branch: Option<&str>| Deploy {
            branch: "staging".into(),
            from: from.map(Into::into),
            to: "2222222222222".into(),
            source: ProjectSource::default(),
            source_before: None,
            reason: magus_model::plan::Reason::Declared,
            follows: Some(DeployBranch { name: "deploy/staging".into(), from: branch.map(Into::into) }),
            movement: Some(Movement::default()),
        };
        for (from, branch, expect) in [
            (None, None, &["+ and 1 more", "moves the branch deploy/staging"][..]),
            (Some("1111111111111"), Some("2222222222222"), &["+ and 1 more", "no file differs"]),
            (
                Some("2222222222222"),
                Some("1111111111111"),
                &["moves the branch deploy/staging from 1111111111"],
            ),
        ] {
            assert_eq!(between(&deploy(from, branch)), expect);
        }
    }

    #[test]
    fn what_is_much_is_cut() {
        let many = |count: usize| {
            (0..count).map(|number| Difference {
                name: format!("p{number}").into(),
                before: None,
                after: None,
            })
        };
        let movement = Movement {
            files: 2,
            pipelines: many(12).map(|one| one.name).collect(),
            triggers: many(11).collect(),
            ..Movement::default()
        };
        let told = touched(&movement);
        assert_eq!(told[1], "pipelines: p0, p1, p2, p3, p4, p5, p6, p7, p8, p9, and 2 more");
        assert_eq!((told.len(), told[12].as_str()), (13, "and 1 trigger more"));
        assert_eq!(touched(&Movement::default()), ["no file differs"]);
    }
}
