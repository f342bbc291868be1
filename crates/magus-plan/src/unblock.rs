//! The whole command that lifts a guard, ready to paste.

use magus_model::{Text, plan::Overrides, shell::word as quoted};

/// A flag that lifts a guard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Flag {
    AllowDelete(Text),
    AllowReplace(Text),
    AllowEmpty(Text),
    AllowUnprotect(Text),
    Adopt(Text),
    AllowOlder,
    MaxDeletes(usize),
    OverrideGate(&'static str),
    DiscardChanges(Text),
    Reason,
}

impl Flag {
    /// As it is typed.
    fn words(&self) -> Vec<String> {
        let (option, value) = match self {
            Flag::AllowDelete(environment) => ("--allow-delete", Some(quoted(environment))),
            Flag::AllowReplace(environment) => ("--allow-replace", Some(quoted(environment))),
            Flag::AllowEmpty(environment) => ("--allow-empty", Some(quoted(environment))),
            Flag::AllowUnprotect(environment) => ("--allow-unprotect", Some(quoted(environment))),
            Flag::Adopt(workspace) => ("--adopt", Some(quoted(workspace))),
            Flag::AllowOlder => ("--allow-older", None),
            Flag::MaxDeletes(count) => ("--max-deletes", Some(count.to_string())),
            Flag::OverrideGate(gate) => ("--override-gate", Some((*gate).to_owned())),
            Flag::DiscardChanges(workspace) => ("--discard-changes", Some(quoted(workspace))),
            Flag::Reason => ("--reason", Some("'WHY'".to_owned())),
        };
        std::iter::once(option.to_owned()).chain(value).collect()
    }
}

/// The command that was given, with these flags added to it.
pub(crate) fn command(words: &[String], overrides: &Overrides, flags: &[Flag]) -> String {
    // An option that takes one value must not be there twice.
    let replaces_limit = flags.iter().any(|flag| matches!(flag, Flag::MaxDeletes(_)));
    let replaces_reason = flags.contains(&Flag::Reason) && overrides.reason.is_some();
    let dropped = |option: &str| {
        (replaces_limit && option == "--max-deletes") || (replaces_reason && option == "--reason")
    };
    let mut kept: Vec<String> = Vec::new();
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let option = word.split_once('=').map_or(word.as_str(), |(option, _)| option);
        if !dropped(option) {
            kept.push(quoted(word));
        } else if option == word {
            rest.next();
        }
    }
    let mut flags = flags.to_vec();
    flags.sort();
    flags.dedup();
    kept.extend(flags.iter().flat_map(Flag::words));
    in_order(kept).join(" ")
}

/// The flags that lift guards, in the order in which commands show them.
const FLAGS: [&str; 11] = [
    "--allow-delete",
    "--allow-replace",
    "--allow-empty",
    "--allow-unprotect",
    "--adopt",
    "--allow-older",
    "--max-deletes",
    "--override-gate",
    "--discard-changes",
    "--refresh-secrets",
    "--reason",
];

/// The words of a command with the flags that lift guards at its end, in their order.
pub fn in_order(words: Vec<String>) -> Vec<String> {
    let mut first = Vec::new();
    let mut flags: Vec<(usize, Vec<String>)> = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let option = word.split_once('=').map_or(word.as_str(), |(option, _)| option);
        match FLAGS.iter().position(|flag| *flag == option) {
            None => first.push(word),
            Some(rank) => {
                let takes_next = option == word && option != "--allow-older";
                let value = if takes_next { words.next() } else { None };
                flags.push((rank, std::iter::once(word).chain(value).collect()));
            }
        }
    }
    flags.sort_by_key(|(rank, _)| *rank);
    first.extend(flags.into_iter().flat_map(|(_, words)| words));
    first
}

/// The command that was given with these flags, if it plans what is declared; else a plan of the same directory.
pub(crate) fn plan(words: &[String], overrides: &Overrides, flags: &[Flag]) -> String {
    let plans = words.iter().any(|word| word == "plan" || word == "apply");
    if plans {
        command(words, overrides, flags)
    } else {
        command(&in_directory(words, &["plan"]), overrides, flags)
    }
}

/// `magus plan --out FILE` for the same directory.
pub(crate) fn plan_file(words: &[String]) -> String {
    same_place(words, &["plan", "--out", "FILE"])
}

/// `magus import NAME` for the same directory.
pub(crate) fn import(words: &[String], name: &str) -> String {
    same_place(words, &["import", name])
}

/// Another command of `magus` for the same directory.
pub(crate) fn same_place(words: &[String], arguments: &[&str]) -> String {
    let words = in_directory(words, arguments);
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// Another command for the same directory, in words.
fn in_directory(words: &[String], command: &[&str]) -> Vec<String> {
    let mut all = vec![words.first().map_or_else(|| "magus".to_owned(), Clone::clone)];
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        if word == "-C" || word == "--dir" {
            all.push(word.clone());
            all.extend(rest.next().cloned());
        } else if word.starts_with("--dir=") || (word.starts_with("-C") && !word.starts_with("--")) {
            all.push(word.clone());
        }
    }
    all.extend(command.iter().map(|word| (*word).to_owned()));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &[&str]) -> Vec<String> {
        line.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn flags_are_added_to_what_was_typed() {
        let given = words(&["magus", "plan", "-C", "my envs", "--max-deletes", "3", "--max-deletes=4", "-q"]);
        let flags = [
            Flag::MaxDeletes(12),
            Flag::AllowDelete("production".into()),
            Flag::Reason,
            Flag::AllowDelete("production".into()),
        ];
        assert_eq!(
            command(&given, &Overrides::default(), &flags),
            "magus plan -C 'my envs' -q --allow-delete production --max-deletes 12 --reason 'WHY'"
        );
        assert_eq!(
            command(&given, &Overrides::default(), &[Flag::AllowEmpty("it's".into())]),
            r"magus plan -C 'my envs' -q --allow-empty 'it'\''s' --max-deletes 3 --max-deletes=4"
        );
        let given_reason = Overrides { reason: Some("old".into()), ..Overrides::default() };
        let given = words(&["magus", "plan", "--reason", "old"]);
        assert_eq!(
            command(&given, &given_reason, &[Flag::MaxDeletes(2)]),
            "magus plan --max-deletes 2 --reason old"
        );
        let blank = Overrides { reason: Some(" ".into()), ..Overrides::default() };
        let given = words(&["magus", "apply", "--reason", " ", "--yes"]);
        assert_eq!(command(&given, &blank, &[Flag::Reason]), "magus apply --yes --reason 'WHY'");
    }

    #[test]
    fn an_import_is_for_the_same_directory() {
        for (given, wanted) in [
            (&["magus", "plan"][..], "magus import x"),
            (&["magus", "-C", "a b", "plan", "--out", "p"], "magus -C 'a b' import x"),
            (&["magus", "plan", "--dir", "envs"], "magus --dir envs import x"),
            (&["magus", "plan", "--dir=envs", "--color=never"], "magus --dir=envs import x"),
            (&["magus", "-Cenvs", "plan"], "magus -Cenvs import x"),
            (&[], "magus import x"),
        ] {
            assert_eq!(import(&words(given), "x"), wanted);
        }
    }
}
