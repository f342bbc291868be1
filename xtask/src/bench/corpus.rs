//! A directory of declarations like that of a company with very many workspaces.
//!
//! Files are about 40 lines long. Every second workspace gets much of what it is from templates and from the
//! defaults of its environment, overrides some of it and removes some. Equal counts give equal files.

use std::{fmt::Write as _, fs, io, path::Path};

const ENVIRONMENTS: [(&str, Option<&str>, &str); 3] = [
    ("development", None, "development"),
    ("staging", Some("development"), "staging"),
    ("production", Some("staging"), "main"),
];

/// Workspaces in one folder at most: nobody keeps ten thousand files in one.
const FOLDER: usize = 250;

/// Writes the directory, in place of one that is there.
pub fn generate(directory: &Path, workspaces: usize) -> io::Result<()> {
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    fs::create_dir_all(directory)?;
    fs::write(directory.join("cluster.yaml"), CLUSTER)?;
    for (number, (environment, before, branch)) in ENVIRONMENTS.into_iter().enumerate() {
        let folder = directory.join(environment);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("environment.yaml"), environment_file(environment, before, branch))?;
        for at in (number..workspaces).step_by(ENVIRONMENTS.len()) {
            let team = folder.join(format!("team-{:03}", at / (FOLDER * ENVIRONMENTS.len())));
            if at % (FOLDER * ENVIRONMENTS.len()) == number {
                fs::create_dir_all(&team)?;
            }
            fs::write(team.join(format!("pipelines-{at:06}.yaml")), workspace(at, environment))?;
        }
    }
    Ok(())
}

const CLUSTER: &str = "\
name: bench
managed_by: bench
engine:
  local: {path: ../store}
workspace_name: \"${workspace}-${environment}\"
templates:
  large:
    container_config:
      resources:
        requests: {cpu: \"2\", memory: 8Gi}
        limits: {cpu: \"4\", memory: 16Gi}
    env:
      SPARK_DRIVER_MEMORY: 4g
      SPARK_EXECUTOR_MEMORY: 8g
  reporting:
    env:
      REPORT_BUCKET: \"reports-${environment}\"
      REPORT_PREFIX: \"${workspace}/daily\"
      REPORT_FORMAT: parquet
    container_config:
      nodeSelector: {pool: reporting}
defaults:
  container_config:
    image: mageai/mageai:0.9.80
    imagePullPolicy: IfNotPresent
  env:
    TZ: Europe/Berlin
    LOG_LEVEL: info
    TEAM: data-platform
";

fn environment_file(name: &str, before: Option<&str>, branch: &str) -> String {
    let promotes_from = before.map(|before| format!("promotes_from: {before}\n")).unwrap_or_default();
    format!(
        "branch: {branch}\n{promotes_from}rollout: {{batch: 50}}\n\
         defaults:\n  env:\n    ENV: {name}\n    DATABASE_HOST: {name}-warehouse.bench.example\n    LOG_LEVEL: warning\n\
         \x20 container_config:\n    resources:\n      requests: {{cpu: 500m, memory: 2Gi}}\n      limits: {{cpu: \"2\", memory: 4Gi}}\n"
    )
}

/// A workspace's file. Odd numbers stand on their layers, even ones say everything themselves.
fn workspace(at: usize, environment: &str) -> String {
    let mut text = String::with_capacity(1400);
    let _ = write!(
        text,
        "# Pipelines of team {team} in {environment}.\nowner: team-{team}@bench.example\nstate: running\n",
        team = at % 97
    );
    if at % 2 == 1 {
        let _ = write!(
            text,
            "use: [large, reporting]\nenv:\n  TEAM: team-{team}\n  LOG_LEVEL: null\n  REPORT_FORMAT: csv\n  SPARK_DRIVER_MEMORY: {memory}g\n",
            team = at % 97,
            memory = at % 7 + 2
        );
    } else {
        let _ = write!(text, "env:\n  TEAM: team-{}\n  ENV: {environment}\n", at % 97);
    }
    let _ = write!(
        text,
        "  PIPELINE_ID: pipeline-{at:06}\n  SOURCE_URL: https://source-{source}.bench.example/v2/export\n\
         \x20 TARGET_SCHEMA: analytics_{schema}\n  BATCH_SIZE: \"{batch}\"\n  RETRIES: \"3\"\n  TIMEOUT_SECONDS: \"{timeout}\"\n\
         \x20 SLACK_CHANNEL: \"#team-{team}\"\n  OWNER_EMAIL: team-{team}@bench.example\n  FEATURE_FLAGS: incremental,backfill,quality\n\
         \x20 DB_PASSWORD: {{valueFrom: {{secretKeyRef: {{name: {environment}-{source}, key: password}}}}}}\n\
         container_config:\n  resources:\n    limits:\n      memory: {limit}Gi\n  tolerations:\n\
         \x20   - {{key: dedicated, operator: Equal, value: pipelines, effect: NoSchedule}}\n\
         \x20 readinessProbe:\n    httpGet: {{path: /api/status, port: 6789}}\n    initialDelaySeconds: 20\n    periodSeconds: 15\n\
         \x20 securityContext:\n    runAsNonRoot: true\n    runAsUser: 1000\n\
         lifecycle_config:\n  pre_start_script_path: scripts/pre_start.py\n  post_start:\n    command: [echo, started]\n    hook_path: scripts/post_start.sh\n",
        source = at % 31,
        schema = at % 53,
        batch = (at % 9 + 1) * 1000,
        timeout = at % 5 * 60 + 120,
        team = at % 97,
        limit = at % 3 + 16,
    );
    if environment == "development" {
        text.push_str(
            "  termination_policy:\n    enable_auto_termination: true\n    max_idle_seconds: 1800\n",
        );
    }
    text.push_str("storage_request_size: 20Gi\nservice_account_name: mage\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_about_forty_lines_and_half_of_them_have_layers() {
        let files: Vec<_> = (0..100).map(|at| workspace(at, ENVIRONMENTS[at % 3].0)).collect();
        let lines: usize = files.iter().map(|file| file.lines().count()).sum();
        assert!((36..=46).contains(&(lines / files.len())), "{}", lines / files.len());
        assert_eq!(files.iter().filter(|file| file.contains("use: [")).count(), 50);
    }
}
