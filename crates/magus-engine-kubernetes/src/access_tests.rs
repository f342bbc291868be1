//! Kubeconfigs as people have them.

use tempfile::TempDir;

use super::*;

/// A kubeconfig with the contexts `prod` and `staging`, and this instead of the cluster of `prod`.
fn kubeconfig(cluster: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: staging\n\
         contexts:\n\
         - {{name: prod, context: {{cluster: prod, user: ci, namespace: elsewhere}}}}\n\
         - {{name: staging, context: {{cluster: missing, user: ci}}}}\n\
         clusters:\n- {{name: prod, cluster: {cluster}}}\n\
         users:\n- {{name: ci, user: {{token: hunter2}}}}\n"
    )
}

/// Writes files and chooses a context from them.
fn chosen_from(files: &[&str], context: &str, proxy: Option<&str>) -> Result<Chosen, EngineError> {
    let folder = TempDir::new().unwrap();
    let paths = files.iter().enumerate().map(|(at, text)| {
        let path = folder.path().join(format!("config-{at}"));
        std::fs::write(&path, text).unwrap();
        path
    });
    let access = Access {
        kubeconfig: paths.collect(),
        context: context.into(),
        namespace: None,
        limits: Limits::default(),
        proxy: &|_| proxy.map(str::to_owned),
        now: Timestamp::now,
    };
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(choose(&access))
}

/// The same where it is refused.
fn refusal(files: &[&str], context: &str) -> EngineError {
    let Err(error) = chosen_from(files, context, None) else { panic!("{context} can be used") };
    let whole = format!("{error:?}");
    assert!(!whole.contains("hunter2"), "{whole}");
    error
}

#[test]
fn the_context_that_is_named_is_the_one_that_is_taken() {
    let Chosen { config, program } =
        chosen_from(&[&kubeconfig("{server: 'https://k.dev:6443/base'}")], "prod", None).unwrap();
    assert_eq!(config.cluster_url.to_string(), "https://k.dev:6443/base");
    assert_eq!(config.connect_timeout, Some(Limits::default().connect));
    assert!(!config.default_retry, "a write would be sent twice");
    assert_eq!(program, None);
}

#[test]
fn a_context_that_does_not_exist_has_a_suggestion_and_no_list() {
    let files = [&*kubeconfig("{server: 'https://k.dev'}")];
    let error = refusal(&files, "pord");
    assert_eq!(error.message, "the kubeconfig has no context `pord`");
    assert_eq!(error.help.as_deref(), Some("did you mean `prod`?"));
    let error = refusal(&files, "elsewhere");
    assert_eq!(error.help.as_deref(), Some("`kubectl config get-contexts` lists those that there are"));
}

#[test]
fn what_cannot_be_used_says_why() {
    for (cluster, message) in [
        ("{}", "the context `prod` of the kubeconfig has a cluster without `server`"),
        ("{server: 'a b'}", "the context `prod` of the kubeconfig has a cluster whose `server` is no URL"),
        (
            "{server: 'https://k.dev', certificate-authority-data: '%'}",
            "the context `prod` of the kubeconfig has a cluster whose certificate authority cannot be read",
        ),
        (
            "{server: 'https://k.dev', certificate-authority: /nowhere/ca.crt}",
            "the context `prod` of the kubeconfig has a cluster whose certificate authority cannot be read",
        ),
        (
            "{server: 'https://k.dev', proxy-url: 'a b'}",
            "the context `prod` of the kubeconfig cannot be used: `proxy-url`, `HTTPS_PROXY` or `NO_PROXY` is not understood",
        ),
    ] {
        let error = refusal(&[&kubeconfig(cluster)], "prod");
        assert_eq!((error.kind, error.message.as_str()), (EngineErrorKind::Refused, message));
    }
    let error = refusal(&[&kubeconfig("{server: 'https://k.dev'}")], "staging");
    assert_eq!(error.message, "the context `staging` of the kubeconfig names a cluster that is not there");
    let error = refusal(&["contexts: []\nusers:\n- name: a\n  user: {token: hunter2}}\n"], "prod");
    assert!(error.message.contains("is no kubeconfig, line 4, column"), "{error}");
    let error = refusal(&["kind: Config\n", "kind: Other\n"], "prod");
    assert!(error.message.ends_with("its kind is another"), "{error}");
}

#[test]
fn the_proxy_of_the_kubeconfig_comes_first() {
    let without = kubeconfig("{server: 'https://k.dev'}");
    let with = kubeconfig("{server: 'https://k.dev', proxy-url: 'http://own:1'}");
    for (files, given, expect) in [
        (&without, None, None),
        (&without, Some("socks5://other:2"), Some("socks5://other:2/")),
        (&with, Some("socks5://other:2"), Some("http://own:1/")),
        (&with, None, Some("http://own:1/")),
    ] {
        let Chosen { config, .. } = chosen_from(&[files], "prod", given).unwrap();
        assert_eq!(config.proxy_url.map(|url| url.to_string()).as_deref(), expect);
    }
    let error = chosen_from(&[&without], "prod", Some("a b")).err().unwrap();
    assert_eq!(error.message, "the proxy for the context `prod` is no URL");
}

#[test]
fn the_first_file_has_the_word_and_missing_ones_are_passed_over() {
    let first = "contexts:\n- {name: prod, context: {cluster: prod}}\nclusters:\n- {name: prod, cluster: {server: 'https://first'}}\n";
    let second = kubeconfig("{server: 'https://second'}");
    let Chosen { config, .. } = chosen_from(&[first, &second], "prod", None).unwrap();
    assert_eq!(config.cluster_url.to_string(), "https://first/");

    let folder = TempDir::new().unwrap();
    let there = folder.path().join("there");
    std::fs::write(&there, first).unwrap();
    assert!(read(&[folder.path().join("missing"), there]).is_ok());
    let error = read(&[folder.path().join("missing")]).unwrap_err();
    assert!(error.message.starts_with("there is no kubeconfig at `"), "{error}");
    assert_eq!(read(&[]).unwrap_err().message, "no kubeconfig is named");
    let error = read(&[folder.path().to_owned()]).unwrap_err();
    assert_eq!(error.kind, EngineErrorKind::Io);
}

#[test]
fn the_program_that_logs_in_is_known() {
    let text = kubeconfig("{server: 'https://k.dev'}").replace(
        "{token: hunter2}",
        "{exec: {apiVersion: client.authentication.k8s.io/v1, command: aws, interactiveMode: Never}}",
    );
    assert_eq!(chosen_from(&[&text], "prod", None).unwrap().program.as_deref(), Some("aws"));
}
