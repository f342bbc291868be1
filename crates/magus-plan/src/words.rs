//! The reasons of steps, in words for people. No path and no value is in them.

use magus_diff::{Conflict, Update};
use magus_model::{
    Text,
    desired::{Code, branch_of},
    name::WorkspaceName,
    observed::{MissingPart, PartKind},
    path::FieldPath,
    plan::{Deploy, DeployBranch, FieldChange, FieldStatus, Movement, Reason},
    source::ProjectSource,
};

use crate::{
    evidence::{NotRunning, Runs},
    ownership,
};

/// `2 fields declared, 1 drifted`.
pub(crate) fn fields(fields: &[FieldChange]) -> String {
    let count = |wanted: &dyn Fn(&FieldChange) -> bool| fields.iter().filter(|field| wanted(field)).count();
    let seen = |reason: Reason| count(&|field| field.status == FieldStatus::Change && field.reason == reason);
    let counts = [
        (seen(Reason::Declared), "declared"),
        (seen(Reason::Drift), "drifted"),
        (seen(Reason::Both), "declared and drifted"),
        (seen(Reason::Differs), "different"),
        (count(&|field| field.status == FieldStatus::Unverifiable), "not to be read back"),
    ];
    let mut words = String::new();
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        if words.is_empty() {
            words = format!("{} {what}", plural(count, "field"));
        } else {
            words.push_str(&format!(", {count} {what}"));
        }
    }
    words
}

/// `1 field`, `2 fields`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `` `a`, `b` and 3 more ``.
pub(crate) fn paths(paths: &[FieldPath]) -> String {
    const SHOWN: usize = 3;
    let mut words: Vec<_> = paths.iter().take(SHOWN).map(|path| format!("`{path}`")).collect();
    if paths.len() > SHOWN {
        words.push(format!("{} more", paths.len() - SHOWN));
    }
    match words.pop() {
        Some(last) if words.is_empty() => last,
        Some(last) => format!("{} and {last}", words.join(", ")),
        None => String::new(),
    }
}

/// Which uncommitted changes a step would lose, and what to do about them.
pub(crate) fn would_be_lost(changes: &[Text]) -> String {
    format!(
        "uncommitted changes would be lost: {}; commit and push them in the workspace, or discard them",
        texts(changes)
    )
}

/// Why it is unknown whether a step would lose uncommitted changes.
pub(crate) fn unchecked(reason: &str) -> String {
    format!("uncommitted changes cannot be checked: {reason}")
}

/// Which uncommitted changes a step discards.
pub(crate) fn discards(changes: &[Text]) -> String {
    format!("; discards uncommitted changes: {}", texts(changes))
}

/// That a step discards uncommitted changes, if there are any.
pub(crate) fn discards_unseen(reason: &str) -> String {
    format!("; discards uncommitted changes, which cannot be checked: {reason}")
}

fn texts(changes: &[Text]) -> String {
    let changes: Vec<_> = changes.iter().map(|path| FieldPath::from(path.as_str())).collect();
    paths(&changes)
}

/// Why other code is put in use.
pub(crate) fn deploy(code: &Code, reason: Reason, runs: bool, movement: Option<&Movement>) -> String {
    let branch = &code.branch;
    let goal = match &code.pinned {
        Some(commit) => format!("`{commit}` of `{branch}`"),
        None => format!("`{branch}`"),
    };
    if !runs {
        return format!("{goal}, for the first time");
    }
    let mut words = match movement {
        None => format!("{goal}; what lies between is not known, because what runs is in no commit there"),
        Some(Movement { ahead: 0, behind, .. }) => {
            format!("rollback: {goal} is {} before what runs", plural(*behind, "commit"))
        }
        Some(Movement { ahead, behind: 0, .. }) => {
            format!("{goal} is {} ahead", plural(*ahead, "commit"))
        }
        Some(Movement { ahead, behind, .. }) => format!(
            "{goal} is {} ahead, and lacks {} of what runs",
            plural(*ahead, "commit"),
            plural(*behind, "commit")
        ),
    };
    match reason {
        Reason::Drift => words.push_str("; somebody deployed other code"),
        Reason::Both => words.push_str("; somebody deployed other code meanwhile"),
        Reason::Declared | Reason::Differs => {}
    }
    words
}

/// The reason of a deploy that changes the source of the code and not its commit.
pub(crate) fn same_commit(code: &Code) -> String {
    format!("`{}`, same commit", code.branch)
}

/// What changes in the source of the code, to be appended to a reason.
pub(crate) fn other_source(before: &ProjectSource, after: &ProjectSource) -> String {
    let ProjectSource { repository, directory, deployment } = after;
    let mut words = String::new();
    if before.repository != *repository {
        words.push_str(&format!("; the repository changes from `{}` to `{repository}`", before.repository));
    }
    if before.directory != *directory {
        words.push_str(&format!("; the directory changes from `{}` to `{directory}`", before.directory));
    }
    if before.deployment != *deployment {
        words.push_str("; the Mage Pro deployment changes");
    }
    words
}

/// That the branch which a workspace follows is not where it should be, though the workspace runs what it should.
pub(crate) fn followed_elsewhere(follows: &DeployBranch) -> String {
    let DeployBranch { name, from } = follows;
    match from {
        Some(from) => format!("`{name}` was moved to `{}`, which it would take when it starts", short(from)),
        None => format!("`{name}` is gone, and it would not find its code when it starts"),
    }
}

/// That a workspace gets the branch that it will follow.
pub(crate) fn own_branch(follows: &DeployBranch) -> String {
    format!("creates `{}`, which it follows from now on", follows.name)
}

/// That a workspace still follows the branch of its environment.
pub(crate) fn shared_branch(environment: &str, workspace: &WorkspaceName) -> String {
    format!(
        "gate `shared-branch`: `{workspace}` still follows `{}`, and gets `{}` with the next step that restarts it",
        DeployBranch::shared(environment),
        DeployBranch::of(environment, workspace)
    )
}

/// That Mage Pro does it, and tells nothing of it.
pub(crate) fn by_deployment(setting: &str) -> String {
    format!("; by the deployment `{setting}` of Mage, which does not tell what became of it")
}

/// What becomes of the code of a workspace that does not run.
pub(crate) const AT_NEXT_START: &str = "; it is stopped, and takes it when it starts";

/// Why a stage does not count as running a commit; nothing if it does.
pub(crate) fn not_running(runs: &Runs, stage: &str, commit: &str) -> Option<String> {
    let (workspace, why) = match runs {
        Runs::Since(_) => return None,
        Runs::NotDeployed => return Some(format!("no workspace of `{stage}` is deployed to")),
        Runs::Not { workspace, why } => (workspace, why),
    };
    let subject = format!("`{workspace}` of `{stage}`");
    Some(match why {
        NotRunning::OtherCommit => format!("{subject} does not run `{commit}`"),
        NotRunning::OtherSource => format!("{subject} runs the code of another repository or directory"),
        NotRunning::State(state) => format!("{subject} is {}", state.as_str()),
        NotRunning::Missing => format!("{subject} is not in the cluster"),
        NotRunning::Unknown(reason) => format!("the state of {subject} is unknown: {reason}"),
    })
}

/// Why a deploy that goes back counts like any other.
pub(crate) fn no_release(environment: &str, commit: &str) -> String {
    format!(
        "; `{commit}` is older than what runs, and the history does not show that it ran in `{environment}`"
    )
}

/// Why a reviewed commit is not deployed.
pub(crate) fn older_than_reviewed(deploy: &Deploy, head: Option<&Text>) -> String {
    let (to, from) = (short(&deploy.to), deploy.from.as_deref().map_or("nothing", short));
    let how = match &deploy.movement {
        Some(Movement { ahead: 0, .. }) => {
            format!("the reviewed commit `{to}` is older than `{from}`, which runs")
        }
        Some(_) => format!("the reviewed commit `{to}` lacks commits of `{from}`, which runs"),
        None => format!("cannot compare the reviewed commit `{to}` with `{from}`, which runs"),
    };
    match head {
        Some(head) => format!("{how}; `{}` is at `{}` now", deploy.branch, short(head)),
        None => how,
    }
}

/// Why a workspace is created.
pub(crate) fn create(rename_of: Option<&WorkspaceName>) -> String {
    match rename_of {
        Some(old) => format!(
            "declared, and not in the cluster; it equals `{old}`, which is not declared any more: \
             if it is the same workspace, add `moved_from: {old}`"
        ),
        None => "declared, and not in the cluster".to_owned(),
    }
}

/// Why a workspace is created that was declared at a revision too.
pub(crate) fn created_before(revision: &str, changed_since: usize) -> String {
    let words = format!("declared at `{revision}` too, and not in the cluster");
    match changed_since {
        0 => words,
        count => format!("{words}; {} declared otherwise since", plural(count, "field")),
    }
}

/// Why a workspace is updated.
pub(crate) fn update(
    changed: &[FieldChange],
    renamed_from: Option<&WorkspaceName>,
    restored: &[MissingPart],
) -> String {
    let (of_mark, others): (Vec<_>, Vec<_>) = changed.iter().cloned().partition(FieldChange::is_of_mark);
    let renamed = renamed_from.map(|old| format!("renamed from `{old}`"));
    let counted = (!others.is_empty()).then(|| fields(&others));
    let all = renamed.into_iter().chain(ownership::told(&of_mark)).chain(counted);
    all.chain(restored.iter().map(restores)).collect::<Vec<_>>().join("; ")
}

/// That a part is brought back, and what is not.
fn restores(part: &MissingPart) -> String {
    let MissingPart { kind, name, by_hand: _ } = part;
    let words = format!("restores the missing {} `{name}`", kind.as_str());
    match kind {
        PartKind::PersistentVolumeClaim => format!("{words}, which will be empty: the files in it are lost"),
        PartKind::StatefulSet | PartKind::Service | PartKind::Ingress => words,
    }
}

/// Why a workspace that lost its StatefulSet is replaced, what it keeps and what it loses.
pub(crate) fn recreate(missing: &[MissingPart]) -> String {
    let of = |kind: PartKind| missing.iter().find(|part| part.kind == kind);
    let set = of(PartKind::StatefulSet).map_or("", |part| &part.name);
    let volume = match of(PartKind::PersistentVolumeClaim) {
        Some(part) => format!("loses its files: the PersistentVolumeClaim `{}` is missing too", part.name),
        None => "keeps its volume".to_owned(),
    };
    format!(
        "the StatefulSet `{set}` was deleted, and Mage can only delete the workspace and create it again: {volume}; \
         loses its `project_uuid` and the permissions on it"
    )
}

/// What a guard says of a workspace that lost its StatefulSet.
pub(crate) fn recreate_needs(environment: &str) -> String {
    format!("needs `--allow-replace {environment}`")
}

/// That a part is missing, and that no apply brings it back.
pub(crate) fn missing(part: &MissingPart) -> String {
    format!("the {} `{}` is missing, and Magus cannot restore it", part.kind.as_str(), part.name)
}

/// A better template does not help, because Kubernetes does not replace a pod that has failed (MAGE.md 4.21).
pub(crate) const IS_DOWN: &str = "; its pod has failed, and is stopped and started";

/// A server that starts migrates its database, and an older one does not migrate it back (MAGE.md 4.22).
pub(crate) const OLDER_IMAGE: &str =
    "; the image is older than the one that runs, whose database it may not understand";

/// Why a workspace is replaced, from the fields that only a creation can set.
pub(crate) fn replace(create_only: &[FieldChange], update: &Update<'_>) -> String {
    let names: Vec<_> = create_only.iter().map(|field| field.path.clone()).collect();
    match names.as_slice() {
        [] => format!("renamed from `{}`, which this engine cannot do in place", update.observed.name),
        names => format!("{} can only be set when a workspace is created", paths(names)),
    }
}

/// Why a workspace is started that no declaration and no person stopped.
pub(crate) const NOT_RESUMED: &str = "a step stopped it to restart it, and did not start it again";

/// Why a workspace is started or stopped.
pub(crate) fn state(change: &FieldChange) -> String {
    let text = |value: &Option<_>| value.as_ref().map(ToString::to_string).unwrap_or_default();
    let (before, after) = (text(&change.before), text(&change.after));
    match change.reason {
        Reason::Drift => format!("it is {before}, though declared {after} before as now"),
        Reason::Declared | Reason::Both | Reason::Differs => format!("declared {after}, and it is {before}"),
    }
}

/// Why a declared workspace is not touched.
pub(crate) fn conflict(name: &WorkspaceName, ours: &str, conflict: &Conflict<'_>) -> String {
    match conflict {
        Conflict::ManagedBy(owner) => format!("`{name}` exists and is managed by `{owner}`, not by `{ours}`"),
        Conflict::Differs(differing) if differing.is_empty() => format!("`{name}` exists unmanaged"),
        Conflict::Differs(differing) => {
            format!("`{name}` exists unmanaged, and is not as declared in {}", paths(differing))
        }
        Conflict::Unverifiable(unreadable) => format!(
            "`{name}` exists unmanaged, and cannot be read to tell whether it is as declared in {}",
            paths(unreadable)
        ),
        Conflict::OfBranch(branch) => format!("`{name}` is the workspace of the branch `{branch}`"),
        Conflict::MovedFrom => format!("`moved_from` names `{name}`, which is not managed by `{ours}`"),
    }
}

/// That the branch of a workspace is gone.
pub(crate) fn gone(declared: &str) -> String {
    format!("its branch `{}` is gone", branch_of(declared).unwrap_or_default())
}

/// A commit as people name it.
pub(crate) fn short(commit: &str) -> &str {
    commit.get(..10).unwrap_or(commit)
}

/// A length of time in its largest whole unit, as declarations write it.
pub(crate) fn duration(seconds: u64) -> String {
    const UNITS: [(u64, char); 3] = [(24 * 60 * 60, 'd'), (60 * 60, 'h'), (60, 'm')];
    // `24h` is what people write, and `2d`.
    let unit = UNITS.iter().find(|(unit, name)| {
        seconds > 0 && seconds.is_multiple_of(*unit) && (*name != 'd' || seconds >= 2 * unit)
    });
    match unit {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_paths_are_named_and_the_rest_counted() {
        for (count, expected) in [
            (0, ""),
            (1, "`a`"),
            (2, "`a` and `b`"),
            (3, "`a`, `b` and `c`"),
            (4, "`a`, `b`, `c` and 1 more"),
            (5, "`a`, `b`, `c` and 2 more"),
        ] {
            let all: Vec<_> =
                ["a", "b", "c", "d", "e"][..count].iter().map(|path| FieldPath::from(*path)).collect();
            assert_eq!(paths(&all), expected);
        }
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|count| plural(count, "field")), ["0 fields", "1 field", "2 fields"]);
    }
}
