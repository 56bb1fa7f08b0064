//! A table, and how it is written.

use std::fmt::Write as _;

use serde::Serialize;

/// A table of texts; the first column is a row's name, the others are figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Table {
    /// The heading above it.
    pub title: String,
    /// What its figures are, in a sentence or two.
    pub note: String,
    /// The columns.
    pub headings: Vec<String>,
    /// The rows, each as long as the headings.
    pub rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(title: &str, note: impl Into<String>, headings: &[&str]) -> Self {
        let headings = headings.iter().map(|&heading| heading.to_owned()).collect();
        Self { title: title.to_owned(), note: note.into(), headings, rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// As Markdown, figures to the right.
    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| {
            let cells: Vec<String> = cells.iter().map(|cell| cell.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = format!("## {}\n\n{}\n\n{}", self.title, self.note, line(&self.headings));
        let n_figures = self.headings.len().saturating_sub(1);
        let _ = writeln!(text, "|---|{}", "---:|".repeat(n_figures));
        self.rows.iter().for_each(|row| text.push_str(&line(row)));
        text
    }

    /// As HTML.
    pub fn html(&self) -> String {
        let row = |tag: &str, cells: &[String]| {
            let cell = |cell: &String| format!("<{tag}>{}</{tag}>", escaped(cell));
            format!("<tr>{}</tr>\n", cells.iter().map(cell).collect::<String>())
        };
        let mut text =
            format!("<h2>{}</h2>\n<p>{}</p>\n", escaped(&self.title), escaped(&self.note));
        let _ = write!(text, "<table>\n<thead>{}</thead>\n<tbody>\n", row("th", &self.headings));
        self.rows.iter().for_each(|cells| text.push_str(&row("td", cells)));
        text.push_str("</tbody>\n</table>\n");
        text
    }
}

/// A text between tags.
pub(crate) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
