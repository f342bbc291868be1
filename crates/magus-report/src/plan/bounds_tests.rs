//! The comment has a bound, whatever is in a plan: every text of one is made long, and every list.
//!
//! The plan is changed as JSON, so that a field that is added to it later is covered too.

use magus_model::plan::Plan;
use proptest::prelude::*;
use serde_json::Value;

use super::{
    MARKER, MOST_BYTES, PlanOptions, markdown, samples, summary,
    tests::{check_markdown, options},
};

/// The JSON pointers of all texts and of all lists in a value.
fn pointers(value: &Value, at: &str, texts: &mut Vec<String>, lists: &mut Vec<String>) {
    match value {
        Value::String(_) => texts.push(at.to_owned()),
        Value::Array(items) => {
            lists.push(at.to_owned());
            for (number, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{number}"), texts, lists);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let key = key.replace('~', "~0").replace('/', "~1");
                pointers(item, &format!("{at}/{key}"), texts, lists);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A plan with something of everything, and where it has free texts and lists.
struct Template {
    plan: Value,
    texts: Vec<String>,
    lists: Vec<String>,
}

fn template() -> Template {
    let mut plan = samples::everything();
    plan.clusters[0].holds.insert("staging".into(), "the audit".into());
    plan.clusters[0].unverifiable = Some("what runs".into());
    let plan = serde_json::to_value(&plan).expect("a plan is JSON");
    let (mut texts, mut lists) = (Vec::new(), Vec::new());
    pointers(&plan, "", &mut texts, &mut lists);
    // A word of a closed list is no free text.
    texts.retain(|at| {
        let mut changed = plan.clone();
        *changed.pointer_mut(at).expect("it is there") = "x ".into();
        serde_json::from_value::<Plan>(changed).is_ok()
    });
    assert!(texts.len() > 100 && lists.len() > 20, "{} texts, {} lists", texts.len(), lists.len());
    Template { plan, texts, lists }
}

fn check(plan: Value) {
    let plan: Plan = serde_json::from_value(plan).expect("it is still a plan");
    let next = "magus apply ".repeat(400);
    let rest = "the artifact `plan.html` has it ".repeat(400);
    let options = PlanOptions { next: Some(&next), rest: Some(&rest), ..options() };
    let comment = markdown(&plan, &options);
    assert!(comment.len() <= MOST_BYTES, "{} bytes", comment.len());
    let head = format!("{MARKER}\n### Plan: {}.\n", summary::totals(&plan));
    assert_eq!(comment.get(..head.len()), Some(head.as_str()));
    check_markdown(&comment);
}

#[test]
fn long_texts_in_every_field_stay_within_the_bound() {
    let Template { plan, texts, .. } = template();
    for text in
        ["x".repeat(20_000), "`@a` www.x.y GH-1 #1 <b>|\n".repeat(400), "漢".repeat(9_000), "`".repeat(9_000)]
    {
        let mut changed = plan.clone();
        for at in &texts {
            *changed.pointer_mut(at).expect("it is there") = text.clone().into();
        }
        check(changed);
    }
}

#[test]
fn many_items_in_every_list_stay_within_the_bound() {
    let Template { plan, texts, lists } = template();
    for (length, number) in [(0, 1_500), (400, 100)] {
        for list in &lists {
            let mut changed = plan.clone();
            for at in texts.iter().filter(|_| length > 0) {
                *changed.pointer_mut(at).expect("it is there") = "a & b ".repeat(length / 6).into();
            }
            let Some(Value::Array(items)) = changed.pointer_mut(list) else { continue };
            let all = items.clone();
            items.extend(all.iter().cycle().take(if all.is_empty() { 0 } else { number }).cloned());
            check(changed);
        }
    }
}

#[test]
fn many_environments_that_are_held_stay_within_the_bound() {
    let mut plan = samples::everything();
    for number in 0..60 {
        let reason = format!("{number} {}", "a long reason & more of it ".repeat(200));
        plan.clusters[0].holds.insert(format!("environment-{number}").into(), reason.into());
    }
    let comment = markdown(&plan, &options());
    assert!(comment.len() <= MOST_BYTES, "{}", comment.len());
    let told = comment.matches("Held&#58;").count();
    assert!(
        told > 10 && comment.contains(&format!("And {} environments more held.", 60 - told)),
        "{comment}"
    );
    check_markdown(&comment);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases / 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_anywhere_and_any_number_of_items_stay_within_the_bound(
        words in prop::collection::vec("[a-z@#`<|\\n漢.]{1,12}", 1..6),
        length in 1_usize..600,
        every in 1_usize..5,
        list in any::<prop::sample::Index>(),
        number in 0_usize..400,
    ) {
        let Template { plan: mut changed, texts, lists } = template();
        for (at, word) in texts.iter().step_by(every).zip(words.iter().cycle()) {
            *changed.pointer_mut(at).expect("it is there") = word.repeat(length).into();
        }
        if let Some(Value::Array(items)) = changed.pointer_mut(&lists[list.index(lists.len())]) {
            let all = items.clone();
            items.extend(all.iter().cycle().take(if all.is_empty() { 0 } else { number }).cloned());
        }
        check(changed);
    }
}
