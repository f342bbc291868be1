//! What nobody meant to write: it ends in time, and is a fault or nothing.

use super::*;

const KINDS: [FileKind; 6] = [
    FileKind::Python,
    FileKind::Text,
    FileKind::Yaml,
    FileKind::IoConfig,
    FileKind::Pipeline,
    FileKind::Triggers,
];

#[test]
fn deep_nesting_and_long_files_end() {
    let deep = |open: &str, close: &str| format!("x = {}{}\n", open.repeat(50_000), close.repeat(50_000));
    let texts = [
        deep("(", ")"),
        deep("[", "]"),
        "(".repeat(100_000),
        "{{ ".repeat(50_000),
        "{% raw %}".repeat(20_000),
        "{# ".repeat(50_000),
        "'".repeat(100_000),
        format!("os.environ[{}'A'{}]\n", "(".repeat(500), ")".repeat(500)),
        format!("x = {}os.environ\n", "a = ".repeat(2_000)),
        format!("x = 'A'{}\nos.environ[x]\n", " + 'A'".repeat(5_000)),
        "if x:\n".to_owned() + &" if y:\n".repeat(1_000),
        "a: ".repeat(10_000),
        "- ".repeat(10_000),
        format!("x = a{}\n", ".b".repeat(500_000)),
        format!("x = a{}\n", "()".repeat(500_000)),
        format!("x = {}1\n", "not ".repeat(100_000)),
        format!("x = {}1\n", "lambda: ".repeat(100_000)),
        format!("x = {}1\n", "a if b else ".repeat(100_000)),
        format!("x = a{}\n", "**b".repeat(100_000)),
        format!("match x:\n    case {}1{}:\n        pass\n", "[".repeat(5_000), "]".repeat(5_000)),
        format!("if x:\n pass\n{}", "elif y:\n pass\n".repeat(50_000)),
        format!("triggers:\n{}", "- {name: a, envs: [a]}\n".repeat(20_000)),
    ];
    for text in texts {
        for kind in KINDS {
            scan(kind, text.as_bytes());
        }
    }
}

#[test]
fn a_file_of_five_megabytes_is_read() {
    let block = "import os\n\n\ndef load(rows):\n    return [row['value'] * 2 for row in rows if row]\n\n\n";
    let mut text = block.repeat((5 << 20) / block.len());
    text.push_str("x = os.environ['AT_THE_END']\n");
    let found = scan(FileKind::Python, text.as_bytes());
    assert_eq!(found.fault, None);
    assert!(shown(&found)[0].ends_with("env AT_THE_END"), "{:?}", shown(&found));
}

#[test]
fn megabytes_of_nesting_are_refused_at_once() {
    for piece in ["(", "[{", "f'{", "-", "- \n", "not ", "lambda: ", "a if b else ", "x = (\na(\n"] {
        let text = piece.repeat((4 << 20) / piece.len());
        let fault = scan(FileKind::Python, text.as_bytes()).fault.unwrap();
        assert_eq!(fault.what, "it is nested too deeply", "{piece}");
    }
    // And what only looks like it is read: unbalanced brackets in texts, and lines of dashes.
    let patterns = "x = re.compile(r'\\(')\ny = ']'\n# ------------------------------\n".repeat(5_000);
    assert_eq!(scan(FileKind::Python, patterns.as_bytes()).fault, None);
}

#[test]
fn megabytes_of_references_are_told_in_time() {
    let repeated = |piece: &str| piece.repeat((1 << 20) / piece.len());
    for (kind, text) in [
        (FileKind::Python, format!("import os; {}", repeated("os.environ['A'];"))),
        (FileKind::Python, format!("import os; ä = 1; {}", repeated("os.environ['A'];"))),
        (FileKind::Text, repeated("{{ env_var('A') }}")),
        (FileKind::Text, format!("ä{}", repeated("{{ env_var('A') }}"))),
        (FileKind::Text, format!("{{{{ {}", repeated("env_var("))),
        (FileKind::Text, format!("{{{{ {} }}}}", repeated("env_var(x,"))),
        (FileKind::Yaml, format!("a: \"{}\"", repeated("{{ env_var('A') }}"))),
        (
            FileKind::IoConfig,
            format!(
                "default:\n{}",
                (0..30_000).map(|n| format!("  K{n}: \"{{{{ env_var('A') }}}}\"\n")).collect::<String>()
            ),
        ),
        (
            FileKind::IoConfig,
            (0..20_000).map(|n| format!("p{n}:\n  K: \"{{{{ env_var('A') }}}}\"\n")).collect::<String>(),
        ),
    ] {
        let found = scan(kind, text.as_bytes());
        assert!(!found.references.is_empty() || found.fault.is_some(), "{kind:?}");
    }
}

#[test]
fn names_that_lead_to_one_another_end() {
    // Each of two names is bound to the other, as in `item = frame; frame = item`, and more than once.
    let round = "import os\nx = y\ny = x\nx = y\ny = x\nx = y\ny = x\nx.get('A')\n";
    check(FileKind::Python, round, &[]);
    check(FileKind::Python, &round.replace("= x", "= x.a"), &[]);
    check(
        FileKind::Python,
        &format!("{round}y = os.environ\nx.get('B')\n"),
        &["8:7 env A default", "10:7 env B default"],
    );
    // A text of 2³⁰ characters, and one of as many parts and none.
    for first in ["'a'", "''"] {
        let mut text = format!("import os\nx0 = {first}\n");
        for number in 1..=30 {
            text.push_str(&format!("x{number} = x{0} + x{0}\n", number - 1));
        }
        text.push_str("os.environ[x30]\n");
        check(FileKind::Python, &text, &["33:12 env <x29 + x29> ?"]);
    }
    // Names that are bound and called again and again.
    for piece in ["x = y\ny = x\nx()\n", "x = os.a\nx()\n", "import a as x\nx()\n", "x.y.z()\n"] {
        let found = scan(
            FileKind::Python,
            format!("import os\n{}", piece.repeat((1 << 20) / piece.len())).as_bytes(),
        );
        assert_eq!((found.references.len(), found.fault), (0, None), "{piece}");
    }
}

#[test]
fn what_is_no_utf8_is_a_fault_and_is_read_nevertheless() {
    let found = scan(FileKind::Python, b"import os\nos.environ['A']\nx = '\xe4'\n");
    let fault = found.fault.as_ref().unwrap();
    assert_eq!((fault.line, fault.column, &*fault.what), (3, 6, "it is not UTF-8"));
    assert_eq!(shown(&found), ["2:12 env A"]);
    check(FileKind::Python, "\u{feff}import os\nos.environ['A']\n", &["2:12 env A"]);
}

/// What a file of each kind may look like, to be broken.
const SEEDS: &[&str] = &[
    "import os\nfrom os import environ as e, getenv\nA = 'B'\n\n\n@data_loader\ndef f(*args, **kwargs):\n    x = e.get('C', 'd') or e[A]\n    \
     return [getenv(f'{x}_E') for x in kwargs['n']]\n",
    "SELECT {{ env_var('A', default='b') | upper }} -- {{ variables(\"c\") }}\n{% if env_var('D') %}{# {{ x }} #}{% raw %}{{ y }}{% endraw %}{% endif %}\n",
    "version: 0.1.1\ndefault:\n  POSTGRES_HOST: \"{{ env_var('HOST') }}\" # {{ env_var('NOTE') }}\n  PORT: {{ env_var('PORT', 5432) }}\n",
    "blocks:\n- uuid: a\n  type: data_loader\n  configuration: {data_provider: postgres, file_source: {path: x.py}}\n  executor_type: \"{{ env_var('E') }}\"\n",
    "triggers:\n- name: daily\n  schedule_type: time\n  schedule_interval: \"0 5 * * mon-fri\"\n  start_time: 2026-01-01 00:00:00\n  status: active\n  envs: [prod]\n",
];

/// Pieces that mean something somewhere.
const PIECES: &[&str] = &[
    "{{", "}}", "{%", "%}", "{#", "'", "\"", "\\", "(", ")", "[", ":", "\n", "  ", "- ", "é", "\u{0}", "f'",
    "#", "*",
];

#[test]
fn broken_files_of_every_kind_are_read_to_their_end() {
    let is_full = std::env::var("MAGUS_CASES").is_ok_and(|cases| cases == "full");
    let rounds = if is_full { 40_000 } else { 1_500 };
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below.max(1) as u64).unwrap()
    };
    for round in 0..rounds {
        let mut content = SEEDS[round % SEEDS.len()].as_bytes().to_vec();
        for _ in 0..=next(6) {
            let at = next(content.len());
            match next(4) {
                0 => drop(content.splice(at..at, PIECES[next(PIECES.len())].bytes())),
                1 => drop(content.drain(at..(at + next(9)).min(content.len()))),
                2 => content[at] = u8::try_from(next(256)).unwrap(),
                _ => {
                    let other = SEEDS[next(SEEDS.len())].as_bytes();
                    let from = next(other.len());
                    let to = (from + next(40)).min(other.len());
                    content.splice(at..at, other[from..to].iter().copied());
                }
            }
            if content.is_empty() {
                break;
            }
        }
        let lines = u32::try_from(content.iter().filter(|byte| **byte == b'\n').count()).unwrap() + 1;
        for kind in KINDS {
            for reference in scan(kind, &content).references {
                assert!(
                    (1..=lines).contains(&reference.line),
                    "{kind:?} {:?}",
                    String::from_utf8_lossy(&content)
                );
            }
        }
        for word in content.split(|byte| *byte == b'"') {
            if let Ok(interval) = crate::cron::parse(&String::from_utf8_lossy(word)) {
                let now = "2026-11-29T12:30:15".parse().unwrap();
                assert!(interval.next(now).is_none_or(|next| next > now));
            }
        }
    }
}
