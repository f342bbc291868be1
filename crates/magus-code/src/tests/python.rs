use super::*;

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
        ("from os import environ as e, getenv as g\ng('A')\n", "2:3 env A"),
        ("from os import (\n    environ as e,\n)\ne['A']\n", "4:3 env A"),
        ("import os\nenv = os.environ\nenv['A']\n", "3:5 env A"),
        ("import os\nget = os.environ.get\nget('A')\n", "3:5 env A"),
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
            "try:\n    from os import getenv\nexcept ImportError:\n    getenv = None\ngetenv('A')\n",
            "5:8 env A",
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
            "from mage_ai.data_preparation.shared.secrets import get_secret_value\nget_secret_value('a')\n",
            "2:18 secret a",
        ),
        (
            "from mage_ai.data_preparation.shared.secrets import get_secret_value as s\ns(name='a')\n",
            "2:8 secret a",
        ),
        ("import mage_ai.data_preparation.shared.secrets as s\ns.get_secret_value('a')\n", "2:20 secret a"),
        ("get_secret_value('a')\n", "1:18 secret a"),
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
        ("import os\nos.environ[f'{x}_KEY']\n", "2:12 env <f'{x}_KEY'>"),
        ("import os\nos.environ['A_' + x]\n", "2:12 env <'A_' + x>"),
        ("import os\nos.getenv(name)\n", "2:11 env <name>"),
        ("import os\nA = 'B'\nA = 'C'\nos.environ[A]\n", "4:12 env <A>"),
        ("import os\nA = 'B'\nA += 'C'\nos.environ[A]\n", "4:12 env <A>"),
        ("import os\ndef f(A='B'):\n    os.environ[A]\n", "3:16 env <A>"),
        ("import os\nfor A in ['B']:\n    os.environ[A]\n", "3:16 env <A>"),
        ("import os\n[os.environ[n] for n in names]\n", "2:13 env <n>"),
        ("import os\nfrom names import A\nos.environ[A]\n", "3:12 env <A>"),
        ("import os\nos.environ[b'A']\n", "2:12 env <b'A'>"),
        ("import os\nos.environ[\n  x\n  + y\n]\n", "3:3 env <x + y>"),
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
