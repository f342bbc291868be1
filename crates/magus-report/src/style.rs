//! Colours, as a value: the caller decides whether there are any.

use anstyle::{AnsiColor, Style};

/// How each kind of text looks. [`Styles::plain`] writes no escape sequence at all.
#[derive(Debug, Clone, Copy, Default)]
pub struct Styles {
    /// Whether there are colours, for renderers that have styles of their own.
    pub(crate) colored: bool,
    /// Headings and totals.
    pub(crate) strong: Style,
    /// What matters less: places, reasons, counts.
    pub(crate) dim: Style,
    /// What comes into being.
    pub(crate) added: Style,
    /// What changes.
    pub(crate) changed: Style,
    /// What goes away, and what failed.
    pub(crate) removed: Style,
    /// What is held back or doubtful.
    pub(crate) warning: Style,
    /// What runs, starts or is looked at.
    pub(crate) info: Style,
}

impl Styles {
    /// No colours.
    pub fn plain() -> Self {
        Self::default()
    }

    /// The terminal's own sixteen colours, so that light and dark themes both read well.
    pub fn colored() -> Self {
        let color = |color: AnsiColor| color.on_default();
        Self {
            colored: true,
            strong: Style::new().bold(),
            dim: Style::new().dimmed(),
            added: color(AnsiColor::Green),
            changed: color(AnsiColor::Yellow),
            removed: color(AnsiColor::Red),
            warning: color(AnsiColor::Magenta),
            info: color(AnsiColor::Cyan),
        }
    }

    /// Colours or none.
    pub fn new(choice: Color) -> Self {
        match choice {
            Color::On => Self::colored(),
            Color::Off => Self::plain(),
        }
    }
}

/// Whether there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Color {
    /// There are.
    On,
    /// There are none.
    Off,
}

/// A text in a style. The text has to be harmless already.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> impl std::fmt::Display {
    // The reset of a plain style is empty, so that nothing but the text is written.
    Painted { style, text }
}

struct Painted<T> {
    style: Style,
    text: T,
}

impl<T: std::fmt::Display> std::fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{}{}", self.style.render(), self.text, self.style.render_reset())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_is_plain() {
        assert_eq!(paint(Styles::plain().removed, "x").to_string(), "x");
        assert_eq!(paint(Styles::colored().removed, "x").to_string(), "\u{1b}[31mx\u{1b}[0m");
    }
}
