//! What an environment.yaml says of gates.

use jiff::{
    civil::{Date, Time, Weekday},
    tz::TimeZone,
};
use magus_model::{
    Text,
    desired::{Freeze, Gates, Verified, Verify, Window, WindowHolds},
    diagnostic::Diagnostic,
    files::{self, Duration, TimeOfDay},
    rules,
    tree::Node,
};

use crate::{scope::Scope, scope::boolean, suggest};

/// The time zone of times that name none.
const UTC: &str = "UTC";
/// The gates that look at the stage before.
const OF_STAGE: [&str; 3] = ["verified", "soak", "runs_before"];

/// The gates. What is of a wrong type is left out; the schema says so.
pub(crate) fn gates(node: &Node) -> Gates {
    let seconds = |node: &Node| node.as_str().and_then(Duration::parse).map(Duration::seconds);
    let items = |key: &str| node.get(key).map_or(&[][..], Node::items);
    Gates {
        verified: node
            .get("verified")
            .filter(|verified| !verified.is_null())
            .map(|verified| Verified { within: verified.get("within").and_then(seconds) }),
        soak: node.get("soak").and_then(seconds),
        runs_before: node.get("runs_before").and_then(boolean).unwrap_or(false),
        windows: items("windows").iter().filter_map(window).collect(),
        freezes: items("freezes").iter().filter_map(freeze).collect(),
    }
}

/// What a verification runs.
pub(crate) fn verify(node: &Node) -> Verify {
    let pipelines = node.get("pipelines").map_or(&[][..], Node::items);
    let timeout = node.get("timeout").and_then(Node::as_str).and_then(Duration::parse);
    Verify {
        pipelines: pipelines.iter().filter_map(|name| name.as_str().map(Text::from)).collect(),
        timeout: timeout.map_or(Verify::default().timeout, Duration::seconds),
    }
}

fn window(node: &Node) -> Option<Window> {
    let time = |key: &str| -> Option<Time> {
        let TimeOfDay { hour, minute } = node.get(key)?.as_str().and_then(TimeOfDay::parse)?;
        Time::new(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0).ok()
    };
    let days = node.get("days").map_or(&[][..], Node::items);
    Some(Window {
        days: days.iter().filter_map(|day| weekday(day.as_str()?)).collect(),
        from: time("from")?,
        to: time("to")?,
        zone: zone(node)?,
        holds: match node.get("holds").and_then(Node::as_str) {
            Some("restarts") => WindowHolds::Restarts,
            _ => WindowHolds::Changes,
        },
    })
}

fn freeze(node: &Node) -> Option<Freeze> {
    let reason = node.get("reason").and_then(Node::as_str).map(Text::from);
    Some(Freeze { from: day(node, "from")?, to: day(node, "to")?, zone: zone(node)?, reason })
}

fn day(node: &Node, key: &str) -> Option<Date> {
    node.get(key)?.as_str().and_then(files::Date::parse).map(|files::Date(date)| date)
}

fn zone(node: &Node) -> Option<TimeZone> {
    let name = node.get("time_zone").and_then(Node::as_str).unwrap_or(UTC);
    TimeZone::get(name).ok()
}

fn weekday(word: &str) -> Option<Weekday> {
    Some(match word {
        "mon" => Weekday::Monday,
        "tue" => Weekday::Tuesday,
        "wed" => Weekday::Wednesday,
        "thu" => Weekday::Thursday,
        "fri" => Weekday::Friday,
        "sat" => Weekday::Saturday,
        "sun" => Weekday::Sunday,
        _ => return None,
    })
}

/// MG410, and what no schema can tell: time zones that nobody knows, and freezes that end before they begin.
pub(crate) fn check(root: &Node, scope: &Scope<'_>, findings: &mut Vec<Diagnostic>) {
    let Some(gates) = root.get("gates") else { return };
    for key in OF_STAGE.iter().filter(|_| scope.stage.promotes_from.is_none()) {
        let Some(entry) = gates.entry(key) else { continue };
        if entry.value.is_null() || boolean(&entry.value) == Some(false) {
            continue;
        }
        let message = format!("`{key}` looks at the stage before, and this environment has none");
        findings.push(
            Diagnostic::new(&rules::GATE_WITHOUT_STAGE, entry.key_span, message)
                .help("name it with `promotes_from`, or remove the gate"),
        );
    }
    let items = |key: &str| gates.get(key).map_or(&[][..], Node::items);
    for node in items("windows").iter().chain(items("freezes")) {
        let Some(named) = node.get("time_zone") else { continue };
        let Some(name) = named.as_str().filter(|name| TimeZone::get(name).is_err()) else { continue };
        let known: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        let help = match suggest::closest(name, known.iter().map(String::as_str)) {
            Some(close) => format!("did you mean `{close}`?"),
            None => "write it like `Europe/Berlin`".to_owned(),
        };
        findings.push(
            Diagnostic::new(&rules::INVALID_VALUE, named.span, format!("there is no time zone `{name}`"))
                .help(help),
        );
    }
    for node in items("freezes") {
        let (Some(from), Some(to)) = (day(node, "from"), day(node, "to")) else { continue };
        if let Some(end) = node.get("to").filter(|_| to < from) {
            let message = format!("the freeze ends on {to}, before it begins on {from}");
            findings
                .push(Diagnostic::new(&rules::INVALID_VALUE, end.span, message).help("`to` is its last day"));
        }
    }
}
