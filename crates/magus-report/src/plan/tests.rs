use super::{samples::*, *};

fn options() -> PlanOptions<'static> {
    PlanOptions { next: Some("magus apply"), width: 80, ..PlanOptions::default() }
}

#[test]
fn a_plan_with_everything() {
    let shown = text(&everything(), &options(), &Styles::plain());
    println!("{shown}");
}
