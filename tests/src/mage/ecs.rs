//! AWS for a test: moto's ECS and EC2 on loopback, see `tests/mage/ecs.py`.

use std::ffi::OsString;

use serde_json::Value;

use super::{
    environment::{Missing, ecs_environment},
    kubernetes::first_line,
    process::{Kept, Program, new_folder},
};
use crate::repository;

/// A running server with the cluster that Mage expects; dropping it ends it.
pub struct EcsServer {
    _kept: Kept,
    facts: Value,
}

impl EcsServer {
    /// Starts AWS with one cluster, one task definition and Mage's own task.
    ///
    /// # Errors
    /// Where moto cannot be installed here.
    ///
    /// # Panics
    /// Where it does not start.
    pub fn start() -> Result<Self, Missing> {
        let environment = ecs_environment()?;
        let folder = new_folder("ecs");
        let program = Program {
            words: vec![environment.join("bin/python").into(), repository().join("tests/mage/ecs.py").into()],
            variables: vec![
                ("HOME".into(), OsString::from(&folder)),
                ("PYTHONPATH".into(), repository().join("tests/mage/loopback").into()),
            ],
        };
        let kept = Kept::start(folder, &program);
        let output = kept.folder().join("output");
        let facts = kept.wait("AWS gets ready", || first_line(&output));
        Ok(Self { _kept: kept, facts })
    }

    /// What a Mage server needs in its environment to use this cluster.
    pub fn variables(&self) -> Vec<(String, String)> {
        let fact = |name: &str| self.facts[name].as_str().expect("a fact").to_owned();
        [
            ("AWS_ENDPOINT_URL", fact("endpoint")),
            ("AWS_DEFAULT_REGION", fact("region")),
            ("AWS_ACCESS_KEY_ID", "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "test".to_owned()),
            ("ECS_CLUSTER_NAME", fact("cluster")),
            ("ECS_TASK_DEFINITION", fact("task_definition")),
            ("ECS_CONTAINER_NAME", fact("container")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .to_vec()
    }
}
