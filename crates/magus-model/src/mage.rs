//! Which variables a Mage server gives to workspaces by itself, whatever is declared
//! (`__populate_env_vars` in `cluster_manager/kubernetes/workload_manager.py` of 0.9.80).

use crate::pattern;

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

/// Those of them that no workspace lacks: the base path is for an ingress, and the metadata for a new project.
const SET_FOR_EVERY_WORKSPACE: &[&str] =
    &["KUBE_NAMESPACE", "PROJECT_TYPE", "PROJECT_UUID", "USER_CODE_PATH"];

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

/// What is in the environment of every workspace, whoever declares what: from Mage's image, its own process and Kubernetes.
const IN_EVERY_WORKSPACE: &[&str] = &[
    "GPG_KEY",
    "HOME",
    "HOSTNAME",
    "KUBERNETES_*",
    "LANG",
    "MAGE_DATA_DIR",
    "MAGE_REPO_PATH",
    "MAGE_RUNTIME__REPO_PATH",
    "PATH",
    "PWD",
    "PYTHONPATH",
    "PYTHON_VERSION",
    // Of each Service in the namespace.
    "*_PORT_*_TCP",
    "*_PORT_*_TCP_ADDR",
    "*_PORT_*_TCP_PORT",
    "*_PORT_*_TCP_PROTO",
    "*_SERVICE_HOST",
    "*_SERVICE_PORT",
    "*_SERVICE_PORT_*",
];

/// What no code of a project reads, and Mage, Python or a library does.
const READ_BY_OTHERS: &[&str] = &[
    "ACTIVE_DIRECTORY_*",
    "ALL_PROXY",
    "ANTHROPIC_*",
    "AUTHENTICATION_MODE",
    "AWS_*",
    "AZURE_*",
    "BITBUCKET_*",
    "CLOUD_SQL_CONNECTION_NAME",
    "CLUSTER_TYPE",
    "CONCURRENCY_CONFIG_*",
    "CONNECTION_URL_SECRETS_NAME",
    "CURL_CA_BUNDLE",
    "DATAFRAME_*",
    "DBT_*",
    "DB_HOST",
    "DB_PORT",
    "DB_SECRETS_NAME",
    "DD_*",
    "DEBUG",
    "DEBUG_*",
    "DEFAULT_EXECUTOR_TYPE",
    "DEFAULT_OWNER_*",
    "DEUS_EX_MACHINA",
    "DISABLE_*",
    "DYNAMIC_BLOCKS_VERSION",
    "ECS_*",
    "ENABLE_*",
    "ENV",
    "GCP_*",
    "GHE_*",
    "GITLAB_*",
    "GIT_*",
    "GOOGLE_*",
    "HADOOP_*",
    "HIDE_*",
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "HUGGINGFACE_*",
    "INHERIT_ENV_VARS",
    "INITIAL_METADATA",
    "INSTANCE_TYPE",
    "JAVA_*",
    "JWT_*",
    "K8S_*",
    "KERNEL_MANAGER",
    "KUBE_*",
    "LAMBDA_*",
    "LANG",
    "LANGUAGE",
    "LC_*",
    "LDAP_*",
    "LD_*",
    "LOGS_DIR_PATH",
    "MAGE_*",
    "MALLOC_*",
    "MAX_FILE_CACHE_SIZE",
    "MAX_NUMBER_OF_FILE_VERSIONS",
    "MAX_OUTPUT_IMAGE_PREVIEW_SIZE",
    "MAX_PRINT_OUTPUT_LINES",
    "MEMORY_MANAGER_*",
    "MICROSOFT_GRAPH_API_HOST",
    "NEW_RELIC_*",
    "NO_PROXY",
    "OAUTH_*",
    "OIDC_*",
    "OKTA_*",
    "OMP_NUM_THREADS",
    "OPENAI_*",
    "OTEL_*",
    "PATH",
    "PGAPPNAME",
    "PGDATABASE",
    "PGHOST",
    "PGOPTIONS",
    "PGPASSWORD",
    "PGPORT",
    "PGSSLMODE",
    "PGUSER",
    "PIP_*",
    "POLARS_*",
    "PROJECT_*",
    "PUBSUB_EMULATOR_HOST",
    "PYTHON*",
    "REDIS_*",
    "REQUESTS_CA_BUNDLE",
    "REQUIRE_*",
    "RUN_PIPELINE_IN_ONE_PROCESS",
    "SCHEDULER_TRIGGER_INTERVAL",
    "SENTRY_*",
    "SERVER_*",
    "SERVICE_ACCOUNT_*",
    "SHELL_COMMAND",
    "SPARK_*",
    "SSL_*",
    "SYSTEM_LOGS_*",
    "TS_*",
    "TZ",
    "UPDATE_ROLES_ON_LOGIN",
    "USER_CODE_PATH",
    "USER_DEFINED_VARS*",
    "USE_UNIQUE_TERMINAL",
    "UV_*",
    "VARIABLE_DATA_OUTPUT_META_CACHE",
    "WORKSPACE_*",
    "http_proxy",
    "https_proxy",
    "no_proxy",
];

/// Whether a variable stands in the list of every workspace before those that are declared.
pub fn comes_first(name: &str) -> bool {
    OF_WORKSPACES.contains(&name)
}

/// Whether a variable may stand in the list before those that are declared: the main server hands it on if it has it, or it belongs to a
/// Service of the namespace.
pub fn may_come_first(name: &str) -> bool {
    HANDED_ON.contains(&name)
        || LOGIN.iter().any(|(login, _)| *login == name)
        || IN_EVERY_WORKSPACE
            .iter()
            .filter(|pattern| pattern.contains('*'))
            .any(|pattern| pattern::matches(pattern, name))
}

/// Whether a variable is there in every workspace, without a declaration. What the main server hands on is not: it has it only if it
/// was set up so, which `server` says.
pub fn is_always_there(name: &str) -> bool {
    SET_FOR_EVERY_WORKSPACE.contains(&name)
        || IN_EVERY_WORKSPACE.iter().any(|pattern| pattern::matches(pattern, name))
}

/// Whether something else than the code of a project may read a variable.
pub fn may_be_read_by_others(name: &str) -> bool {
    gives_by_itself(name) || READ_BY_OTHERS.iter().any(|pattern| pattern::matches(pattern, name))
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_workspace_lacks_is_there_without_a_declaration() {
        for name in ["HOME", "PATH", "KUBE_NAMESPACE", "PROJECT_UUID", "ORDERS_SERVICE_HOST"] {
            assert!(is_always_there(name), "{name}");
        }
        let logins = LOGIN.iter().map(|(name, _)| *name);
        let others = ["LOGIN", "MAGE_BASE_PATH", "INITIAL_METADATA", "DATABASE_URL"];
        for name in HANDED_ON.iter().copied().chain(logins).chain(others) {
            assert!(!is_always_there(name), "{name}");
        }
    }
}
