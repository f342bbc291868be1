//! What the scanner says that code needs, against what Python does without it: generated blocks run with every set of their variables.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use magus_tests::{Sandbox, cases};
use serde_json::Value;

use super::references::{commit, python};

/// A generator of blocks: numbers from a seed, and lines.
struct Blocks {
    state: u64,
    text: String,
    count: usize,
    names: BTreeSet<String>,
}

/// So many names a block has at most: it runs with every set of them.
const NAMES: u64 = 4;

impl Blocks {
    fn below(&mut self, bound: u64) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state % bound
    }

    fn line(&mut self, depth: usize, line: &str) {
        let _ = writeln!(self.text, "{}{line}", "    ".repeat(depth));
    }

    fn id(&mut self) -> usize {
        self.count += 1;
        self.count
    }

    fn name(&mut self) -> String {
        let name = format!("N{}", self.below(NAMES));
        self.names.insert(name.clone());
        name
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        let count = of.len() as u64;
        of[usize::try_from(self.below(count)).expect("small")]
    }

    /// An expression that reads.
    fn read(&mut self, depth: usize) -> String {
        let name = self.name();
        match self.below(20) {
            14 => format!("getattr(os, 'environ').get('{name}')"),
            15 => format!("__import__('os').getenv('{name}')"),
            16 => format!("dict(os.environ).get('{name}')"),
            17 => format!("os.environ.copy()['{name}']"),
            18 => format!("functools.partial(os.getenv)('{name}')"),
            0..=3 => format!("os.getenv('{name}')"),
            4 => format!("os.environ.get('{name}')"),
            5 => format!("os.environ['{name}']"),
            6 => format!("os.getenv('{name}', '')"),
            7 => format!("os.getenv('{name}', 'd')"),
            8 => format!("os.environ.get('{name}', None)"),
            9 if depth < 2 => format!("({} or {})", self.read(depth + 1), self.read(depth + 1)),
            10 if depth < 2 => format!("os.getenv('{name}', {})", self.read(depth + 1)),
            11 if depth < 2 => format!("({} or 'd')", self.read(depth + 1)),
            12 => format!("(os.getenv('{name}') if os.getenv('{name}') else 'd')"),
            13 => format!("(os.environ['{name}'] if '{name}' in os.environ else None)"),
            _ => format!("os.getenv('{name}')"),
        }
    }

    /// A test that holds without a value.
    fn lacks(&mut self, value: &str) -> String {
        match self.below(4) {
            0 => format!("{value} is None or {value} == ''"),
            1 => format!("{value} in (None, '')"),
            _ => format!("not {value}"),
        }
    }

    /// What is done with a value.
    fn handle(&mut self, depth: usize, value: &str) {
        match self.below(16) {
            0 => self.line(depth, &format!("{value}.upper()")),
            1 => self.line(depth, &format!("len({value})")),
            2 => self.line(depth, &format!("{value} + ''")),
            3 => {
                let test = self.lacks(value);
                self.line(depth, &format!("if {test}:"));
                let end = self.pick(&["raise ValueError('none')", "sys.exit(1)", "raise SystemExit(2)"]);
                self.line(depth + 1, end);
            }
            4 => {
                let test = self.lacks(value);
                self.line(depth, &format!("if {test}:"));
                self.line(depth + 1, "raise KeyError('none')");
                self.line(depth, "else:");
                self.line(depth + 1, &format!("len({value})"));
            }
            5 => self.line(depth, &format!("assert {value}, 'none'")),
            6 => {
                self.line(depth, &format!("if {value}:"));
                self.line(depth + 1, &format!("len({value})"));
            }
            7 => self.line(depth, &format!("len({value} or 'd')")),
            8 => {
                let (test, other) = (self.lacks(value), self.read(1));
                self.line(depth, &format!("if {test}:"));
                self.line(depth + 1, &format!("{value} = {other}"));
                self.handle(depth, value);
            }
            9 => {
                let test = self.lacks(value);
                self.line(depth, &format!("if {test}:"));
                self.line(depth + 1, "print('none')");
            }
            10 => self.line(depth, &format!("print(f'{{{value}}}')")),
            11 => self.line(depth, &format!("len({value}) if {value} else 0")),
            12 => self.line(depth, &format!("{value} and len({value})")),
            13 => self.line(depth, &format!("logging.info('%s', {value})")),
            14 => self.line(depth, &format!("x = {value} == 'y'")),
            _ => {
                let id = self.id();
                self.line(depth, &format!("w{id} = {value}"));
                self.handle(depth, &format!("w{id}"));
            }
        }
    }

    /// Names of a list, as Python writes them.
    fn list(&mut self) -> String {
        let names: BTreeSet<String> = (0..=self.below(3)).map(|_| self.name()).collect();
        let quoted: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
        format!("[{}]", quoted.join(", "))
    }

    /// A few statements that belong together.
    fn statement(&mut self, depth: usize) {
        let id = self.id();
        match self.below(24) {
            0..=4 => {
                let read = self.read(0);
                self.line(depth, &format!("v{id} = {read}"));
                self.handle(depth, &format!("v{id}"));
            }
            5 => self.tried(depth, id),
            6 => {
                let read = self.read(0);
                self.line(depth, &format!("def f{id}():"));
                self.line(depth + 1, &format!("return {read}"));
                self.line(depth, &format!("r{id} = f{id}()"));
                self.handle(depth, &format!("r{id}"));
            }
            7 => {
                let read = self.read(0);
                self.line(depth, &format!("def f{id}():"));
                self.line(depth + 1, &format!("v = {read}"));
                self.handle(depth + 1, "v");
                self.line(depth + 1, "return v");
                self.line(depth, &format!("r{id} = f{id}()"));
                self.handle(depth, &format!("r{id}"));
            }
            8 => self.searched(depth, id),
            9 => self.listed(depth, id),
            10 => self.helper(depth, id),
            11 => self.class(depth, id),
            12 => {
                let names = self.list();
                self.line(depth, &format!("for k{id} in {names}:"));
                let read =
                    self.pick(&["os.environ[K]", "os.getenv(K)", "os.getenv(K, '')", "os.getenv(K, 'd')"]);
                self.line(depth + 1, &format!("v{id} = {}", read.replace('K', &format!("k{id}"))));
                self.handle(depth + 1, &format!("v{id}"));
            }
            13 => {
                let name = self.name();
                self.line(depth, &format!("if '{name}' not in os.environ:"));
                let then = self.pick(&["raise KeyError('none')", "os.environ['X'] = 'd'", "print('none')"]);
                self.line(depth + 1, &then.replace("'X'", &format!("'{name}'")));
            }
            14 => {
                let name = self.name();
                self.line(depth, &format!("if '{name}' in os.environ:"));
                self.line(depth + 1, &format!("len(os.environ['{name}'])"));
            }
            15 => {
                let (a, b) = (self.read(1), self.read(1));
                self.line(depth, &format!("a{id}, b{id} = {a}, {b}"));
                let test = self.pick(&[
                    "not a or not b",
                    "not (a and b)",
                    "not all([a, b])",
                    "not a and not b",
                    "not (a or b)",
                    "not any([a, b])",
                    "None in (a, b)",
                    "not any((a, b))",
                    "a is None and b is None",
                ]);
                let test = replaced(test, id);
                self.line(depth, &format!("if {test}:"));
                let then = self.pick(&["raise ValueError('none')", "print('none')"]);
                self.line(depth + 1, then);
            }
            16 => {
                let (first, second, third) = (self.name(), self.name(), self.name());
                self.line(
                    depth,
                    &format!("v{id} = os.getenv('{first}') or os.getenv('{second}') or os.getenv('{third}')"),
                );
                self.handle(depth, &format!("v{id}"));
            }
            17 => self.choice(depth, id),
            18 => {
                let name = self.name();
                self.line(depth, &format!("C{id} = '{name}'"));
                self.line(depth, &format!("v{id} = os.environ.get(C{id})"));
                self.handle(depth, &format!("v{id}"));
            }
            19 => {
                let (name, read) = (self.name(), self.read(1));
                self.line(depth, &format!("v{id} = None"));
                self.line(depth, &format!("if '{name}' in os.environ:"));
                self.line(depth + 1, &format!("v{id} = os.environ['{name}']"));
                self.line(depth, "else:");
                self.line(depth + 1, &format!("v{id} = {read}"));
                self.handle(depth, &format!("v{id}"));
            }
            20 => {
                let (a, b) = (self.read(1), self.read(1));
                self.line(depth, &format!("c{id} = {{'a': {a}, 'b': {b}}}"));
                self.line(depth, &format!("m{id} = [k for k, v in c{id}.items() if not v]"));
                self.line(depth, &format!("if m{id}:"));
                let then = self.pick(&["raise ValueError(m)", "print(m)"]);
                self.line(depth + 1, &then.replace("(m)", &format!("(m{id})")));
            }
            21 if depth < 2 => {
                self.line(depth, &format!("def g{id}():"));
                for _ in 0..=self.below(2) {
                    self.statement(depth + 1);
                }
                self.line(depth, &format!("g{id}()"));
            }
            22 if depth < 2 => {
                self.line(depth, "try:");
                self.statement(depth + 1);
                let kind = self.pick(&[
                    "except Exception:",
                    "except:",
                    "except (KeyError, TypeError, AttributeError, ValueError, AssertionError, SystemExit):",
                ]);
                self.line(depth, kind);
                let then = self.pick(&["pass", "raise", "print('none')", "raise ValueError('none')"]);
                self.line(depth + 1, then);
            }
            _ => {
                let name = self.name();
                let kind = self.pick(&["KeyError", "KeyError, TypeError", "Exception"]);
                self.line(depth, &format!("with contextlib.suppress({kind}):"));
                self.line(depth + 1, &format!("v{id} = os.environ['{name}']"));
            }
        }
    }

    /// A `try` around a read.
    fn tried(&mut self, depth: usize, id: usize) {
        let (name, kind) = (
            self.name(),
            self.pick(&["except KeyError:", "except Exception:", "except:", "except LookupError:"]),
        );
        self.line(depth, "try:");
        self.line(depth + 1, &format!("v{id} = os.environ['{name}']"));
        self.line(depth, kind);
        match self.below(5) {
            0 => self.line(depth + 1, "raise"),
            1 => self.line(depth + 1, "raise ValueError('none')"),
            2 => self.line(depth + 1, &format!("v{id} = 'd'")),
            3 => self.line(depth + 1, &format!("v{id} = None")),
            _ => {
                let read = self.read(1);
                self.line(depth + 1, &format!("v{id} = {read}"));
            }
        }
        self.handle(depth, &format!("v{id}"));
    }

    /// The first of several names that is there.
    fn searched(&mut self, depth: usize, id: usize) {
        let names = self.list();
        match self.below(4) {
            0 => {
                self.line(depth, &format!("v{id} = None"));
                self.line(depth, &format!("for k{id} in {names}:"));
                self.line(depth + 1, &format!("v{id} = os.getenv(k{id})"));
                self.line(depth + 1, &format!("if v{id}:"));
                self.line(depth + 2, "break");
                self.handle(depth, &format!("v{id}"));
            }
            1 => {
                self.line(depth, &format!("def f{id}():"));
                self.line(depth + 1, &format!("for k in {names}:"));
                self.line(depth + 2, "v = os.environ.get(k)");
                self.line(depth + 2, "if v:");
                self.line(depth + 3, "return v");
                let end = self.pick(&["raise ValueError('none')", "return None", "return 'd'"]);
                self.line(depth + 1, end);
                self.line(depth, &format!("r{id} = f{id}()"));
                self.handle(depth, &format!("r{id}"));
            }
            2 => {
                self.line(
                    depth,
                    &format!("v{id} = next((os.getenv(k) for k in {names} if os.getenv(k)), None)"),
                );
                self.handle(depth, &format!("v{id}"));
            }
            _ => {
                self.line(depth, &format!("for k{id} in {names}:"));
                self.line(depth + 1, &format!("if os.getenv(k{id}):"));
                self.line(depth + 2, "break");
                self.line(depth, "else:");
                let end = self.pick(&["raise ValueError('none')", "print('none')"]);
                self.line(depth + 1, end);
            }
        }
    }

    /// A list of names that all have to be there.
    fn listed(&mut self, depth: usize, id: usize) {
        let names = self.list();
        self.line(depth, &format!("R{id} = {names}"));
        match self.below(6) {
            0 => self.line(depth, &format!("m{id} = [k for k in R{id} if k not in os.environ]")),
            1 => self.line(depth, &format!("m{id} = [k for k in R{id} if not os.getenv(k)]")),
            2 => self.line(depth, &format!("m{id} = not all(os.getenv(k) for k in R{id})")),
            3 => self.line(depth, &format!("m{id} = any(k not in os.environ for k in R{id})")),
            4 => {
                self.line(depth, &format!("m{id} = []"));
                self.line(depth, &format!("for k{id} in R{id}:"));
                self.line(depth + 1, &format!("if not os.getenv(k{id}):"));
                self.line(depth + 2, &format!("m{id}.append(k{id})"));
            }
            _ => self.line(depth, &format!("m{id} = not any(os.getenv(k) for k in R{id})")),
        }
        let test = self.pick(&["M", "bool(M)"]);
        self.line(depth, &format!("if {}:", test.replace('M', &format!("m{id}"))));
        let then = self.pick(&["raise ValueError('none')", "sys.exit(1)", "print('none')"]);
        self.line(depth + 1, then);
    }

    /// A function that is given a name.
    fn helper(&mut self, depth: usize, id: usize) {
        self.line(depth, &format!("def h{id}(name, default=None):"));
        match self.below(4) {
            0 => self.line(depth + 1, "return os.environ[name]"),
            1 => self.line(depth + 1, "return os.getenv(name, default)"),
            2 => {
                self.line(depth + 1, "v = os.getenv(name)");
                self.line(depth + 1, "if not v:");
                self.line(depth + 2, "raise ValueError(name)");
                self.line(depth + 1, "return v");
            }
            _ => {
                self.line(depth + 1, "v = os.environ.get(name)");
                self.line(depth + 1, "return v or default");
            }
        }
        for call in 0..=self.below(2) {
            let name = self.name();
            let default = self.pick(&["", ", 'd'", ", ''", ", default='d'"]);
            self.line(depth, &format!("r{id}_{call} = h{id}('{name}'{default})"));
            self.handle(depth, &format!("r{id}_{call}"));
        }
    }

    fn class(&mut self, depth: usize, id: usize) {
        let read = self.read(1);
        match self.below(4) {
            3 => self.settings(depth, id),
            0 => {
                self.line(depth, &format!("class K{id}:"));
                self.line(depth + 1, "def __init__(self):");
                self.line(depth + 2, &format!("self.field_{id} = {read}"));
                self.line(depth, &format!("o{id} = K{id}()"));
            }
            1 => {
                self.line(depth, "@dataclasses.dataclass");
                self.line(depth, &format!("class K{id}:"));
                self.line(depth + 1, &format!("field_{id}: str = None"));
                self.line(depth, &format!("o{id} = K{id}(field_{id}={read})"));
            }
            _ => {
                self.line(depth, "@dataclasses.dataclass");
                self.line(depth, &format!("class K{id}:"));
                self.line(depth + 1, &format!("field_{id}: str = {read}"));
                self.line(depth, &format!("o{id} = K{id}()"));
            }
        }
        self.line(depth, &format!("v{id} = o{id}.field_{id}"));
        self.handle(depth, &format!("v{id}"));
    }

    /// Settings of pydantic, with one field that says its variables.
    fn settings(&mut self, depth: usize, id: usize) {
        let names = if self.below(2) == 0 { format!("'{}'", self.name()) } else { self.list() };
        let kind = self.pick(&["str", "typing.Optional[str]"]);
        let default = self.pick(&["..., ", "", "None, ", "'d', ", "'', ", "default=None, "]);
        self.line(depth, &format!("class K{id}(pydantic.v1.BaseSettings):"));
        self.line(depth + 1, &format!("field_{id}: {kind} = pydantic.v1.Field({default}env={names})"));
        match self.below(3) {
            0 => {
                self.line(depth, "try:");
                self.line(depth + 1, &format!("o{id} = K{id}()"));
                let caught = self.pick(&["except ValueError:", "except KeyError:", "except Exception:"]);
                self.line(depth, caught);
                self.line(depth + 1, &format!("o{id} = types.SimpleNamespace(field_{id}='d')"));
            }
            1 => {
                self.line(depth, &format!("def s{id}():"));
                self.line(depth + 1, &format!("return K{id}()"));
                self.line(depth, &format!("o{id} = s{id}()"));
            }
            _ => self.line(depth, &format!("o{id} = K{id}()")),
        }
    }

    /// `if` and `elif` over several.
    fn choice(&mut self, depth: usize, id: usize) {
        let (a, b) = (self.name(), self.name());
        self.line(depth, &format!("if os.getenv('{a}'):"));
        self.line(depth + 1, &format!("v{id} = os.environ['{a}']"));
        self.line(depth, &format!("elif os.getenv('{b}'):"));
        self.line(depth + 1, &format!("v{id} = os.environ['{b}']"));
        self.line(depth, "else:");
        let end = self.pick(&["raise ValueError('none')", "v = 'd'", "v = None"]);
        self.line(depth + 1, &end.replace("v =", &format!("v{id} =")));
        self.handle(depth, &format!("v{id}"));
    }
}

/// A test of `a` and `b`, of the names with this number.
fn replaced(test: &str, id: usize) -> String {
    let mut out = String::new();
    let chars: Vec<char> = test.chars().collect();
    for (at, sign) in chars.iter().enumerate() {
        out.push(*sign);
        let is_word = |at: Option<&char>| at.is_some_and(|c| c.is_alphanumeric() || *c == '_');
        let before = at.checked_sub(1).and_then(|at| chars.get(at));
        if matches!(sign, 'a' | 'b') && !is_word(before) && !is_word(chars.get(at + 1)) {
            let _ = write!(out, "{id}");
        }
    }
    out
}

/// What is said of a read.
struct Said {
    name: String,
    without: String,
    alternatives: Vec<Vec<String>>,
}

/// What is said of every read, by file.
fn said(sandbox: &Sandbox) -> BTreeMap<String, Vec<Said>> {
    let refs = sandbox.expect(0, &["refs", "--format", "json"]).stdout;
    let refs: Value = serde_json::from_str(&refs).expect("JSON");
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let mut all: BTreeMap<String, Vec<Said>> = BTreeMap::new();
    for name in refs["names"].as_array().expect("names") {
        for place in name["places"].as_array().expect("places") {
            let lists = place["alternatives"].as_array().into_iter().flatten();
            let alternatives =
                lists.map(|list| list.as_array().expect("names").iter().map(text).collect()).collect();
            let file = text(&place["file"]).replace("data_loaders/", "");
            all.entry(file).or_default().push(Said {
                name: text(&name["name"]),
                without: text(&place["without"]),
                alternatives,
            });
        }
    }
    all
}

/// Whether code fails with these variables, by what is said; nothing where that is undecidable.
fn fails(said: &[Said], there: &BTreeSet<&str>) -> Option<bool> {
    let mut is_open = false;
    for Said { name, without, alternatives } in said {
        if there.contains(name.as_str()) {
            continue;
        }
        let is_needed = alternatives.is_empty()
            || alternatives.iter().any(|list| list.iter().all(|other| !there.contains(other.as_str())));
        match without.as_str() {
            "fails" if is_needed => return Some(true),
            "undecidable" => is_open = true,
            _ => {}
        }
    }
    (!is_open).then_some(false)
}

#[test]
fn python_fails_without_what_is_needed_and_goes_on_without_the_rest() {
    let sandbox = Sandbox::new();
    let count = cases(1_000, 20_000) as u64;
    let mut blocks: BTreeMap<String, (String, Vec<String>)> = BTreeMap::new();
    let mut metadata = "blocks:\n".to_owned();
    for number in 0..count {
        let text =
            "import contextlib\nimport dataclasses\nimport functools\nimport logging\nimport os\nimport pydantic.v1\nimport sys\nimport types\nimport typing\n".to_owned();
        let state = 0x9e37_79b9_7f4a_7c15 ^ (number + 1).wrapping_mul(0x2545_f491_4f6c_dd1d);
        let mut made = Blocks { state, text, count: 0, names: BTreeSet::new() };
        for _ in 0..=made.below(2) {
            made.statement(0);
        }
        let file = format!("b{number}.py");
        sandbox.write(&format!("project/data_loaders/{file}"), &made.text);
        let _ = writeln!(metadata, "- {{uuid: b{number}, type: data_loader, language: python}}");
        blocks.insert(file, (made.text, made.names.into_iter().collect()));
    }
    sandbox.write("project/pipelines/all/metadata.yaml", metadata);
    let names: BTreeMap<&String, &Vec<String>> =
        blocks.iter().map(|(file, (_, names))| (file, names)).collect();
    sandbox.write("project/data_loaders/names.json", serde_json::to_string(&names).expect("JSON"));
    let test = "python_fails_without_what_is_needed_and_goes_on_without_the_rest";
    let Some(ran) = python(test, &sandbox, "needed.py", "project/data_loaders") else { return };
    let ran: BTreeMap<String, BTreeSet<u32>> = serde_json::from_str(&ran).expect("numbers");
    commit(&sandbox, "project");
    let said = said(&sandbox);
    let (mut reads, mut open) = (0, 0);
    let mut wrong = Vec::new();
    for (file, (text, names)) in &blocks {
        let none = Vec::new();
        let said = said.get(file).unwrap_or(&none);
        reads += said.len();
        open += said.iter().filter(|one| one.without == "undecidable").count();
        for there in 0..1_u32 << names.len() {
            let is_there = |(bit, name): (usize, &'_ String)| (there & 1 << bit != 0).then(|| name.clone());
            let set: Vec<String> = names.iter().enumerate().filter_map(is_there).collect();
            let set: BTreeSet<&str> = set.iter().map(String::as_str).collect();
            let failed = ran[file].contains(&there);
            if fails(said, &set).is_some_and(|said| said != failed) {
                let said: Vec<String> = said
                    .iter()
                    .map(|Said { name, without, alternatives }| format!("{name} {without} {alternatives:?}"))
                    .collect();
                wrong.push(format!(
                    "with {set:?} it {}; {said:#?}\n{text}",
                    if failed { "fails" } else { "runs" }
                ));
                break;
            }
        }
    }
    let shown: Vec<&String> = wrong.iter().take(5).collect();
    assert!(
        wrong.is_empty(),
        "{} of {}: {}",
        wrong.len(),
        blocks.len(),
        shown.into_iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    );
    assert!(open * 100 <= reads * 3, "{open} of {reads} reads are undecidable");
}
