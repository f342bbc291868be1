//! The command line as people type it. What the words mean is decided by the commands.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use magus_model::Text;

/// Keeps the workspaces of a Mage cluster as they are declared in git.
#[derive(Debug, Parser)]
#[command(
    name = "magus",
    version,
    about = "Keeps the workspaces of a Mage cluster as they are declared in git",
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 done, 1 invalid input, 2 changes present, 3 apply incomplete, 4 refused by a guard,\n5 a cluster could not be read, 64 wrong usage."
)]
pub struct Arguments {
    /// What holds for every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What holds for every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// The directory of the declarations
    #[arg(short = 'C', long, global = true, value_name = "DIR", default_value = "environments")]
    pub dir: PathBuf,
    /// Only this environment; may be given several times. Narrows steps, never guards
    #[arg(short, long, global = true, value_name = "NAME", value_delimiter = ',')]
    pub environment: Vec<String>,
    /// Only this workspace, by its name in the cluster or in the declarations; may be given several times
    #[arg(short, long, global = true, value_name = "NAME", value_delimiter = ',')]
    pub workspace: Vec<String>,
    /// How to show the result: text or json; plan also markdown and html, status html, lint also those named in its help
    #[arg(long, global = true, value_name = "FORMAT", default_value = "text", hide_possible_values = true)]
    pub format: Format,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Only the result: no progress and no notes
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; twice for a log of what is done
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Certificates in PEM: the only authorities that may vouch for a server [default: those of the system]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Take the pipelines' repository as it was fetched before, and do not ask the network about it
    #[arg(long, global = true)]
    pub offline: bool,
    /// How much is done at once [default: one for each processor, and at least 8 steps]
    #[arg(short, long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub jobs: Option<u16>,
}

/// How to show a result. Not every command has every format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// One JSON document
    Json,
    /// plan: for a comment on a pull request
    Markdown,
    /// plan, status, refs, triggers: one page for a browser
    Html,
    /// lint: one line for each finding
    Concise,
    /// lint: one JSON object a line
    JsonLines,
    /// lint: GitHub's workflow commands
    Github,
    /// lint: GitLab's code quality report
    Gitlab,
    /// lint: JUnit XML
    Junit,
    /// lint: SARIF 2.1.0
    Sarif,
}

impl Format {
    /// As it is typed.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set; and wherever CLICOLOR_FORCE is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a commented directory of declarations, editor settings and CI workflows
    Init(Init),
    /// Check everything that can be known without a cluster
    ///
    /// All findings come in one run. Formats: text, concise, json, json-lines, github, gitlab, junit, sarif.
    Lint(Lint),
    /// Print a JSON Schema (draft-07) for editors
    Schema(Schema),
    /// Show the effective configuration of a workspace, and where each value comes from
    Explain(Explain),
    /// Show two declared workspaces side by side
    Diff(Diff),
    /// Show what would change, and why
    Plan(Plan),
    /// Plan, show, ask, and do exactly that
    Apply(Apply),
    /// Show what differs and was not changed by a declaration; exit code 2 if anything does
    Drift,
    /// Show what runs where
    Status,
    /// Write declarations for workspaces that exist and are not managed
    Import(Import),
    /// Restart workspaces
    Restart(Restart),
    /// Delete what is declared, or managed, in an environment
    Destroy(Destroy),
    /// Stop managing workspaces: remove their marks, and change nothing else
    ///
    /// A workspace is forgotten after its declaration was removed and before the next apply, which would delete it. With
    /// `-w NAME` and `--reason WHY`.
    Forget(Forget),
    /// Merge the branch of one stage into that of the next, for the next apply to deploy
    Promote(Promote),
    /// Pin an environment to what it ran before, and hold promotions to it, for the next apply to deploy
    Rollback(Rollback),
    /// Record how a commit did in a stage, for the gates of the next one
    Verify(Verify),
    /// Show what was done to the clusters, newest first
    History(History),
    /// Show who changes a cluster at the time, and release a lock that was left
    #[command(subcommand)]
    Lock(LockCommand),
    /// Show where variables and secrets are read, and which environments have them
    ///
    /// Looks into the code at the commits that the environments are to run. Runtime variables and secrets of other stores are shown
    /// too.
    Refs(Refs),
    /// Show which triggers run where, and when next
    Triggers,
    /// Print a completion script
    Completions(Completions),
    /// Print the manual page
    Man,
}

/// `magus init`.
#[derive(Debug, Args)]
pub struct Init {
    /// Write an example that can be applied at once
    #[arg(long)]
    pub demo: bool,
}

/// `magus lint`.
#[derive(Debug, Args)]
pub struct Lint {
    /// Show only findings in these files or folders
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Mend what can be mended; comments and layout stay
    #[arg(long)]
    pub fix: bool,
    /// Fetch the pipelines' repository first, where it is on the network
    #[arg(long)]
    pub fetch: bool,
    /// The lowest severity that fails the command
    #[arg(long, value_name = "LEVEL", default_value = "error")]
    pub fail_on: FailOn,
}

/// The lowest severity that fails the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FailOn {
    /// Any finding
    Hint,
    /// Warnings and errors
    Warning,
    /// Errors
    Error,
}

/// `magus refs`.
#[derive(Debug, Args)]
pub struct Refs {
    /// Only this variable or secret, with every place
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
}

/// `magus schema`.
#[derive(Debug, Args)]
pub struct Schema {
    /// Of which file
    #[arg(default_value = "workspace")]
    pub kind: SchemaName,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaName {
    /// cluster.yaml
    Cluster,
    /// environment.yaml
    Environment,
    /// The file of a workspace
    Workspace,
}

/// `magus explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// The workspace
    #[arg(value_name = "ENV/WORKSPACE")]
    pub name: String,
    /// Only this key and what is below it, dotted: `env.DATABASE_URL`
    pub key: Option<String>,
}

/// `magus diff`.
#[derive(Debug, Args)]
pub struct Diff {
    /// A workspace
    #[arg(value_name = "ENV/WORKSPACE")]
    pub left: String,
    /// Another one
    #[arg(value_name = "ENV/WORKSPACE")]
    pub right: String,
}

/// What lifts guards; part of a plan's digest.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Guards")]
pub struct Guards {
    /// Allow deletes in this environment although it is protected or its folder is gone
    #[arg(long, value_name = "ENV")]
    pub allow_delete: Vec<String>,
    /// Allow replacing in this environment although it is protected, or although a workspace there lost its StatefulSet
    #[arg(long, value_name = "ENV")]
    pub allow_replace: Vec<String>,
    /// Allow this environment to become empty
    #[arg(long, value_name = "ENV")]
    pub allow_empty: Vec<String>,
    /// Allow workspaces to lose the protection of this environment, or to leave it; needs --reason
    #[arg(long, value_name = "ENV")]
    pub allow_unprotect: Vec<String>,
    /// Adopt this declared workspace, by its name in the cluster, although it has no mark and differs; in a protected
    /// environment it needs --reason. May be given several times
    #[arg(long, value_name = "NAME")]
    pub adopt: Vec<String>,
    /// Allow declarations that are older than those that were applied last; needs --reason
    #[arg(long)]
    pub allow_older: bool,
    /// Allow so many deletes: a number, or a share such as 50%
    #[arg(long, value_name = "N|N%")]
    pub max_deletes: Option<String>,
    /// Send the secrets of this environment whose values changed without a new `version`
    #[arg(long, value_name = "ENV")]
    pub refresh_secrets: Vec<String>,
    /// Let through what this gate holds back; needs --reason, and is recorded. May be given several times
    #[arg(long, value_name = "GATE")]
    pub override_gate: Vec<Gate>,
    /// Let the uncommitted changes in this workspace be lost, also if they cannot be read; needs --reason, and is recorded. May
    /// be given several times
    #[arg(long, value_name = "WORKSPACE")]
    pub discard_changes: Vec<String>,
    /// Why; recorded, and needed to lift a gate, a guard of a protected environment, or to discard changes
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// A gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Gate {
    /// The commit was verified in the stage before
    Verified,
    /// It has run there long enough
    Soak,
    /// It runs there
    RunsBefore,
    /// The times of the week in which something may restart
    Windows,
    /// The days on which nothing restarts
    Freezes,
    /// It follows its own deploy branch only after a restart
    SharedBranch,
}

impl Gate {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Gate::Verified => "verified",
            Gate::Soak => "soak",
            Gate::RunsBefore => "runs-before",
            Gate::Windows => "windows",
            Gate::Freezes => "freezes",
            Gate::SharedBranch => "shared-branch",
        }
    }
}

/// `magus plan`.
#[derive(Debug, Args)]
pub struct Plan {
    /// Write the plan to this file as well, for `magus apply FILE`
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Read the declarations as of this git revision
    #[arg(long, value_name = "REV")]
    pub at: Option<String>,
    /// Only what the commits after this git revision changed; drift, and what was declared before, are set apart. Without
    /// a revision, those of the pull request that CI runs for
    #[arg(long, value_name = "REV", num_args = 0..=1, default_missing_value = "", conflicts_with = "refresh_secrets")]
    pub since: Option<String>,
    /// Take a branch of the pipelines' repository for a commit that is not on it yet; may be given several times
    #[arg(long, value_name = "BRANCH=COMMIT", value_parser = assumption)]
    pub assume: Vec<(Text, Text)>,
    /// What creates and deletes that failed half-way have left in the clusters, and nothing else
    #[arg(long, conflicts_with_all = ["at", "since", "refresh_secrets"])]
    pub orphans: bool,
    /// Exit with 2 where anything would change
    #[arg(long)]
    pub detailed_exitcode: bool,
    #[command(flatten)]
    pub guards: Guards,
}

/// `BRANCH=COMMIT`; a branch may have a `=` in its name, a commit has none.
fn assumption(text: &str) -> Result<(Text, Text), String> {
    match text.rsplit_once('=') {
        Some((branch, commit)) if !branch.is_empty() && !commit.is_empty() => {
            Ok((branch.into(), commit.into()))
        }
        _ => Err("write the branch, `=` and the commit: `staging=3f2a91c`".to_owned()),
    }
}

/// A length of time as declarations write it.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let parsed = magus_model::files::Duration::parse(text);
    let parsed = parsed.map(|duration| std::time::Duration::from_secs(duration.seconds()));
    parsed.ok_or_else(|| "write a number and `s`, `m`, `h` or `d`: `10m`".to_owned())
}

/// How an apply is approved and shown.
#[derive(Debug, Clone, Args)]
pub struct Approval {
    /// Do not ask; needed without a terminal
    #[arg(short, long)]
    pub yes: bool,
    /// How many seconds a step waits until its workspace runs, or has stopped [default: 300]
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<u32>,
    /// How long to wait for somebody else's apply to end, such as `10m` [default: not at all]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub lock_timeout: Option<std::time::Duration>,
    #[command(flatten)]
    pub guards: Guards,
}

/// `magus apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// A plan that was reviewed: Magus plans again, and goes on only if nothing moved
    #[arg(value_name = "PLAN")]
    pub plan: Option<PathBuf>,
    /// Remove what creates and deletes that failed half-way have left in the clusters, and nothing else
    #[arg(long, conflicts_with = "refresh_secrets")]
    pub orphans: bool,
    /// How it is approved and shown.
    #[command(flatten)]
    pub approval: Approval,
}

/// `magus import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The workspaces by their names in the cluster [default: all that nobody manages]
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// `magus restart`.
#[derive(Debug, Args)]
pub struct Restart {
    /// How it is approved and shown.
    #[command(flatten)]
    pub approval: Approval,
}

/// `magus destroy`.
#[derive(Debug, Args)]
pub struct Destroy {
    /// How it is approved and shown.
    #[command(flatten)]
    pub approval: Approval,
}

/// `magus forget`.
#[derive(Debug, Args)]
pub struct Forget {
    /// How it is approved and shown.
    #[command(flatten)]
    pub approval: Approval,
}

/// `magus promote`.
#[derive(Debug, Args)]
pub struct Promote {
    /// The environment whose branch is merged
    #[arg(value_name = "FROM")]
    pub from: String,
    /// The environment whose branch moves: the stage after it
    #[arg(value_name = "TO")]
    pub to: String,
    /// Do not ask; needed without a terminal
    #[arg(short, long)]
    pub yes: bool,
    /// Move nothing, and print the title and body of a pull request instead
    #[arg(long, conflicts_with = "yes")]
    pub pull_request: bool,
}

/// `magus rollback`.
#[derive(Debug, Args)]
pub struct Rollback {
    /// The environment
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// The release, by its entry in `magus history`, or a commit [default: the one before the last]
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<String>,
    /// Why; it stays in the environment.yaml until somebody lets go on
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// Do not ask; needed without a terminal
    #[arg(short, long)]
    pub yes: bool,
}

/// `magus verify`.
#[derive(Debug, Args)]
pub struct Verify {
    /// The environment in which it was tried
    #[arg(value_name = "ENV")]
    pub environment: String,
    /// How it ended
    #[arg(long, required_unless_present = "run")]
    pub result: Option<Verdict>,
    /// Run the pipelines that `verify` in its environment.yaml names in its workspaces, and record how they end
    #[arg(long, conflicts_with_all = ["result", "url"])]
    pub run: bool,
    /// The commit of the pipelines' repository: its number or a tag [default: the one that runs there]
    #[arg(long, value_name = "SHA")]
    pub commit: Option<String>,
    /// Where more is told, such as the page of the CI job
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// What to say about it
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
}

/// How a verification ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Verdict {
    /// It passed
    Pass,
    /// It failed
    Fail,
}

/// `magus history`.
#[derive(Debug, Args)]
pub struct History {
    /// Only so many entries, the newest
    #[arg(long, value_name = "N")]
    pub limit: Option<u32>,
}

/// `magus lock`.
#[derive(Debug, Subcommand)]
pub enum LockCommand {
    /// Show who holds the locks
    List,
    /// Release a lock that somebody left, such as a machine that is gone
    Release {
        /// The cluster
        #[arg(value_name = "CLUSTER")]
        cluster: String,
        /// Do not ask; needed without a terminal
        #[arg(short, long)]
        yes: bool,
    },
}

/// `magus completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// For which shell
    pub shell: clap_complete::Shell,
}
