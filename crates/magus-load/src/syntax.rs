//! Syntax errors in our own words, at the place that has to be looked at.

use granit_parser::{ErrorKind, ScanError};
use magus_model::{
    diagnostic::Diagnostic,
    rules,
    span::{FileId, Span},
};

use crate::yaml::DEEPEST;

/// What an error of the parser means. `open` is where the innermost open `[` or `{` stands.
pub(crate) fn diagnostic(file: FileId, text: &str, error: &ScanError, open: Option<u32>) -> Diagnostic {
    let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    let kind = error.kind();
    if *kind == ErrorKind::RecursionLimitExceeded {
        return too_deep(character(file, text, at));
    }
    if let Some(tab) = tab_of(text, at, kind) {
        return self::tab(file, tab);
    }
    let at = match kind {
        ErrorKind::UnknownQuotedScalarEscape => wrong_escape(text, at),
        ErrorKind::ExpectedBlockMappingKey => dash_before(text, at),
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::ExpectedFlowSequenceSeparator
            if is_placeholder(text, at) =>
        {
            at - 1
        }
        _ => at,
    };
    let span = character(file, text, at);
    let (message, help) = words(kind, text, at);
    let mut diagnostic = Diagnostic::new(&rules::SYNTAX, span, message);
    diagnostic.help = help.map(str::to_owned);
    if let Some(open) = open
        && open != span.start
    {
        let bracket = if text[open as usize..].starts_with('{') { '{' } else { '[' };
        diagnostic = diagnostic
            .related(Span::new(file, open, open + 1), format!("inside the `{bracket}` that opens here"));
    }
    diagnostic
}

/// Too many lists and maps inside each other.
pub(crate) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::new(
        &rules::NESTING,
        span,
        format!("lists and maps are nested more than {DEEPEST} levels deep"),
    )
    .help("write less in one another")
}

/// A tab where spaces have to be.
pub(crate) fn tab(file: FileId, at: usize) -> Diagnostic {
    let at = u32::try_from(at).unwrap_or(u32::MAX);
    Diagnostic::new(&rules::TAB_INDENTATION, Span::new(file, at, at + 1), "a tab where YAML wants spaces")
        .help("indent with two spaces")
}

/// The tab behind an error, where there is one: in the indentation of the error's line or of the next one with
/// something on it. The parser often stumbles only over what follows.
fn tab_of(text: &str, at: usize, kind: &ErrorKind) -> Option<usize> {
    let about_tabs = matches!(
        kind,
        ErrorKind::TabNotAllowed
            | ErrorKind::TabInBlockIndentation
            | ErrorKind::TabAtBlockScalarStart
            | ErrorKind::TabInIndentation
            | ErrorKind::TabInPlainScalar
    );
    let mut start = text[..at].rfind(['\n', '\r']).map_or(0, |at| at + 1);
    let mut lines = if about_tabs { usize::MAX } else { 1 };
    while lines > 0 && start < text.len() {
        let line = text[start..].split(['\n', '\r']).next().unwrap_or("");
        let indentation = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        let commented = line.trim_start().starts_with('#') || line.trim().is_empty();
        if let Some(tab) = indentation.find('\t').filter(|_| !commented) {
            return Some(start + tab);
        }
        start += line.len() + 1;
        lines -= 1;
    }
    // A tab after a `-` or `:` that makes the next thing stand nowhere.
    about_tabs.then(|| text[at..].find('\t').map(|tab| at + tab).or_else(|| text[..at].rfind('\t'))).flatten()
}

/// The escape in a double-quoted text, which begins at `at`, that YAML does not know.
fn wrong_escape(text: &str, at: usize) -> usize {
    let mut bytes = text.bytes().enumerate().skip(at);
    while let Some((place, byte)) = bytes.next() {
        if byte == b'\\' {
            let known = b"0abt\tnvfre \"/\\N_LPxuU\n\r";
            if !bytes.next().is_some_and(|(_, escaped)| known.contains(&escaped)) {
                return place;
            }
        }
    }
    at
}

/// Whether a `$` right before the offset made a placeholder of the bracket there.
fn is_placeholder(text: &str, at: usize) -> bool {
    text[..at].ends_with('$') && text[at..].starts_with('{')
}

/// The `-` of the list item whose content begins at `at`; the parser has read past it.
fn dash_before(text: &str, at: usize) -> usize {
    let before = text[..at].trim_end_matches(' ');
    let item = before.strip_suffix('-').filter(|line| {
        before.len() < at && line.rsplit(['\n', '\r']).next().is_some_and(|line| line.trim().is_empty())
    });
    item.map_or(at, str::len)
}

/// The character at an offset; nothing at the end.
fn character(file: FileId, text: &str, mut at: usize) -> Span {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let len = text[at..].chars().next().filter(|c| !matches!(c, '\n' | '\r')).map_or(0, char::len_utf8);
    let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span::new(file, offset(at), offset(at + len))
}

/// Message and help. No part of a value is in them: it could be a secret.
fn words(kind: &ErrorKind, text: &str, at: usize) -> (String, Option<&'static str>) {
    use ErrorKind as K;
    let quote = Some("quote the text");
    let align = Some("give what belongs together the same indentation");
    let (message, help) = match kind {
        K::UnclosedQuotedScalar => ("this quote is not closed", Some("put the closing quote")),
        K::UnclosedFlowCollection { open } => {
            let close = if *open == '{' { '}' } else { ']' };
            return (
                format!("this `{open}` is not closed"),
                Some(if close == '}' { "put the closing `}`" } else { "put the closing `]`" }),
            );
        }
        K::MismatchedFlowCollectionEnd { open, close } => {
            return (
                format!("this `{open}` is closed by a `{close}`"),
                Some("close each bracket by its own kind"),
            );
        }
        K::MisplacedFlowCollectionEnd => {
            ("a closing bracket without an opening one", Some("remove it, or quote the text"))
        }
        K::UnexpectedCharacter { character } if character.is_control() => {
            return (
                format!("the control character U+{:04X} is not allowed", u32::from(*character)),
                Some("remove it, or write it as an escape in double quotes"),
            );
        }
        K::UnexpectedCharacter { character } => {
            return (format!("a text cannot begin with `{character}`"), Some("quote the text"));
        }
        K::MappingValueNotAllowed => (
            "a `:` that makes a map where none can be",
            Some("quote the text if the `:` is part of it; else check the indentation"),
        ),
        K::SimpleKeyExpected | K::InvalidSimpleKey => (
            "a key without a `:`",
            Some("write `key: value`, or indent the line if it belongs to the text above"),
        ),
        K::ExpectedBlockMappingKey if text[at..].starts_with('-') => {
            ("a list item where a key is expected", align)
        }
        K::ExpectedBlockMappingKey if text[..at].ends_with(['}', ']']) => {
            ("something follows the closing bracket", Some("quote the text"))
        }
        K::ExpectedBlockMappingKey => ("a key is expected here", align),
        K::ExpectedBlockSequenceEntry => ("a `- ` is expected here", align),
        K::BlockSequenceEntryNotAllowed => {
            ("a list item where none can be", Some("begin the list on a line of its own, below its key"))
        }
        K::BlockEntryInFlowCollection | K::PlainScalarStartsWithDashFlowIndicator => {
            ("a `-` item inside brackets", Some("separate the items by commas: `[a, b]`"))
        }
        K::InvalidBlockEntryWhitespace => ("a `-` has to be followed by a space", None),
        K::InvalidIndentation
        | K::InvalidFlowScalarIndent
        | K::InvalidQuotedScalarIndent
        | K::InvalidBlockScalarIndent => ("this line is indented wrongly", align),
        K::InvalidColonPlacement
        | K::FlowMappingValueAdjacentCollection
        | K::InvalidMappingValueWhitespace => {
            ("a `:` where none can be", Some("is a closing bracket or a space after the `:` missing?"))
        }
        K::ExpectedFlowMappingSeparator | K::ExpectedFlowSequenceSeparator
            if text[at..].starts_with("${") =>
        {
            ("a text with `${…}` inside brackets", Some("quote the text"))
        }
        K::ExpectedFlowMappingSeparator => ("a `,` or `}` is expected here", None),
        K::ExpectedFlowSequenceSeparator => ("a `,` or `]` is expected here", None),
        K::UnexpectedEofFlowSequence
        | K::UnexpectedEofFlowMapping
        | K::UnexpectedEofImplicitFlowMapping
        | K::UnexpectedEofBlockSequence
        | K::UnexpectedEofBlockMapping
        | K::UnexpectedEof => ("the file ends too early", None),
        K::InvalidTrailingSingleQuotedScalar | K::InvalidTrailingDoubleQuotedScalar => {
            ("something follows the closing quote", Some("quote the whole text"))
        }
        K::UnknownQuotedScalarEscape => (
            "an escape that YAML does not know",
            Some("write `\\\\` for a backslash, or use single quotes, where it needs no escape"),
        ),
        K::InvalidQuotedScalarHexEscape
        | K::InvalidLowSurrogateHexEscape
        | K::InvalidLowSurrogate
        | K::MissingLowSurrogate
        | K::UnpairedLowSurrogate
        | K::InvalidUnicodeEscape => ("an escape that names no character", None),
        K::DocumentIndicatorInQuotedScalar => {
            ("a `---` or `...` inside a quoted text", Some("indent it, or close the quote above"))
        }
        K::CommentInterceptedScalar => ("a comment inside a text of several lines", quote),
        K::CommentNotSeparated => {
            ("a `#` right after something", Some("put a space before the comment, or quote the text"))
        }
        K::ExpectedWhitespace => ("a space is missing here", None),
        K::MissingAnchorOrAliasName => ("`&` and `*` need a name", quote),
        K::ZeroBlockScalarIndent => ("a block of text cannot be indented by 0", None),
        K::InvalidBlockScalarHeader => {
            ("nothing but a comment may follow `|` or `>`", Some("begin the text on the next line"))
        }
        K::MappingKeyNotAllowed => ("a key where none can be", align),
        K::ExpectedNodeContent => ("a value is expected here", quote),
        K::UndeclaredTagHandle => {
            ("a tag whose prefix is not declared", Some("remove the tag, or quote the text"))
        }
        K::ExpectedTagBang
        | K::InvalidGlobalTagCharacter
        | K::InvalidTagTerminator
        | K::MissingTagUri
        | K::UnclosedVerbatimTag
        | K::InvalidTagEscape
        | K::InvalidTagUtf8LeadingByte
        | K::InvalidTagUtf8TrailingByte
        | K::InvalidTagUtf8 => ("a tag that cannot be read", quote),
        K::UnsupportedYamlMajorVersion => {
            ("a version of YAML that is not known", Some("write `%YAML 1.2`, or nothing"))
        }
        K::DuplicateVersionDirective
        | K::DuplicateTagDirective
        | K::ExpectedTagDirectiveBang
        | K::InvalidDirectiveTerminator
        | K::DirectiveDisallowed
        | K::MissingYamlVersionSeparator
        | K::MissingDirectiveName
        | K::InvalidDirectiveName
        | K::DirectiveByteLimitExceeded { .. }
        | K::TooManyReservedDirectiveParams { .. }
        | K::YamlVersionTooLong
        | K::MissingYamlVersion
        | K::InvalidTagDirectiveTerminator
        | K::MissingDocumentEndBeforeDirective => {
            ("a directive `%` that cannot be read", Some("remove the line"))
        }
        K::InvalidDocumentEnd | K::ExpectedDocumentStart => {
            ("the document ended before", Some("remove the `...`, or what follows it"))
        }
        K::BomInsideDocument => ("a byte order mark inside the file", Some("remove it")),
        _ => ("this is not valid YAML", None),
    };
    (message.to_owned(), help)
}
