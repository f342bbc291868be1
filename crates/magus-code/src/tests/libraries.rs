//! Settings libraries: what they read, as their own code says.

use super::*;

/// What a file refers to, as names and what happens without each.
fn told(text: &str) -> Vec<String> {
    let found = scan(FileKind::Python, text.as_bytes());
    let shown = shown(&found);
    let mut told: Vec<String> = shown
        .iter()
        .map(|one| one.split_once(" env ").map_or(one.as_str(), |(_, name)| name).to_owned())
        .collect();
    told.sort();
    told
}

#[test]
fn libraries_read_variables_as_they_document() {
    let mut bad = Vec::new();
    for (text, expected) in [
        // environs.
        ("from environs import Env\nenv = Env()\nx = env('A')\n", &["A"][..]),
        ("from environs import Env\nenv = Env()\nx = env.str('A')\n", &["A"]),
        ("from environs import env\nx = env.int('A', 1)\n", &["A default"]),
        (
            "from environs import Env\nenv = Env()\nx = env.bool('A', default=None)\nif x: pass\n",
            &["A default"],
        ),
        ("import environs\nenv = environs.Env()\nx = env.list('A', subcast=int)\n", &["A"]),
        (
            "from environs import Env\nenv = Env()\nwith env.prefixed('P_'):\n    x = env('A')\ny = env('B')\n",
            &["B", "P_A"],
        ),
        (
            "from environs import Env\nenv = Env()\nwith env.prefixed('P_'):\n    with env.prefixed('Q_'):\n        x = env('A')\n",
            &["P_Q_A"],
        ),
        ("from environs import Env\nenv = Env()\nwith env.prefixed(p):\n    x = env('A')\n", &["<'A'> ?"]),
        (
            "from environs import Env, EnvError\nenv = Env()\ntry:\n    x = env('A')\nexcept EnvError:\n    x = 'b'\n",
            &["A default"],
        ),
        (
            "from environs import Env\nenv = Env()\ntry:\n    x = env('A')\nexcept KeyError:\n    x = 'b'\n",
            &["A"],
        ),
        ("from environs import Env\nx = Env().str('A')\n", &["A"]),
        (
            "from environs import Env\nclass C:\n    def __init__(self):\n        self.env = Env()\n    def f(self):\n        return self.env('A')\n",
            &["A"],
        ),
        // django-environ.
        ("import environ\nenv = environ.Env()\nx = env('A')\n", &["A"]),
        (
            "import environ\nenv = environ.Env(A=(bool, False), B=str)\nx = env('A')\ny = env('B')\n",
            &["A default", "B"],
        ),
        (
            "import environ\nenv = environ.Env()\nx = env('A', int, 1)\ny = env.str('B', 'c')\n",
            &["A default", "B default"],
        ),
        (
            "import environ\nenv = environ.Env()\nx = env.db()\ny = env.cache(default='locmem://')\n",
            &["CACHE_URL default", "DATABASE_URL"],
        ),
        ("from environ import Env\nenv = Env()\nx = env.list('A', default=[])\n", &["A default"]),
        ("from environ import Env\nenv = Env()\nenv.prefix = 'P_'\nx = env.int('A')\n", &["P_A"]),
        // python-decouple.
        ("from decouple import config\nx = config('A')\n", &["A"]),
        ("from decouple import config\nx = config('A', default='b', cast=str)\n", &["A default"]),
        ("from decouple import config as c\nx = c('A', 'b')\n", &["A default"]),
        ("import decouple\nx = decouple.config('A')\n", &["A"]),
        (
            "from decouple import Config, RepositoryEnv\nconfig = Config(RepositoryEnv('x'))\nx = config.get('A')\n",
            &["A"],
        ),
        // Starlette.
        ("from starlette.config import Config\nconfig = Config('.env')\nx = config('A')\n", &["A"]),
        (
            "from starlette.config import Config\nconfig = Config(env_prefix='P_')\nx = config('A', cast=bool, default=False)\n",
            &["P_A default"],
        ),
        (
            "from starlette.config import Config\nconfig = Config()\ntry:\n    x = config('A')\nexcept KeyError:\n    x = 'b'\n",
            &["A default"],
        ),
        ("from starlette.config import environ\nx = environ['A']\n", &["A"]),
        // Dynaconf.
        ("from dynaconf import Dynaconf\nsettings = Dynaconf(envvar_prefix='P')\nx = settings.A\n", &["P_A"]),
        (
            "from dynaconf import Dynaconf\nsettings = Dynaconf(envvar_prefix=False)\nx = settings.a.b\n",
            &["A"],
        ),
        (
            "from dynaconf import Dynaconf\nsettings = Dynaconf(settings_files=['a.toml'])\nx = settings.A\ny = settings.as_dict()\n",
            &["DYNACONF_A ?"],
        ),
        ("from dynaconf import settings\nx = settings.A\n", &["DYNACONF_A ?"]),
        // What only looks like it.
        ("from mine import env, config\nx = env('A')\ny = config('B')\n", &[]),
        ("def f(env):\n    return env.str('A')\n", &[]),
    ] {
        let told = told(text);
        if told != expected {
            bad.push(format!("{text}found {told:?}, expected {expected:?}\n"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn settings_of_pydantic_read_variables() {
    const ONE: &str = "from typing import *\nfrom pydantic import BaseSettings, BaseModel, Field\n";
    const TWO: &str = "from typing import *\nfrom pydantic import BaseModel, Field, AliasChoices\nfrom pydantic_settings import BaseSettings, SettingsConfigDict\n";
    let mut bad = Vec::new();
    for (begin, text, expected) in [
        (TWO, "class S(BaseSettings):\n    a: str\n    b: str = 'c'\nS()\n", &["A", "B default"][..]),
        (
            TWO,
            "class S(BaseSettings):\n    a: Optional[str]\n    b: str | None = None\n",
            &["A", "B default"],
        ),
        (ONE, "class S(BaseSettings):\n    a: Optional[str]\n    b: str\nS()\n", &["A default", "B"]),
        (
            TWO,
            "class S(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix='P_')\n    a: str\nS()\n",
            &["P_A"],
        ),
        (
            TWO,
            "class S(BaseSettings):\n    model_config = {'env_prefix': 'P_', 'case_sensitive': True}\n    a: str\nS()\n",
            &["P_a"],
        ),
        (
            ONE,
            "class S(BaseSettings):\n    a: str\n    class Config:\n        env_prefix = 'P_'\nS()\n",
            &["P_A"],
        ),
        (TWO, "class S(BaseSettings, env_prefix='P_'):\n    a: str\nS()\n", &["P_A"]),
        (
            TWO,
            "class S(BaseSettings):\n    a: str = Field(alias='X')\n    b: str = Field(..., validation_alias='Y')\nS()\n",
            &["X", "Y"],
        ),
        (
            TWO,
            "class S(BaseSettings):\n    a: Annotated[str, Field(validation_alias='X')] = 'b'\nS()\n",
            &["X default"],
        ),
        (
            TWO,
            "class S(BaseSettings):\n    a: str = Field(validation_alias=AliasChoices('X', 'Y'))\nS()\n",
            &["X or Y", "Y or X"],
        ),
        (
            ONE,
            "class S(BaseSettings):\n    a: str = Field(..., env='X')\n    b: str = Field('c', env=['Y', 'Z'])\nS()\n",
            &["X", "Y default", "Z default"],
        ),
        (ONE, "class S(BaseSettings):\n    a: str = Field(..., alias='X')\nS()\n", &["A"]),
        (
            TWO,
            "class S(BaseSettings):\n    a: list = Field(default_factory=list)\n    _b: str\n    c: ClassVar[str]\nS()\n",
            &["A default"],
        ),
        (
            TWO,
            "class D(BaseModel):\n    host: str\n    port: int = 1\nclass S(BaseSettings):\n    model_config = SettingsConfigDict(env_nested_delimiter='__')\n    db: D\nS()\n",
            &["DB or DB__HOST", "DB__HOST or DB"],
        ),
        (TWO, "class D(BaseModel):\n    host: str\nclass S(BaseSettings):\n    db: D\nS()\n", &["DB"]),
        (TWO, "class B(BaseSettings):\n    a: str\nclass S(B):\n    b: str\nS()\n", &["A", "B"]),
        (TWO, "class S(BaseSettings):\n    a: str\n    b: str\nS(a='x')\n", &["B"]),
        (TWO, "class S(BaseSettings):\n    a: str\nS(**x)\n", &["A ?"]),
        (
            TWO,
            "class S(BaseSettings):\n    a: str\ntry:\n    S()\nexcept ValueError:\n    pass\n",
            &["A default"],
        ),
        (
            TWO,
            "class S(BaseSettings):\n    a: Optional[str] = None\ns = S()\nif not s.a:\n    raise E\n",
            &["A"],
        ),
        (
            TWO,
            "class S(BaseSettings):\n    a: Optional[str] = None\ns = S()\nif s.a:\n    use(s.a)\n",
            &["A default"],
        ),
        (
            TWO,
            "class S(BaseSettings):\n    a: str\n    @classmethod\n    def settings_customise_sources(cls, *a): ...\nS()\n",
            &["A ?"],
        ),
        (
            TWO,
            "class S(BaseSettings):\n    model_config = SettingsConfigDict(env_prefix=p())\n    a: str\nS()\n",
            &["<a> ?"],
        ),
        (TWO, "class S(BaseModel):\n    a: str\nS()\n", &[]),
    ] {
        let told = told(&format!("{begin}{text}"));
        if told != expected {
            bad.push(format!("{text}found {told:?}, expected {expected:?}\n"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}
