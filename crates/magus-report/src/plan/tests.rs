use super::{samples::*, *};

fn options() -> PlanOptions<'static> {
    PlanOptions { next: Some("magus apply"), width: 80, ..PlanOptions::default() }
}

#[test]
fn a_plan_with_everything() {
    let shown = text(&everything(), &options(), &Styles::plain());
    println!("{shown}");
}

#[test]
fn look() {
    std::fs::write("/tmp/g/plan.html", html(&everything(), &options())).unwrap();
    std::fs::write("/tmp/g/plan.md", markdown(&everything(), &options())).unwrap();
}
