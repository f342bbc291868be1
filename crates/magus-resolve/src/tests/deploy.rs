use super::builder::{check, load, resolve};
use crate::{BranchFacts, BranchNames, TakenNames};

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
            "dev/environment.yaml:2:1 MG708 `deploy` has no effect: how workspaces on a Mage server fetch code is not declared",
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
                format!(
                    "{}: {} {} {:?} {}",
                    one.name, code.source.directory, code.branch, code.pinned, code.once
                )
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

const SYNCED: &str = "\
name: a
engine: {mage: {url: https://mage.acme.dev}}
repository:
  url: x.git
  sync:
    url: https://git.acme.dev/x.git
    auth: {access_token: {secret: {env: GIT_TOKEN}}}
";

#[test]
fn workspaces_on_a_mage_server_follow_a_branch() {
    let resolution = resolve(&load(&[
        ("cluster.yaml", SYNCED),
        ("dev/environment.yaml", "branch: d\ndeploy: head\n"),
        ("dev/a.yaml", "env: {GIT_USERNAME: ana, GIT_REPO_PATH: /home/src/x}\n"),
        ("dev/b.yaml", "branch: feature\nenv: {GIT_BRANCH: mine}\n"),
        ("dev/c.yaml", "deploy: none\n"),
        ("prod/environment.yaml", "promotes_from: dev\nbranch: main\n"),
        ("prod/a.yaml", "{}\n"),
    ]));
    let environments = resolution.desired.clusters.iter().flat_map(|cluster| &cluster.environments);
    let told: Vec<String> = environments
        .flat_map(|environment| &environment.workspaces)
        .map(|one| {
            let fields = one.fields.iter().map(|field| {
                let shown =
                    if field.value.is_sensitive() { "a secret".to_owned() } else { field.value.to_string() };
                format!("{}={shown} ({})", field.path, field.layer)
            });
            let follows = one.code.as_ref().and_then(|code| code.follows.as_ref());
            let branch = follows.map_or("nothing", |branch| branch.name.as_str());
            format!("{} follows {branch}: {}", one.name, fields.collect::<Vec<_>>().join(", "))
        })
        .collect();
    const URL: &str = "https://git.acme.dev/x.git";
    let of = |name: &str, branch: &str, path: &str, user: &str| {
        format!(
            "{name} follows {branch}: env.GIT_ACCESS_TOKEN=a secret (git sync), env.GIT_AUTH_TYPE=https (git sync), \
             env.GIT_BRANCH={branch} (git sync), env.GIT_REPO_LINK={URL} (git sync), env.GIT_REPO_PATH={path}, \
             env.GIT_SYNC_ON_START=1 (git sync), env.GIT_USERNAME={user}"
        )
    };
    assert_eq!(
        told,
        [
            of("a-dev", "deploy/dev+a-dev", "/home/src/x (workspace)", "ana (workspace)"),
            of("b-dev", "deploy/dev+b-dev", "/home/src/b-dev (git sync)", "magus (git sync)"),
            "c-dev follows nothing: ".to_owned(),
            of("a-prod", "deploy/prod+a-prod", "/home/src/a-prod (git sync)", "magus (git sync)"),
        ]
    );
}

#[test]
fn mage_pro_deploys_by_itself() {
    let pro = "name: a\ndefaults: {container_config: {image: a/b:1}}\nengine: {mage: {url: https://mage.acme.dev, edition: pro}}\nrepository: {url: x.git, sync: {url: y}}\n";
    let environment = "branch: main\ndeploy: head\ndeployments: {setting: '1', branch: live}\n";
    let files = |cluster| {
        [
            ("cluster.yaml", cluster),
            ("dev/environment.yaml", environment),
            ("dev/a.yaml", "{}\n"),
            ("dev/b.yaml", "deploy: head\n"),
        ]
    };
    check(
        &files(pro),
        &["dev/b.yaml:1:1 MG708 `deploy` has no effect: a deployment is one for the whole environment"],
    );
    let resolution = resolve(&load(&files(pro)));
    let workspaces = &resolution.desired.clusters[0].environments[0].workspaces;
    let code = workspaces[0].code.as_ref().expect("code");
    let deployment = code.source.deployment.as_ref().expect("a deployment");
    assert_eq!((deployment.setting.as_str(), deployment.branch.as_str()), ("1", "live"));
    assert_eq!((deployment.environment.as_str(), &code.follows), ("dev", &None));
    assert_eq!(workspaces[0].fields.len(), 1, "nothing for a sync, which others may use");
    assert_eq!(workspaces[1].code, None);
    let oss = pro.replace(", edition: pro", "").replace(", sync: {url: y}", "");
    check(
        &files(&oss)[..3],
        &[
            "dev/environment.yaml:2:1 MG708 `deploy` has no effect: how workspaces on a Mage server fetch code is not \
             declared",
            "dev/environment.yaml:3:14 MG708 `deployments` has no effect: only Mage Pro has them",
        ],
    );
}

#[test]
fn what_a_sync_cannot_do_is_said() {
    let plain = SYNCED.replace("    auth: {access_token: {secret: {env: GIT_TOKEN}}}\n", "");
    let folder = plain.replace("url: x.git", "url: x.git\n  directory: mage");
    let local = plain.replace("mage: {url: https://mage.acme.dev}", "local: {path: x}");
    for (cluster, environment, workspace, findings) in [
        (
            &plain,
            "branch: d\ndeploy: head\n",
            "env:\n  GIT_BRANCH: d\n",
            &[
                "dev/a.yaml:2:15 MG708 `env.GIT_BRANCH` has no effect: `repository.sync` decides what is fetched",
            ][..],
        ),
        (
            &plain,
            "branch: d\n",
            "deploy: once\n",
            &["dev/a.yaml:1:1 MG708 `deploy: once` has no effect: what Mage fetches follows a branch"],
        ),
        (
            &folder,
            "branch: d\ndeploy: head\n",
            "{}\n",
            &[
                "cluster.yaml:7:5 MG708 `sync` has no effect: Mage fetches whole repositories, and `directory` names a \
                 folder in this one",
                "dev/environment.yaml:2:1 MG708 `deploy` has no effect: `repository.sync` cannot be used",
            ],
        ),
        (
            &local,
            "branch: d\ndeploy: head\n",
            "{}\n",
            &["cluster.yaml:6:5 MG708 `sync` has no effect: it is about workspaces on a Mage server"],
        ),
    ] {
        check(
            &[("cluster.yaml", cluster), ("dev/environment.yaml", environment), ("dev/a.yaml", workspace)],
            findings,
        );
    }
}

#[test]
fn a_branch_that_magus_moves_is_no_feature_of_anybody() {
    let told = |cluster: &str| {
        let loaded = load(&[
            ("cluster.yaml", cluster),
            (
                "dev/environment.yaml",
                "branch: d\nbranch_workspaces: {match: \"*\", name: \"w-${branch_slug}\"}\n",
            ),
        ]);
        let names = ["d", "deploy/dev", "x"].map(Into::into).to_vec();
        let branches = |_: &str| Ok(BranchNames { names: names.clone(), incomplete: None });
        let facts = BranchFacts { branches: &branches, taken: &|_| TakenNames::default() };
        let resolution = crate::resolve(&loaded, |_| Vec::new(), facts);
        let workspaces = resolution.desired.clusters[0].environments[0].workspaces.iter();
        let told = workspaces.map(|one| {
            let follows = one.code.as_ref().and_then(|code| code.follows.as_ref());
            (one.name.to_string(), follows.map_or("nothing", |branch| branch.name.as_str()).to_owned())
        });
        told.collect::<Vec<_>>()
    };
    let of = |name: &str, branch: &str| (name.to_owned(), branch.to_owned());
    assert_eq!(told(SYNCED), [of("w-x", "deploy/dev+w-x")]);
    let local = "name: a\nengine: {local: {path: x}}\nrepository: {url: x.git}\n";
    assert_eq!(told(local), [of("w-deploy-dev", "nothing"), of("w-x", "nothing")]);
}
