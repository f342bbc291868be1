//! Where a pod may run: `v1.Affinity` and `v1.Toleration` of Kubernetes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::scalar::Whole;
use crate::Text;

/// Rules about the nodes, and the other pods there.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Affinity {
    /// Which nodes.
    pub node_affinity: Option<NodeAffinity>,
    /// Near which pods.
    pub pod_affinity: Option<PodAffinity>,
    /// Away from which pods.
    pub pod_anti_affinity: Option<PodAffinity>,
}

/// Which nodes.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeAffinity {
    /// Has to hold when the pod is placed.
    pub required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
    /// Should hold when the pod is placed.
    pub preferred_during_scheduling_ignored_during_execution: Option<Vec<PreferredNodes>>,
}

/// Nodes that match any of the terms.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeSelector {
    /// The terms; one of them has to match.
    pub node_selector_terms: Option<Vec<NodeSelectorTerm>>,
}

/// Nodes for which every expression holds.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NodeSelectorTerm {
    /// About the node's labels.
    pub match_expressions: Option<Vec<NodeExpression>>,
    /// About the node's fields, such as `metadata.name`.
    pub match_fields: Option<Vec<NodeExpression>>,
}

/// An expression about a label or field of a node.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NodeExpression {
    /// The label or field.
    pub key: Text,
    /// How it is compared.
    pub operator: NodeOperator,
    /// With what.
    pub values: Option<Vec<Text>>,
}

/// How a label or field of a node is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum NodeOperator {
    /// One of the values.
    In,
    /// None of the values.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
    /// Greater than the one value.
    Gt,
    /// Less than the one value.
    Lt,
}

/// Nodes that are preferred.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PreferredNodes {
    /// How much, from 1 to 100.
    pub weight: Whole<1, 100>,
    /// Which nodes.
    pub preference: NodeSelectorTerm,
}

/// Near or away from which pods.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PodAffinity {
    /// Has to hold when the pod is placed.
    pub required_during_scheduling_ignored_during_execution: Option<Vec<PodAffinityTerm>>,
    /// Should hold when the pod is placed.
    pub preferred_during_scheduling_ignored_during_execution: Option<Vec<PreferredPods>>,
}

/// Pods that are preferred.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PreferredPods {
    /// How much, from 1 to 100.
    pub weight: Whole<1, 100>,
    /// Which pods.
    pub pod_affinity_term: PodAffinityTerm,
}

/// Other pods in the same topology.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct PodAffinityTerm {
    /// The label of nodes that says what is near, such as `kubernetes.io/hostname`.
    pub topology_key: Text,
    /// Which pods.
    pub label_selector: Option<LabelSelector>,
    /// The namespaces of the pods.
    pub namespaces: Option<Vec<Text>>,
    /// The namespaces of the pods, by their labels.
    pub namespace_selector: Option<LabelSelector>,
    /// Labels whose values have to be those of the incoming pod.
    pub match_label_keys: Option<Vec<Text>>,
    /// Labels whose values must not be those of the incoming pod.
    pub mismatch_label_keys: Option<Vec<Text>>,
}

/// What has these labels.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct LabelSelector {
    /// Labels and their values.
    pub match_labels: Option<BTreeMap<Text, Option<Text>>>,
    /// Expressions about labels.
    pub match_expressions: Option<Vec<LabelExpression>>,
}

/// An expression about a label.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelExpression {
    /// The label.
    pub key: Text,
    /// How it is compared.
    pub operator: LabelOperator,
    /// With what.
    pub values: Option<Vec<Text>>,
}

/// How a label is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum LabelOperator {
    /// One of the values.
    In,
    /// None of the values.
    NotIn,
    /// It is there.
    Exists,
    /// It is not there.
    DoesNotExist,
}

/// A taint of nodes that the pod puts up with.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Toleration {
    /// The taint's key. Without it, every one.
    pub key: Option<Text>,
    /// How the value is compared. Without it, `Equal`.
    pub operator: Option<TolerationOperator>,
    /// The taint's value.
    pub value: Option<Text>,
    /// The effect that is put up with. Without it, every one.
    pub effect: Option<TaintEffect>,
    /// For how many seconds, with the effect `NoExecute`. Without it, for ever.
    pub toleration_seconds: Option<Whole<{ i64::MIN }, { i64::MAX }>>,
}

/// How the value of a taint is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TolerationOperator {
    /// Any value will do.
    Exists,
    /// The same value.
    Equal,
    /// A number above it.
    Gt,
    /// A number below it.
    Lt,
}

/// What a taint does to pods that do not put up with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TaintEffect {
    /// They are not placed.
    NoSchedule,
    /// They are placed elsewhere where that is possible.
    PreferNoSchedule,
    /// They are not placed, and those that run are removed.
    NoExecute,
}
