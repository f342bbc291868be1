//! The rights of a Kubernetes container (`v1.SecurityContext`).

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::Whole;
use crate::Text;

/// The rights of the container.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SecurityContext {
    /// Whether a process may get more rights than its parent.
    pub allow_privilege_escalation: Option<bool>,
    /// The AppArmor profile.
    pub app_armor_profile: Option<AppArmorProfile>,
    /// Linux capabilities to add or drop.
    pub capabilities: Option<Capabilities>,
    /// Whether the container has the rights of root on the node.
    pub privileged: Option<bool>,
    /// How `/proc` is mounted: `Default` or `Unmasked`.
    pub proc_mount: Option<Text>,
    /// Whether the container's own file system is read-only.
    pub read_only_root_filesystem: Option<bool>,
    /// The group that the program runs as.
    pub run_as_group: Option<Whole<0, { i64::MAX }>>,
    /// Whether the container is refused where it would run as root.
    pub run_as_non_root: Option<bool>,
    /// The user that the program runs as.
    pub run_as_user: Option<Whole<0, { i64::MAX }>>,
    /// The SELinux context.
    pub se_linux_options: Option<SeLinuxOptions>,
    /// The seccomp profile.
    pub seccomp_profile: Option<SeccompProfile>,
    /// For Windows.
    pub windows_options: Option<WindowsOptions>,
}

/// Linux capabilities to add or drop.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Added, such as `NET_BIND_SERVICE`.
    pub add: Option<Vec<Text>>,
    /// Dropped; `ALL` for every one.
    pub drop: Option<Vec<Text>>,
}

/// The AppArmor profile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct AppArmorProfile {
    /// Which profile.
    #[serde(rename = "type")]
    pub kind: Option<ProfileType>,
    /// With `type: Localhost`, the name of the profile on the node.
    pub localhost_profile: Option<Text>,
}

/// The seccomp profile.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct SeccompProfile {
    /// Which profile.
    #[serde(rename = "type")]
    pub kind: Option<ProfileType>,
    /// With `type: Localhost`, the file of the profile on the node.
    pub localhost_profile: Option<Text>,
}

/// Which profile restricts the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum ProfileType {
    /// That of the container runtime.
    RuntimeDefault,
    /// One that lies on the node.
    Localhost,
    /// None.
    Unconfined,
}

/// The SELinux context.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SeLinuxOptions {
    /// The user label.
    pub user: Option<Text>,
    /// The role label.
    pub role: Option<Text>,
    /// The type label.
    #[serde(rename = "type")]
    pub kind: Option<Text>,
    /// The level label.
    pub level: Option<Text>,
}

/// For Windows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct WindowsOptions {
    /// The GMSA credential specification itself.
    pub gmsa_credential_spec: Option<Text>,
    /// The name of the GMSA credential specification.
    pub gmsa_credential_spec_name: Option<Text>,
    /// Whether the container runs as a process of the host.
    pub host_process: Option<bool>,
    /// The user that the program runs as.
    pub run_as_user_name: Option<Text>,
}
