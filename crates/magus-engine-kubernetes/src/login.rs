//! The program with which a kubeconfig logs in. The client would run it too, and wait for it without end.

use std::{collections::HashMap, process::Command, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use kube::{
    Config,
    config::{AuthInfo, ExecConfig, ExecInteractiveMode},
};
use magus_process::{Limits, Stopped};
use serde::Deserialize;
use serde_json::json;

use crate::shown::shown;

/// A credential that ends so soon is made anew, as `kubectl` does it.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// What a program printed (`ExecCredential` of `client.authentication.k8s.io`).
#[derive(Deserialize)]
struct Printed {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Status {
    token: Option<String>,
    client_certificate_data: Option<String>,
    client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
}

/// A login that was made.
pub(crate) struct LoggedIn {
    /// How the client connects, with the credential instead of the program.
    pub(crate) config: Config,
    /// When the credential ends; `None` if it does not.
    pub(crate) until: Option<Timestamp>,
}

impl LoggedIn {
    /// Whether it is time to log in again.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until.duration_since(now) <= MARGIN)
    }
}

/// Logs in with the program that the kubeconfig names, if it names one. What it prints is in no error: a token may be in it.
///
/// # Errors
/// Why there is no credential.
pub(crate) fn log_in(config: &Config, limit: Duration) -> Result<LoggedIn, String> {
    let mut config = config.clone();
    let Some(program) = config.auth_info.exec.take().filter(|_| !has_credential(&config.auth_info)) else {
        return Ok(LoggedIn { config, until: None });
    };
    let mut command = command(&program)?;
    let limits = Limits { total: Some(limit), silence: None };
    let output = magus_process::run(&mut command, limits).map_err(|stopped| match stopped {
        Stopped::NotStarted(error) => format!("it cannot be started: {}", shown(&error.to_string())),
        Stopped::TimedOut(limit) | Stopped::Stalled(limit) => {
            format!("it is not done after {} seconds", limit.as_secs())
        }
        stopped @ (Stopped::Asked | Stopped::Interrupted) => stopped.to_string(),
    })?;
    if !output.status.success() {
        return Err(format!("it ended with {}", output.status));
    }
    let no_credential = || "what it printed is no credential".to_owned();
    let printed: Printed = serde_yaml::from_slice(&output.stdout).map_err(|_| no_credential())?;
    let status = printed.status.ok_or_else(no_credential)?;
    let until = status.expiration_timestamp.as_deref().map(str::parse).transpose();
    let until = until.map_err(|_| "the credential is not understood".to_owned())?;
    let AuthInfo { token, client_certificate_data, client_key_data, .. } =
        credential(status).ok_or_else(no_credential)?;
    let auth = &mut config.auth_info;
    auth.token = token;
    auth.client_certificate_data = client_certificate_data.or(auth.client_certificate_data.take());
    auth.client_key_data = client_key_data.or(auth.client_key_data.take());
    Ok(LoggedIn { config, until })
}

/// Whether something comes before the program, as for the client.
fn has_credential(auth: &AuthInfo) -> bool {
    auth.token.is_some()
        || auth.token_file.is_some()
        || auth.auth_provider.is_some()
        || (auth.username.is_some() && auth.password.is_some())
}

fn credential(status: Status) -> Option<AuthInfo> {
    let Status { token, client_certificate_data, client_key_data, .. } = status;
    let data = match (client_certificate_data, client_key_data, token) {
        (Some(certificate), Some(key), _) => json!({
            "client-certificate-data": STANDARD.encode(certificate),
            "client-key-data": STANDARD.encode(key),
        }),
        (_, _, Some(token)) => json!({ "token": token }),
        _ => return None,
    };
    serde_json::from_value(data).ok()
}

/// The program with its environment. It has no terminal: a question would come from the background.
fn command(program: &ExecConfig) -> Result<Command, String> {
    let ExecConfig { command, args, env, interactive_mode, .. } = program;
    if *interactive_mode == Some(ExecInteractiveMode::Always) {
        return Err("it asks on the terminal (`interactiveMode: Always`)".to_owned());
    }
    let mut made = Command::new(command.as_ref().ok_or("no command is named")?);
    made.args(args.iter().flatten());
    let variable =
        |one: &HashMap<String, String>| Some((one.get("name")?.clone(), one.get("value")?.clone()));
    made.envs(env.iter().flatten().filter_map(variable));
    let cluster = program.cluster.as_ref().filter(|_| program.provide_cluster_info);
    let info = json!({
        "apiVersion": program.api_version,
        "kind": "ExecCredential",
        "spec": { "interactive": false, "cluster": cluster },
    });
    made.env("KUBERNETES_EXEC_INFO", info.to_string());
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(exec: &serde_json::Value) -> Config {
        let mut config = Config::new("https://127.0.0.1:1".parse().unwrap());
        config.auth_info = serde_json::from_value(json!({ "exec": exec })).unwrap();
        config
    }

    fn shell(line: &str) -> Config {
        let variables = [json!({ "name": "GREETING", "value": "hello" })];
        config(&json!({
            "apiVersion": "client.authentication.k8s.io/v1", "command": "sh", "args": ["-c", line], "env": variables,
            "interactiveMode": "IfAvailable",
        }))
    }

    fn token(config: &Config) -> serde_json::Value {
        serde_json::to_value(&config.auth_info).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn credential_of_a_program_takes_its_place() {
        let line = "echo '{status: {token: '$GREETING', expirationTimestamp: \"2026-08-01T10:00:00Z\"}}'";
        let logged_in = log_in(&shell(line), LONG).unwrap();
        assert!(logged_in.config.auth_info.exec.is_none());
        assert_eq!(token(&logged_in.config)["token"], "hello");
        let until = logged_in.until.unwrap();
        assert_eq!(until.to_string(), "2026-08-01T10:00:00Z");
        let before = |seconds| until.checked_sub(SignedDuration::from_secs(seconds)).unwrap();
        assert!(logged_in.is_over(before(60)) && !logged_in.is_over(before(61)));
        let line = "echo '{\"status\": {\"clientCertificateData\": \"c\", \"clientKeyData\": \"k\"}}'";
        let certificate = log_in(&shell(line), LONG).unwrap();
        assert!(!certificate.is_over(until));
        assert_eq!(token(&certificate.config)["client-certificate-data"], "Yw==");
        // It is told that it runs without a terminal.
        let line =
            "case $KUBERNETES_EXEC_INFO in *'\"interactive\":false'*) echo '{status: {token: t}}';; esac";
        assert!(log_in(&shell(line), LONG).is_ok());
    }

    #[test]
    fn program_that_asks_or_does_not_end_is_killed() {
        let failure = |line: &str, limit| log_in(&shell(line), limit).err().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let line = format!("sleep 600 & echo $! > \"{}\"; wait", file.display());
        assert_eq!(failure(&line, Duration::from_secs(1)), "it is not done after 1 seconds");
        let stat = format!("/proc/{}/stat", std::fs::read_to_string(&file).unwrap().trim());
        let deadline = std::time::Instant::now() + LONG;
        while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z")) {
            assert!(std::time::Instant::now() < deadline, "what it started still runs");
        }
        assert_eq!(failure("kill -TTIN 0", LONG), "it wanted to ask something on the terminal");
        let always = config(&json!({ "command": "sh", "interactiveMode": "Always" }));
        assert!(log_in(&always, LONG).err().unwrap().contains("`interactiveMode: Always`"));
    }
}
