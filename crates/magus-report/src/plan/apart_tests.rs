use magus_model::{
    name::WorkspaceName,
    plan::{Action, Apart, Guard, Since},
};

use super::{
    samples::*,
    tests::{check_markdown, elements, options},
    *,
};

#[test]
fn what_is_set_apart_is_shown_and_counted_in_every_form() {
    let drift = || field("env.LOG_LEVEL", words("debug"), words("info"), "environments/cluster.yaml:14");
    let apart = |workspace: &str, action, reason: &str, fields, guard| Apart {
        cluster: "acme".into(),
        environment: "staging".into(),
        workspace: WorkspaceName::observed(workspace),
        action,
        reason: reason.to_owned(),
        fields,
        guard,
    };
    let mut part = samples::everything();
    part.since = Some(Since {
        revision: "main".into(),
        commit: "3f2a9c1".into(),
        apart: vec![
            apart("one", Action::Update, "1 field drifted", vec![drift()], None),
            apart("two", Action::Update, "1 field drifted", vec![drift()], None),
            apart("late", Action::Create, "declared at `main` too", vec![drift()], None),
            apart("old", Action::Delete, "not declared", Vec::new(), Some(Guard::MaxDeletes)),
        ],
    });
    let options = PlanOptions { next: Some("magus plan"), ..options() };
    let shown = text(&part, &options, &Styles::plain());
    let expected = "\
Set apart, not changed by these commits: 4 workspaces
    ~ 2 workspaces (staging)  update: 1 field drifted
        one, two
        ~ env.LOG_LEVEL: debug → info  (declared, environments/cluster.yaml:14)
    + late (staging)  create: declared at `main` too
        1 variable
    - old (staging)  delete: not declared; withheld by `max-deletes` in the whole plan too
";
    assert!(shown.contains(expected), "{shown}");
    let last = "1 withheld, 1 unknown, 4 set apart.\nOnly what the commits after `main` change, for review: an apply does the whole plan.\nNext: magus plan\n";
    assert!(shown.ends_with(last), "{shown}");
    let comment = markdown(&part, &options);
    check_markdown(&comment);
    let page = html(&part, &options);
    elements(&page);
    for (form, expected) in [
        (&comment, "4 set apart.\n"),
        (&comment, "**Set apart, not changed by these commits: 4 workspaces**"),
        (
            &comment,
            "- <code>one</code>, <code>two</code> in <code>staging</code>, update&#58; 1 field drifted\n",
        ),
        (&comment, "an apply does the whole plan.\n"),
        (&comment, "<details><summary><code>set apart</code></summary>"),
        (&page, "<b>4</b><span>set apart</span>"),
        (&page, "<span class=\"name\">one, two</span> in staging, update: 1 field drifted"),
        (&page, "an apply does the whole plan."),
    ] {
        assert!(form.contains(expected), "{expected}: {form}");
    }
    assert_eq!(page.matches("<code>env.LOG_LEVEL</code>").count(), 2, "in its step, and once for both apart");
    let read: Plan = serde_json::from_str(&json(&part)).expect("a plan");
    assert_eq!(read.since, part.since);

    // Alone it is not "as declared".
    let mut alone = plan(Vec::new());
    alone.since = part.since;
    let shown = text(&alone, &options, &Styles::plain());
    assert!(shown.contains("No changes by these commits; 4 workspaces set apart.\nOnly what"), "{shown}");
    assert!(!json(&plan(Vec::new())).contains("since"), "a whole plan says nothing of it");
}

#[test]
fn a_secret_that_is_set_apart_is_hidden_too() {
    let mut part = plan(Vec::new());
    let mut leak = field("env.API_KEY", words("hunter2"), secret("API_KEY", 1), "");
    leak.sensitive = true;
    let apart = Apart {
        cluster: "acme".into(),
        environment: "staging".into(),
        workspace: WorkspaceName::observed("a"),
        action: Action::Update,
        reason: String::new(),
        fields: vec![leak],
        guard: None,
    };
    part.since = Some(Since { revision: "main".into(), commit: "3f2a9c1".into(), apart: vec![apart] });
    for shown in [
        json(&part),
        text(&part, &options(), &Styles::plain()),
        markdown(&part, &options()),
        html(&part, &options()),
    ] {
        assert!(shown.contains("API_KEY") && !shown.contains("hunter2"), "{shown}");
    }
}
