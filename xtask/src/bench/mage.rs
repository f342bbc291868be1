//! The engine of a Mage server: how often a stand-in is asked, and how much longer a plan takes than its slowest list.

use std::{collections::BTreeMap, fs, io, path::Path, time::Duration};

use super::{
    met, seconds, show,
    standin::{NAMESPACE, StandIn},
};
use crate::{
    measure::{Measured, measure},
    root,
};

/// The image of every workspace.
pub(super) const IMAGE: &str = "mageai/mageai:0.9.80";
const WORKSPACES: usize = 1_000;
const VARIABLES: usize = 20;
/// What a list of that many takes on a real server, and more.
const WORKSPACE_LIST: Duration = Duration::from_millis(1_000);
const SET_LIST: Duration = Duration::from_millis(700);

/// Measures, and prints a table.
pub(super) fn run(runs: usize) -> Result<(), String> {
    let directory = root().join("target/bench/mage");
    let failed = |error: io::Error| format!("{}: {error}", directory.display());
    let variables = (0..VARIABLES).map(|at| (format!("VARIABLE_{at}"), format!("value {at}"))).collect();
    let server = StandIn::start(variables).map_err(failed)?;
    write(&directory, &server.url, "1").map_err(failed)?;
    let kubeconfig = show(&directory.join("kubeconfig"));
    let variables = [
        ("MAGE_URL", server.url.as_str()),
        ("MAGE_EMAIL", "bench@magus.test"),
        ("MAGE_PASSWORD", "bench"),
        ("KUBECONFIG", &kubeconfig),
    ];
    let magus = show(&root().join("target/release/magus"));
    let environments = show(&directory.join("environments"));
    let run = |words: &[&str]| -> Result<Measured, String> {
        let mut all = vec![magus.as_str(), "--dir", &environments, "--quiet", "--jobs", "8"];
        all.extend(words);
        let measured = measure(&all, &variables)?;
        if measured.code == 0 {
            Ok(measured)
        } else {
            Err(format!("`{}` ended with {}", all.join(" "), measured.code))
        }
    };

    println!("\n{:<30} requests", format!("{WORKSPACES} workspaces of Mage"));
    run(&["apply", "--yes"])?;
    requests("first apply", &server.asked(), Some(("POST /api/workspaces", 1)));
    write(&directory, &server.url, "2").map_err(failed)?;
    run(&["apply", "--yes"])?;
    requests("apply of a change to each", &server.asked(), Some(("PUT /api/workspaces/NAME", 1)));

    // From here on what runs is looked at as well; the stand-in always runs what was declared first.
    write(&directory, &server.url, "1").map_err(failed)?;
    run(&["apply", "--yes"])?;
    with_kubernetes(&directory, &server.url).map_err(failed)?;
    server.asked();
    let median = |runs: usize| -> Result<f64, String> {
        let plan = || run(&["plan", "--detailed-exitcode"]).map(seconds);
        let mut all = (0..runs.max(1)).map(|_| plan()).collect::<Result<Vec<_>, _>>()?;
        all.sort_by(f64::total_cmp);
        Ok(all[all.len() / 2])
    };
    median(1)?;
    requests("empty plan, with kubernetes", &server.asked(), None);
    let planning = median(runs)?;
    server.take_time(WORKSPACE_LIST, SET_LIST);
    let time = median(runs)?;
    let ratio = time / (WORKSPACE_LIST.as_secs_f64() + planning);
    println!(
        "{:<30} {:.0} ms = {ratio:.2} × (slowest list of {} ms + planning {:.0} ms), at most 1.3{}",
        "its time",
        time * 1000.0,
        WORKSPACE_LIST.as_millis(),
        planning * 1000.0,
        met(ratio <= 1.3)
    );
    Ok(())
}

/// Prints what was asked for; of what is done for `each` workspace, how often that is.
fn requests(what: &str, asked: &BTreeMap<String, usize>, each: Option<(&str, usize)>) {
    let all =
        asked.iter().map(|(request, count)| format!("{count} {request}")).collect::<Vec<_>>().join(", ");
    let verdict = match each {
        Some((write, most)) => met(asked.get(write).is_some_and(|count| *count == most * WORKSPACES)),
        None => met(asked.values().all(|count| *count == 1)),
    };
    println!("{what:<30} {all}{verdict}");
}

/// Writes the declarations; the first variable has this value.
fn write(directory: &Path, url: &str, value: &str) -> io::Result<()> {
    let environments = directory.join("environments");
    let development = environments.join("development");
    fs::create_dir_all(&development)?;
    let cluster = format!("name: bench\nengine: {{mage: {{url: \"{url}\", namespace: {NAMESPACE}}}}}\n");
    fs::write(environments.join("cluster.yaml"), cluster)?;
    let mut defaults = format!("defaults:\n  container_config: {{image: \"{IMAGE}\"}}\n  env:\n");
    for at in 0..VARIABLES {
        let value = if at == 0 && value != "1" { value.to_owned() } else { format!("value {at}") };
        defaults.push_str(&format!("    VARIABLE_{at}: \"{value}\"\n"));
    }
    fs::write(development.join("environment.yaml"), defaults)?;
    for at in 0..WORKSPACES {
        fs::write(development.join(format!("w{at:04}.yaml")), "{}\n")?;
    }
    Ok(())
}

/// The same with the cluster below.
fn with_kubernetes(directory: &Path, url: &str) -> io::Result<()> {
    let cluster = format!(
        "name: bench\nengine: {{mage: {{url: \"{url}\", namespace: {NAMESPACE}, kubernetes: {{context: bench}}}}}}\n"
    );
    fs::write(directory.join("environments/cluster.yaml"), cluster)?;
    let kubeconfig = format!(
        "contexts: [{{name: bench, context: {{cluster: bench, user: bench}}}}]\n\
         clusters: [{{name: bench, cluster: {{server: \"{url}\"}}}}]\nusers: [{{name: bench, user: {{}}}}]\n"
    );
    fs::write(directory.join("kubeconfig"), kubeconfig)
}
