//! The whole report as a text.

use std::fmt::Write as _;

use crate::table::escaped;
use crate::{Report, ReportError};

pub(crate) fn markdown(report: &Report) -> Result<String, ReportError> {
    let mut text = format!("# {}\n\n", report.title);
    for (name, value) in &report.provenance {
        // Writing to a string cannot fail, here and below.
        let _ = writeln!(text, "- {name}: {value}");
    }
    for remark in &report.remarks {
        let _ = write!(text, "\n{remark}\n");
    }
    for figure in report.figures()? {
        let _ = write!(
            text,
            "\n![{}]({})\n\n{}\n",
            alternative(&figure.caption),
            figure.file,
            figure.caption
        );
    }
    for table in report.tables() {
        let _ = write!(text, "\n{}", table.markdown());
    }
    if !report.cases.is_empty() {
        let _ = write!(text, "\n## Cases\n\n{CASES}\n");
        report.cases.iter().for_each(|case| {
            let _ = write!(text, "\n{}", case.markdown());
        });
    }
    Ok(text)
}

/// What stands for a picture: the caption's first words, which must not close its bracket.
fn alternative(caption: &str) -> String {
    let first = caption.split([':', '.', ',']).next().unwrap_or_default();
    first.replace(['[', ']'], "")
}

pub(crate) fn html(report: &Report) -> Result<String, ReportError> {
    let title = escaped(&report.title);
    let mut text = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n<style>{STYLE}</style>\n\
         </head>\n<body>\n<h1>{title}</h1>\n<dl>\n"
    );
    for (name, value) in &report.provenance {
        let _ = writeln!(text, "<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value));
    }
    text.push_str("</dl>\n");
    for remark in &report.remarks {
        let _ = writeln!(text, "<p>{}</p>", escaped(remark));
    }
    for figure in report.figures()? {
        let caption = escaped(&figure.caption);
        let _ = writeln!(
            text,
            "<figure>\n{}\n<figcaption>{caption}</figcaption>\n</figure>",
            figure.svg
        );
    }
    for table in report.tables() {
        text.push_str(&table.html());
    }
    if !report.cases.is_empty() {
        let _ = writeln!(text, "<h2>Cases</h2>\n<p>{CASES}</p>");
        for case in &report.cases {
            text.push_str(&case.html());
        }
    }
    text.push_str("</body>\n</html>\n");
    Ok(text)
}

/// How cases are chosen: see [`find_cases`](crate::find_cases).
const CASES: &str = "Test tasks that one method wins and another loses, under the first seed; first those in \
                     which the winner alone uses a skill. They are examples that were chosen to tell \
                     something, and no sample.";

const STYLE: &str = "
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #8884; }
th:first-child, td:first-child { text-align: left; }
figure { margin: 1.5rem 0; } svg { max-width: 100%; height: auto; }
dt { float: left; clear: left; width: 9rem; color: #888; } dd { margin-left: 9.5rem; }
table.case td, table.case th { text-align: left; vertical-align: top; }
";
