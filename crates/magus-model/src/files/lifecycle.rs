//! Probes and lifecycle hooks of a Kubernetes container (`v1.Probe`, `v1.Lifecycle`).

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::{PortNumberOrName, Whole};
use crate::Text;

/// A check of the container: one of `exec`, `httpGet`, `tcpSocket` and `grpc`, and how often.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Probe {
    /// Succeeds where a program in the container ends with 0.
    pub exec: Option<ExecAction>,
    /// Succeeds where a request is answered with a status from 200 to 399.
    pub http_get: Option<HttpGetAction>,
    /// Succeeds where a port can be connected to.
    pub tcp_socket: Option<TcpSocketAction>,
    /// Succeeds where the gRPC health service says so.
    pub grpc: Option<GrpcAction>,
    /// How many seconds after the start the first check is made. Without it, 0.
    pub initial_delay_seconds: Option<Whole<0, { i32::MAX as i64 }>>,
    /// How many seconds lie between checks. Without it, 10.
    pub period_seconds: Option<Whole<1, { i32::MAX as i64 }>>,
    /// After how many seconds a check counts as failed. Without it, 1.
    pub timeout_seconds: Option<Whole<1, { i32::MAX as i64 }>>,
    /// How many checks in a row have to succeed after a failure. Without it, 1.
    pub success_threshold: Option<Whole<1, { i32::MAX as i64 }>>,
    /// How many checks in a row have to fail. Without it, 3.
    pub failure_threshold: Option<Whole<1, { i32::MAX as i64 }>>,
    /// How many seconds the container has to end after a failed check.
    pub termination_grace_period_seconds: Option<Whole<1, { i64::MAX }>>,
}

/// What Kubernetes does after the start and before the end of the container.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ContainerLifecycle {
    /// Right after the container was created.
    pub post_start: Option<Handler>,
    /// Before the container is told to end.
    pub pre_stop: Option<Handler>,
    /// The signal that tells it to end, such as `SIGTERM`.
    pub stop_signal: Option<Text>,
}

/// What is done: one of `exec`, `httpGet`, `tcpSocket` and `sleep`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Handler {
    /// Runs a program in the container.
    pub exec: Option<ExecAction>,
    /// Makes a request.
    pub http_get: Option<HttpGetAction>,
    /// Connects to a port; kept by Kubernetes for old clients alone.
    pub tcp_socket: Option<TcpSocketAction>,
    /// Waits.
    pub sleep: Option<SleepAction>,
}

/// A program in the container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecAction {
    /// The program and its arguments; no shell is involved.
    pub command: Option<Vec<Text>>,
}

/// A request to the container.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct HttpGetAction {
    /// The path.
    pub path: Option<Text>,
    /// The port, by number or name.
    pub port: Option<PortNumberOrName>,
    /// The host. Without it, the pod.
    pub host: Option<Text>,
    /// Whether the request is encrypted.
    pub scheme: Option<HttpScheme>,
    /// Headers of the request.
    pub http_headers: Option<Vec<HttpHeader>>,
}

/// Whether a request is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum HttpScheme {
    /// It is not.
    #[serde(rename = "HTTP")]
    Http,
    /// It is; the certificate is not checked.
    #[serde(rename = "HTTPS")]
    Https,
}

/// A header of a request.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HttpHeader {
    /// Its name.
    pub name: Text,
    /// Its value.
    pub value: Text,
}

/// A port to connect to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TcpSocketAction {
    /// The port, by number or name.
    pub port: Option<PortNumberOrName>,
    /// The host. Without it, the pod.
    pub host: Option<Text>,
}

/// A gRPC health service.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrpcAction {
    /// The port.
    pub port: Option<Whole<1, 65_535>>,
    /// The service that is asked about.
    pub service: Option<Text>,
}

/// A time to wait.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SleepAction {
    /// How many seconds.
    pub seconds: Option<Whole<0, { i64::MAX }>>,
}
