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

#[test]
fn many() {
    let steps = (0..12).map(|n| {
        let name = format!("person-{n}");
        let file = format!("environments/development/people/person-{n}.yaml:3");
        step(magus_model::plan::Action::Create, "development", &name, vec![
            field("container_config.image", None, words("mageai/mageai:0.9.80"), "environments/cluster.yaml:12"),
            field("container_config.resources.limits.memory", None, words("4Gi"), "environments/cluster.yaml:12"),
            field("env.OWNER", None, words(&name), &file),
            field("env.K", None, secret("K", 1), &file),
        ])
    });
    println!("{}", text(&plan(steps.collect()), &options(), &Styles::plain()));
}
