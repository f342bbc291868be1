//! How long validating takes.

use std::time::{Duration, Instant};

use super::document;
use crate::{SchemaKind, validate, validate::is_valid};

const FORTY_LINES: &str = "\
use: [large, team]
owner: data@acme.dev
state: running
env:
  ENV: production
  DATABASE_URL: warehouse.acme.dev
  REGION: eu-central-1
  LOG_LEVEL: info
  FEATURE_A: \"on\"
  FEATURE_B: \"off\"
  BATCH_SIZE: \"500\"
  DB_PASSWORD: {valueFrom: {secretKeyRef: {name: warehouse, key: password}}}
  API_KEY: {secret: {env: PROD_API_KEY}, version: 2}
secrets:
  slack: {secret: {env: SLACK}}
container_config:
  image: mageai/mageai:0.9.80
  imagePullPolicy: IfNotPresent
  resources:
    requests:
      cpu: 500m
      memory: 2Gi
    limits:
      cpu: \"2\"
      memory: 4Gi
  livenessProbe:
    httpGet:
      path: /api/status
      port: 6789
    periodSeconds: 10
  nodeSelector:
    pool: data
  tolerations:
    - key: data
      operator: Exists
      effect: NoSchedule
lifecycle_config:
  termination_policy:
    enable_auto_termination: true
    max_idle_seconds: 1800
service_account_name: mage
storage_request_size: 10
";

#[test]
fn ten_thousand_documents_take_a_blink() {
    let (root, _) = document(FORTY_LINES);
    assert!(is_valid(SchemaKind::Workspace, &root));
    let best = (0..5).map(|_| {
        let start = Instant::now();
        assert!((0..10_000).all(|_| is_valid(SchemaKind::Workspace, std::hint::black_box(&root))));
        start.elapsed()
    });
    let best = best.min().expect("five runs");
    // Measured: 6 ms in a release build. The bound only tells a blink from a mistake, on a busy machine too.
    assert!(best < Duration::from_millis(2000), "{best:?}");
}

#[test]
fn a_hostile_file_takes_no_longer_than_others() {
    for line in ["  k{}: 1\n", "  \"k{}\": {secret: {envv: 1}}\n"] {
        let lines: String = (0..40_000).map(|number| line.replace("{}", &number.to_string())).collect();
        for head in ["env:\n", "container_config:\n"] {
            let (root, sources) = document(&format!("{head}{lines}"));
            let start = Instant::now();
            let found = validate(SchemaKind::Workspace, &root, &sources);
            assert_eq!(found.len(), 501, "the first ones, and that there are more");
            assert!(found.iter().any(|finding| finding.message.starts_with("more than 500 faults")));
            // Without the bound, the time grows with the square of the file.
            assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
        }
    }
}
