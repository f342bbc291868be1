//! What Jinja templates refer to. A lexer as Jinja2 2.11 and 3 have it, with their usual delimiters, and the calls in what it
//! finds. What does not lex is a fault at a place, and what comes before it counts.

use magus_model::{Text, effort};

use crate::reference::{Fallback, Kind, Missing, Name, is_given};

/// The byte of a name, what it is the name of, what happens without, and what counts then.
pub(crate) type Found = (usize, Kind, Name, Missing, Option<Fallback>);

/// What a template consists of, as far as it matters.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Template {
    /// What it refers to, each with the byte of the name's literal.
    pub(crate) references: Vec<Found>,
    /// The bytes of its tags, from delimiter to delimiter; whether each leaves text behind.
    pub(crate) tags: Vec<(usize, usize, bool)>,
    /// The byte at which it stops making sense, and why.
    pub(crate) fault: Option<(usize, Text)>,
}

/// The functions that refer to something, by name (MAGE.md 7; `data_preparation/shared/utils.py`), the keyword of their first
/// argument and the place and keyword of their default.
const FUNCTIONS: [(&str, Kind, &str, Option<&str>); 8] = [
    ("env_var", Kind::Variable, "key", Some("default")),
    ("mage_secret_var", Kind::Secret, "name", None),
    ("variables", Kind::Runtime, "x", None),
    ("aws_secret_var", Kind::Store, "secret_id", None),
    ("azure_secret_var", Kind::Store, "secret_name", None),
    ("gcp_secret_var", Kind::Store, "secret_id", None),
    ("vault_secret_var", Kind::Store, "path", None),
    ("doppler_secret_var", Kind::Store, "name", None),
];

/// So many tokens of a call are looked at: what is written by hand has a few.
const LONGEST_CALL: usize = 500;

/// A token of an expression, with its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Token<'t> {
    start: usize,
    end: usize,
    kind: TokenKind<'t>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenKind<'t> {
    Name(&'t str),
    /// A string, with what is between its quotes as it is written.
    String(&'t str),
    Number,
    Operator(char),
}

/// Reads a template.
pub(crate) fn read(text: &str) -> Template {
    let mut template = Template::default();
    let mut at = 0;
    while let Some(open) = next_tag(text, at) {
        match tag(text, open, &mut template) {
            Ok(end) => at = end,
            Err((place, why)) => {
                template.fault = Some((place, why.into()));
                break;
            }
        }
    }
    template
}

/// The byte at which the next tag begins.
fn next_tag(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = from;
    while let Some(found) = bytes.get(at..)?.iter().position(|byte| *byte == b'{') {
        effort::spend(found + 1);
        at += found;
        if matches!(bytes.get(at + 1), Some(b'{' | b'%' | b'#')) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// Reads the tag that begins here; where it ends.
fn tag(text: &str, open: usize, template: &mut Template) -> Result<usize, (usize, &'static str)> {
    let kind = text.as_bytes()[open + 1];
    if kind == b'#' {
        let end = text[open..].find("#}");
        effort::spend(end.unwrap_or(text.len() - open));
        let end = end.ok_or((open, "a comment `{#` without its end"))?;
        let end = open + end + 2;
        template.tags.push((open, end, false));
        return Ok(end);
    }
    let close = if kind == b'{' { '}' } else { '%' };
    // `{%-` and `{%+` are about blanks.
    let about_blanks = usize::from(matches!(text.as_bytes().get(open + 2), Some(b'-' | b'+')));
    let (tokens, end) = expression(text, open + 2 + about_blanks, close, open)?;
    template.tags.push((open, end, kind == b'{'));
    let keyword = match tokens.first().map(|token| token.kind) {
        Some(TokenKind::Name(name)) if kind == b'%' => name,
        _ => "",
    };
    if keyword == "raw" {
        return raw_end(text, end).ok_or((open, "`{% raw %}` without its end"));
    }
    calls(text, &tokens, matches!(keyword, "if" | "elif"), template);
    Ok(end)
}

/// Where what is not rendered ends.
fn raw_end(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += text[at..].find("{%")?;
        let inside = text[at + 2..].trim_start_matches(['-', '+']).trim_start();
        if let Some(rest) = inside.strip_prefix("endraw") {
            let rest = rest.trim_start().trim_start_matches(['-', '+']);
            if rest.starts_with("%}") {
                return Some(text.len() - rest.len() + 2);
            }
        }
        at += 2;
    }
}

/// The tokens up to the end of a tag that closes with this sign and `}`, and where that is.
fn expression(
    text: &str,
    from: usize,
    close: char,
    open: usize,
) -> Result<(Vec<Token<'_>>, usize), (usize, &'static str)> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut depth = 0_u32;
    let mut at = from;
    while let Some(&byte) = bytes.get(at) {
        effort::spend(1);
        let start = at;
        let kind = match byte {
            b' ' | b'\t' | b'\r' | b'\n' => {
                at += 1;
                continue;
            }
            b'\'' | b'"' => {
                at = string_end(bytes, at).ok_or((start, "a string without its end"))?;
                TokenKind::String(&text[start + 1..at - 1])
            }
            b'0'..=b'9' => {
                while bytes.get(at).is_some_and(|b| b.is_ascii_alphanumeric() || *b == b'_') {
                    at += 1;
                }
                TokenKind::Number
            }
            _ if byte == close as u8 && depth == 0 && bytes.get(at + 1) == Some(&b'}') => {
                return Ok((tokens, at + 2));
            }
            b'-' | b'+'
                if depth == 0
                    && bytes.get(at + 1) == Some(&(close as u8))
                    && bytes.get(at + 2) == Some(&b'}') =>
            {
                return Ok((tokens, at + 3));
            }
            _ => {
                let rest = &text[at..];
                let name = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
                if name > 0 {
                    at += name;
                    TokenKind::Name(&rest[..name])
                } else {
                    let Some(sign) = rest.chars().next() else { break };
                    match sign {
                        '(' | '[' | '{' => depth += 1,
                        ')' | ']' | '}' => {
                            depth = depth.checked_sub(1).ok_or((start, "a bracket that nothing opens"))?;
                        }
                        _ => {}
                    }
                    at += sign.len_utf8();
                    TokenKind::Operator(sign)
                }
            }
        };
        tokens.push(Token { start, end: at, kind });
    }
    Err((open, "a tag without its end"))
}

/// Where a string ends that begins here.
fn string_end(bytes: &[u8], from: usize) -> Option<usize> {
    let quote = bytes[from];
    let mut at = from + 1;
    loop {
        match *bytes.get(at)? {
            b'\\' => at += 2,
            byte if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

/// Finds the calls in an expression.
fn calls(text: &str, tokens: &[Token<'_>], asks: bool, template: &mut Template) {
    for (at, pair) in tokens.windows(2).enumerate() {
        let (TokenKind::Name(function), TokenKind::Operator('(')) = (pair[0].kind, pair[1].kind) else {
            continue;
        };
        // A method of something else.
        if at > 0 && tokens[at - 1].kind == TokenKind::Operator('.') {
            continue;
        }
        let Some((_, kind, keyword, default)) = FUNCTIONS.into_iter().find(|(name, ..)| *name == function)
        else {
            continue;
        };
        let (arguments, after) = arguments(&tokens[at + 2..tokens.len().min(at + 2 + LONGEST_CALL)]);
        let after = &tokens[at + 2 + after..];
        let named = |wanted: &str| {
            arguments.iter().find_map(|one| match one {
                [
                    Token { kind: TokenKind::Name(name), .. },
                    Token { kind: TokenKind::Operator('='), .. },
                    value @ ..,
                ] if *name == wanted => Some(value),
                _ => None,
            })
        };
        let is_positional = |one: &&[Token<'_>]| {
            !matches!(
                one,
                [Token { kind: TokenKind::Name(_), .. }, Token { kind: TokenKind::Operator('='), .. }, ..]
            )
        };
        let positional = |place: usize| arguments.get(place).copied().filter(is_positional);
        let Some(argument) = positional(0).or_else(|| named(keyword)) else { continue };
        let (Some(first), Some(last)) = (argument.first(), argument.last()) else { continue };
        let name = literal(argument).map_or_else(
            || Name::undecidable(&text[first.start..last.end]),
            |name| Name::Literal(name.into()),
        );
        let default = default.and_then(|keyword| positional(1).or_else(|| named(keyword)));
        let is_given = kind == Kind::Runtime && name.literal().is_some_and(|name| is_given(name));
        let has_other = default.is_some() || is_given || asks || falls_back(after);
        let missing = if has_other { Missing::Default } else { Missing::Fails };
        let fallback = default.map(|default| fallback(name.literal().map(Text::as_str), default));
        template.references.push((first.start, kind, name, missing, fallback));
    }
}

/// The arguments of a call, and how many tokens they and its end are.
fn arguments<'a, 't>(tokens: &'a [Token<'t>]) -> (Vec<&'a [Token<'t>]>, usize) {
    let (mut arguments, mut begin, mut depth) = (Vec::new(), 0, 0_u32);
    for (at, token) in tokens.iter().enumerate() {
        effort::spend(1);
        match token.kind {
            TokenKind::Operator('(' | '[' | '{') => depth += 1,
            TokenKind::Operator(')') if depth == 0 => {
                arguments.push(&tokens[begin..at]);
                return (arguments, at + 1);
            }
            TokenKind::Operator(')' | ']' | '}') => depth = depth.saturating_sub(1),
            TokenKind::Operator(',') if depth == 0 => {
                arguments.push(&tokens[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    arguments.push(&tokens[begin..]);
    (arguments, tokens.len())
}

/// What a default is.
fn fallback(name: Option<&str>, default: &[Token<'_>]) -> Fallback {
    match (literal(default), default) {
        (Some(text), _) => Fallback::of_text(name, &text),
        (None, [Token { kind: TokenKind::Number, .. }]) => Fallback::Number,
        _ => Fallback::Expression,
    }
}

/// The text of strings that stand beside one another; nothing where there is anything else.
fn literal(argument: &[Token<'_>]) -> Option<String> {
    let mut text = String::new();
    for token in argument {
        match token.kind {
            TokenKind::String(part) if !part.contains('\\') => text.push_str(part),
            _ => return None,
        }
    }
    Some(text)
}

/// Whether what stands after a call says what counts where it gives `None`: `or …`, or `default(…, true)`. The filter
/// `default` alone does not: `None` is defined.
fn falls_back(after: &[Token<'_>]) -> bool {
    match after {
        [Token { kind: TokenKind::Name("or"), .. }, ..] => true,
        [
            Token { kind: TokenKind::Operator('|'), .. },
            Token { kind: TokenKind::Name("default" | "d"), .. },
            Token { kind: TokenKind::Operator('('), .. },
            rest @ ..,
        ] => {
            let (arguments, _) = arguments(rest);
            let is_true = |token: &Token<'_>| matches!(token.kind, TokenKind::Name("true" | "True"));
            arguments.iter().skip(1).any(|argument| argument.last().is_some_and(is_true))
        }
        // `is none`, `is not none`: it is asked for.
        [Token { kind: TokenKind::Name("is"), .. }, ..] => true,
        _ => false,
    }
}
