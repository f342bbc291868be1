use super::*;
use crate::Fallback;

#[track_caller]
fn python(text: &str, expected: &[&str]) {
    check(FileKind::Python, text, expected);
}

#[test]
fn every_way_to_read_a_variable_is_found() {
    for (text, expected) in [
        ("import os\nos.environ['A']\n", "2:12 env A"),
        ("import os\nx = os.environ.get(\"A\")\n", "2:20 env A"),
        ("import os\nx = os.environ.get('A', 'b')\n", "2:20 env A default"),
        ("import os\nx = os.environ.get('A', None)\n", "2:20 env A"),
        ("import os\nx = os.environ.get('A', default='b')\n", "2:20 env A default"),
        ("import os\nx = os.getenv(key='A', default='b')\n", "2:19 env A default"),
        ("import os\nx = os.getenv(\n    # which\n    'A',\n)\n", "4:5 env A"),
        ("import os\nos.environ.pop('A')\n", "2:16 env A"),
        ("import os\nos.environ.pop('A', None)\n", "2:16 env A default"),
        ("import os\nos.environ.setdefault('A', 'b')\n", "2:23 env A default"),
        ("import os\nif 'A' in os.environ: pass\n", "2:4 env A default"),
        ("import os\nif 'A' not in os.environ.keys(): pass\n", "2:4 env A default"),
        ("import os as o\no.environ['A']\n", "2:11 env A"),
        ("import os.path\nos.environ['A']\n", "2:12 env A"),
        ("from os import environ\nenviron['A']\n", "2:9 env A"),
        ("from os import environ as e, getenv as g\nx = g('A')\n", "2:7 env A"),
        ("from os import (\n    environ as e,\n)\ne['A']\n", "4:3 env A"),
        ("import os\nenv = os.environ\nenv['A']\n", "3:5 env A"),
        ("import os\nget = os.environ.get\nx = get('A')\n", "3:9 env A"),
        ("import os\ndel os.environ['A']\n", "2:16 env A"),
        ("import os\nos.environ['A'] += 'b'\n", "2:12 env A"),
        ("import os\nos.environ['A'] = 'b'\n", "2:12 env A set"),
        ("import os\nA = 'B'\nos.environ[A]\n", "3:12 env B"),
        ("import os\ndef f():\n    import os as o\n    return o.getenv('A')\n", "4:21 env A"),
        ("import os\nx = os.environ.get('A') or 'b'\n", "2:20 env A default"),
        ("import os\nif os.getenv('A'): pass\n", "2:14 env A default"),
        ("import os\nx = 1 if os.getenv('A') else 2\n", "2:20 env A default"),
        ("import os\nx = os.getenv('A') == 'true'\n", "2:15 env A default"),
        ("import os\nx = os.environ['A'] == 'true'\n", "2:16 env A"),
        ("import os\ntry:\n    x = os.environ['A']\nexcept KeyError:\n    x = 'b'\n", "3:20 env A default"),
        (
            "import os\ntry:\n    x = os.environ['A']\nexcept KeyError:\n    raise Missing('A')\n",
            "3:20 env A",
        ),
        ("import os\nos.environ['A' 'B']\n", "2:12 env AB"),
        ("import os\nos.environ['A' + '_B']\n", "2:12 env A_B"),
        ("import os\nos.environ[r'A']\n", "2:12 env A"),
        ("import os\nos.environ['''A''']\n", "2:12 env A"),
        ("import os\nprint(f\"{os.environ['A']}\")\n", "2:21 env A"),
        ("import os\r\nos.environ['A']\r\n", "2:12 env A"),
        ("import os\nä = os.environ['Ä']\n", "2:16 env Ä"),
        (
            "try:\n    from os import getenv\nexcept ImportError:\n    getenv = None\nx = getenv('A')\n",
            "5:12 env A",
        ),
        ("os.environ['A']\n", "1:12 env A"),
        ("import os\nlambda: os.environ['A']\n", "2:20 env A"),
        ("import os\n[os.environ['A'] for x in y]\n", "2:13 env A"),
        ("import os\nclass C:\n    a = os.environ['A']\n", "3:20 env A"),
        ("import os\nasync def f():\n    await g(os.environ['A'])\n", "3:24 env A"),
        ("import os\nif (a := os.getenv('A')): pass\n", "2:20 env A default"),
    ] {
        python(text, &[expected]);
    }
}

#[test]
fn secrets_profiles_and_runtime_variables_are_found() {
    for (text, expected) in [
        (
            "from mage_ai.data_preparation.shared.secrets import get_secret_value\nx = get_secret_value('a')\n",
            "2:22 secret a",
        ),
        (
            "from mage_ai.data_preparation.shared.secrets import get_secret_value as s\nx = s(name='a')\n",
            "2:12 secret a",
        ),
        (
            "import mage_ai.data_preparation.shared.secrets as s\nx = s.get_secret_value('a')\n",
            "2:24 secret a",
        ),
        ("x = get_secret_value('a')\n", "1:22 secret a"),
        (
            "from mage_ai.io.config import ConfigFileLoader\nConfigFileLoader(path, 'dev')\n",
            "2:24 profile dev",
        ),
        (
            "from mage_ai.io.config import ConfigFileLoader\nConfigFileLoader(path, profile='dev')\n",
            "2:32 profile dev",
        ),
        ("from mage_ai.io.config import ConfigFileLoader\nConfigFileLoader(path)\n", "2:1 profile default"),
        (
            "from mage_ai.io.config import ConfigFileLoader\ndef f():\n    config_profile = 'x'\n    ConfigFileLoader(path, config_profile)\n",
            "4:28 profile x",
        ),
        ("@data_loader\ndef f(*args, **kwargs):\n    kwargs['a']\n", "3:12 runtime a"),
        ("@data_loader\ndef f(*args, **kwargs):\n    kwargs.get('a')\n", "3:16 runtime a default"),
    ] {
        python(text, &[expected]);
    }
    python("from mage_ai.io.config import ConfigFileLoader\nConfigFileLoader(config=c)\n", &[]);
    // Who sets one needs none, who asks goes on without, and Mage gives some to every block.
    for (body, expected) in [
        ("kwargs['a'] = 1", &[][..]),
        ("x = 'a' in kwargs", &["3:9 runtime a default"]),
        ("x = kwargs['execution_date']", &["3:16 runtime execution_date default"]),
        ("x = kwargs['logger']", &["3:16 runtime logger default"]),
    ] {
        python(&format!("@data_loader\ndef f(*args, **kwargs):\n    {body}\n"), expected);
    }
}

#[test]
fn what_only_looks_like_a_reference_is_none() {
    for text in [
        "# os.environ['A']\n",
        "'''os.environ['A']'''\n",
        "def f():\n    \"\"\"os.getenv('A')\"\"\"\n",
        "def f(os):\n    return os.environ['A']\n",
        "def f(environ):\n    return environ['A']\n",
        "environ = {}\nenviron['A']\n",
        "class os:\n    environ = {}\nos.environ['A']\n",
        "from posix import environ\nenviron['A']\n",
        "import os\nos.path.join('A')\n",
        "import os\nself.os.environ['A']\n",
        "def helper(**kwargs):\n    kwargs['a']\n",
        "import os\nfor os in x:\n    pass\ndef f(getenv):\n    getenv('A')\n",
        "x = {'os.environ': 1}['A']\n",
        "import os\nos.environ()\nos.getenv()\n",
    ] {
        let found = scan(FileKind::Python, text.as_bytes());
        assert_eq!(shown(&found), [""; 0], "{text}");
    }
}

#[test]
fn a_name_that_is_made_is_quoted_and_never_guessed() {
    for (text, expected) in [
        ("import os\nos.environ[f'{x}_KEY']\n", "2:12 env <f'{x}_KEY'> ?"),
        ("import os\nos.environ['A_' + x]\n", "2:12 env <'A_' + x> ?"),
        ("import os\nos.getenv(name)\n", "2:11 env <name> default"),
        ("import os\nA = 'B'\nA = 'C'\nos.environ[A]\n", "4:12 env <A> ?"),
        ("import os\nA = 'B'\nA += 'C'\nos.environ[A]\n", "4:12 env <A> ?"),
        ("import os\ndef f(A='B'):\n    os.environ[A]\n", "3:16 env <A> ?"),
        ("import os\n[os.environ[n] for n in names]\n", "2:13 env <n> ?"),
        ("import os\nfrom names import A\nos.environ[A]\n", "3:12 env <A> ?"),
        ("import os\nos.environ[\n  x\n  + y\n]\n", "3:3 env <x + y> ?"),
    ] {
        python(text, &[expected]);
    }
    let long = format!("import os\nos.environ[{}]\n", "x + ".repeat(60) + "x");
    let Name::Undecidable(text) = &scan(FileKind::Python, long.as_bytes()).references[0].name else {
        panic!()
    };
    assert!(text.chars().count() <= 61 && text.ends_with('…'), "{text}");
}

#[test]
fn the_environment_as_a_whole_is_told() {
    for (text, expected) in [
        ("import os\nrun(env=os.environ)\n", "2:9 env * default"),
        ("import os\ndict(os.environ)\n", "2:6 env * default"),
        ("import os\nx = {**os.environ}\n", "2:8 env * default"),
        ("import os\nos.environ.copy()\n", "2:1 env * default"),
        ("from os import environ\nfor name in environ:\n    pass\n", "2:13 env * default"),
    ] {
        python(text, &[expected]);
    }
}

#[test]
fn who_asks_first_knows_what_to_do_without() {
    python(
        "import os\nif 'A' in os.environ:\n    x = os.environ['A']\ny = os.environ['B']\n",
        &["2:4 env A default", "3:20 env A default", "4:16 env B"],
    );
}

#[test]
fn names_mean_what_python_says() {
    // A class is no scope of its methods, a function is one of its own.
    python(
        "import os\nA = 'OUTER'\nclass C:\n    A = 'CLASS'\n    x = os.environ[A]\n    def f(self):\n        return os.environ[A]\n\
         def g():\n    A = 'INNER'\n    return os.environ[A]\n",
        &["5:20 env CLASS", "7:27 env OUTER", "10:23 env INNER"],
    );
}

#[test]
fn what_does_not_parse_is_a_fault_and_not_the_end() {
    let found = scan(FileKind::Python, b"import os\nos.environ['A']\ndef f(:\n    pass\nos.environ['B']\n");
    let fault = found.fault.as_ref().unwrap();
    assert_eq!(
        (fault.line, &*fault.what),
        (3, "it is no valid Python, expected a parameter or the end of the parameter list")
    );
    assert!(shown(&found).contains(&"2:12 env A".to_owned()), "{:?}", shown(&found));
}

#[test]
fn modern_python_parses() {
    for text in [
        "match x:\n    case {'a': [1, *rest]} if rest:\n        pass\n",
        "def f[T: int](x: T, /, *, y: T) -> T: ...\n",
        "type X[T] = list[T]\n",
        "with (open(a) as f, open(b) as g):\n    pass\n",
        "x = f\"{a!r:>{width}} {f'{b}'}\"\n",
        "try:\n    pass\nexcept* ValueError as e:\n    pass\n",
        "async def f():\n    async with a as b:\n        return [i async for i in b]\n",
        "if 'data_loader' not in globals():\n    from mage_ai.data_preparation.decorators import data_loader\n",
        "print(x, end='')\n",
        "x: int = 1_000\ny = 0x_ff\nz = 1e5j\n",
        "def f(a, b=1, *args, c: int = 2, **kwargs): yield from a\n",
        "@decorator.with_arguments(x)(y)\nclass A(B, metaclass=C): pass\n",
    ] {
        assert_eq!(scan(FileKind::Python, text.as_bytes()).fault, None, "{text}");
    }
}

#[test]
fn what_is_needed_follows_from_what_the_code_does_without() {
    let mut bad: Vec<String> = Vec::new();
    for (text, expected) in [
        // Alternatives.
        ("x = os.getenv('A') or os.getenv('B')\nuse(x)\n", &["A or B", "B or A"][..]),
        ("x = os.getenv('A') or os.getenv('B') or 'c'\nuse(x)\n", &["A default", "B default"]),
        ("x = os.getenv('A', os.getenv('B'))\nuse(x)\n", &["A or B", "B or A"]),
        ("x = os.getenv('A') if os.getenv('A') else os.environ['B']\n", &["A or B", "A default", "B or A"]),
        ("x = os.getenv('A')\nif not x:\n    x = os.environ['B']\nuse(x)\n", &["A or B", "B or A"]),
        (
            "for k in ['A', 'B']:\n    x = os.getenv(k)\n    if x:\n        break\nuse(x)\n",
            &["A or B", "B or A"],
        ),
        (
            "def f():\n    for k in ('A', 'B'):\n        x = os.getenv(k)\n        if x:\n            return x\n    raise E\nf()\n",
            &["A or B", "B or A"],
        ),
        (
            "x = next((os.getenv(k) for k in ['A', 'B'] if os.getenv(k)), None)\nif x is None:\n    raise E\n",
            &["A default", "A or B", "B default", "B or A"],
        ),
        ("if not (os.getenv('A') or os.getenv('B')):\n    raise E\n", &["A or B", "B or A"]),
        ("if not any([os.getenv('A'), os.getenv('B')]):\n    raise E\n", &["A or B", "B or A"]),
        // What is tested.
        ("v = os.getenv('A')\nif not v:\n    raise E\nuse(v)\n", &["A"]),
        ("v = os.getenv('A')\nif v is None:\n    sys.exit(1)\n", &["A default"]),
        ("import sys\nv = os.getenv('A')\nif v is None:\n    sys.exit(1)\n", &["A"]),
        ("v = os.getenv('A')\nif v:\n    use(v)\n", &["A default"]),
        ("v = os.getenv('A')\nif v:\n    pass\nuse(v)\n", &["A"]),
        ("v = os.getenv('A')\nuse(v or 'b')\n", &["A default"]),
        ("v = os.getenv('A')\nif not v:\n    logger.warning('none')\n", &["A default"]),
        ("v = os.getenv('A')\nif not v:\n    v = 'b'\nuse(v)\n", &["A default"]),
        ("v = os.getenv('A')\nassert v\n", &["A"]),
        ("assert os.getenv('A'), 'A is missing'\n", &["A"]),
        ("if 'A' not in os.environ:\n    raise E\n", &["A"]),
        ("def f():\n    return os.getenv('A')\nif not f():\n    raise E\n", &["A"]),
        ("def f():\n    return os.getenv('A')\nx = f() or 'b'\n", &["A default"]),
        (
            "def f():\n    v = os.getenv('A')\n    if not v:\n        return 'b'\n    return v\nuse(f())\n",
            &["A default"],
        ),
        (
            "@dataclass\nclass C:\n    a: str = os.getenv('A')\ndef f(c):\n    if not c.a:\n        raise E\n",
            &["A"],
        ),
        (
            "@dataclass\nclass C:\n    a: str = os.getenv('A')\ndef f(c):\n    if c.a:\n        use(c.a)\n",
            &["A default"],
        ),
        (
            "@dataclass\nclass C:\n    a: str\nc = C(a=os.getenv('A'))\nif c.a:\n    use(c.a)\n",
            &["A default"],
        ),
        (
            "class C:\n    def __init__(self):\n        self.a = os.getenv('A')\n    def f(self):\n        if not self.a:\n            raise E\n",
            &["A"],
        ),
        // An empty default that is refused, and exceptions that are handled.
        ("v = os.getenv('A', '')\nif not v:\n    raise E\n", &["A"]),
        ("v = os.getenv('A', '').strip()\nif v == '':\n    raise E\n", &["A"]),
        ("v = os.getenv('A', '')\nuse(v)\n", &["A default"]),
        ("x = int(os.getenv('A', ''))\n", &["A"]),
        ("try:\n    x = os.environ['A']\nexcept Exception:\n    x = 'b'\n", &["A default"]),
        ("try:\n    x = os.environ['A']\nexcept:\n    x = None\nif not x:\n    raise E\n", &["A"]),
        ("try:\n    x = os.environ['A']\nexcept KeyError:\n    raise E\n", &["A"]),
        ("try:\n    x = os.environ['A']\nexcept ValueError:\n    x = 'b'\n", &["A"]),
        ("try:\n    x = os.environ['A']\nexcept KeyError:\n    x = os.environ['B']\n", &["A or B", "B or A"]),
        (
            "try:\n    try:\n        x = os.environ['A']\n    except LookupError:\n        raise\nexcept KeyError:\n    pass\n",
            &["A default"],
        ),
        (
            "try:\n    try:\n        x = os.environ['A']\n    except Exception as e:\n        raise e\nexcept KeyError:\n    pass\n",
            &["A default"],
        ),
        ("import contextlib\nwith contextlib.suppress(KeyError):\n    x = os.environ['A']\n", &["A default"]),
        // Lists of names.
        ("for k in ['A', 'B']:\n    os.environ[k]\n", &["A", "B"]),
        (
            "R = ('A', 'B')\nmissing = [k for k in R if k not in os.environ]\nif missing:\n    raise E\n",
            &["A", "B"],
        ),
        ("R = ['A', 'B']\nif not all(os.getenv(k) for k in R):\n    raise E\n", &["A", "B"]),
        (
            "missing = []\nfor k in ['A', 'B']:\n    if not os.getenv(k):\n        missing.append(k)\nif len(missing) > 0:\n    raise E\n",
            &["A", "B"],
        ),
        (
            "c = {'a': os.getenv('A'), 'b': os.getenv('B')}\nm = [k for k, v in c.items() if not v]\nif m:\n    raise E\n",
            &["A", "B"],
        ),
        ("a, b = os.getenv('A'), os.getenv('B')\nif not all([a, b]):\n    raise E\n", &["A", "B"]),
        (
            "def need(name):\n    v = os.getenv(name)\n    if not v:\n        raise E\n    return v\na = need('A')\nb = need('B')\n",
            &["A", "B"],
        ),
        (
            "def get(name, default=None):\n    return os.getenv(name, default)\na = get('A')\nb = get('B', 'b')\nuse(a)\n",
            &["A", "B default"],
        ),
        ("def all_of(*keys):\n    return [os.environ[k] for k in keys]\nall_of('A', 'B')\n", &["A", "B"]),
        ("for k in ['A', 'B']:\n    os.environ[f'X_{k}']\n", &["X_A", "X_B"]),
        // What depends on something else.
        ("if os.getenv('A') == 'b':\n    os.environ['C']\n", &["A default", "C ?"]),
        ("if os.getenv('A'):\n    os.environ['C']\n", &["A default", "C ?"]),
        ("if os.getenv('A'):\n    x = os.environ['A']\n", &["A default", "A default"]),
        (
            "if 'A' not in os.environ:\n    os.environ['A'] = 'b'\nx = os.environ['A']\n",
            &["A default", "A set", "A default"],
        ),
        ("x = kwargs.get('a') or os.getenv('A')\nuse(x)\n", &["A ?"]),
    ] {
        let found = scan(FileKind::Python, format!("import os\n{text}").as_bytes());
        let shown: Vec<String> = shown(&found)
            .iter()
            .map(|one| one.split_once(" env ").map_or(one.as_str(), |(_, name)| name).to_owned())
            .collect();
        let mut shown: Vec<&str> = shown.iter().map(String::as_str).collect();
        shown.sort_unstable();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        if shown != expected {
            bad.push(format!("{text}found {shown:?}, expected {expected:?}\n"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn a_made_name_is_quoted_where_it_is_made_and_has_a_pattern() {
    for (text, expression, pattern) in [
        ("import os\nname = 'A_' + x\nos.environ[name]\n", "'A_' + x", Some("A_*")),
        (
            "import os\ndef f(x):\n    key = f'{x}_KEY'\n    return os.getenv(key)\n",
            "f'{x}_KEY'",
            Some("*_KEY"),
        ),
        ("import os\nos.getenv('A_' + x + '_B' + y)\n", "'A_' + x + '_B' + y", Some("A_*")),
        ("import os\nos.getenv(x)\n", "x", None),
        ("import os\nname = f(x)\nos.getenv(name)\n", "name", None),
        (
            "from mage_ai.data_preparation.shared.secrets import get_secret_value\nget_secret_value('password-' + name)\n",
            "'password-' + name",
            Some("password-*"),
        ),
    ] {
        let found = scan(FileKind::Python, text.as_bytes());
        let reference = &found.references[0];
        assert_eq!(reference.name, Name::Undecidable(expression.into()), "{text}");
        assert_eq!(reference.pattern.as_deref(), pattern, "{text}");
    }
}

#[test]
fn the_environment_is_found_however_the_file_comes_to_it() {
    for (text, expected) in [
        ("import os\nos.environb[b'A']\n", "2:13 env A"),
        ("import os\nx = os.getenvb(b'A')\n", "2:16 env A"),
        ("import functools, os\nget = functools.partial(os.getenv)\nx = get('A')\n", "3:9 env A"),
        ("import os\nx = getattr(os, 'environ')['A']\n", "2:28 env A"),
        ("x = __import__('os').environ['A']\n", "1:30 env A"),
        ("import importlib\nx = importlib.import_module('os').environ['A']\n", "2:43 env A"),
        ("from os import *\nx = environ['A']\n", "2:13 env A"),
        ("from os import *\nx = getenv('A', 'b')\n", "2:12 env A default"),
        ("import os\ndef f(env=os.environ):\n    return env['A']\n", "3:16 env A"),
        (
            "import os\nclass C:\n    def __init__(self):\n        self.env = os.environ\n    def f(self):\n        return self.env['A']\n",
            "6:25 env A",
        ),
        (
            "import os\nclass C:\n    def __init__(self):\n        self.get = os.environ.get\n    def f(self):\n        return self.get('A') or 'b'\n",
            "6:25 env A default",
        ),
        ("import os\nx = os.path.expandvars('$A/b')\n", "2:24 env A ?"),
        ("import os\nx, y = map(os.getenv, ['A'])\n", "2:24 env A"),
    ] {
        python(text, &[expected]);
    }
    for (text, expected) in [
        ("import os\nx = dict(os.environ)['A']\n", ["2:10 env * default", "2:22 env A"]),
        ("import os\nx = os.environ.copy()['A']\n", ["2:5 env * default", "2:23 env A"]),
        (
            "import os\nenv = dict(os.environ)\nx = env.get('A', 'b')\n",
            ["2:12 env * default", "3:13 env A default"],
        ),
    ] {
        python(text, &expected);
    }
    for text in [
        "import os\nx = os.environ | {'a': 1}\n",
        "import os\nx = {'a': 1} | os.environ\n",
        "import os\nmatch os.environ:\n    case {'A': a}: pass\n",
    ] {
        let found = scan(FileKind::Python, text.as_bytes());
        assert_eq!(found.references.len(), 1, "{text}");
        assert_eq!(found.references[0].name, Name::Any, "{text}");
    }
}

#[test]
fn a_default_is_told_by_its_kind_and_never_by_its_value() {
    let python = |default: &str| {
        scan(
            FileKind::Python,
            format!("import os\nPW = 'canary-7f2c91'\nos.getenv('DB_PASSWORD'{default})\n").as_bytes(),
        )
    };
    let sql =
        |default: &str| scan(FileKind::Text, format!("{{{{ env_var('DB_PASSWORD'{default}) }}}}").as_bytes());
    let secret = || Some(Fallback::Secret("a password".into()));
    for (default, expected) in [
        ("", None),
        (", ''", Some(Fallback::Empty)),
        (", 'canary-7f2c91'", secret()),
        (", default='canary-7f2c91'", secret()),
        (", 5432", Some(Fallback::Number)),
        (", 'changeme'", Some(Fallback::Text)),
        (", x.y", Some(Fallback::Expression)),
    ] {
        for found in [python(default), sql(default)] {
            assert_eq!(found.references[0].fallback, expected, "{default}");
            assert!(!serde_json::to_string(&found.references).unwrap().contains("canary"), "{default}");
        }
    }
    // A constant of the file, and what is nothing.
    assert_eq!(python(", PW").references[0].fallback, secret());
    assert_eq!(python(", None").references[0].fallback, None);
    assert_eq!(python(", f'{x}'").references[0].fallback, Some(Fallback::Expression));
    assert_eq!(python(", True").references[0].fallback, Some(Fallback::Number));
}
