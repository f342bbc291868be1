//! Which variables a Mage server gives to workspaces by itself, whatever is declared
//! (`__populate_env_vars` in `cluster_manager/kubernetes/workload_manager.py` of 0.9.80).

/// Where Mage keeps triggers, runs and users.
pub const DATABASE: &str = "MAGE_DATABASE_CONNECTION_URL";

/// Names the Secret of Kubernetes whose key `connection_url` workspaces get as [`DATABASE`].
pub const DATABASE_SECRET: &str = "CONNECTION_URL_SECRETS_NAME";

/// Names the Secret of Kubernetes that workspaces get [`LOGIN`] from.
pub const LOGIN_SECRET: &str = "DB_SECRETS_NAME";

/// The login to a database of Google's: each variable, and its key in the Secret.
pub const LOGIN: [(&str, &str); 3] =
    [("DB_NAME", "database"), ("DB_PASS", "password"), ("DB_USER", "username")];

/// What Mage sets for each workspace.
const OF_WORKSPACES: &[&str] = &[
    "INITIAL_METADATA",
    "KUBE_NAMESPACE",
    "MAGE_BASE_PATH",
    "PROJECT_TYPE",
    "PROJECT_UUID",
    "USER_CODE_PATH",
];

/// What the main server hands on as it has it: how it was set up (`MAGE_SETTINGS_ENVIRONMENT_VARIABLES` in
/// `settings/server.py` of 0.9.80), and its database.
pub const HANDED_ON: &[&str] = &[
    "ACTIVE_DIRECTORY_CLIENT_ID",
    "ACTIVE_DIRECTORY_CLIENT_SECRET",
    "ACTIVE_DIRECTORY_DIRECTORY_ID",
    "ACTIVE_DIRECTORY_ROLES_MAPPING",
    "AUTHENTICATION_MODE",
    "BITBUCKET_HOST",
    "BITBUCKET_OAUTH_KEY",
    "BITBUCKET_OAUTH_SECRET",
    "CONCURRENCY_CONFIG_BLOCK_RUN_LIMIT",
    "CONCURRENCY_CONFIG_PIPELINE_RUN_LIMIT",
    "DISABLE_AUTORELOAD",
    "DISABLE_AUTO_BROWSER_OPEN",
    "DISABLE_NOTEBOOK_EDIT_ACCESS",
    "ENABLE_PROMETHEUS",
    "GHE_CLIENT_ID",
    "GHE_CLIENT_SECRET",
    "GHE_HOSTNAME",
    "GITLAB_CLIENT_ID",
    "GITLAB_CLIENT_SECRET",
    "GITLAB_HOST",
    "GOOGLE_CLIENT_ID",
    "GOOGLE_CLIENT_SECRET",
    "LDAP_ADMIN_USERNAME",
    "LDAP_AUTHENTICATION_FILTER",
    "LDAP_AUTHORIZATION_FILTER",
    "LDAP_BASE_DN",
    "LDAP_BIND_DN",
    "LDAP_BIND_PASSWORD",
    "LDAP_DEFAULT_ACCESS",
    "LDAP_GROUP_FIELD",
    "LDAP_ROLES_MAPPING",
    "LDAP_SERVER",
    "MAGE_DATABASE_CONNECTION_URL",
    "MAGE_PUBLIC_HOST",
    "MAGE_RESTART_STREAMING_PIPELINES_ON_REQUIREMENTS_CHANGE",
    "MAX_FILE_CACHE_SIZE",
    "MAX_OUTPUT_IMAGE_PREVIEW_SIZE",
    "OAUTH_DEFAULT_ACCESS",
    "OIDC_CLIENT_ID",
    "OIDC_CLIENT_SECRET",
    "OIDC_DISCOVERY_URL",
    "OIDC_ROLES_MAPPING",
    "OKTA_CLIENT_ID",
    "OKTA_CLIENT_SECRET",
    "OKTA_DOMAIN_URL",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HTTP_ENDPOINT",
    "REDIS_URL",
    "REQUIRE_USER_AUTHENTICATION",
    "REQUIRE_USER_PERMISSIONS",
    "RUN_PIPELINE_IN_ONE_PROCESS",
    "SCHEDULER_TRIGGER_INTERVAL",
    "SENTRY_DSN",
    "SENTRY_SERVER_NAME",
    "SENTRY_TRACES_SAMPLE_RATE",
    "SERVER_LOGGING_FORMAT",
    "SERVER_LOGGING_TEMPLATE",
    "SERVER_VERBOSITY",
    "SHELL_COMMAND",
    "USE_UNIQUE_TERMINAL",
];

/// What is declared inside `container_config` and belongs to the pod (MAGE.md 6). Open source hands it to Kubernetes inside
/// the container, where it is dropped without a word.
pub const OF_THE_POD: [&str; 3] =
    ["container_config.affinity", "container_config.nodeSelector", "container_config.tolerations"];

/// Whether Mage gives this variable to workspaces by itself.
pub fn gives_by_itself(name: &str) -> bool {
    HANDED_ON.contains(&name)
        || OF_WORKSPACES.contains(&name)
        || LOGIN.iter().any(|(variable, _)| *variable == name)
}
