//! Where a cluster is and who asks: from the kubeconfig to a client.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use kube::{
    Config,
    config::{KubeConfigOptions, Kubeconfig, KubeconfigError, LoadDataError, NamedContext},
};
use magus_engine::{EngineError, EngineErrorKind};
use magus_model::{Text, suggest};

use crate::shown::shown;

/// What a connection is made from.
pub struct Access<'a> {
    /// Kubeconfigs, in order: those that `KUBECONFIG` names, else `.kube/config` in the home of the user. They are merged as
    /// `kubectl` does it, where the first word on a name counts; those that do not exist are passed over.
    pub kubeconfig: Vec<PathBuf>,
    /// The context in them. There is no default: the current context is where somebody worked last.
    pub context: Text,
    /// The namespace that is looked at; all of them where there is none. That of the context does not count.
    pub namespace: Option<Text>,
    /// How long is waited.
    pub limits: Limits,
    /// Which proxy leads to the server of this URL, as a URL (`http`, `https` or `socks5`); asked where the kubeconfig
    /// names none.
    pub proxy: &'a dyn Fn(&str) -> Option<String>,
    /// What time it is, for credentials that end.
    pub now: fn() -> Timestamp,
}

/// How long is waited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until there is a connection.
    pub connect: Duration,
    /// Until one request is answered in full, further tries of it included.
    pub request: Duration,
    /// Until the program that the kubeconfig names has logged in. It may lead a person through a browser.
    pub login: Duration,
    /// Between two looks at a rollout.
    pub look: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            request: Duration::from_secs(30),
            login: Duration::from_secs(120),
            look: Duration::from_secs(1),
        }
    }
}

/// What the kubeconfig says about a context.
pub(crate) struct Chosen {
    pub(crate) config: Config,
    /// The program that logs in.
    pub(crate) program: Option<String>,
}

/// Reads the kubeconfigs and takes the context out of them.
pub(crate) async fn choose(access: &Access<'_>) -> Result<Chosen, EngineError> {
    let Access { kubeconfig, context, namespace: _, limits, proxy, now: _ } = access;
    let kubeconfig = read(kubeconfig)?;
    let contexts: Vec<&str> =
        kubeconfig.contexts.iter().map(|NamedContext { name, .. }| name.as_str()).collect();
    if !contexts.contains(&context.as_str()) {
        // Not all names there are: a plan is shown to whoever can open a pull request.
        let help = match suggest::closest(context, contexts) {
            Some(closest) => format!("did you mean `{closest}`?"),
            None => "`kubectl config get-contexts` lists those that there are".to_owned(),
        };
        return Err(refused(format!("the kubeconfig has no context `{context}`")).help(help));
    }
    let proxy_url = proxy_of(&kubeconfig, context);
    let options = KubeConfigOptions { context: Some(context.to_string()), cluster: None, user: None };
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| unusable(&error, context))?;
    // The library takes HTTPS_PROXY from the environment, and looks for the proxy itself in NO_PROXY.
    let proxy_url = proxy_url.or_else(|| proxy(&config.cluster_url.to_string()));
    config.proxy_url = match proxy_url {
        None => None,
        Some(url) => Some(url.parse().map_err(|_| {
            refused(format!("the proxy for the context `{context}` is no URL"))
                .help("write it like `http://proxy.company.com:3128`")
        })?),
    };
    config.connect_timeout = Some(limits.connect);
    config.read_timeout = Some(limits.request);
    config.write_timeout = Some(limits.request);
    // Otherwise the time that a connection lay idle counts.
    config.reset_reader_on_write = true;
    // It would send writes twice too, and wait for a quarter of an hour.
    config.default_retry = false;
    let program = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
    Ok(Chosen { config, program })
}

fn read(paths: &[PathBuf]) -> Result<Kubeconfig, EngineError> {
    let mut merged: Option<Kubeconfig> = None;
    for path in paths {
        let next = match Kubeconfig::read_from(path) {
            Ok(next) => next,
            Err(KubeconfigError::ReadConfig(error, _)) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(unreadable(&error, path)),
        };
        merged = Some(match merged {
            None => next,
            Some(first) => first.merge(next).map_err(|error| unreadable(&error, path))?,
        });
    }
    merged.ok_or_else(|| {
        let missing: Vec<String> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
        let message = match missing.as_slice() {
            [] => "no kubeconfig is named".to_owned(),
            missing => format!("there is no kubeconfig at {}", missing.join(", ")),
        };
        refused(message).help("let `KUBECONFIG` name the file that `kubectl` uses")
    })
}

/// The proxy that the kubeconfig names for the context.
fn proxy_of(kubeconfig: &Kubeconfig, context: &str) -> Option<String> {
    let named = kubeconfig.contexts.iter().find(|named| named.name == context)?;
    let cluster = &named.context.as_ref()?.cluster;
    let named = kubeconfig.clusters.iter().find(|named| named.name == *cluster)?;
    named.cluster.as_ref()?.proxy_url.clone().filter(|url| !url.is_empty())
}

/// A file that is no kubeconfig. What stands in it is not shown: it holds tokens and keys.
fn unreadable(error: &KubeconfigError, path: &Path) -> EngineError {
    let path = path.display();
    match error {
        KubeconfigError::ReadConfig(error, _) => {
            EngineError::new(EngineErrorKind::Io, format!("the kubeconfig `{path}` cannot be read"))
                .caused_by(error.to_string())
        }
        KubeconfigError::Parse(error) => {
            let place = error
                .location()
                .map_or_else(String::new, |at| format!(", line {}, column {}", at.line(), at.column()));
            refused(format!("`{path}` is no kubeconfig{place}"))
        }
        _ => refused(format!("`{path}` does not go with the kubeconfigs before it: its kind is another")),
    }
}

/// A context that cannot be used.
fn unusable(error: &KubeconfigError, context: &str) -> EngineError {
    let (what, cause) = match error {
        KubeconfigError::LoadContext(_) => ("holds nothing", None),
        KubeconfigError::LoadClusterOfContext(_) => ("names a cluster that is not there", None),
        KubeconfigError::MissingClusterUrl => ("has a cluster without `server`", None),
        KubeconfigError::ParseClusterUrl(_) => ("has a cluster whose `server` is no URL", None),
        KubeconfigError::LoadCertificateAuthority(error) => {
            ("has a cluster whose certificate authority cannot be read", of_file(error))
        }
        KubeconfigError::ParseCertificates(_) => {
            ("has a cluster whose certificate authority holds no certificate in PEM", None)
        }
        KubeconfigError::LoadClientCertificate(error) => {
            ("has a user whose client certificate cannot be read", of_file(error))
        }
        KubeconfigError::LoadClientKey(error) => {
            ("has a user whose client key cannot be read", of_file(error))
        }
        KubeconfigError::ParseProxyUrl(_) | KubeconfigError::ParseNoProxy(_) => {
            ("cannot be used: `proxy-url`, `HTTPS_PROXY` or `NO_PROXY` is not understood", None)
        }
        _ => ("cannot be used", None),
    };
    let error = refused(format!("the context `{context}` of the kubeconfig {what}"));
    match cause {
        Some(cause) => error.caused_by(cause),
        None => error,
    }
}

fn of_file(error: &LoadDataError) -> Option<String> {
    match error {
        LoadDataError::ReadFile(error, path) => {
            Some(format!("`{}`: {}", path.display(), shown(&error.to_string())))
        }
        LoadDataError::DecodeBase64(_) => Some("its data is no base64".to_owned()),
        LoadDataError::NoBase64DataOrFile => None,
    }
}

pub(crate) fn refused(message: String) -> EngineError {
    EngineError::new(EngineErrorKind::Refused, message)
}

#[cfg(test)]
#[path = "access_tests.rs"]
mod tests;
