use super::{
    form::{Alphabet, TOKENS},
    names::words,
    *,
};

/// Put together here, so that no scanner takes this file for a leak.
fn made(parts: &[&str]) -> String {
    parts.concat()
}

/// What lint reports as an error: the name, the text, and what it looks like.
fn certain() -> Vec<(&'static str, String, &'static str)> {
    let jwt = made(&["eyJ", "hbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.", "dozjgNryP4J3jVmNHl0w5N"]);
    let random = "q9X2mZ7rT4bV1nK8";
    let azure = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJ==";
    vec![
        ("X", made(&["AK", "IAIOSFODNN7QWERTY12"]), "an AWS access key"),
        ("X", made(&["gh", "p_1234567890abcdefghijABCDEFGHIJ123456"]), "a GitHub token"),
        ("X", made(&["--header=x ", "github", "_pat_11ABCDEFG0abcdefghijkl_mnop"]), "a GitHub token"),
        ("X", made(&["gl", "pat-abcdefghij0123456789"]), "a GitLab token"),
        ("X", made(&["xo", "xb-123456789012-abcdef"]), "a Slack token"),
        ("X", made(&["AI", "zaSyA1234567890abcdefghijklmnopqrstuv"]), "a Google API key"),
        ("X", made(&["sk", "_live_4eC39HqLyjWDarjtT1zdp7dc"]), "a Stripe key"),
        ("X", made(&["np", "m_abcdefghijklmnopqrstuvwxyz0123456789"]), "an npm token"),
        ("X", made(&["py", "pi-AgEIcHlwaS5vcmcCJDAxMjM0NTY3LTg5YWItY2RlZi0wMTIzLTQ1Njc4OWFiY2RlZg"]), "a PyPI token"),
        ("X", made(&["s", "k-proj-abcdefghijklmnopqrstuvwxyz0123456789"]), "an API key"),
        ("X", made(&["da", "pi0123456789abcdef0123456789abcdef"]), "a Databricks token"),
        ("X", made(&["hv", "s.CAESIJ1abcdefghijklmnopqrstuv"]), "a Vault token"),
        ("X", made(&["Bearer ", &jwt]), "a JSON Web Token"),
        ("X", made(&["Bearer ", random, "aB3"]), "a bearer token"),
        ("X", made(&["Basic ", "YW5hOmh1bnRlcjI="]), "a user and password in base64"),
        ("AUTHORIZATION", made(&["basic ", "YW5hOmh1bnRlcjI"]), "a user and password in base64"),
        ("X", made(&["-----BEGIN RSA PRIV", "ATE KEY-----\nMII"]), "a private key"),
        ("X", made(&["a\n-----BEGIN OPENSSH PRIV", "ATE KEY-----"]), "a private key"),
        ("X", made(&["{\"private_key\": \"-----BEGIN PRIV", "ATE KEY-----\\nMII\"}"]), "a private key"),
        ("X", made(&["https://hooks.sl", "ack.com/services/T0AB12CD3/B0AB12CD3/abcdefghijklmnop12345678"]), "a Slack webhook, which lets anybody post"),
        ("X", made(&["https://dis", "cord.com/api/webhooks/1234567890/abcdefghijklmnopqrstuvwxyzABCDEFGHIJ"]), "a Discord webhook, which lets anybody post"),
        ("X", made(&["https://acme.web", "hook.office.com/webhookb2/0a1b2c3d-1111-2222-3333-444455556666@x/IncomingWebhook/1"]), "a Teams webhook, which lets anybody post"),
        ("X", "postgresql://mage:s3cr3t@db.internal:5432/x".to_owned(), "an address with a password"),
        ("X", "see https://a.b/ and amqp://u:p/w@host/".to_owned(), "an address with a password"),
        ("X", "postgres://user:password@localhost/x".to_owned(), "an address with a password"),
        ("X", "redis://:hunter2@cache:6379/0".to_owned(), "an address with a password"),
        ("X", "mongodb+srv://ana:p%40ss@c.mongodb.net/?retryWrites=true".to_owned(), "an address with a password"),
        ("X", "git+https://x-access-token:t0k3n@github.com/acme/p.git".to_owned(), "an address with a password"),
        ("X", made(&["https://", "9f86d081884c7d659a2feaa0@github.com/acme/p.git"]), "an address with a token"),
        ("X", made(&["https://", "q9X2mZ7rT4bV1nK8@git.acme.dev/p.git"]), "an address with a token"),
        ("X", format!("AccountName=x;AccountKey={azure}"), "an Azure storage key"),
        ("X", format!("Endpoint=sb://a.servicebus.windows.net/;SharedAccessKeyName=k;SharedAccessKey={azure}"), "an Azure access key"),
        ("X", "https://a.blob.core.windows.net/c?sv=2022-11-02&se=2026-01-01&sig=aB3%2FdE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5z%3D".to_owned(), "an address with a signature, which lets anybody in"),
        ("X", "https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(), "an address with a signature, which lets anybody in"),
        ("X", "jdbc:postgresql://db:5432/x?user=u&password=p".to_owned(), "a password"),
        ("X", "jdbc:sqlserver://db;user=u;password=p;encrypt=true".to_owned(), "a password"),
        ("X", "Driver={ODBC Driver 18 for SQL Server};Server=db;UID=u;PWD=p".to_owned(), "a password"),
        ("X", "PWD=hunter;UID=u;Server=db".to_owned(), "a password"),
        ("X", "Server=db;Database=x;User Id=u;Password=p;".to_owned(), "a password"),
        ("X", "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p\";".to_owned(), "a password"),
        ("X", "sasl.jaas.config=x required username=\\\"u\\\" password=\\\"p4\\\";".to_owned(), "a password"),
        ("X", "{\"user\": \"ana\", \"password\": \"Tr0ub4dor&3\"}".to_owned(), "a password"),
        ("X", "user: ana\npassword: Tr0ub4dor&3\n".to_owned(), "a password"),
        ("X", "[db]\npassword = Tr0ub4dor&3\n".to_owned(), "a password"),
        ("X", "export DB_PASS=hunter2x && run".to_owned(), "a password"),
        ("X", format!("curl https://a.dev/?api_key={random}&x=1"), "a key or token"),
        ("X", format!("https://a.dev/hook?token={random}"), "a key or token"),
        ("DB_PASSWORD", "hunter2!".to_owned(), "a password"),
        ("DB_PASSWORD", "mage123".to_owned(), "a password"),
        ("DB_PASS", "mage123".to_owned(), "a password"),
        ("MYSQL_PWD", "mage123".to_owned(), "a password"),
        ("dbPassword", "Tr0ub4dor&3".to_owned(), "a password"),
        ("PGPASSWORD", "mage123".to_owned(), "a password"),
        ("API_KEY", "550e8400-e29b-41d4-a716-446655440000".to_owned(), "a key or token"),
        ("CLIENT_SECRET", random.to_owned(), "a key or token"),
        ("FERNET_KEY", "81HqDtbqAywKSOumSha3BhWNOdQ26slT6K0YaZeZyPs=".to_owned(), "a key or token"),
        ("GITHUB_PAT", random.to_owned(), "a key or token"),
        ("JWT_KEY", random.to_owned(), "a key or token"),
        ("STORAGE_KEY", random.to_owned(), "a key or token"),
        ("WEBHOOK_SECRET", random.to_owned(), "a key or token"),
        ("X", "--db-password=xK9mQ2".to_owned(), "a password"),
        ("X", format!("SLACK_TOKEN={random}"), "a key or token"),
    ]
}

/// Values that are hidden and are not errors, because they may be harmless.
const POSSIBLE: &[(&str, &str)] = &[
    ("DB_PASSWORD", "postgres"),
    ("DB_PASSWORD", "correct horse battery staple"),
    ("DB_PASS", "mage"),
    ("MYSQL_PWD", "12"),
    ("PGPASSWORD", "x1/y2"),
    ("API_KEY", "warehouse-prod-2"),
    ("FERNET_KEY", "short"),
    ("github_token", "x"),
    ("CLIENT_SECRET", "abc"),
    ("AWS_SECRET_ACCESS_KEY", "abc"),
    ("SNOWFLAKE_PRIVATE_KEY_PASSPHRASE", "abc"),
    ("PASSWORDS", "ana:one,bob:two"),
    ("API_KEY", "ab12ab12ab12ab12ab"),
];

/// What no command hides, and lint accepts.
const HARMLESS: &[(&str, &str)] = &[
    ("DATABASE_URL", "prod-warehouse.company.com"),
    ("DATABASE_URL", "postgresql://mage@db:5432/x"),
    ("DATABASE_URL", "postgresql://svc-analytics-prod-2024@db:5432/x"),
    ("DATABASE_URL", "postgresql://mage:${DB_PASSWORD}@db/x"),
    ("DATABASE_URL", "postgresql://mage:$(DB_PASSWORD)@db/x"),
    ("DATABASE_URL", "postgresql://mage:{{ env_var('P') }}@db/x"),
    ("DATABASE_URL", "https://host:8080/path/user@example.com"),
    ("DATABASE_URL", "jdbc:postgresql://db:5432/x?user=u&password=${DB_PASSWORD}"),
    (
        "DATABASE_URL",
        "jdbc:sqlserver://db;trustServerCertificate=true;authentication=ActiveDirectoryPassword",
    ),
    ("DATABASE_URL", "jdbc:snowflake://acme.snowflakecomputing.com/?db=x&warehouse=y"),
    ("ODBC", "Driver={ODBC Driver 18 for SQL Server};Server=db;UID=u;PWD={{ env_var('P') }}"),
    ("DB_PASSWORD", ""),
    ("DB_PASSWORD", "changeme"),
    ("DB_PASSWORD", "********"),
    ("DB_PASSWORD", "<the password>"),
    ("DB_PASSWORD", "${DB_PASSWORD}"),
    ("DB_PASSWORD", "$DB_PASSWORD"),
    ("DB_PASSWORD", "$(DB_PASSWORD)"),
    ("DB_PASSWORD", "{{ env_var('DB_PASSWORD') }}"),
    ("DB_PASSWORD", "/run/secrets/db1"),
    ("DB_PASSWORD_FILE", "q9X2mZ7rT4bV1nK8"),
    ("PWD", "/home/src"),
    ("PASSWORD_MIN_LENGTH", "8"),
    ("PASSWORD_MAX_AGE", "90"),
    ("PASSWORD_POLICY", "at-least-12-characters"),
    ("PASSWORD_REQUIRED", "true"),
    ("REQUIRE_PASSWORD", "true"),
    ("ENABLE_TOKEN", "no"),
    ("SECRET_NAME", "warehouse-q9X2mZ7rT4bV1nK8"),
    ("SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf"),
    ("CLIENT_SECRET", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf"),
    ("TOKEN_URL", "https://login.company.com/oauth2/v2.0/token"),
    ("AUTH_TOKEN", "https://login.company.com/oauth2/v2.0/token"),
    ("TOKEN_TTL_SECONDS", "3600"),
    ("TOKEN_EXPIRES", "3600"),
    ("MAX_TOKENS", "4096"),
    ("TOKENIZER", "q9X2mZ7rT4bV1nK8"),
    ("SECRETS_BACKEND", "aws"),
    ("CREDENTIALS_FILE", "/etc/gcp/key.json"),
    ("GOOGLE_APPLICATION_CREDENTIALS", "/etc/gcp/key.json"),
    ("AWS_ACCESS_KEY_ID", "${AWS_ACCESS_KEY_ID}"),
    ("KEY", "q9X2mZ7rT4bV1nK8"),
    ("PRIMARY_KEY", "id"),
    ("PARTITION_KEY", "order_id"),
    ("SORT_KEY", "created_at"),
    ("CACHE_KEY", "orders-v2"),
    ("SSH_PUBLIC_KEY", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1 ana@acme"),
    ("KEYBOARD", "q9X2mZ7rT4bV1nK8"),
    ("COMPASS", "north"),
    ("BYPASS", "localhost,10.0.0.0/8"),
    ("PASSTHROUGH", "headers"),
    ("X", "sk-this-is-a-long-name-without-any-number-in-it"),
    ("X", "skip-this-very-long-name-with-2-numbers-in-it-please"),
    ("X", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ("image", "mageai/mageai@sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
    ("X", "mageai/mageai:0.9.80"),
    ("commit", "3a57c1d0b7e2f94a6d8c5b3e1f0a9d8c7b6e5f4a"),
    ("X", "550e8400-e29b-41d4-a716-446655440000"),
    ("X", "eyJust a text that begins like one"),
    ("X", "-----BEGIN CERTIFICATE-----\nMIIB"),
    ("X", "basic auth is used"),
    ("X", "Basic Auth"),
    ("X", "bearer tokens are accepted here"),
    ("X", "https://0a1b2c3d4e5f60718293a4b5c6d7e8f9@o12.ingest.sentry.io/34"),
    ("X", "abfss://container1a2b3c4d5e@account.dfs.core.windows.net/path"),
    ("X", "git@github.com:acme/pipelines.git"),
    ("X", "ssh://git@github.com/acme/pipelines.git"),
    ("X", "https://hooks.slack.com"),
    ("X", "token=$(cat /run/token) && run"),
    ("X", "password=os.environ[\"DB_PASSWORD\"]"),
    ("X", "if password == 'x': raise"),
    ("X", "0 * * * *"),
    ("X", "s3://bucket-1a2b3c/prefix/2026/01/"),
    ("X", "https://a.dev/?page=2&sig=v1"),
    ("EMAIL", "ana@acme.dev"),
    ("TZ", "Europe/Vienna"),
    ("secretName", "warehouse"),
    ("serviceAccountName", "mage"),
];

#[test]
fn secrets_are_found_wherever_they_stand() {
    let table = certain();
    assert!(table.len() >= 60, "{}", table.len());
    for (name, text, what) in table {
        assert_eq!(resemblance(Some(name), &text), Some(what), "{name}: {text}");
        assert!(text_may_be_secret(Some(name), &text), "{name}: {text}");
    }
}

#[test]
fn a_short_password_is_hidden_and_is_no_error() {
    for (name, text) in POSSIBLE {
        assert_eq!(resemblance(Some(name), text), None, "{name}: {text}");
        assert!(text_may_be_secret(Some(name), text), "{name}: {text}");
    }
}

#[test]
fn ordinary_values_are_shown() {
    assert!(HARMLESS.len() >= 60, "{}", HARMLESS.len());
    for (name, text) in HARMLESS {
        assert_eq!(resemblance(Some(name), text), None, "{name}: {text}");
        assert!(!text_may_be_secret(Some(name), text), "{name}: {text}");
    }
}

#[test]
fn every_form_of_token_is_found() {
    for (begin, alphabet, least, what) in TOKENS {
        let (one, two) = if matches!(alphabet, Alphabet::Capitals) { ("A1", "A1") } else { ("a1", "a.1a") };
        let body = if matches!(alphabet, Alphabet::Dotted) { two } else { one }.repeat(*least);
        let end =
            if matches!(alphabet, Alphabet::Capitals | Alphabet::Hex) { &body[..*least] } else { &body };
        assert_eq!(resemblance(None, &format!("x {begin}{end}")), Some(*what), "{begin}");
    }
}

#[test]
fn values_are_searched_whole() {
    let value = |json: &str| serde_json::from_str::<Value>(json).expect("JSON");
    for (path, json, expected) in [
        ("env.A", "\"postgres://ana:hunter2@db\"", true),
        ("env.DB_PASSWORD", "12345678", true),
        (
            "env.DB_PASSWORD",
            "{\"valueFrom\": {\"secretKeyRef\": {\"name\": \"warehouse\", \"key\": \"password\"}}}",
            false,
        ),
        ("env[\"db.password\"]", "\"x\"", true),
        ("env.PASSWORD_MIN_LENGTH", "8", false),
        ("secrets.anything", "\"x\"", true),
        ("secrets_store", "\"x\"", false),
        ("container_config.args", "[\"--password\", \"x\"]", true),
        ("container_config.args", "[\"--user\", \"x\"]", false),
        ("container_config.args", "[\"--token=q9X2mZ7rT4bV1nK8\"]", true),
        ("container_config.command", "[\"sh\", \"-c\", \"run postgres://a:b@c\"]", true),
        ("container_config.command", "[\"sh\", \"-c\", \"run\"]", false),
        ("container_config.env", "[{\"name\": \"DB_PASS\", \"value\": \"x\"}]", true),
        ("container_config.env", "[{\"name\": \"DB_HOST\", \"value\": \"x\"}]", false),
        (
            "container_config.livenessProbe.httpGet.httpHeaders",
            "[{\"name\": \"Authorization\", \"value\": \"Basic YW5hOmh1bnRlcjI=\"}]",
            true,
        ),
        ("container_config.automountServiceAccountToken", "true", false),
        ("container_config.volumes", "[{\"name\": \"token\", \"secret\": {\"secretName\": \"x\"}}]", false),
        ("state", "\"running\"", false),
    ] {
        assert_eq!(may_be_secret(&FieldPath::from(path), &value(json)), expected, "{path}: {json}");
    }
}

#[test]
fn names_are_taken_apart() {
    assert_eq!(words("dbPassword.fooBAR-x_y"), ["DB", "PASSWORD", "FOO", "BAR", "X", "Y"]);
    for (name, kind) in [
        ("TS_AUTHKEY", Some(NameKind::Key)),
        ("apiKey", Some(NameKind::Key)),
        ("GIT_ACCESS_TOKEN", Some(NameKind::Key)),
        ("PGPASSWORD", Some(NameKind::Password)),
        ("COMPASS", None),
        ("PATH", None),
        ("PAT", None),
    ] {
        assert_eq!(kind_of_name(name), kind, "{name}");
    }
}

/// Hostile texts, each of which took quadratic time once. Each of them takes milliseconds now.
#[test]
fn hostile_texts_take_linear_time() {
    for unit in [
        "://a:",
        "${",
        "-----BEGIN ",
        "sk-",
        "a=",
        "password=",
        "\"token\": ",
        "Basic ",
        "://",
        "eyJ.",
        "=",
        ":",
        "x@://y:",
    ] {
        let text = unit.repeat(100_000 / unit.len());
        std::hint::black_box(text_may_be_secret(Some("X"), &text));
    }
}

#[test]
fn the_texts_of_a_value_that_may_be_secrets_are_told_one_by_one() {
    let texts = |path: &str, json: &str| {
        let value: Value = serde_json::from_str(json).expect("JSON");
        secret_texts(&FieldPath::from(path), &value)
    };
    assert_eq!(texts("env.DB_PASSWORD", "\"hunter2-x\""), ["hunter2-x"]);
    assert_eq!(texts("env.DB_PASSWORD", "1234"), ["1234"]);
    assert_eq!(texts("env.REGION", "\"eu-west-1\""), [""; 0]);
    assert_eq!(texts("secrets.a", "\"x\""), ["x"]);
    assert_eq!(
        texts(
            "container_config.args",
            r#"["--password", "pw", "--mode", "fast", "ana:hunter2", "--long-flag"]"#
        ),
        ["pw", "ana:hunter2"]
    );
    assert_eq!(texts("container_config.args", r#"["--mode", "very-fast-mode"]"#), [""; 0]);
    assert_eq!(
        texts(
            "container_config.x",
            r#"[{"name": "Authorization", "value": "Basic YW5hOmh1bnRlcjc="}, {"name": "A", "value": "b"}]"#
        ),
        ["Basic YW5hOmh1bnRlcjc="]
    );
}
