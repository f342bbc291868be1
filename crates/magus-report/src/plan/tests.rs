use std::time::{Duration, Instant};

use magus_model::{
    name::WorkspaceName,
    plan::{Action, Apart, Guard, Overrides, Since, Step, Unknown, UnknownCause, Unmanaged, Withheld},
};
use proptest::prelude::*;

use super::{samples::*, *};
use crate::{escape::is_dangerous, testing::without_styles};

pub(super) fn options() -> PlanOptions<'static> {
    PlanOptions { next: Some("magus apply"), width: 80, ..PlanOptions::default() }
}

#[test]
fn a_plan_with_everything_as_text() {
    let shown = text(&everything(), &options(), &Styles::plain());
    let expected = r#"acme (local)

  ~ 3 workspaces, all restart
      ~ container_config.image: mageai/mageai:0.9.79 → mageai/mageai:0.9.80  (declared, environments/cluster.yaml:12)
      development: bob-development
      staging: ingest-staging
      production: analytics-production

  development
    + ana-development  create: declared, and does not exist
        + container_config.image: mageai/mageai:0.9.80  (environments/cluster.yaml:12)
        + container_config.resources.requests.cpu: 500m  (environments/cluster.yaml:13)
        + env.API_KEY: (secret from env DEV_API_KEY, version 1)  (environments/development/ana.yaml:4)
        + env.DATABASE_URL: dev.company.com  (environments/development/environment.yaml:3)
        + state: running
    ← 2 workspaces  adopt: exists as declared, without a mark
        carl-development, dora-development
    - eve-development  delete: no longer declared

  staging
    ~ ingest-staging  update, restarts, renamed from old-ingest: the declaration changed
        and 1 change in common with others, above

  production
    ~ analytics-production  update, restarts: the declaration changed
        ~ env.API_KEY: (secret from env PROD_API_KEY, version 1) → (secret from env PROD_API_KEY, version 2)  (declared, environments/production/analytics.yaml:9)
        ~ env.DATABASE_URL: old.company.com → new.company.com  (declared, environments/production/analytics.yaml:7)
        ~ env.LOG_LEVEL: debug → info  (drift, environments/cluster.yaml:14)
        - env.OLD: "1"  (declared)
        ~ lifecycle_config.post_start.script:  (declared, environments/production/analytics.yaml:20)
              … 2 lines unchanged
              echo 3
              echo 4
            - echo 5
            + echo five
              echo 6
              echo 7
              … 2 lines unchanged
        and 1 change in common with others, above
    > analytics-production  deploy: the declaration changed
        code: 3f2a9c1d0b → 9c8d7e6f5a
          + 9c8d7e6f5a Add refunds\u{1b}[31m (Ana)
          + and 11 more
          - 1 commit of what runs
          1 file differs
          pipeline: orders
          trigger orders/daily: 0 5 * * * → @once
          requirement pandas comes: ==2.2
    ▶ ingest-production  start: declared as running
        ~ state: stopped → running  (declared)
  -/+ volume-production  replace, restarts: `storage_class_name` can only be set at creation
        ~ storage_class_name: standard → fast  (environments/production/volume.yaml:3)

Withheld: 1
    - old-production (production)  delete withheld
        guard `protected`: `production` is protected
        to lift it: magus apply --allow-delete production --reason 'why it may go'

In acme and left alone, not managed: 1 workspace
  scratch

In acme and left alone, managed by `ml`: 1 workspace
  theirs

Unknown, and left alone: 1
  acme: its record is damaged
    lost-production

warning[MG701]: the image `mageai/mageai` has no tag
  --> environments/cluster.yaml:12:12
  = help: name a version, `mageai/mageai:0.9.80`

Guards lifted: --allow-delete development; reason: spring cleaning
Deletes 1 workspace: eve-development. Deletes and makes anew 1 workspace: volume-production. Restarts 3 workspaces.
Plan: 1 to create, 3 to update, 1 to replace, 1 to delete, 1 to deploy, 2 to adopt, 1 to start; 3 unchanged, 1 withheld, 1 unknown.
Next: magus apply
"#;
    assert_eq!(shown, expected);
    assert_eq!(without_styles(&text(&everything(), &options(), &Styles::colored())), shown);
}

#[test]
fn nothing_to_do_is_a_sentence() {
    let mut nothing = plan(Vec::new());
    assert_eq!(text(&nothing, &options(), &Styles::plain()), "No changes: 3 workspaces are as declared.\n");
    nothing.summary.unchanged = 1;
    assert_eq!(text(&nothing, &options(), &Styles::plain()), "No changes: 1 workspace is as declared.\n");
    assert!(markdown(&nothing, &options()).contains("### No changes: 1 workspace is as declared."));
    assert!(html(&nothing, &options()).contains("<h1>No changes: 1 workspace is as declared.</h1>"));
    // What is withheld or unknown is in doubt: the sentence would be a lie.
    let mut doubtful = everything();
    doubtful.steps.clear();
    doubtful.has_changes = false;
    let shown = text(&doubtful, &options(), &Styles::plain());
    assert!(!shown.contains("No changes") && shown.contains("Plan: "), "{shown}");
    assert!(!shown.contains("Next:"), "there is nothing to apply: {shown}");
    doubtful.withheld.clear();
    assert!(!text(&doubtful, &options(), &Styles::plain()).contains("No changes"));
}

fn person(number: usize) -> Step {
    let name = format!("person-{number}");
    let file = format!("environments/development/people/person-{number}.yaml:3");
    let fields = vec![
        field("container_config.image", None, words("mageai/mageai:0.9.80"), "environments/cluster.yaml:12"),
        field("container_config.resources.limits.memory", None, words("4Gi"), "environments/cluster.yaml:12"),
        field("env.K", None, secret("K", 1), &file),
        field("env.OWNER", None, words(&name), &file),
    ];
    step(Action::Create, "development", &name, fields)
}

#[test]
fn many_creates_show_what_matters_and_v_shows_the_rest() {
    let plan = plan((0..5).map(person).collect());
    assert_eq!(
        text(&plan, &options(), &Styles::plain()),
        "acme (local)\n\n  development\n    + 5 workspaces  create: declared, and does not exist\n        \
         person-0, person-1, person-2, person-3, person-4\n        \
         mageai/mageai:0.9.80, memory limit 4Gi, 1 variable, 1 secret\n\n\
         Add `-v` to see every value of what is created.\n\
         Plan: 5 to create, 0 to update, 0 to replace, 0 to delete, 0 to deploy; 3 unchanged, 0 withheld.\nNext: magus apply\n"
    );
    let full = text(&plan, &PlanOptions { detail: Detail::Full, ..options() }, &Styles::plain());
    assert_eq!(full.matches("env.OWNER: person-").count(), 5);
    assert!(!full.contains("`-v`"));
}

#[test]
fn equal_changes_are_one_group_and_others_are_not() {
    let update = |name: &str, image: &str, line: u32| {
        let origin = format!("environments/cluster.yaml:{line}");
        step(
            Action::Update,
            "development",
            name,
            vec![
                field("container_config.image", words("a:1"), words(image), &origin),
                field("env.A", words("1"), words("2"), "environments/cluster.yaml:20"),
            ],
        )
    };
    // `e` and `f` differ in the reason only.
    let mut e = update("e", "a:9", 9);
    e.fields[0].reason = magus_model::plan::Reason::Drift;
    // `c` has another value, `d` the same from another line: only their variable is in common.
    let plan = plan(vec![
        update("a", "a:2", 3),
        update("b", "a:2", 3),
        update("c", "a:3", 3),
        update("d", "a:2", 4),
        e,
        update("f", "a:9", 9),
    ]);
    let shown = text(&plan, &options(), &Styles::plain());
    assert!(shown.contains("~ 6 workspaces, all restart\n      ~ env.A: "), "{shown}");
    assert!(
        shown.contains("~ 2 workspaces, all restart\n      ~ container_config.image: a:1 → a:2"),
        "{shown}"
    );
    assert_eq!(shown.matches("env.A").count(), 1, "{shown}");
    assert_eq!(shown.matches("container_config.image").count(), 5, "{shown}");
    for name in ["~ c  update", "~ d  update", "~ e  update", "~ f  update"] {
        assert!(shown.contains(name), "{shown}");
    }
    assert!(!shown.contains("~ a  update"), "a group shows it whole: {shown}");
}

#[test]
fn what_a_replace_sends_again_is_counted() {
    let image = || words("mageai/mageai:0.9.80");
    let fields = vec![
        field("container_config.image", image(), image(), ""),
        field("env.API_KEY", secret("API_KEY", 1), secret("API_KEY", 1), ""),
        field("storage_class_name", words("standard"), words("fast"), ""),
    ];
    let replace = plan(vec![step(Action::Replace, "production", "volume", fields)]);
    let shown = text(&replace, &options(), &Styles::plain());
    assert!(shown.contains("standard → fast\n        and 2 values sent again as before\n"), "{shown}");
    let page = html(&replace, &options());
    assert!(page.contains("and 2 sent again as before"), "{page}");
    for shown in [shown, page, markdown(&replace, &options())] {
        assert!(!shown.contains("mageai/mageai") && !shown.contains("another value"), "{shown}");
    }
}

#[test]
fn json_is_the_plan_without_observed_secrets() {
    let plan = everything();
    assert_eq!(serde_json::from_str::<Plan>(&json(&plan)).expect("a plan"), plan);
    let mut leaking = plan;
    let mut change = field("env.X", words("hunter2"), secret("X", 1), "environments/a.yaml:1");
    change.sensitive = true;
    leaking.steps[1].fields.push(change);
    for shown in [
        json(&leaking),
        text(&leaking, &options(), &Styles::plain()),
        markdown(&leaking, &options()),
        html(&leaking, &options()),
    ] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn the_comment_is_complete_in_its_summary() {
    let shown = markdown(&everything(), &options());
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[0], MARKER);
    assert!(lines[1].starts_with("### Plan: 1 to create, 3 to update"));
    for expected in [
        "| <code>production</code> | · | 1 | 1 | · | 2 | 2 |",
        "- <code>- delete</code> 1 in <code>development</code>: <code>eve-development</code>",
        "delete <code>old-production</code> in <code>production</code>, by <code>protected</code>",
        "Next: <code>magus apply</code>",
        "    + ana-development  create",
    ] {
        assert!(shown.contains(expected.trim_start()), "{expected} is not in\n{shown}");
    }
    assert!(!shown.contains("> Cut:"));
}

#[test]
fn a_comment_shows_every_value_where_that_fits() {
    let few = markdown(&plan((0..9).map(person).collect()), &options());
    assert_eq!(few.matches("env.OWNER: person-").count(), 9);
    let many = markdown(&plan((0..499).map(person).collect()), &options());
    assert_eq!(many.matches("env.OWNER: person-").count(), 0);
    assert!(many.contains("person-498") && !many.contains("> Cut:"), "{many}");
}

#[test]
fn a_large_comment_is_cut_and_keeps_what_goes_away() {
    let mut steps: Vec<Step> = (0..5_000).map(person).collect();
    steps.extend((0..123).map(|n| step(Action::Delete, "production", &format!("doomed-{n}"), Vec::new())));
    let shown =
        markdown(&plan(steps), &PlanOptions { rest: Some("the artifact `plan.html` has it"), ..options() });
    assert!(shown.len() <= MOST_BYTES, "{}", shown.len());
    for n in 0..123 {
        assert!(shown.contains(&format!("<code>doomed-{n}</code>")), "doomed-{n}");
    }
    assert!(shown.contains("| <code>development</code> | 5,000 |"));
    assert!(shown.contains("> Cut: ") && shown.contains("the artifact <code>plan.html</code> has it"));
    check_markdown(&shown);
}

/// Fences are closed, folds are balanced, and outside of fences and `<code>` nothing could ping or link.
pub(super) fn check_markdown(shown: &str) {
    let mut fence: Option<&str> = None;
    let mut prose = String::new();
    for line in shown.lines().skip(1) {
        let ticks = &line[..line.len() - line.trim_start_matches('`').len()];
        match fence {
            Some(open) if line == open => fence = None,
            Some(open) => assert!(!(ticks.len() >= open.len() && line.trim_end() == ticks), "{line}"),
            None if ticks.len() >= 3 => fence = Some(ticks),
            None => {
                prose.push_str(line);
                prose.push('\n');
            }
        }
    }
    assert_eq!(fence, None, "every fence is closed");
    let mut outside = String::new();
    let mut rest = prose.as_str();
    while let Some((before, after)) = rest.split_once("<code>") {
        outside.push_str(before);
        outside.push(' ');
        let (inside, after) = after.split_once("</code>").expect("code is closed");
        assert!(!inside.contains(['<', '>', '`', '|', '@', '*', '[', '\n']), "{inside}");
        rest = after;
    }
    outside.push_str(rest);
    for tag in ["<details><summary>", "</summary>", "</details>", "<sub>", "</sub>"] {
        outside = outside.replace(tag, "");
    }
    assert_eq!(prose.matches("<details>").count(), prose.matches("</details>").count());
    assert!(!outside.contains(['<', '`', '@']), "{outside}");
    // A reference would be a number sign, an entity of one, and something that could be a name or number behind it.
    for sign in ["&#64;", "&#35;"] {
        for after in outside.split(sign).skip(1) {
            assert!(
                after.starts_with("&#8203;")
                    || after.starts_with("&#96;")
                    || !after.starts_with(|c: char| c.is_alphanumeric() || matches!(c, '&' | '_' | '-')),
                "{outside}"
            );
        }
    }
    let heading = outside.trim_start().strip_prefix("### ").expect("the heading");
    assert!(!heading.replace("&#", "").contains('#'), "{outside}");
}

/// The page is well-formed XML too, so that a parser can tell whether a value broke out. Its elements' names.
pub(super) fn elements(page: &str) -> Vec<String> {
    let body = page.strip_prefix("<!DOCTYPE html>").expect("a document type");
    let mut reader = quick_xml::Reader::from_str(body);
    let mut names = Vec::new();
    loop {
        match reader.read_event().expect("well-formed") {
            quick_xml::events::Event::Start(element) | quick_xml::events::Event::Empty(element) => {
                assert!(element.attributes().all(|attribute| attribute.is_ok()));
                names.push(element.name().as_ref().to_owned());
            }
            quick_xml::events::Event::Eof => return names,
            _ => {}
        }
    }
}

#[test]
fn the_page_is_whole_and_asks_nobody() {
    let page = html(&everything(), &options());
    let names = elements(&page);
    assert_eq!(names.iter().filter(|name| *name == "script").count(), 1);
    for outside in ["http://", "https://", "src=", "href=", "@import", "url("] {
        assert!(!page.replace("https://magus.dev", "").contains(outside), "{outside}");
    }
    for expected in
        ["ana-development", "old.company.com", "echo five", "lost-production", "prefers-color-scheme:dark"]
    {
        assert!(page.contains(expected), "{expected}");
    }
}

#[test]
fn the_elements_of_a_page_do_not_depend_on_its_values() {
    let name = "x\"><script>alert(1)</script>";
    let mut hostile =
        plan(vec![step(Action::Start, name, name, vec![field(name, words("a"), words(name), "")])]);
    hostile.steps[0].reason = "`a` <img src=x onerror=alert(1)> `".into();
    let mut tame = plan(vec![step(Action::Start, "x", "x", vec![field("x", words("a"), words("x"), "")])]);
    tame.steps[0].reason = "`a` b `".into();
    assert_eq!(elements(&html(&hostile, &options())), elements(&html(&tame, &options())));
}

#[test]
fn ten_thousand_creates_take_no_time() {
    let plan = plan((0..10_000).map(person).collect());
    // The limit is for builds without optimization on a busy machine; a release build takes a tenth of it.
    let limit = Duration::from_secs(5);
    let timed: [(&str, &dyn Fn() -> String); 4] = [
        ("text", &|| text(&plan, &options(), &Styles::plain())),
        ("json", &|| json(&plan)),
        ("markdown", &|| markdown(&plan, &options())),
        ("html", &|| html(&plan, &options())),
    ];
    for (format, render) in timed {
        let begin = Instant::now();
        let length = render().len();
        let took = begin.elapsed();
        assert!(length > 10_000 && took < limit, "{format}: {length} bytes took {took:?}");
    }
}

#[test]
fn ten_thousand_updates_from_one_line_take_no_time() {
    let steps = (0..10_000).map(|n| {
        let before = format!("old-{n}");
        let change =
            field("env.NAME", words(&before), words(&format!("new-{n}")), "environments/cluster.yaml:12");
        step(Action::Update, "production", &format!("w-{n}"), vec![change])
    });
    let plan = plan(steps.collect());
    let begin = Instant::now();
    text(&plan, &options(), &Styles::plain());
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

/// Strings that try to break out of a terminal, a fence, a table, a tag, an attribute or a comment.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "\u{1b}[2J",
        "\u{1b}]8;;http://x\u{7}",
        "\n",
        "\r\n",
        "\u{9b}31m",
        "\u{202e}",
        "\u{2028}",
        "\u{200b}",
        "\0",
        "```",
        "`````",
        "`",
        "|",
        "<script>",
        "</code>",
        "</details>",
        "-->",
        "<!--",
        "\"",
        "'",
        "&",
        "&amp;",
        "@everyone",
        "#123",
        "!7",
        "::error::",
        "%0A",
        "]]>",
        "{{ x }}",
        "{% raw %}",
        "a",
        "b c",
        "ü",
        "漢",
        "🎉",
        "\\",
        "*",
        "_",
        "[x](y)",
        "~~",
        "$",
        ":tada:",
        "- ",
        "+ ",
        "# ",
        " → ",
        "https://x.y",
        "\u{ffff}",
    ]);
    prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
}

fn long_hostile() -> impl Strategy<Value = String> {
    (hostile(), 1_usize..400).prop_map(|(text, times)| text.repeat(times))
}

fn hostile_plan() -> impl Strategy<Value = Plan> {
    let action = prop::sample::select(vec![
        Action::Adopt,
        Action::Create,
        Action::Replace,
        Action::Update,
        Action::Start,
        Action::Delete,
    ]);
    let change = (hostile(), prop::option::of(long_hostile()), prop::option::of(hostile()), hostile())
        .prop_map(|(path, before, after, file)| {
            let value = |text: Option<String>| text.and_then(|text| words(&text));
            field(&path, value(before), value(after), &format!("{file}:3"))
        });
    let one = (action, hostile(), hostile(), long_hostile(), prop::collection::vec(change, 0..4)).prop_map(
        |(action, environment, name, reason, fields)| {
            let mut step = step(action, &environment, &name, fields);
            step.reason = reason;
            step
        },
    );
    (prop::collection::vec(one, 0..12), prop::collection::vec(long_hostile(), 9), 1_usize..60).prop_map(
        |(steps, texts, times)| {
            let mut plan = plan(steps);
            let text = |at: usize| texts[at].as_str();
            plan.source.path = text(0).into();
            plan.source.revision = Some(text(1).into());
            plan.magus_version = text(2).into();
            plan.digest = text(2).into();
            plan.overrides = Overrides {
                allow_empty: vec![text(3).into()],
                reason: Some(text(3).into()),
                ..Overrides::default()
            };
            let held = Withheld {
                cluster: "acme".into(),
                environment: text(4).into(),
                workspace: WorkspaceName::observed(text(5)),
                action: Action::Delete,
                guard: Guard::MaxDeletes,
                message: text(6).into(),
                unblock: text(7).into(),
                opens_at: None,
            };
            plan.withheld = vec![held; times];
            plan.unmanaged = vec![
                Unmanaged {
                    cluster: text(8).into(),
                    name: WorkspaceName::observed(text(1)),
                    managed_by: Some(text(2).into()),
                };
                times
            ];
            plan.unknown = vec![
                Unknown {
                    cluster: text(3).into(),
                    workspace: WorkspaceName::observed(text(4)),
                    message: text(5).into(),
                    cause: UnknownCause::Workspace,
                };
                times
            ];
            let apart = Apart {
                cluster: "acme".into(),
                environment: text(4).into(),
                workspace: WorkspaceName::observed(text(5)),
                action: plan.steps.first().map_or(Action::Update, |step| step.action),
                reason: text(6).to_owned(),
                fields: plan.steps.first().map_or_else(Vec::new, |step| step.fields.clone()),
                guard: None,
            };
            plan.since = (times % 2 == 0).then(|| Since {
                revision: text(7).into(),
                commit: text(8).into(),
                apart: vec![apart; times],
            });
            plan
        },
    )
}

/// Nothing moves a cursor, and no line begins that is not ours.
fn check_harmless(shown: &str) {
    let found = shown.chars().find(|c| *c != '\n' && is_dangerous(*c));
    assert!(found.is_none(), "{found:?} in {shown:?}");
}

#[test]
fn what_was_not_seen_is_said_once_in_every_form() {
    let mut plan = samples::everything();
    plan.clusters[0].unverifiable = Some("whether it *runs* <b> @all".into());
    let shown = text(&plan, &options(), &Styles::plain());
    assert_eq!(shown.matches("Not verified: acme\n  whether it *runs* <b> @all\n").count(), 1, "{shown}");
    let comment = markdown(&plan, &options());
    assert!(comment.contains("- not verified in <code>acme</code>: whether it &#42;runs"), "{comment}");
    check_markdown(&comment);
    let page = html(&plan, &options());
    assert_eq!(page.matches("whether it *runs* &lt;b&gt; @all").count(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hostile_plans_stay_within_their_bounds(plan in hostile_plan(), rest in long_hostile()) {
        let options = PlanOptions { rest: Some(&rest), next: Some(&rest), ..options() };
        check_harmless(&text(&plan, &options, &Styles::plain()));
        check_harmless(&without_styles(&text(&plan, &options, &Styles::colored())));
        let shown = json(&plan);
        check_harmless(&shown);
        prop_assert_eq!(serde_json::from_str::<Plan>(&shown).expect("a plan").steps.len(), plan.steps.len());
        let comment = markdown(&plan, &options);
        prop_assert!(comment.len() <= MOST_BYTES, "{}", comment.len());
        check_harmless(&comment.replace('\u{200b}', ""));
        check_markdown(&comment);
        let page = html(&plan, &options);
        check_harmless(&page);
        prop_assert_eq!(elements(&page).iter().filter(|name| *name == "script").count(), 1);
    }

    /// Every value on its own line: a raw line end would make more lines.
    #[test]
    fn a_value_is_one_line(value in hostile(), path in hostile()) {
        prop_assume!(!value.contains('\n'));
        let change = field(&path, words("a"), words(&value), "environments/a.yaml:3");
        let mut out = String::new();
        write_field(&mut out, &change, Action::Update, "", &Styles::plain());
        prop_assert_eq!(out.lines().count(), 1, "{:?}", out);
    }
}

#[test]
fn what_was_left_behind_is_named_in_every_format() {
    let orphans = ["old-a", "old-b"].map(|name| magus_model::plan::Orphan {
        cluster: "acme".into(),
        workspace: magus_model::name::WorkspaceName::observed(name),
        place: "the namespace mage".into(),
    });
    let plan = Plan { orphans: orphans.to_vec(), ..samples::plan(Vec::new()) };
    let shown = text(&plan, &options(), &Styles::plain());
    let heading = "In acme, left in the namespace mage and known to no server: 2 workspaces; `magus plan --orphans` shows \
                   what would be removed\n  old-a, old-b";
    assert!(shown.contains(heading), "{shown}");
    for shown in [markdown(&plan, &options()), html(&plan, &options())] {
        assert!(shown.contains("known to no server") && shown.contains("old-b"), "{shown}");
    }
}
