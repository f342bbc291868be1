//! MG308 and MG409: what the repository has in code and should not, and what it lacks.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use magus_code::Found;
use magus_model::{Text, diagnostic::Diagnostic, rules, span::Span};

use super::{
    needs::listed,
    references::{Stage, shown, span_of},
};

/// MG409: blocks without their files, once for each file, however many environments run it.
pub(super) fn missing_files(stages: &[Stage<'_>], findings: &mut Vec<Diagnostic>) {
    let mut seen: HashSet<&Text> = HashSet::new();
    for running in stages.iter().flat_map(|stage| &stage.running) {
        let Some(span) = span_of(&running.workspaces) else { continue };
        let missing: Vec<&Found<Text>> =
            running.needs.missing_files.iter().filter(|found| seen.insert(&found.what)).collect();
        let Some(first) = missing.first() else { continue };
        let files = listed(missing.iter().map(|found| found.what.as_str()));
        let pipelines: BTreeSet<Text> = missing.iter().flat_map(|found| &found.pipelines).cloned().collect();
        let (what, them) = match missing.len() {
            1 => (format!("the file of a block of {} is not in git: {files}", shown(&pipelines)), "it"),
            _ => (format!("files of blocks of {} are not in git: {files}", shown(&pipelines)), "them"),
        };
        let help = format!("commit {them}, or remove what names {them} (`{}`)", first.place);
        findings.push(Diagnostic::new(&rules::NOT_IN_GIT, span, what).help(help));
    }
}

/// MG308: defaults in the code that look like secrets, once for each variable, whatever reaches it: git has them.
pub(super) fn secret_defaults(stages: &[Stage<'_>], findings: &mut Vec<Diagnostic>) {
    let mut found: BTreeMap<&Text, (Span, &Text, Vec<&str>)> = BTreeMap::new();
    for running in stages.iter().flat_map(|stage| &stage.running) {
        let Some(span) = span_of(&running.workspaces) else { continue };
        for Found { what: (name, looks_like), place, .. } in &running.needs.secret_defaults {
            let (_, _, places) = found.entry(name).or_insert_with(|| (span, looks_like, Vec::new()));
            if !places.contains(&place.as_str()) {
                places.push(place);
            }
        }
    }
    for (name, (span, looks_like, places)) in found {
        let places = listed(places.into_iter());
        let message = format!("the default of `{name}` in the code looks like {looks_like}: {places}");
        let help = format!(
            "remove the default, define `{name}` with `{{secret: …}}`, and replace the secret where it came from, because git keeps it"
        );
        findings.push(Diagnostic::new(&rules::SECRET_DEFAULT, span, message).help(help));
    }
}
