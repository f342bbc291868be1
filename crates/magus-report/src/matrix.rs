//! A table of something by environment: for a terminal, and as one page of HTML.

use anstyle::Style;
use minijinja::context;

use crate::{Styles, plan::html::fill, table};

/// How our pages of tables look.
pub(crate) const STYLE: &str = include_str!("page.css");

const TEMPLATE: &str = include_str!("matrix.html");

/// How a cell looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    Plain,
    /// As it should be.
    Good,
    /// Somebody should look.
    Doubtful,
    /// It will fail.
    Bad,
    /// Of no importance here.
    Soft,
}

/// A table: headings, and rows of harmless texts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matrix {
    pub(crate) headings: Vec<String>,
    pub(crate) rows: Vec<Vec<(String, Look)>>,
}

impl Matrix {
    pub(crate) fn text(&self, width: usize, styles: &Styles) -> String {
        let style = |look: Look| match look {
            Look::Plain => Style::new(),
            Look::Good => styles.added,
            Look::Doubtful => styles.warning,
            Look::Bad => styles.removed,
            Look::Soft => styles.dim,
        };
        let rows: Vec<Vec<table::Cell>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|(text, look)| (text.clone(), style(*look))).collect())
            .collect();
        let headings: Vec<&str> = self.headings.iter().map(String::as_str).collect();
        table::table(&headings, &rows, width, styles)
    }

    pub(crate) fn html(&self, title: &str, meta: &str) -> String {
        let class = |look: Look| -> &'static str {
            match look {
                Look::Plain => "",
                Look::Good => "running",
                Look::Doubtful => "warn",
                Look::Bad => "failed",
                Look::Soft => "stopped",
            }
        };
        let rows: Vec<Vec<(String, &'static str)>> = self
            .rows
            .iter()
            .map(|row| row.iter().map(|(text, look)| (text.clone(), class(*look))).collect())
            .collect();
        fill(TEMPLATE, context! { style => STYLE, title, meta, headings => &self.headings, rows })
    }
}
