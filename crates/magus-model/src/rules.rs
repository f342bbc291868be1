//! The table of rules. Every rule has a page `docs/rules/CODE.md`.
//!
//! 0 syntax and schema, 1 names and structure, 2 containers and resources, 3 variables and secrets, 4 git,
//! 5 code references, 6 triggers, 7 good practice.

use crate::diagnostic::Severity::{self, Error, Hint, Warning};

/// A rule: what is checked, and how much it matters unless `lint` says otherwise.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// `MGxyz`; never used for something else once released.
    pub code: &'static str,
    /// The name under which people talk about it.
    pub name: &'static str,
    /// Its default severity.
    pub severity: Severity,
    /// What is wrong, as a sentence without a full stop.
    pub summary: &'static str,
}

impl Rule {
    /// The address of its page.
    pub fn url(&self) -> String {
        format!("https://magus.dev/rules/{}", self.code)
    }
}

/// The rule with this code.
pub fn find(code: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.code == code)
}

macro_rules! rules {
    ($($ident:ident $code:literal $name:literal $severity:ident $summary:literal)*) => {
        $(#[doc = $summary] pub static $ident: Rule = Rule { code: $code, name: $name, severity: $severity, summary: $summary };)*
        /// All rules in the order of their codes.
        pub static RULES: &[&Rule] = &[$(&$ident),*];
    };
}

rules! {
    SYNTAX "MG001" "syntax" Error "the file is not valid YAML"
    DUPLICATE_KEY "MG002" "duplicate-key" Error "a key is written twice in one map"
    ALIAS_BOMB "MG003" "alias-bomb" Error "aliases expand to more than a file may hold"
    FILE_TOO_LARGE "MG004" "file-too-large" Error "the file is larger than 1 MiB"
    NOT_UTF8 "MG005" "not-utf8" Error "the file is not UTF-8"
    TAB_INDENTATION "MG006" "tab-indentation" Error "a tab where YAML wants spaces"
    EMPTY_FILE "MG007" "empty-file" Error "the file holds no document"
    SEVERAL_DOCUMENTS "MG008" "several-documents" Error "the file holds more than one document"
    OUTSIDE_SYMLINK "MG009" "outside-symlink" Error "a symbolic link leads out of the directory"
    UNREADABLE "MG010" "unreadable" Error "the file or folder cannot be read"
    MERGE_KEY "MG011" "merge-key" Error "a merge key `<<` that does not name a map"
    KEY_TYPE "MG012" "key-type" Error "a key that is not text"
    TAG "MG013" "tag" Error "a YAML tag that Magus does not know, or that does not fit its value"
    NESTING "MG014" "nesting" Error "lists and maps nested too deeply"
    UNKNOWN_KEY "MG020" "unknown-key" Error "a key that is not known here"
    WRONG_TYPE "MG021" "wrong-type" Error "a value of the wrong type"
    MISSING_KEY "MG022" "missing-key" Error "a key that has to be there is missing"
    INVALID_VALUE "MG023" "invalid-value" Error "a value that is not allowed here"
    ONE_OF "MG024" "one-of" Error "exactly one of several keys has to be given"
    INTERNAL "MG099" "internal" Error "the schema accepts what the typed form refuses: a fault of Magus"
    INVALID_NAME "MG101" "invalid-name" Error "a name that the cluster would refuse"
    YML_EXTENSION "MG102" "yml-extension" Error "a file that ends in `.yml`"
    DUPLICATE_NAME "MG103" "duplicate-name" Error "two workspaces have one name in the cluster"
    UNKNOWN_TEMPLATE "MG104" "unknown-template" Error "`use` names a template that does not exist"
    UNKNOWN_STAGE "MG105" "unknown-stage" Error "`promotes_from` names an environment that does not exist"
    STAGE_CYCLE "MG106" "stage-cycle" Error "`promotes_from` leads in a circle"
    STAGE_GAP "MG107" "stage-gap" Error "an environment stands outside the order of promotion"
    NO_CLUSTER "MG108" "no-cluster" Error "an environment without a cluster"
    UNKNOWN_PLACEHOLDER "MG109" "unknown-placeholder" Error "a placeholder `${…}` that is not known"
    ENV_TWICE "MG110" "env-twice" Error "a variable in both forms of `env` in one layer"
    OVERRIDE_NOT_ALLOWED "MG111" "override-not-allowed" Error "a workspace sets its own branch where the environment does not allow it"
    STRAY_FILE "MG112" "stray-file" Error "a file that belongs to no environment"
    REQUIRES "MG113" "requires" Error "the directory needs another version of Magus"
    MOVED_FROM "MG114" "moved-from" Error "`moved_from` names a workspace that cannot be the old one"
    SAME_CLUSTER "MG115" "same-cluster" Error "two clusters of different names, or two names of one, share an engine"
    ENGINE_UNAVAILABLE "MG116" "engine-unavailable" Error "an engine that this version of Magus does not have"
    ENGINE_LIMIT "MG117" "engine-limit" Error "a key that the cluster's engine cannot set"
    CONTAINER_KEY "MG201" "container-key" Error "a container key that belongs to Mage"
    REQUESTS_OVER_LIMITS "MG202" "requests-over-limits" Error "a request is larger than its limit"
    UNQUOTED_VARIABLE "MG203" "unquoted-variable" Error "a variable whose value is a number or a boolean, not text"
    INVALID_QUANTITY "MG204" "invalid-quantity" Error "an amount that Kubernetes would refuse"
    RESERVED_VARIABLE "MG205" "reserved-variable" Warning "a variable that Mage sets itself"
    VARIABLE_NAME "MG206" "variable-name" Error "a name that no variable can have"
    REFUSED_RESOURCE "MG207" "refused-resource" Error "resources that Kubernetes would refuse"
    REFUSED_PROBE "MG208" "refused-probe" Error "a probe or hook that Kubernetes would refuse"
    FRACTION_OF_A_BYTE "MG209" "fraction-of-a-byte" Warning "an amount of memory with a fraction of a byte"
    SECRET_LITERAL "MG301" "secret-literal" Error "a literal that looks like a secret"
    READABLE_SECRET "MG302" "readable-secret" Warning "a secret that every viewer of a Mage server can read"
    SHARED_TRIGGERS "MG303" "shared-triggers" Error "workspaces on one database of Mage's run each other's triggers"
    SHARED_DATABASE "MG304" "shared-database" Error "workspaces of different versions share one database of Mage's"
    SHARED_SECRET "MG305" "shared-secret" Warning "production and another environment use one secret"
    SAME_AS_ANOTHER "MG306" "same-as-another" Hint "a variable that differs in every environment but one"
    UNEXPANDED_REFERENCE "MG307" "unexpanded-reference" Error "a variable that refers to one that Kubernetes cannot expand"
    SECRET_DEFAULT "MG308" "secret-default" Warning "a default in the code that looks like a secret"
    UNKNOWN_BRANCH "MG401" "unknown-branch" Error "a branch that the pipelines' repository does not have"
    UNKNOWN_COMMIT "MG402" "unknown-commit" Error "a commit that the pipelines' repository does not have, or more than one"
    COMMIT_NOT_ON_BRANCH "MG403" "commit-not-on-branch" Error "a commit that is not on the branch of its environment"
    SHARED_BRANCH "MG404" "shared-branch" Warning "two environments deploy one branch"
    STAGE_BEHIND "MG405" "stage-behind" Warning "a stage whose branch lacks commits of the stage after it"
    REPOSITORY_UNREAD "MG406" "repository-unread" Warning "the pipelines' repository was not read, or only a part of it"
    PRODUCTION_BRANCH "MG407" "production-branch" Error "production takes from another branch than `main` or `master`"
    UNKNOWN_DIRECTORY "MG408" "unknown-directory" Error "the folder that is declared is no Mage project with pipelines"
    NOT_IN_GIT "MG409" "not-in-git" Warning "code that the pipelines' repository names and does not hold"
    GATE_WITHOUT_STAGE "MG410" "gate-without-stage" Error "a gate that looks at the stage before, and there is none"
    MISSING_NAME "MG501" "missing-name" Error "code reads a variable or a secret that its workspace does not have"
    NEVER_READ "MG502" "never-read" Warning "a variable or a secret that no code reads"
    MISSING_AHEAD "MG503" "missing-ahead" Warning "the code of an earlier stage needs what only earlier stages have"
    UNDECIDABLE_NAME "MG504" "undecidable-name" Hint "code makes the name of a variable while it runs"
    WRONG_KIND "MG505" "wrong-kind" Error "a secret that is read as a variable, or the reverse"
    UNKNOWN_PROFILE "MG506" "unknown-profile" Warning "a block reads a profile that `io_config.yaml` does not have"
    UNREADABLE_CODE "MG507" "unreadable-code" Warning "a code file that does not parse"
    NO_PROVIDER "MG508" "no-data-provider" Warning "a SQL block without a data provider runs nothing"
    TRIGGER_EVERYWHERE "MG601" "trigger-everywhere" Warning "a trigger without `envs` runs in production too"
    UNKNOWN_ENV "MG602" "unknown-env" Warning "a trigger is for an `ENV` that no workspace has, or that Mage does not know"
    STARTS_AT_ONCE "MG603" "starts-at-once" Warning "a trigger that may run as soon as it is deployed"
    TRIGGER_TWICE "MG604" "trigger-twice" Warning "the same trigger runs in two workspaces of one environment"
    INVALID_CRON "MG605" "invalid-cron" Warning "a trigger that never runs, because of its schedule"
    UNREAD_TRIGGER "MG606" "unread-trigger" Warning "a trigger that Mage leaves out without a word"
    IMAGE_TAG "MG701" "image-tag" Warning "an image without a tag, or with `latest`"
    PRODUCTION_AUTO_TERMINATION "MG702" "production-auto-termination" Warning "auto-termination in production"
    SCHEMA_MISSING "MG703" "schema-missing" Warning "the schema that the modeline names does not exist"
    SCHEMA_OUTDATED "MG704" "schema-outdated" Warning "the schema that the modeline names is of another version"
    UNUSED_IGNORE "MG705" "unused-ignore" Warning "a comment `magus: ignore` that silences nothing"
    BYTE_ORDER_MARK "MG706" "byte-order-mark" Hint "the file begins with a byte order mark"
    CARRIAGE_RETURN "MG707" "carriage-return" Hint "lines end in carriage returns"
    NO_EFFECT "MG708" "no-effect" Warning "a key that has no effect in this version of Magus"
    UNTRIED_IMAGE "MG709" "untried-image" Warning "the last stage runs an image that no stage before it has tried"
    SERVER_OVERRIDES "MG710" "server-overrides" Warning "the main server has its own way, whatever is declared"
    NO_IMAGE "MG711" "no-image" Warning "a workspace of Mage Pro whose image changes with the main server's"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_ordered() {
        assert!(RULES.windows(2).all(|pair| pair[0].code < pair[1].code));
        let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), RULES.len());
    }

    #[test]
    fn the_groups_that_must_be_errors_are() {
        for rule in RULES {
            if rule.code.starts_with("MG0") || rule.code.starts_with("MG1") {
                assert_eq!(rule.severity, Severity::Error, "{}", rule.code);
            }
        }
    }
}
