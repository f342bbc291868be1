use magus_model::{
    diagnostic::Fix,
    rules,
    span::{FileId, SourceFile, Span},
};

use super::*;

const SECRET: &str = "sk_live_4f9a8b7c6d5e";

fn sources() -> Sources {
    Sources::new(vec![
        SourceFile::new(
            "environments/production/analytics.yaml",
            format!("# a workspace\nenv:\n  STRIPE_KEY: {SECRET}\n  POORT: 8080 # ü\nuse: [lagre]\n").replace('\n', "\r\n"),
        ),
        SourceFile::new("environments/a b%:[x].yaml", "a: 1\n"),
        SourceFile::new("environments/clean.yaml", "{}\n"),
        SourceFile::new("environments/bad.yaml", ""),
    ])
}

fn span(sources: &Sources, file: u32, part: &str) -> Span {
    let text = &sources.file(FileId(file)).expect("a file").text;
    let start = text.find(part).expect("part of the text") as u32;
    Span::new(FileId(file), start, start + part.len() as u32)
}

fn diagnostics(sources: &Sources) -> Vec<Diagnostic> {
    vec![
        Diagnostic::new(&rules::SECRET_LITERAL, span(sources, 0, SECRET), "`env.STRIPE_KEY` holds what looks like a secret")
            .help("refer to it: `STRIPE_KEY: {secret: {env: PROD_STRIPE_KEY}}`"),
        Diagnostic::new(&rules::UNQUOTED_VARIABLE, span(sources, 0, "8080"), "`env.POORT` is a number, and variables are text")
            .help("quote it: `\"8080\"`")
            .fix(Fix::Edit(vec![(span(sources, 0, "8080"), "\"8080\"".to_owned())])),
        Diagnostic::new(&rules::UNKNOWN_TEMPLATE, span(sources, 0, "lagre"), "there is no template `lagre`")
            .related(span(sources, 1, "a"), "templates: are 100% declared, here"),
        Diagnostic::new(&rules::IMAGE_TAG, span(sources, 1, "1"), "50% [of\r\nit]\u{1b}[2J is {odd}: a, <b> & 'c'"),
        Diagnostic::new(&rules::EMPTY_FILE, Span::start_of(FileId(3)), "the file is empty"),
        Diagnostic::new(&rules::BYTE_ORDER_MARK, Span::BUILT_IN, "nowhere in particular"),
    ]
}

fn rendered(format: LintFormat) -> String {
    let sources = sources();
    let diagnostics = diagnostics(&sources);
    let report =
        LintReport { diagnostics: &diagnostics, sources: &sources, files: 12, magus_version: "0.1.0", width: 100 };
    render(format, &report, &Styles::plain())
}

#[test]
fn text_shows_the_line_and_never_the_secret() {
    println!("{}", rendered(LintFormat::Text));
    println!("{}", rendered(LintFormat::Concise));
    println!("{}", rendered(LintFormat::Github));
}
