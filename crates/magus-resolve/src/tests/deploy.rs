use super::builder::{check, load, resolve};

#[test]
fn what_is_deployed_has_to_be_said_whole() {
    const CLUSTER: (&str, &str) =
        ("cluster.yaml", "name: a\nengine: {local: {path: x}}\nrepository: {url: x}\n");
    check(
        &[
            CLUSTER,
            ("dev/environment.yaml", "deploy: head\n"),
            ("dev/a.yaml", "branch: feature\ndeploy: pinned\n"),
            ("dev/b.yaml", "commit: abc\n"),
            ("test/environment.yaml", "promotes_from: dev\nbranch: t\ncommit: abc\n"),
        ],
        &[
            "dev/a.yaml:2:1 MG402 `deploy: pinned` needs a `commit`, and none is declared",
            "dev/b.yaml:1:1 MG708 `commit` has no effect: only `deploy: pinned` deploys it",
            "dev/environment.yaml:1:1 MG401 `deploy` needs a `branch`, and none is declared",
            "test/environment.yaml:3:1 MG708 `commit` has no effect: only `deploy: pinned` deploys it",
        ],
    );
    check(
        &[
            ("cluster.yaml", "name: a\nengine: {local: {path: x}}\n"),
            ("dev/environment.yaml", "branch: d\ndeploy: head\n"),
        ],
        &["dev/environment.yaml:2:1 MG708 `deploy` has no effect: there is no `repository`"],
    );
    check(
        &[
            ("cluster.yaml", "name: a\nengine: {mage: {url: https://mage.acme.dev}}\nrepository: {url: x}\n"),
            ("dev/environment.yaml", "branch: d\ndeploy: head\n"),
        ],
        &[
            "dev/environment.yaml:2:1 MG708 `deploy` has no effect: code is deployed on the local engine alone",
        ],
    );
}

/// Which code the workspaces run: branch, what is pinned, and whether it is left to people.
#[test]
fn what_is_deployed_is_that_of_the_environment_or_its_own() {
    let resolution = resolve(&load(&[
        (
            "cluster.yaml",
            "name: a\nengine: {local: {path: x}}\nrepository: {url: ../code.git, directory: mage}\n",
        ),
        ("dev/environment.yaml", "branch: d\n"),
        ("dev/a.yaml", "{}\n"),
        ("dev/b.yaml", "branch: feature\ndeploy: head\n"),
        ("dev/c.yaml", "deploy: none\n"),
        ("prod/environment.yaml", "promotes_from: dev\nbranch: main\ndeploy: pinned\ncommit: v1\n"),
        ("prod/a.yaml", "deploy: none\n"),
        ("test/environment.yaml", "promotes_from: dev\nbranch: t\n"),
        ("test/a.yaml", "{}\n"),
        ("unstaged/environment.yaml", "promotes_from: dev\n"),
        ("unstaged/a.yaml", "{}\n"),
    ]));
    let environments = resolution.desired.clusters.iter().flat_map(|cluster| &cluster.environments);
    let told: Vec<String> = environments
        .flat_map(|environment| &environment.workspaces)
        .map(|one| match &one.code {
            Some(code) => {
                format!("{}: {} {} {:?} {}", one.name, code.directory, code.branch, code.pinned, code.once)
            }
            None => format!("{}: nothing", one.name),
        })
        .collect();
    assert_eq!(
        told,
        [
            "a-dev: mage d None true",
            "b-dev: mage feature None false",
            "c-dev: nothing",
            "a-prod: mage main Some(\"v1\") false",
            "a-test: mage t None false",
            "a-unstaged: nothing",
        ]
    );
}
