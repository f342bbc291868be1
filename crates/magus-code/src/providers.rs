//! Which settings of a profile belong to which service. A stock `io_config.yaml` names those of all services in one profile, and
//! a block reads those of its own.

/// The services by the beginning of their settings' keys (`ConfigKey` in `io/config.py`).
const KEYS: [&str; 24] = [
    "AIRTABLE",
    "ALGOLIA",
    "AWS",
    "AZURE",
    "CHROMA",
    "CLICKHOUSE",
    "DRUID",
    "DUCKDB",
    "GOOGLE",
    "MONGODB",
    "MOTHERDUCK",
    "MSSQL",
    "MYSQL",
    "ORACLEDB",
    "PINOT",
    "POSTGRES",
    "QDRANT",
    "REDSHIFT",
    "SNOWFLAKE",
    "SPARK",
    "TRINO",
    "WEAVIATE",
    "B2",
    "ATHENA",
];

/// The services whose settings are called otherwise than they are, by what their module or data provider begins with.
const OTHERWISE: [(&str, &str); 10] = [
    ("athena", "AWS"),
    ("azure", "AZURE"),
    ("bigquery", "GOOGLE"),
    ("dynamodb", "AWS"),
    ("gcs", "GOOGLE"),
    ("google", "GOOGLE"),
    ("s3", "AWS"),
    ("mongo", "MONGODB"),
    ("delta_lake_s3", "AWS"),
    ("delta_lake_azure", "AZURE"),
];

/// The services of the older form of the file, in which a profile has a map for each (`VerboseConfigKey` in `io/config.py`).
const MAPS: [(&str, &str); 4] =
    [("Backblaze B2", "B2"), ("BigQuery", "GOOGLE"), ("Duck DB", "DUCKDB"), ("PostgreSQL", "POSTGRES")];

/// Whether the map of a service in the older form of the file is where a key is read.
pub(crate) fn is_within(key: &str, map: &str) -> bool {
    let is_map = map.starts_with(|first: char| first.is_ascii_uppercase()) && !map.contains('_');
    is_map && of_key(key).is_some_and(|service| of_key(map).is_some_and(|of| needs(service, of)))
}

/// The service whose setting a key is; nothing for a key of the user's own.
pub(crate) fn of_key(key: &str) -> Option<&'static str> {
    if let Some((_, service)) = MAPS.into_iter().find(|(map, _)| *map == key) {
        return Some(service);
    }
    let first = key.split('_').next().unwrap_or(key).to_ascii_uppercase();
    KEYS.into_iter().find(|known| *known == first)
}

/// The service of a block's `data_provider`.
pub(crate) fn of_provider(provider: &str) -> Option<&'static str> {
    let provider = provider.to_ascii_lowercase();
    let otherwise =
        OTHERWISE.into_iter().find(|(begin, _)| provider.starts_with(begin)).map(|(_, service)| service);
    otherwise.or_else(|| of_key(&provider))
}

/// The service that a Python file uses by an import such as `mage_ai.io.postgres.Postgres`.
pub(crate) fn of_import(import: &str) -> Option<Option<&'static str>> {
    let module = import.strip_prefix("mage_ai.io.")?.split('.').next()?;
    match module {
        "config" | "base" => None,
        module => Some(of_provider(module)),
    }
}

/// Whether a block of one service reads the settings of another.
pub(crate) fn needs(used: &str, service: &str) -> bool {
    // Redshift may be logged in to through AWS; MotherDuck is DuckDB elsewhere.
    used == service || matches!((used, service), ("REDSHIFT", "AWS") | ("DUCKDB", "MOTHERDUCK"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_belong_to_services() {
        for (key, service) in [
            ("POSTGRES_HOST", Some("POSTGRES")),
            ("AWS_ACCESS_KEY_ID", Some("AWS")),
            ("trino", Some("TRINO")),
            ("MY_URL", None),
            ("POSTGRESQL_URL", None),
        ] {
            assert_eq!(of_key(key), service, "{key}");
        }
        for (provider, service) in
            [("postgres", Some("POSTGRES")), ("bigquery", Some("GOOGLE")), ("s3", Some("AWS")), ("own", None)]
        {
            assert_eq!(of_provider(provider), service, "{provider}");
        }
        assert_eq!(of_import("mage_ai.io.config.ConfigFileLoader"), None);
        assert_eq!(of_import("mage_ai.io.google_cloud_storage"), Some(Some("GOOGLE")));
        assert_eq!(of_import("mage_ai.io.something"), Some(None));
        assert_eq!(of_import("requests"), None);
        assert!(needs("REDSHIFT", "AWS") && !needs("POSTGRES", "AWS"));
    }
}
