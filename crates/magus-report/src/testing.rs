//! What several tests need.

/// A text without the sequences that set colours. Other escape sequences stay, so that tests see them.
pub(crate) fn without_styles(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        let sequence = &rest[at + 2..];
        let length = sequence.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b';').count();
        plain.push_str(&rest[..at]);
        rest = match sequence[length..].strip_prefix('m') {
            Some(after) => after,
            None => {
                plain.push('\u{1b}');
                &rest[at + 1..]
            }
        };
    }
    plain.push_str(rest);
    plain
}
