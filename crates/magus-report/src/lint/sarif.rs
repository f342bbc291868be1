//! Findings as SARIF 2.1.0, the OASIS format that code scanning services read.
//!
//! Section numbers are those of the specification.

use std::{borrow::Cow, collections::BTreeSet, fmt::Write as _};

use magus_model::{
    diagnostic::{Diagnostic, Fix, LocatedDiagnostic, Severity},
    rules::Rule,
    span::{SourceFile, Span},
};
use serde_json::{Value, json};

use super::{LintReport, fingerprints};
use crate::{escape, json};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// The root of the repository: paths of findings are relative to it (3.14.14).
const BASE: &str = "%SRCROOT%";

pub(super) fn render(report: &LintReport<'_>) -> String {
    let located: Vec<LocatedDiagnostic> = report.located_from_root().collect();
    let fingerprints = fingerprints(&located);
    let rules: Vec<&Rule> = {
        let codes: BTreeSet<&str> = report.diagnostics.iter().map(|found| found.rule.code).collect();
        codes.into_iter().filter_map(magus_model::rules::find).collect()
    };
    let results: Vec<Value> = report
        .diagnostics
        .iter()
        .zip(&located)
        .zip(&fingerprints)
        .map(|((found, located), fingerprint)| {
            let mut result = json!({
                "ruleId": found.rule.code,
                "level": level(found.severity),
                "message": {"text": message(found)},
                "locations": locations(found.span, report, None),
                "partialFingerprints": {"magus/v1": fingerprint.as_str()},
            });
            if let Some(index) = rules.iter().position(|rule| rule.code == found.rule.code) {
                result["ruleIndex"] = json!(index);
            }
            let related: Vec<Value> = found
                .related
                .iter()
                .flat_map(|(span, text)| locations(*span, report, Some(text)))
                .enumerate()
                .map(|(id, mut location)| {
                    location["id"] = json!(id);
                    location
                })
                .collect();
            if !related.is_empty() {
                result["relatedLocations"] = Value::Array(related);
            }
            if let Some(fix) = fix(found, located, report) {
                result["fixes"] = json!([fix]);
            }
            result
        })
        .collect();
    json::pretty(&json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "magus",
                "informationUri": "https://magus.dev",
                "version": report.magus_version,
                "semanticVersion": report.magus_version,
                "rules": rules.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {BASE: {"description": {"text": "the root of the repository"}}},
            "invocations": [{"executionSuccessful": true}],
            "results": results,
        }],
    }))
}

/// A rule (3.49). `name` is an identifier for people, in Pascal case.
fn descriptor(rule: &Rule) -> Value {
    let name: String = rule
        .name
        .split('-')
        .flat_map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase())
                .into_iter()
                .chain(letters)
                .collect::<Vec<_>>()
        })
        .collect();
    json!({
        "id": rule.code,
        "name": name,
        "shortDescription": {"text": rule.summary},
        "help": {"text": format!("see {}", rule.url())},
        "helpUri": rule.url(),
        "defaultConfiguration": {"level": level(rule.severity)},
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Hint => "note",
    }
}

/// Brackets would make embedded links (3.11.6), and braces placeholders (3.11.5): both are escaped.
fn message(found: &Diagnostic) -> String {
    let mut text = plain(&found.message);
    if let Some(help) = &found.help {
        let _ = write!(text, "\nhelp: {}", plain(help));
    }
    text
}

fn plain(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in escape::line(text).chars() {
        match c {
            '\\' | '[' | ']' => escaped.extend(['\\', c]),
            '{' | '}' => escaped.extend([c, c]),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The location of a span; none for what is built in.
fn locations(span: Span, report: &LintReport<'_>, text: Option<&str>) -> Vec<Value> {
    let Some(file) = report.sources.file(span.file) else { return Vec::new() };
    let mut location = json!({
        "physicalLocation": {"artifactLocation": artifact(&report.place.relative_to_root(&file.path)), "region": region(file, span)},
    });
    if let Some(text) = text {
        location["message"] = json!({"text": plain(text)});
    }
    vec![location]
}

/// Lines and columns from 1, the end is exclusive (3.30.2). Source text is left out: it may hold a secret.
fn region(file: &SourceFile, span: Span) -> Value {
    let (line, column) = file.line_column(span.start);
    let (end_line, end_column) = file.line_column(span.end.max(span.start));
    json!({"startLine": line, "startColumn": column, "endLine": end_line, "endColumn": end_column})
}

/// A relative reference, or a `file:` address for a path from the root.
fn artifact(path: &str) -> Value {
    let uri = percent_encode(path);
    if path.starts_with('/') {
        json!({"uri": format!("file://{uri}")})
    } else {
        json!({"uri": uri, "uriBaseId": BASE})
    }
}

/// RFC 3986: everything but unreserved characters and `/`. A colon too, which would end a scheme in a first segment.
fn percent_encode(path: &str) -> Cow<'_, str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    if path.bytes().all(plain) {
        return Cow::Borrowed(path);
    }
    let mut encoded = String::with_capacity(path.len() + 16);
    for byte in path.bytes() {
        if plain(byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    Cow::Owned(encoded)
}

/// A change of the text that mends the finding (3.55). SARIF knows no renames of files.
fn fix(found: &Diagnostic, located: &LocatedDiagnostic, report: &LintReport<'_>) -> Option<Value> {
    let Some(Fix::Edit(edits)) = &found.fix else { return None };
    let file = report.sources.file(found.span.file)?;
    if edits.is_empty() || edits.iter().any(|(span, _)| span.file != found.span.file) {
        return None;
    }
    let replacements: Vec<Value> = edits
        .iter()
        .map(|(span, text)| json!({"deletedRegion": region(file, *span), "insertedContent": {"text": text}}))
        .collect();
    let description = found.help.as_deref().unwrap_or(&found.message);
    Some(json!({
        "description": {"text": plain(description)},
        "artifactChanges": [{"artifactLocation": artifact(&located.file), "replacements": replacements}],
    }))
}
