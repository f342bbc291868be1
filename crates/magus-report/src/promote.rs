//! What merging one stage into the next brings: as text, as JSON, and as the title and body of a pull request.

use std::fmt::Write as _;

use magus_model::{
    Text,
    plan::{Commit, Movement, Waiting},
};
use serde::Serialize;

use crate::{
    Styles, escape, json,
    plan::deploy::{commit_line, short, touched},
    style::paint,
    words::count,
};

/// The version of the JSON format.
pub const FORMAT_VERSION: u32 = 1;

/// A promotion, before or after it was done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Promotion {
    /// [`FORMAT_VERSION`].
    pub format_version: u32,
    /// The stage whose branch is merged.
    pub from: Stage,
    /// The stage whose branch moves.
    pub to: Stage,
    /// How it moves.
    pub kind: Kind,
    /// What it gets.
    pub movement: Movement,
    /// The newest commits that it has and the source lacks, such as hotfixes.
    pub hotfixes: Vec<Commit>,
    /// What both changed differently.
    pub conflicts: Vec<Conflicting>,
    /// Why nothing is promoted to the target for now; nothing where nobody holds it.
    pub hold: Option<Text>,
    /// The gates that will hold its deploys back for now.
    pub gates: Vec<Waiting>,
    /// What the code needs that the target, or a stage after it, does not define: a sentence each.
    pub missing: Vec<String>,
    /// The commit that the branch was moved to; nothing before that.
    pub pushed: Option<Text>,
    /// The commit that `commit` in the environment.yaml of the target names afterwards, where that changes.
    pub pinned: Option<Text>,
}

/// A stage and its branch.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stage {
    /// The environment.
    pub environment: Text,
    /// Its branch.
    pub branch: Text,
    /// The full number of the commit that the branch is at.
    pub commit: Text,
}

/// How a branch moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It has everything already.
    Nothing,
    /// To the commit of the source.
    FastForward,
    /// To a commit that merges both.
    Merge,
    /// Not at all: people have to decide.
    Conflict,
}

/// A file that both changed differently.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Conflicting {
    /// Its path.
    pub path: String,
    /// For YAML that all versions of can be read, the keys that both changed differently.
    pub keys: Vec<String>,
}

/// The promotion as JSON.
pub fn json(promotion: &Promotion) -> String {
    json::pretty(promotion)
}

/// The promotion as text.
pub fn text(promotion: &Promotion, styles: &Styles) -> String {
    let Promotion { from, to, kind, .. } = promotion;
    let (source, target) = (escape::line(&from.branch), escape::line(&to.branch));
    let heading = format!("{} → {}", escape::line(&from.environment), escape::line(&to.environment));
    let mut out = format!("{}: `{source}` into `{target}`\n", paint(styles.strong, heading));
    let mut lines = |style, lines: Vec<String>| {
        for line in lines {
            let _ = writeln!(out, "  {}", paint(style, line));
        }
    };
    lines(styles.added, brought(promotion));
    lines(styles.dim, differing(&promotion.movement));
    lines(styles.warning, lacking(promotion));
    lines(styles.removed, conflicting(promotion));
    lines(styles.warning, held(promotion));
    lines(styles.warning, missing(promotion));
    let _ = writeln!(
        out,
        "\n{}",
        match kind {
            Kind::Nothing => format!("Nothing to promote: `{target}` has every commit of `{source}`."),
            Kind::FastForward =>
                format!("Moves `{target}` on: {} → {}.", short(&to.commit), short(&from.commit)),
            Kind::Merge => format!("Makes a merge commit on `{target}`."),
            Kind::Conflict => format!("`{source}` cannot be merged into `{target}`."),
        }
    );
    out
}

/// The title of a pull request, an empty line, and its body in Markdown.
pub fn pull_request(promotion: &Promotion) -> String {
    let Promotion { from, to, movement, .. } = promotion;
    let mut out = format!(
        "Promote {} to {}: {}\n\n",
        escape::line(&from.environment),
        escape::line(&to.environment),
        count(movement.ahead, "commit")
    );
    let _ = writeln!(out, "Merges {} into {}.\n", code(&from.branch), code(&to.branch));
    for (heading, lines) in [
        ("Commits", brought(promotion)),
        ("What they touch", differing(movement)),
        ("Only on the target", lacking(promotion)),
        ("Conflicts", conflicting(promotion)),
        ("Held", held(promotion)),
        ("Missing", missing(promotion)),
    ] {
        if !lines.is_empty() {
            let _ = writeln!(out, "**{heading}**\n");
            for line in lines {
                let _ = writeln!(out, "- {}", code(&line));
            }
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

/// Text that Markdown leaves alone.
fn code(text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    let space = if longest > 0 { " " } else { "" };
    format!("{fence}{space}{}{space}{fence}", escape::line(text))
}

fn brought(promotion: &Promotion) -> Vec<String> {
    let Movement { ahead, commits, .. } = &promotion.movement;
    if *ahead == 0 {
        return Vec::new();
    }
    listed("+", commits, *ahead)
}

fn differing(movement: &Movement) -> Vec<String> {
    if movement.ahead == 0 { Vec::new() } else { touched(movement) }
}

fn lacking(promotion: &Promotion) -> Vec<String> {
    let Promotion { from, to, movement, hotfixes, .. } = promotion;
    if movement.behind == 0 {
        return Vec::new();
    }
    let commits = count(movement.behind, "commit");
    let mut lines = vec![format!(
        "`{}` has {commits} that `{}` lacks; merge back what is a hotfix",
        escape::line(&to.branch),
        escape::line(&from.branch)
    )];
    lines.extend(listed("!", hotfixes, movement.behind));
    lines
}

fn conflicting(promotion: &Promotion) -> Vec<String> {
    let conflicts = promotion.conflicts.iter();
    conflicts
        .map(|Conflicting { path, keys }| match keys.is_empty() {
            true => format!("conflict in {}", escape::line(path)),
            false => format!("conflict in {}: {}", escape::line(path), escape::line(&keys.join(", "))),
        })
        .collect()
}

/// What keeps the target from getting it, now or once it is merged.
fn held(promotion: &Promotion) -> Vec<String> {
    let environment = escape::line(&promotion.to.environment);
    let hold = promotion.hold.iter().map(|why| format!("`{environment}` is held: {}", escape::line(why)));
    let gates = promotion.gates.iter().map(|waiting| format!("waits for {}", escape::line(&waiting.message)));
    hold.chain(gates).collect()
}

/// What the code needs that is not declared where it goes.
fn missing(promotion: &Promotion) -> Vec<String> {
    promotion.missing.iter().map(|sentence| escape::line(sentence).into_owned()).collect()
}

fn listed(symbol: &str, commits: &[Commit], all: usize) -> Vec<String> {
    let mut lines: Vec<String> = commits.iter().map(|commit| commit_line(symbol, commit)).collect();
    if all > commits.len() {
        lines.push(format!("{symbol} and {} more", all - commits.len()));
    }
    lines
}

#[cfg(test)]
mod tests {
    use magus_model::plan::Difference;

    use super::*;

    fn promotion(kind: Kind) -> Promotion {
        let commit = |id: &str, title: &str| Commit {
            id: id.repeat(20).into(),
            title: title.into(),
            author: "Ana".into(),
        };
        let stage = |environment: &str, branch: &str, id: &str| Stage {
            environment: environment.into(),
            branch: branch.into(),
            commit: id.repeat(20).into(),
        };
        Promotion {
            format_version: FORMAT_VERSION,
            from: stage("development", "development", "3f"),
            to: stage("staging", "staging", "9c"),
            kind,
            movement: Movement {
                ahead: 12,
                behind: 1,
                commits: vec![commit("3f", "Add `refunds`\u{1b}[31m")],
                files: 1,
                pipelines: vec!["orders".into(), "refunds".into()],
                triggers: vec![Difference {
                    name: "orders/daily".into(),
                    before: Some("0 5 * * *".into()),
                    after: None,
                }],
                schedules: Vec::new(),
                requirements: Vec::new(),
            },
            hotfixes: vec![commit("9c", "Fix")],
            conflicts: Vec::new(),
            hold: None,
            gates: Vec::new(),
            missing: vec!["needs the variable `KEY`".to_owned()],
            pushed: None,
            pinned: None,
        }
    }

    #[test]
    fn all_is_told_and_no_title_breaks_out() {
        let mut merge = promotion(Kind::Conflict);
        let keys = vec!["triggers.daily.status".to_owned(), "x".to_owned()];
        merge.conflicts = vec![
            Conflicting { path: "a.yaml".into(), keys },
            Conflicting { path: "b.py".into(), keys: vec![] },
        ];
        let shown = text(&merge, &Styles::plain());
        assert_eq!(
            shown,
            "development → staging: `development` into `staging`
  + 3f3f3f3f3f Add `refunds`\\u{1b}[31m (Ana)
  + and 11 more
  1 file differs
  pipelines: orders, refunds
  trigger orders/daily goes
  `staging` has 1 commit that `development` lacks; merge back what is a hotfix
  ! 9c9c9c9c9c Fix (Ana)
  conflict in a.yaml: triggers.daily.status, x
  conflict in b.py
  needs the variable `KEY`

`development` cannot be merged into `staging`.
"
        );
        let request = pull_request(&merge);
        assert!(
            request.starts_with("Promote development to staging: 12 commits\n\nMerges `development`"),
            "{request}"
        );
        assert!(request.contains("- `` + 3f3f3f3f3f Add `refunds`\\u{1b}[31m (Ana) ``"), "{request}");
        assert!(
            request.ends_with("- `conflict in b.py`\n\n**Missing**\n\n- `` needs the variable `KEY` ``\n"),
            "{request}"
        );
    }

    #[test]
    fn how_the_branch_moves_is_the_last_line() {
        for (kind, says) in [
            (Kind::Nothing, "Nothing to promote: `staging` has every commit of `development`."),
            (Kind::FastForward, "Moves `staging` on: 9c9c9c9c9c → 3f3f3f3f3f."),
            (Kind::Merge, "Makes a merge commit on `staging`."),
        ] {
            let shown = text(&promotion(kind), &Styles::plain());
            assert_eq!(shown.lines().last(), Some(says));
        }
    }
}
