//! Uncommitted changes, and restarts that do not end well: the engine against servers that answer as a test says.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::Timestamp;
use magus_engine::{Observe as _, Perform as _, PerformError, Task};
use magus_model::{
    Text,
    desired::{Edition, MageServer},
    name::WorkspaceName,
    observed::{Mark, ObservedWorkspace, RunState, Work},
    plan::{Action, Precondition, Restarts, Step},
};
use magus_secrets::Resolver;
use serde_json::{Value, json};

use crate::{
    Connect, Mage, Patience,
    api::testing::{MAIN, Reply, Script, Seen},
    mark::{self, Stored, StoredCode},
};

const COMMIT: &str = "3a5746628fb7ca6541ee2069d93f6c9373885772";
const LIST: &str = "GET /api/workspaces";
const DETAIL: &str = "GET /api/workspaces/cc";
const CHANGE: &str = "PUT /api/workspaces/cc";
/// What a person adds to the configuration.
const EDIT: &str = "- name: LEVEL\n  value: debug\n";
const DELETE: &str = "DELETE /api/workspaces/cc";

/// What the servers say of the workspace `cc`.
struct State {
    text: String,
    status: &'static str,
    exists: bool,
    /// Where its own server is.
    url: String,
    /// The files that git finds changed.
    changed: Vec<&'static str>,
    /// Pipelines that run at the next questions, and what is changed once none does.
    running: Vec<u64>,
    changed_later: Vec<&'static str>,
    /// The action during which a person changes the configuration.
    edited_during: &'static str,
    /// Actions that are refused, and how often.
    refused: BTreeMap<&'static str, usize>,
}

struct Bed {
    main: Script,
    own: Script,
    state: Arc<Mutex<State>>,
}

fn name() -> WorkspaceName {
    WorkspaceName::observed("cc")
}

fn mark() -> Mark {
    Mark {
        managed_by: "acme".into(),
        environment: "development".into(),
        workspace: "cc".into(),
        protected: false,
        source: None,
        applied: BTreeMap::new(),
        resume: false,
        declarations: None,
    }
}

impl Bed {
    /// `cc` runs, resets its code when it starts, and was told to run a commit.
    fn new() -> Self {
        let code = StoredCode { made: true, at: Some(COMMIT.into()), clean: false };
        let stored = Stored { mark: mark(), secrets: BTreeMap::new(), grown: false, code, key: None };
        let line = mark::write(&name(), &stored).unwrap();
        let state = Arc::new(Mutex::new(State {
            text: format!("{line}\nenv:\n- name: GIT_SYNC_ON_START\n  value: '1'\n"),
            status: "RUNNING",
            exists: true,
            url: String::new(),
            changed: Vec::new(),
            running: Vec::new(),
            changed_later: Vec::new(),
            edited_during: "",
            refused: BTreeMap::new(),
        }));
        let (of_main, of_own) = (Arc::clone(&state), Arc::clone(&state));
        let main = Script::mage(move |seen| main_server(&mut of_main.lock().unwrap(), seen));
        let own = Script::start(move |seen| own_server(&mut of_own.lock().unwrap(), seen));
        state.lock().unwrap().url = own.url();
        Self { main, own, state }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    /// An engine whose waits take no time; `trusted` is what `MAGE_WORKSPACES_URL` names.
    fn mage(&self, trusted: &str) -> Mage {
        let url = self.main.url();
        let variables = BTreeMap::from([
            ("MAGE_URL", url.clone()),
            ("MAGE_EMAIL", "ana@acme.dev".to_owned()),
            ("MAGE_PASSWORD", "password-canary".to_owned()),
            ("MAGE_WORKSPACES_URL", trusted.to_owned()),
        ]);
        let server = MageServer { url: url.into(), namespace: None, edition: Edition::Oss, kubernetes: None };
        let mut mage = Mage::connect(Connect {
            cluster: &Text::from("acme"),
            server: &server,
            variable: &|name| variables.get(name).map(Into::into),
            ca_file: None,
            patience: Patience {
                ready: Duration::ZERO,
                gone: Duration::ZERO,
                look: Duration::from_millis(1),
            },
            now: Timestamp::now,
        })
        .unwrap();
        mage.sleep = Box::new(|_| {});
        mage
    }

    fn trusting(&self) -> Mage {
        self.mage(&self.own.url())
    }

    fn count(&self, what: &str) -> usize {
        self.main.count(what)
    }
}

fn main_server(state: &mut State, seen: &Seen) -> Reply {
    let item = |state: &State| {
        json!({
            "name": "cc", "project_uuid": "u", "namespace": "mage", "container_config": state.text,
            "url": state.url, "instance": {"name": "cc", "type": "k8s", "status": state.status},
        })
    };
    match seen.what() {
        LIST if state.exists => Reply::ok(&json!({"workspaces": [item(state)]}).to_string()),
        LIST => Reply::ok(r#"{"workspaces": []}"#),
        DETAIL if state.exists => Reply::ok(&json!({"workspace": item(state)}).to_string()),
        DETAIL => Reply::error(404, "record_not_found", "no"),
        DELETE => {
            state.exists = false;
            Reply::ok(r#"{"workspace": {}}"#)
        }
        CHANGE => {
            let body: Value = serde_json::from_str(&seen.body).unwrap();
            let action = body["workspace"]["action"].as_str().unwrap().to_owned();
            if let Some(left) = state.refused.get_mut(action.as_str()).filter(|left| **left > 0) {
                *left -= 1;
                return Reply::error(400, "invalid", "refused");
            }
            let before = json!({"workspace": item(state)}).to_string();
            if action == state.edited_during {
                state.text.push_str(EDIT);
            }
            match action.as_str() {
                "stop" => state.status = "STOPPED",
                "resume" => state.status = "RUNNING",
                _ => state.text = body["workspace"]["container_config"].as_str().unwrap().to_owned(),
            }
            Reply::ok(&before)
        }
        other => panic!("{other}"),
    }
}

fn own_server(state: &mut State, seen: &Seen) -> Reply {
    match seen.what() {
        "GET /api/statuses" => {
            let running = if state.running.is_empty() { 0 } else { state.running.remove(0) };
            if running == 0 && !state.changed_later.is_empty() && seen.line.contains("activity") {
                state.changed = std::mem::take(&mut state.changed_later);
            }
            let status = json!({
                "require_user_authentication": false, "project_uuid": "u", "project_type": "standalone",
                "active_pipeline_run_count": running,
            });
            Reply::ok(&json!({"statuses": [status]}).to_string())
        }
        "GET /api/git_branches/current" => {
            let status = json!({"modified_files": state.changed, "staged_files": [], "untracked_files": []});
            Reply::ok(&json!({"git_branch": status}).to_string())
        }
        file if file.starts_with("GET /api/git_files/") => {
            let content = format!("{COMMIT} {COMMIT} a <a@b> 1795907529 +0000\treset: moving to x\n");
            Reply::ok(&json!({"git_file": {"content": content}}).to_string())
        }
        _ => Reply::error(404, "record_not_found", "no"),
    }
}

fn observed(mage: &Mage) -> ObservedWorkspace {
    mage.observe(&[]).unwrap().present.remove(&name()).unwrap()
}

fn step(action: Action, observed: &ObservedWorkspace) -> Step {
    Step {
        id: format!("acme/cc/{}", action.as_str()).into(),
        cluster: "acme".into(),
        environment: "development".into(),
        workspace: name(),
        action,
        reason: String::new(),
        restarts: if action == Action::Restart { Restarts::Yes } else { Restarts::No },
        needs: Vec::new(),
        precondition: Precondition::Revision(observed.revision.clone()),
        fields: Vec::new(),
        restores: Vec::new(),
        deploy: None,
        renamed_from: None,
        mark: (action != Action::Delete).then(mark),
    }
}

fn resolver() -> Resolver {
    Resolver::new(PathBuf::from("."), Box::new(|_| None))
}

#[test]
fn changes_of_a_workspace_that_cannot_be_asked_are_unknown() {
    let bed = Bed::new();
    assert_eq!(MAIN.matches("k8s").count(), 1, "workspaces on Kubernetes");
    assert_eq!(observed(&bed.trusting()).code.work, Work::None);
    bed.change(|state| state.changed = vec!["io_config.yaml"]);
    assert_eq!(observed(&bed.trusting()).code.work, Work::Uncommitted(vec!["io_config.yaml".into()]));

    // Its server gets no login; what runs is remembered, its changes are not.
    let shut = observed(&bed.mage("https://elsewhere.acme.dev"));
    assert_eq!(shut.code.commit.as_deref(), Some(COMMIT));
    assert!(
        matches!(&shut.code.work, Work::Unknown(why) if why.contains("gets no login")),
        "{:?}",
        shut.code
    );
    // It cannot be reached.
    bed.change(|state| state.url = "http://127.0.0.1:1".to_owned());
    let away = observed(&bed.mage("http://127.0.0.1:1")).code.work;
    assert!(matches!(away, Work::Unknown(_)), "{away:?}");
    for (status, why) in
        [("STOPPED", "it is stopped"), ("PENDING", "it is pending"), ("FAILED", "it is failed")]
    {
        bed.change(|state| state.status = status);
        let work = observed(&bed.trusting()).code.work;
        assert!(matches!(&work, Work::Unknown(reason) if reason.contains(why)), "{status}: {work:?}");
    }
}

/// A server gets nothing before it has told the workspace's project_uuid, also one that the environment names.
#[test]
fn a_server_that_does_not_tell_the_project_uuid_gets_no_login() {
    for (uuid, why) in [
        (Value::Null, "does not tell its project_uuid"),
        (json!("another"), "leads to the server of another project"),
    ] {
        let bed = Bed::new();
        let status = json!({"statuses": [{
            "require_user_authentication": true, "project_uuid": uuid, "project_type": "standalone",
        }]});
        let stranger = Script::start(move |seen| {
            assert_eq!(seen.what(), "GET /api/statuses");
            assert!(!seen.line.contains("api_key") && !seen.body.contains("canary"));
            Reply::ok(&status.to_string())
        });
        bed.change(|state| state.url = stranger.url());
        let work = observed(&bed.mage(&stranger.url())).code.work;
        assert!(matches!(&work, Work::Unknown(reason) if reason.contains(why)), "{work:?}");
        assert_eq!(stranger.count("GET /api/statuses"), stranger.asked().len());
    }
}

/// The owner of a workspace decides what answers at its address, also at the host of the main server.
#[test]
fn a_server_of_a_workspace_that_is_not_named_is_asked_for_nothing() {
    let bed = Bed::new();
    observed(&bed.mage(""));
    assert_eq!(bed.own.asked(), [""; 0]);
}

#[test]
fn a_revision_is_keyed_or_leaves_out_what_may_be_secret() {
    let revision = |password: &str, level: &str, key: Option<&str>| {
        let bed = Bed::new();
        let code = StoredCode { made: true, at: Some(COMMIT.into()), clean: false };
        let key = key.map(Text::from);
        let stored = Stored { mark: mark(), secrets: BTreeMap::new(), grown: false, code, key };
        let line = mark::write(&name(), &stored).unwrap();
        bed.change(|state| {
            state.text = format!(
                "{line}\nenv:\n- name: DB_PASS\n  value: '{password}'\n- name: LEVEL\n  value: '{level}'\n"
            );
        });
        observed(&bed.mage("")).revision
    };
    let plain = revision("one", "a", None);
    assert_eq!(plain, revision("two", "a", None), "a list of words finds nothing");
    assert_ne!(plain, revision("one", "b", None));
    let keyed = revision("one", "a", Some("k1"));
    assert!(keyed.starts_with("hmac-sha256:"), "{keyed}");
    assert_ne!(keyed, revision("two", "a", Some("k1")));
    assert_ne!(keyed, revision("one", "a", Some("k2")));
}

#[test]
fn every_step_that_loses_changes_looks_again_right_before_it() {
    for (action, sent) in [(Action::Delete, DELETE), (Action::Stop, CHANGE), (Action::Restart, CHANGE)] {
        let bed = Bed::new();
        let mage = bed.trusting();
        let step = step(action, &observed(&mage));
        // The plan saw none; they appear while the step waits for a pipeline.
        bed.change(|state| (state.running, state.changed_later) = (vec![1, 1], vec!["io_config.yaml"]));
        let resolver = resolver();
        let task = Task { wait_for_runs: Duration::from_secs(60), ..Task::new(&step, &resolver) };
        let refused = mage.perform(&task).unwrap_err();
        assert!(
            matches!(&refused, PerformError::Moved(why) if why.contains("`io_config.yaml`")),
            "{refused:?}"
        );
        assert_eq!(bed.count(sent), 0, "{action:?}");
        // Its server cannot be asked any more.
        bed.change(|state| state.url = "http://127.0.0.1:1".to_owned());
        let away = bed.mage("http://127.0.0.1:1");
        let step = Step { precondition: Precondition::Revision(observed(&away).revision), ..step };
        let refused = away.perform(&Task::new(&step, &resolver)).unwrap_err();
        assert!(matches!(refused, PerformError::NotStarted(_)), "{refused:?}");
        assert_eq!(bed.count(sent), 0, "{action:?}");
        // A plan that accepts the loss goes on.
        away.perform(&Task { discard_changes: true, ..Task::new(&step, &resolver) }).unwrap();
        assert!(bed.count(sent) > 0, "{action:?}");
    }
}

#[test]
fn a_stop_of_magus_leaves_it_known_that_nothing_was_changed() {
    let bed = Bed::new();
    let mage = bed.trusting();
    let (stop, resolver) = (step(Action::Stop, &observed(&mage)), resolver());
    mage.perform(&Task::new(&stop, &resolver)).unwrap();
    let stopped = observed(&bed.trusting());
    assert_eq!((stopped.state, &stopped.code.work), (RunState::Stopped, &Work::None));
    let start = step(Action::Start, &stopped);
    mage.perform(&Task::new(&start, &resolver)).unwrap();
    // A person stops it the next time.
    bed.change(|state| state.status = "STOPPED");
    let stopped = observed(&mage);
    assert!(matches!(stopped.code.work, Work::Unknown(_)), "{:?}", stopped.code);
    let start = step(Action::Start, &stopped);
    assert!(matches!(mage.perform(&Task::new(&start, &resolver)), Err(PerformError::NotStarted(_))));
}

#[test]
fn a_restart_is_not_over_when_the_resume_is_refused() {
    let bed = Bed::new();
    let (mage, resolver) = (bed.trusting(), resolver());
    // Once or twice: it is sent again.
    bed.change(|state| {
        state.refused.insert("resume", 2);
    });
    let restart = step(Action::Restart, &observed(&mage));
    mage.perform(&Task::new(&restart, &resolver)).unwrap();
    let after = observed(&mage);
    assert_eq!((after.state, after.mark.as_ref().map(|mark| mark.resume)), (RunState::Running, Some(false)));

    // For good: it is stopped, the report says so, and the mark remembers what is left to do.
    bed.change(|state| {
        state.refused.insert("resume", usize::MAX);
    });
    let restart = step(Action::Restart, &after);
    let error = mage.perform(&Task::new(&restart, &resolver)).unwrap_err();
    let expect = "`cc` was stopped and not started again";
    assert!(matches!(&error, PerformError::Uncertain(why) if why.starts_with(expect)), "{error:?}");
    let left = observed(&bed.trusting());
    assert_eq!((left.state, left.mark.as_ref().map(|mark| mark.resume)), (RunState::Stopped, Some(true)));
    assert_eq!(left.code.work, Work::None, "it was looked for before the stop");

    // The next plan starts it.
    bed.change(|state| {
        state.refused.remove("resume");
    });
    let mage = bed.trusting();
    mage.perform(&Task::new(&step(Action::Start, &left), &resolver)).unwrap();
    let after = observed(&mage);
    assert_eq!((after.state, after.mark.as_ref().map(|mark| mark.resume)), (RunState::Running, Some(false)));
}

#[test]
fn a_restart_whose_stop_is_refused_changes_nothing() {
    let bed = Bed::new();
    let (mage, resolver) = (bed.trusting(), resolver());
    bed.change(|state| {
        state.refused.insert("stop", usize::MAX);
    });
    let before = observed(&mage);
    let error = mage.perform(&Task::new(&step(Action::Restart, &before), &resolver)).unwrap_err();
    assert!(matches!(error, PerformError::Failed(_)), "{error:?}");
    assert_eq!(observed(&mage), before);
}

#[test]
fn an_error_after_the_first_write_is_never_a_failure() {
    for action in [Action::Stop, Action::Start] {
        let bed = Bed::new();
        let (mage, resolver) = (bed.trusting(), resolver());
        if action == Action::Start {
            mage.perform(&Task::new(&step(Action::Stop, &observed(&mage)), &resolver)).unwrap();
        }
        let step = step(action, &observed(&mage));
        // It is done, and its mark is refused.
        bed.change(|state| {
            state.refused.insert("patch", usize::MAX);
        });
        let error = mage.perform(&Task::new(&step, &resolver)).unwrap_err();
        assert!(matches!(error, PerformError::Uncertain(_)), "{action:?}: {error:?}");
    }
}

#[test]
fn what_a_person_writes_while_a_step_waits_is_not_overwritten() {
    for (action, during) in [
        (Action::Stop, "stop"),
        (Action::Start, "resume"),
        (Action::Restart, "stop"),
        (Action::Restart, "resume"),
    ] {
        let bed = Bed::new();
        let (mage, resolver) = (bed.trusting(), resolver());
        if action == Action::Start {
            mage.perform(&Task::new(&step(Action::Stop, &observed(&mage)), &resolver)).unwrap();
        }
        let step = step(action, &observed(&mage));
        bed.change(|state| state.edited_during = during);
        let error = mage.perform(&Task::new(&step, &resolver)).unwrap_err();
        let expect = "`cc` was changed outside Magus; plan again";
        assert!(
            matches!(&error, PerformError::Uncertain(why) if why.ends_with(expect)),
            "{action:?}: {error:?}"
        );
        assert!(bed.state.lock().unwrap().text.ends_with(EDIT), "{action:?} during {during}");
    }
}
