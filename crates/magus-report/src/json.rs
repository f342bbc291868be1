//! JSON whose strings are as harmless on a terminal as our texts: everything that [`escape::is_dangerous`] names is
//! written as the escape with its number (`\u001b`), which every reader of JSON turns back into the character.

use std::io;

use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

use crate::escape;

/// A document over many lines, with a line end.
pub(crate) fn pretty(document: &impl Serialize) -> String {
    write(document, Safe(PrettyFormatter::new())) + "\n"
}

/// A document on one line, without a line end.
pub(crate) fn compact(document: &impl Serialize) -> String {
    write(document, Safe(CompactFormatter))
}

fn write<F: Formatter>(document: &impl Serialize, formatter: F) -> String {
    let mut bytes = Vec::new();
    // Our documents have text keys and derived serialization: writing one to memory cannot fail, and what is
    // written is UTF-8.
    match document.serialize(&mut Serializer::with_formatter(&mut bytes, formatter)) {
        Ok(()) => String::from_utf8(bytes).unwrap_or_default(),
        Err(_) => String::new(),
    }
}

struct Safe<F>(F);

/// Hands everything on, and looks at the text of strings.
macro_rules! forward {
    ($($name:ident($($argument:ident: $kind:ty),*))*) => {
        $(fn $name<W: ?Sized + io::Write>(&mut self, writer: &mut W $(, $argument: $kind)*) -> io::Result<()> {
            self.0.$name(writer $(, $argument)*)
        })*
    };
}

impl<F: Formatter> Formatter for Safe<F> {
    forward! {
        begin_array() end_array() begin_array_value(first: bool) end_array_value()
        begin_object() end_object() begin_object_key(first: bool) end_object_key()
        begin_object_value() end_object_value()
    }

    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        if escape::is_harmless(fragment) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut rest = fragment;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| escape::is_dangerous(*c)) {
            writer.write_all(&rest.as_bytes()[..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            rest = &rest[at + c.len_utf8()..];
        }
        writer.write_all(rest.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dangerous_characters_are_written_out_and_come_back() {
        let text = "a\u{9b}b\u{202e}\u{e0001}\u{1b}\"\n漢\u{7f}";
        let json = compact(&text);
        assert_eq!(json, r#""a\u009bb\u202e\udb40\udc01\u001b\"\n漢\u007f""#);
        assert_eq!(serde_json::from_str::<String>(&json).expect("valid JSON"), text);
        assert_eq!(pretty(&vec![1, 2]), "[\n  1,\n  2\n]\n");
    }
}
