mod cron;
mod hostile;
mod jinja;
mod layout;
mod libraries;
mod movement;
mod project;
mod python;

use crate::{
    reference::{Kind, Missing, Name},
    scan::{FileKind, Scan, scan},
};

/// References as a line each: place, kind, name, what happens without.
fn shown(scan: &Scan) -> Vec<String> {
    let one = |reference: &crate::Reference| {
        let kind = match reference.kind {
            Kind::Variable => "env",
            Kind::Secret => "secret",
            Kind::Runtime => "runtime",
            Kind::Store => "store",
            Kind::Profile => "profile",
        };
        let name = match &reference.name {
            Name::Literal(name) => name.to_string(),
            Name::Undecidable(expression) => format!("<{expression}>"),
            Name::Any => "*".to_owned(),
        };
        let missing = match reference.missing {
            Missing::Fails => "",
            Missing::Undecidable => " ?",
            Missing::Default => " default",
            Missing::Comment => " comment",
            Missing::Set => " set",
        };
        let alternatives: String = reference
            .alternatives
            .iter()
            .map(|group| {
                format!(" or {}", group.iter().map(|name| name.as_str()).collect::<Vec<_>>().join("+"))
            })
            .collect();
        let missing = format!("{missing}{alternatives}");
        let place = match (&reference.profile, &reference.key) {
            (Some(profile), Some(key)) => format!(" in {profile}.{key}"),
            _ => String::new(),
        };
        format!("{}:{} {kind} {name}{missing}{place}", reference.line, reference.column)
    };
    scan.references.iter().map(one).collect()
}

#[track_caller]
fn check(kind: FileKind, text: &str, expected: &[&str]) {
    let scan = scan(kind, text.as_bytes());
    assert_eq!(shown(&scan), expected, "{text}");
    assert_eq!(scan.fault, None, "{text}");
    // A place is that of the name's literal.
    for reference in &scan.references {
        let line = text.lines().nth(reference.line as usize - 1).unwrap();
        let at: String = line.chars().skip(reference.column as usize - 1).collect();
        if let Name::Literal(name) = &reference.name {
            let literal = at.trim_start_matches(['r', 'b', '\'', '"', '$']);
            let first = name.chars().next().unwrap();
            let is_constant = at.starts_with("A]");
            assert!(
                literal.starts_with(first) || is_constant || reference.kind == Kind::Profile,
                "{text}: {at}"
            );
        }
    }
}
