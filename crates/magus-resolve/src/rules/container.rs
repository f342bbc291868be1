//! MG207, MG208 and MG209: what Kubernetes refuses of a container with all layers applied (`ValidateResourceRequirements`, `validateProbe` and
//! `validateLifecycle` in `pkg/apis/core/validation` of Kubernetes).

use std::collections::BTreeMap;

use magus_model::{
    desired::Field,
    diagnostic::Diagnostic,
    quantity::Quantity,
    rules::{self, Rule},
    value::{FieldValue, Value},
};

use super::workspaces::below;
use crate::suggest;

/// Checks the fields of one workspace, ordered by path.
pub(crate) fn check(fields: &[Field], findings: &mut Vec<Diagnostic>) {
    resources(fields, findings);
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        let hook = Hook::of(fields, probe, &PROBES);
        hook.check(findings);
        hook.check_thresholds(probe, findings);
    }
    for hook in ["lifecycle.postStart", "lifecycle.preStop"] {
        Hook::of(fields, hook, &HOOKS).check(findings);
    }
}

fn found(
    rule: &'static Rule,
    field: &Field,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Diagnostic {
    Diagnostic::new(rule, field.span, message).help(help)
}

/// The resources without a domain that a container can have, besides huge pages.
const STANDARD: [&str; 3] = ["cpu", "ephemeral-storage", "memory"];
const HUGE_PAGES: &str = "hugepages-";
/// One, in billionths.
const ONE: i128 = 1_000_000_000;

/// An amount of a resource.
struct Amount<'f> {
    field: &'f Field,
    text: String,
    amount: Quantity,
}

type Amounts<'f> = BTreeMap<&'f str, Amount<'f>>;

fn amounts<'f>(fields: &'f [Field], prefix: &'f str) -> Amounts<'f> {
    below(fields, prefix)
        .filter_map(|(path, field)| {
            let name = path.trim_start_matches(['.', '[', '"']).trim_end_matches(['"', ']']);
            let text = field.value.to_string();
            let amount = Quantity::parse(&text).filter(|amount| !amount.is_negative())?;
            Some((name, Amount { field, text, amount }))
        })
        .collect()
}

fn is_huge(name: &str) -> bool {
    name.starts_with(HUGE_PAGES)
}

/// Whether a resource is one of a vendor's, such as `nvidia.com/gpu`.
fn is_extended(name: &str) -> bool {
    name.contains('/') && !name.contains("kubernetes.io/")
}

fn resources(fields: &[Field], findings: &mut Vec<Diagnostic>) {
    let requests = amounts(fields, "container_config.resources.requests");
    let limits = amounts(fields, "container_config.resources.limits");
    for (key, amounts) in [("requests", &requests), ("limits", &limits)] {
        for (name, amount) in amounts {
            findings.extend(alone(key, name, amount));
        }
    }
    for (name, request) in requests.iter().filter(|(name, _)| is_huge(name) || is_extended(name)) {
        let Amount { field, text, amount } = request;
        match limits.get(name) {
            None => findings.push(found(
                &rules::REFUSED_RESOURCE,
                field,
                format!("`{name}` has a request and no limit"),
                format!("add `{name}: {text}` to `resources.limits`: Kubernetes wants both to be equal"),
            )),
            // A larger one is MG202.
            Some(limit) if *amount < limit.amount => findings.push(
                found(
                    &rules::REFUSED_RESOURCE,
                    field,
                    format!(
                        "the request for `{name}`, `{text}`, is not equal to its limit, `{}`",
                        limit.text
                    ),
                    "give both the same amount, or remove the request: Kubernetes takes the limit for it",
                )
                .related(limit.field.span, format!("the limit is written here ({})", limit.field.layer)),
            ),
            Some(_) => {}
        }
    }
    let all = || requests.iter().chain(&limits);
    let needs = all().find(|(name, _)| is_huge(name));
    if let Some((name, amount)) = needs
        && !all().any(|(name, _)| ["cpu", "memory"].contains(name))
    {
        findings.push(found(
            &rules::REFUSED_RESOURCE,
            amount.field,
            format!("`{name}` without `cpu` or `memory`"),
            "add a request or a limit for `cpu` or `memory`: Kubernetes wants one of them beside huge pages",
        ));
    }
}

/// What is wrong with an amount by itself.
fn alone(key: &str, name: &str, amount: &Amount<'_>) -> Option<Diagnostic> {
    let Amount { field, text, amount } = amount;
    let refused = |message: String, help: String| Some(found(&rules::REFUSED_RESOURCE, field, message, help));
    if let Some(size) = name.strip_prefix(HUGE_PAGES) {
        let size = Quantity::parse(size).map(Quantity::billionths).filter(|size| *size > 0);
        return match size {
            None => refused(
                format!("`{name}` names no size of a page"),
                "write it like `hugepages-2Mi` or `hugepages-1Gi`".to_owned(),
            ),
            Some(size) if amount.billionths() % size != 0 => refused(
                format!("`{name}: {text}` is not a multiple of the page size"),
                format!("give it a multiple of `{}`", &name[HUGE_PAGES.len()..]),
            ),
            Some(_) => None,
        };
    }
    if !name.contains('/') && !STANDARD.contains(&name) {
        let help = match suggest::closest(name, STANDARD) {
            Some(close) => format!("did you mean `{close}`?"),
            None if name == "gpu" => {
                "write it with the domain of its vendor, such as `nvidia.com/gpu`".to_owned()
            }
            None => format!("write it with the domain of its vendor, such as `example.com/{name}`"),
        };
        return refused(format!("`{name}` in `resources.{key}` is not a resource of a container"), help);
    }
    if amount.billionths() % ONE == 0 {
        return None;
    }
    if is_extended(name) {
        return refused(
            format!("`{name}: {text}` is not a whole number"),
            "give it a whole number: Kubernetes does not divide such a resource".to_owned(),
        );
    }
    (name != "cpu" && STANDARD.contains(&name)).then(|| {
        let bytes = text.strip_suffix('m').unwrap_or(text);
        found(
            &rules::FRACTION_OF_A_BYTE,
            field,
            format!("`{name}: {text}` has a fraction of a byte: `m` stands for a thousandth"),
            format!("did you mean `{bytes}Mi`?"),
        )
    })
}

/// The handlers of probes and hooks, each with the key that it cannot be without.
const PROBES: [(&str, &str); 4] =
    [("exec", "command"), ("grpc", "port"), ("httpGet", "port"), ("tcpSocket", "port")];
const HOOKS: [(&str, &str); 4] =
    [("exec", "command"), ("httpGet", "port"), ("sleep", "seconds"), ("tcpSocket", "port")];

/// A probe, or a hook of `lifecycle`.
struct Hook<'f> {
    name: &'f str,
    leaves: BTreeMap<&'f str, &'f Field>,
    handlers: &'static [(&'static str, &'static str)],
}

impl<'f> Hook<'f> {
    fn of(fields: &'f [Field], name: &'f str, handlers: &'static [(&'static str, &'static str)]) -> Self {
        let leaves = below(fields, "container_config.")
            .filter_map(|(path, field)| Some((path.strip_prefix(name)?.strip_prefix('.')?, field)))
            .collect();
        Self { name, leaves, handlers }
    }

    /// The last field of a handler, by layers; nothing if the handler is not there.
    fn handler(&self, handler: &str) -> Option<&'f Field> {
        let of = |path: &str| {
            path.strip_prefix(handler).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.leaves
            .iter()
            .filter(|(path, _)| of(path))
            .map(|(_, field)| *field)
            .max_by_key(|field| field.layer.clone())
    }

    fn check(&self, findings: &mut Vec<Diagnostic>) {
        let Self { name, leaves, handlers } = self;
        let Some(first) = leaves.values().next() else { return };
        let there: Vec<(&str, &str, &Field)> = handlers
            .iter()
            .filter_map(|(handler, needs)| Some((*handler, *needs, self.handler(handler)?)))
            .collect();
        let words: Vec<String> = handlers.iter().map(|(handler, _)| format!("`{handler}`")).collect();
        match &there[..] {
            [] => findings.push(found(
                &rules::REFUSED_PROBE,
                first,
                format!("`{name}` does not say what it does"),
                format!("give it one of {}", words.join(", ")),
            )),
            [(handler, needs, field)] => {
                let empty = FieldValue::Plain(Value::List(Vec::new()));
                let needed = leaves.get(format!("{handler}.{needs}").as_str());
                if needed.is_none_or(|needed| needed.value == empty) {
                    findings.push(found(
                        &rules::REFUSED_PROBE,
                        field,
                        format!("`{name}.{handler}` has no `{needs}`"),
                        format!("add `{needs}`"),
                    ));
                }
                findings.extend(
                    leaves.get(format!("{handler}.port").as_str()).and_then(|port| self.port(handler, port)),
                );
            }
            [one, other, ..] => {
                // The higher layer is where the second one was added.
                let (upper, lower) = if one.2.layer > other.2.layer { (one, other) } else { (other, one) };
                let help = if upper.2.layer == lower.2.layer {
                    format!("keep one of them: Kubernetes takes a `{name}` with one handler")
                } else {
                    format!("remove the one of the lower layer here: `{}: null`", lower.0)
                };
                findings.push(
                    found(
                        &rules::REFUSED_PROBE,
                        upper.2,
                        format!("`{name}` has two handlers, `{}` and `{}`", lower.0, upper.0),
                        help,
                    )
                    .related(lower.2.span, format!("`{}` is written here ({})", lower.0, lower.2.layer)),
                );
            }
        }
    }

    fn port(&self, handler: &str, port: &Field) -> Option<Diagnostic> {
        let FieldValue::Plain(Value::String(text)) = &port.value else { return None };
        let path = format!("{}.{handler}.port", self.name);
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Some(found(
                &rules::REFUSED_PROBE,
                port,
                format!("`{path}: \"{text}\"` is text, and Kubernetes takes text for the name of a port"),
                format!("write it without quotes: `port: {text}`"),
            ));
        }
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let is_name = (1..=15).contains(&text.len())
            && text.bytes().all(plain)
            && text.bytes().any(|byte| byte.is_ascii_lowercase())
            && !text.contains("--")
            && !text.starts_with('-')
            && !text.ends_with('-');
        (!is_name).then(|| {
            found(
                &rules::REFUSED_PROBE,
                port,
                format!("the value of `{path}` cannot be the name of a port"),
                "write a number, or a name of up to 15 lower-case letters, digits and `-`",
            )
        })
    }

    /// Numbers that only some probes can have.
    fn check_thresholds(&self, probe: &str, findings: &mut Vec<Diagnostic>) {
        if let Some(threshold) = self.leaves.get("successThreshold")
            && probe != "readinessProbe"
            && threshold.value != FieldValue::Plain(Value::Int(1))
        {
            findings.push(found(
                &rules::REFUSED_PROBE,
                threshold,
                format!("`{probe}.successThreshold` can only be 1"),
                "remove it: only a `readinessProbe` may ask for more than one success",
            ));
        }
        if let Some(period) = self.leaves.get("terminationGracePeriodSeconds")
            && probe == "readinessProbe"
        {
            findings.push(found(
                &rules::REFUSED_PROBE,
                period,
                "`readinessProbe` cannot have `terminationGracePeriodSeconds`",
                "remove it: a container does not end when it is not ready",
            ));
        }
    }
}
