//! Fixes: they keep everything else, and refuse rather than guess.

use std::fs;

use magus_model::{
    diagnostic::{Diagnostic, Fix},
    rules,
    span::{FileId, Span},
};

use crate::{
    edit::{EditError, apply, rename, set, write},
    parse,
};

/// A finding that replaces the first occurrence of each text.
fn replacing(text: &str, edits: &[(&str, &str)]) -> Diagnostic {
    let edits = edits
        .iter()
        .map(|(old, new)| {
            let start = u32::try_from(text.find(old).unwrap()).unwrap();
            (Span::new(FileId(0), start, start + u32::try_from(old.len()).unwrap()), (*new).to_owned())
        })
        .collect();
    Diagnostic::new(&rules::UNQUOTED_VARIABLE, Span::start_of(FileId(0)), "x").fix(Fix::Edit(edits))
}

#[test]
fn comments_and_layout_stay() {
    let text = "# head\r\nenv:\r\n    PORT:   5432   # why\r\n\r\n    ON: true\r\n# tail";
    let fixes = [replacing(text, &[("5432", "\"5432\"")]), replacing(text, &[("true", "\"true\"")])];
    let edited = apply(FileId(0), text, &fixes.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(
        edited.text,
        "# head\r\nenv:\r\n    PORT:   \"5432\"   # why\r\n\r\n    ON: \"true\"\r\n# tail"
    );
    assert_eq!(edited.mended, [0, 1]);
}

#[test]
fn the_fixes_of_parsing_mend_their_findings() {
    for text in ["\u{feff}a: 1\n", "1: a\nb: {true: c, ~: d}\n", "\u{feff}1.5: a\r\n", "\u{feff}a: [\n"] {
        let before = parse(FileId(0), text).diagnostics;
        let edited = apply(FileId(0), text, &before.iter().collect::<Vec<_>>()).unwrap();
        let fixable = before.iter().filter(|finding| finding.fix.is_some()).count();
        assert_eq!(edited.mended.len(), fixable, "{text:?}");
        let after = parse(FileId(0), &edited.text).diagnostics;
        assert_eq!(after.len(), before.len() - fixable, "{text:?} {after:?}");
    }
}

#[test]
fn a_fix_that_overlaps_another_waits_and_the_same_one_counts() {
    let text = "a: 1234\nb: 5\n";
    let fixes = [
        replacing(text, &[("1234", "\"1234\"")]),
        replacing(text, &[("34", "'34'")]),
        replacing(text, &[("1234", "\"1234\""), ("5", "'5'")]),
        Diagnostic::new(&rules::UNQUOTED_VARIABLE, Span::start_of(FileId(0)), "without a fix"),
    ];
    let edited = apply(FileId(0), text, &fixes.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!((edited.text.as_str(), edited.mended.as_slice()), ("a: \"1234\"\nb: '5'\n", &[0, 2][..]));
}

#[test]
fn what_changes_more_than_it_says_is_refused() {
    for (text, old, new) in [
        ("a: 1\nb: 2\n", "1\n", "1"),
        ("a: 1\nb: 2\n", "1", "\"1"),
        ("a: 1\nb: 2\n", "1", "1\nc: 3"),
        ("a: 1\nb: 2\n", "1", "{c: d}"),
        ("a: 1\nb: 2\n", "a: 1\n", ""),
        ("a: {b: 1}\n", "{b: 1}", "x"),
        ("a: 1\nb: 2\n", "a", "b"),
        ("a: 1\n  # c\nb: 2\n", "# c", "c"),
        ("a: &x 1\nb: *x\n", "&x ", ""),
    ] {
        let fix = replacing(text, &[(old, new)]);
        assert!(
            matches!(apply(FileId(0), text, &[&fix]), Err(EditError::Meaning)),
            "{text:?} {old:?} {new:?}"
        );
    }
    let out_of_range = Diagnostic::new(&rules::SYNTAX, Span::start_of(FileId(0)), "x")
        .fix(Fix::Edit(vec![(Span::new(FileId(0), 3, 99), String::new())]));
    assert!(matches!(apply(FileId(0), "a: ü\n", &[&out_of_range]), Err(EditError::Range)));
    let inside_a_character = Diagnostic::new(&rules::SYNTAX, Span::start_of(FileId(0)), "x")
        .fix(Fix::Edit(vec![(Span::new(FileId(0), 4, 5), String::new())]));
    assert!(matches!(apply(FileId(0), "a: ü\n", &[&inside_a_character]), Err(EditError::Range)));
}

#[test]
fn writing_replaces_the_whole_file_and_keeps_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("with space.yaml");
    fs::write(&path, "a: 1\n").unwrap();
    assert!(matches!(write(&path, "a: 2\n", "a: 3\n"), Err(EditError::Changed(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "a: 1\n");
    write(&path, "a: 1\n", "a: 2\n").unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "a: 2\n");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left behind");
    assert!(matches!(write(&folder.path().join("none.yaml"), "", ""), Err(EditError::Read { .. })));
}

#[cfg(unix)]
#[test]
fn permissions_links_and_read_only_files_are_respected() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.yaml");
    fs::write(&path, "a: 1\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let link = folder.path().join("link.yaml");
    symlink("a.yaml", &link).unwrap();
    write(&link, "a: 1\n", "a: 2\n").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(fs::read_to_string(&path).unwrap(), "a: 2\n");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).unwrap();
    assert!(matches!(write(&path, "a: 2\n", "a: 3\n"), Err(EditError::ReadOnly(_))));
    assert_eq!(fs::read_to_string(&path).unwrap(), "a: 2\n");
}

#[test]
fn renaming_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("a.yml"), folder.path().join("a.yaml"));
    fs::write(&old, "a: 1\n").unwrap();
    fs::write(&new, "b: 1\n").unwrap();
    assert!(matches!(rename(&old, "a.yaml"), Err(EditError::Exists(_))));
    fs::remove_file(&new).unwrap();
    assert_eq!(rename(&old, "a.yaml").unwrap(), new);
    assert_eq!(fs::read_to_string(&new).unwrap(), "a: 1\n");
}

#[test]
fn keys_are_set_with_comments_and_layout_kept() {
    let keys = [("deploy", "pinned"), ("commit", "3f2a"), ("hold", "rolled back: \"orders\" \\ twice")];
    let hold = r#"hold: "rolled back: \"orders\" \\ twice""#;
    for (before, after) in [
        (
            "# why\npromotes_from: staging\nbranch: main # the branch\nprotected: true\n".to_owned(),
            format!(
                "# why\npromotes_from: staging\nbranch: main # the branch\ndeploy: pinned\ncommit: \"3f2a\"\n{hold}\nprotected: true\n"
            ),
        ),
        (
            "branch: main\ndeploy:   head   # always\ncommit:\nhold: ~\n".to_owned(),
            format!("branch: main\ndeploy:   pinned   # always\ncommit: \"3f2a\"\n{hold}\n"),
        ),
        ("branch: main".to_owned(), format!("branch: main\ndeploy: pinned\ncommit: \"3f2a\"\n{hold}")),
        (
            "branch: main\r\nprotected: true\r\n".to_owned(),
            format!("branch: main\r\ndeploy: pinned\r\ncommit: \"3f2a\"\r\n{hold}\r\nprotected: true\r\n"),
        ),
        (
            "{branch: main}\n".to_owned(),
            format!("{{deploy: pinned, commit: \"3f2a\", {hold}, branch: main}}\n"),
        ),
        (
            "---\nprotected: true\n".to_owned(),
            format!("---\ndeploy: pinned\ncommit: \"3f2a\"\n{hold}\nprotected: true\n"),
        ),
        (
            "  branch: main\n  protected: true\n".to_owned(),
            format!("  branch: main\n  deploy: pinned\n  commit: \"3f2a\"\n  {hold}\n  protected: true\n"),
        ),
    ] {
        assert_eq!(set(FileId(0), &before, "branch", &keys).unwrap(), after, "{before}");
    }
    for (before, keys) in [
        ("commit: [a]\n", &[("commit", "b")][..]),
        ("- a\n", &[("commit", "b")]),
        ("a: 1\n", &[("hold", "two\nlines")]),
        ("&x branch: *x\n", &[("hold", "b")]),
    ] {
        assert!(set(FileId(0), before, "branch", keys).is_err(), "{before}");
    }
}
