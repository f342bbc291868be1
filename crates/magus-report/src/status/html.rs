//! The status as one page of HTML: no request leaves it, it reads in light and dark, on paper and without JavaScript.

use jiff::Timestamp;
use minijinja::context;

use super::{EnvironmentStatus, Status, WorkspaceStatus, code_cells, drift, pending, running_line};
use crate::{escape, matrix, plan::html::fill, words::count};

const TEMPLATE: &str = include_str!("page.html");

/// The status as a page.
pub fn html(status: &Status, now: Timestamp) -> String {
    let line = |text: &str| escape::line(text).into_owned();
    let row = |workspace: &WorkspaceStatus| {
        let [branch, commit, age, code] =
            workspace.code.as_ref().map(|code| code_cells(code, now)).unwrap_or_default();
        context! {
            name => line(workspace.workspace.as_str()),
            state => workspace.state,
            branch, commit, age, code,
            drift => drift(workspace),
            pending => pending(workspace),
            waits => workspace.withheld.iter().any(|guard| guard.is_gate()),
        }
    };
    let by_cluster = status.workspaces.chunk_by(|a, b| a.cluster == b.cluster);
    let clusters: Vec<_> = by_cluster
        .filter_map(|cluster| {
            let name = &cluster.first()?.cluster;
            let by_environment = cluster.chunk_by(|a, b| a.environment == b.environment);
            let environments: Vec<_> = by_environment
                .filter_map(|workspaces| {
                    let environment = &workspaces.first()?.environment;
                    let held = status
                        .environments
                        .iter()
                        .find(|held| held.cluster == *name && held.environment == *environment);
                    Some(context! {
                        name => line(environment),
                        hold => held.and_then(|held| held.hold.as_deref()).map(line),
                        gates => held.map(gates).unwrap_or_default(),
                        workspaces => workspaces.iter().map(row).collect::<Vec<_>>(),
                    })
                })
                .collect();
            let about = status.clusters.iter().find(|about| about.name == *name);
            let facts = about.map_or(&[][..], |about| &about.about);
            let facts: Vec<_> = facts.iter().map(|fact| (line(&fact.name), line(&fact.value))).collect();
            Some(context! { name => line(name), facts, environments })
        })
        .collect();
    let page = context! {
        style => matrix::STYLE,
        clusters,
        total => count(status.workspaces.len(), "workspace"),
        unmanaged => status.unmanaged,
        running => status.running.iter().map(running_line).collect::<Vec<_>>(),
        at => format!("{now:.0}"),
    };
    fill(TEMPLATE, page)
}

fn gates(held: &EnvironmentStatus) -> Vec<String> {
    held.gates.iter().map(|gate| escape::line(&gate.message).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use magus_model::{
        name::WorkspaceName,
        plan::{Action, Commit, Guard, Waiting},
    };

    use super::{
        super::{CodeStatus, FORMAT_VERSION, Running},
        *,
    };

    #[test]
    fn everything_is_there_and_nothing_breaks_out() {
        let commit = Commit {
            id: "3f2a91c0000000".into(),
            title: "<script>alert(1)</script>\u{1b}[31m".into(),
            author: "Ana".into(),
        };
        let code = CodeStatus {
            branch: "main".into(),
            commit: Some(commit),
            committed_at: Some("1969-12-30T00:00:00Z".into()),
            unread: None,
            behind: Some(3),
            uncommitted: vec!["a.py".into()],
            unchecked: None,
        };
        let status = Status {
            format_version: FORMAT_VERSION,
            clusters: Vec::new(),
            environments: vec![EnvironmentStatus {
                cluster: "acme".into(),
                environment: "production".into(),
                hold: Some("orders & \"refunds\"".into()),
                gates: vec![Waiting {
                    gate: Guard::Soak,
                    message: "gate `soak`: until 10:00".into(),
                    opens_at: None,
                }],
            }],
            workspaces: vec![WorkspaceStatus {
                cluster: "acme".into(),
                environment: "production".into(),
                workspace: WorkspaceName::observed("a-production"),
                state: "running",
                code: Some(code),
                drift: 2,
                missing: Vec::new(),
                pending: vec![Action::Update],
                withheld: vec![Guard::Soak],
            }],
            unmanaged: 1,
            orphans: Vec::new(),
            running: vec![Running {
                cluster: "acme".into(),
                entry: "01J".into(),
                operation: "apply".into(),
                by: "<b>ana".into(),
                at: "2026-08-01T10:00:00Z".into(),
            }],
        };
        let page = html(&status, Timestamp::UNIX_EPOCH);
        for part in [
            "acme",
            "production",
            "a-production",
            "running",
            "3f2a91c000 &lt;script&gt;alert(1)&lt;&#x2f;script&gt;\\u{1b}[31m",
            "2d",
            "3 behind, 1 file not committed",
            "2 fields",
            "update, withheld by soak",
            "orders &amp; &quot;refunds&quot;",
            "gate <code>soak</code>: until 10:00",
            "1 workspace",
            "running or killed: apply of cluster <code>acme</code> by &lt;b&gt;ana since 2026-08-01T10:00:00Z (entry \
             <code>01J</code>)",
        ] {
            assert!(page.contains(part), "{part} is not in\n{page}");
        }
        assert!(!page.contains("<script") && page.trim_end().ends_with("</html>"), "{page}");
    }
}
