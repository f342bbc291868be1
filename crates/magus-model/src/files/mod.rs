//! The files of a directory of declarations as people write them: the source of the JSON Schemas and of the typed form.
//!
//! The doc comments of these types are what editors show: the schemas take them as descriptions. What the schema
//! accepts, the types accept, and the reverse; so every limit of a value stands in its type ([`scalar`]). A key that is
//! an `Option` may be `null`: in a layer that removes what lower layers gave.
//!
//! Nothing here knows layers, names in the cluster or what a value means to an engine.

mod cluster;
mod container;
mod environment;
mod layer;
mod lifecycle;
mod scalar;
mod scheduling;
mod security;
mod server;
mod variable;

pub use cluster::{
    ClusterFile, EngineConfig, KubernetesEngine, Limits, LintLevel, LocalEngine, MageEngine, Repository,
};
pub use container::{
    ContainerConfig, ContainerResize, EnvEntry, EnvFromEntry, ImagePullPolicy, ImagePullSecret, NamedSource,
    OfMage, ResizePolicy, ResourceClaim, Resources, RestartPolicy, TerminationMessagePolicy, VolumeDevice,
};
pub use environment::{
    BranchWorkspaces, DeployMode, EnvironmentFile, Freeze, Gates, OnGone, RolloutConfig, Verified,
    VerifyConfig, Weekday, Window,
};
pub use layer::{
    BranchWorkspace, LayerConfig, LifecycleConfig, PostStart, PvcRetentionPolicy, StorageAccessMode,
    StorageSize, TerminationPolicy, WorkspaceFile,
};
pub use lifecycle::{
    ContainerLifecycle, ExecAction, GrpcAction, Handler, HttpGetAction, HttpHeader, HttpScheme, Probe,
    SleepAction, TcpSocketAction,
};
pub use scalar::{
    Amount, DATE_FORMAT, DATE_TIME_FORMAT, DURATION_PATTERN, Date, DeleteLimit, Duration, PortNumberOrName,
    TIME_OF_DAY_PATTERN, TimeOfDay, Timestamp, Whole,
};
pub use scheduling::{
    Affinity, LabelExpression, LabelOperator, LabelSelector, NodeAffinity, NodeExpression, NodeOperator,
    NodeSelector, NodeSelectorTerm, PodAffinity, PodAffinityTerm, PreferredNodes, PreferredPods, TaintEffect,
    Toleration, TolerationOperator,
};
pub use security::{
    AppArmorProfile, Capabilities, ProfileType, SeLinuxOptions, SeccompProfile, SecurityContext,
    WindowsOptions,
};
pub use server::{ServerFacts, WorkspaceDefaults};
pub use variable::{
    FieldKey, FileKey, ObjectKey, ResourceKey, SecretFrom, SecretSetting, ValueFrom, Variable, Words,
};
