//! What was found in the declarations, as a plan shows it: it is about changes, and `magus lint` about findings.

use std::collections::BTreeMap;

use magus_model::{diagnostic::LocatedDiagnostic, plan::Plan};

use crate::{escape, words::thousands};

/// How many findings of one rule a plan shows.
const MOST_OF_A_RULE: usize = 3;

/// The findings that are shown, and a line for each rule that has more of them.
pub(super) fn shown(plan: &Plan) -> (Vec<&LocatedDiagnostic>, Vec<String>) {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut shown = Vec::new();
    for found in &plan.diagnostics {
        let count = counts.entry(&found.code).or_default();
        *count += 1;
        if *count <= MOST_OF_A_RULE {
            shown.push(found);
        }
    }
    let more = counts.into_iter().filter(|(_, count)| *count > MOST_OF_A_RULE).map(|(rule, count)| {
        format!(
            "and {} more of {}: `magus lint` shows all",
            thousands(count - MOST_OF_A_RULE),
            escape::line(rule)
        )
    });
    (shown, more.collect())
}

#[cfg(test)]
mod tests {
    use super::super::{markdown, samples, tests::options, text};
    use crate::Styles;

    #[test]
    fn a_rule_that_finds_much_leaves_room_for_the_changes() {
        let mut plan = samples::everything();
        let found = plan.diagnostics[0].clone();
        let of = |code: &str, line: u32| {
            let mut found = found.clone();
            (found.code, found.line) = (code.to_owned(), line);
            found
        };
        plan.diagnostics = [1, 2, 3, 4, 5].map(|line| of("MG703", line)).into();
        plan.diagnostics.push(of("MG701", 6));
        let all = "and 2 more of MG703: `magus lint` shows all";
        let shown = text(&plan, &options(), &Styles::plain());
        assert!(shown.contains(":3:12") && !shown.contains(":4:12") && shown.contains(":6:12"), "{shown}");
        assert_eq!(shown.matches(all).count(), 1, "{shown}");
        let shown = markdown(&plan, &options());
        assert_eq!(
            (
                shown.matches("<code>MG703</code>").count(),
                shown.matches("and 2 more of MG703&#58; <code>magus lint</code> shows all").count()
            ),
            (3, 1),
            "{shown}"
        );
        plan.diagnostics.drain(..2);
        assert!(!text(&plan, &options(), &Styles::plain()).contains("more of"), "three are shown");
    }
}
