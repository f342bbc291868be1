//! Looks again and again until a change has come up.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use k8s_openapi::api::{
    apps::v1::StatefulSet,
    core::v1::{Event, Pod},
};
use kube::{
    Resource,
    core::{ObjectList, Request, params::ListParams},
};
use magus_engine::{EngineError, EngineErrorKind};
use serde::de::DeserializeOwned;

use crate::{
    Kubernetes,
    failure::Trouble,
    rollout::{APP, Progress, Rollout, judge, why},
    set::Set,
    workload::Workload,
};

/// How often is looked whether the wait was cancelled.
const BLINK: Duration = Duration::from_millis(50);
/// The longest that one look may take: so long can cancelling be late.
const LONGEST_LOOK: Duration = Duration::from_secs(10);
/// How often the pods are asked whether one has failed.
const BETWEEN_LOOKS_AT_PODS: Duration = Duration::from_secs(5);
/// Of more events than these, the last may be missing.
const EVENTS: u32 = 500;

impl Kubernetes {
    /// Waits until a StatefulSet runs with what it was last given on every wanted pod, or has stopped where none is wanted.
    /// One small request a second ([`crate::Limits::look`]) asks for it, and one in five seconds whether an older pod has failed;
    /// only at the end, pods and events are asked for a reason.
    ///
    /// # Errors
    /// Where the login is refused, and where the cluster does not answer at the deadline. That it does not answer in between
    /// is waited out.
    pub fn wait_for_rollout(
        &self,
        namespace: &str,
        name: &str,
        deadline: Instant,
        cancelled: &AtomicBool,
    ) -> Result<Rollout, EngineError> {
        let mut next_look_at_pods = Instant::now();
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            // A look at the deadline still has a chance.
            let limit = rest.clamp(Duration::from_secs(1), LONGEST_LOOK);
            let looked = self.server.get_within::<StatefulSet, Set>(Some(namespace), name, limit);
            let seen = match looked.map_err(Trouble::engine) {
                Ok(None) => {
                    return Ok(Rollout::NotSeen {
                        why: format!("the StatefulSet `{name}` does not exist any more"),
                    });
                }
                Ok(Some(set)) => Ok(Workload::from(set)),
                Err(error) if error.kind == EngineErrorKind::Refused => return Err(error),
                Err(error) => Err(error),
            };
            if let Ok(workload) = &seen {
                match judge(workload) {
                    Progress::Done => return Ok(Rollout::Done),
                    Progress::Never(why) => return Ok(Rollout::NotSeen { why }),
                    Progress::Open if Instant::now() >= next_look_at_pods => {
                        if let Some(why) = self.blocked(workload) {
                            return Ok(Rollout::Blocked { why });
                        }
                        next_look_at_pods = Instant::now() + BETWEEN_LOOKS_AT_PODS;
                    }
                    Progress::Open => {}
                }
            }
            let stopped = self.pause(deadline, cancelled);
            if let Some(stopped) = stopped {
                return match (seen, stopped) {
                    (Err(error), Stopped::Deadline) => Err(error),
                    (_, Stopped::Cancelled) => {
                        Ok(Rollout::NotSeen { why: "waiting for it was cancelled".to_owned() })
                    }
                    (Ok(workload), Stopped::Deadline) => Ok(Rollout::NotSeen { why: self.reason(&workload) }),
                };
            }
        }
    }

    /// Why a pod with an older template has failed, if one has. Where the pods cannot be read, none is known to.
    fn blocked(&self, workload: &Workload) -> Option<String> {
        // Until then the status is that of the last template.
        if workload.counts.observed_generation < workload.generation {
            return None;
        }
        let stuck = self.stuck([workload]).ok()?.remove(&workload.key)?;
        stuck.is_outdated.then_some(stuck.why)
    }

    /// Waits until the next look; says why there is none.
    fn pause(&self, deadline: Instant, cancelled: &AtomicBool) -> Option<Stopped> {
        let next = Instant::now() + self.server.limits().look;
        loop {
            let now = Instant::now();
            if cancelled.load(Ordering::Relaxed) {
                return Some(Stopped::Cancelled);
            }
            if now >= deadline {
                return Some(Stopped::Deadline);
            }
            if now >= next {
                return None;
            }
            thread::sleep(BLINK.min(next - now).min(deadline - now));
        }
    }

    /// Asks the pods, and the events, what keeps a workload.
    fn reason(&self, workload: &Workload) -> String {
        let namespace = workload.key.namespace.as_str();
        let selector = ListParams::default().labels(&format!("{APP}={}", workload.key.name));
        let pods = self.some::<Pod>(namespace, &selector);
        // The reason in the pods is enough where these are not shown.
        let warnings = ListParams::default().fields("type=Warning").limit(EVENTS);
        let events = self.some::<Event>(namespace, &warnings).unwrap_or_default();
        match &pods {
            Ok(pods) => why(workload, Ok(pods), &events),
            Err(error) => why(workload, Err(&error.message), &events),
        }
    }

    fn some<K>(&self, namespace: &str, params: &ListParams) -> Result<Vec<K>, EngineError>
    where
        K: Resource<DynamicType = ()> + Clone + DeserializeOwned,
    {
        let request = Request::new(K::url_path(&(), Some(namespace))).list(params);
        let list: ObjectList<K> = self.server.read_within(request, LONGEST_LOOK).map_err(Trouble::engine)?;
        Ok(list.items)
    }
}

/// Why waiting ended.
enum Stopped {
    Deadline,
    Cancelled,
}
