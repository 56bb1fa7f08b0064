//! A comparison of methods as the paper's tables and figures.
//!
//! [`Report`] joins what [`eef::compare`] gives with the experts' trajectories and a few cases, and
//! is written as Markdown with pictures ([`Report::markdown`], [`Report::figures`]), as one page that
//! needs nothing else ([`Report::html`]), or as plain values ([`serde::Serialize`]).
//!
//! The decision behind it: *a number stands with what it rests on*. Test results and differences have
//! their intervals, every method its simulations and tokens beside it, tables of win rates their number
//! of tasks, and the caller says what ran ([`Report::provenance`]). Nothing is read from a file, a clock or a
//! machine: the same values give the same bytes.
//!
//! | the paper's | here |
//! |---|---|
//! | Table 1, data | [`expert_summaries`] |
//! | Table 2, budget; Table 3, results | [`tables`] |
//! | Table 4 and Figure 2, Next and Back | [`tables`], [`figures`] |
//! | Figure 3, win rate by simulations | [`figures`] |
//! | A.10 and A.11, cases | [`CaseStudy`], [`find_cases`] |

mod case;
mod data;
mod error;
pub mod figures;
mod labels;
mod page;
mod table;
pub mod tables;

use eef::Comparison;
use serde::Serialize;

pub use case::{CaseStudy, find_cases};
pub use data::{ExpertSummary, expert_summaries};
pub use error::ReportError;
pub use table::Table;

/// Everything that is to be told of a comparison.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The heading.
    pub title: String,
    /// What ran, on what and how long, as names and values.
    pub provenance: Vec<(String, String)>,
    /// Remarks, a paragraph each: what was tuned on what, what is unlike the paper.
    pub remarks: Vec<String>,
    /// The experts' trajectories (Table 1).
    pub experts: Vec<ExpertSummary>,
    /// Training tasks, for the simulations per task.
    pub n_train_tasks: usize,
    /// The runs.
    pub comparison: Comparison,
    /// Tasks that one method wins and another loses.
    #[serde(skip)]
    pub cases: Vec<CaseStudy>,
}

impl Report {
    /// All tables that there is something to say in, in the paper's order.
    pub fn tables(&self) -> Vec<Table> {
        let comparison = &self.comparison;
        let mut tables = vec![
            tables::data(&self.experts),
            tables::budget(comparison, self.n_train_tasks),
            tables::results(comparison),
            tables::differences(comparison),
            tables::skills(comparison),
            tables::rounds(comparison),
            tables::cloning(comparison),
        ];
        tables.retain(|table| !table.rows.is_empty());
        tables
    }

    /// The pictures as SVG, by file name.
    ///
    /// # Errors
    /// [`ReportError`] for a comparison without runs.
    pub fn figures(&self) -> Result<Vec<Figure>, ReportError> {
        figures::all(&self.comparison)
    }

    /// The report as Markdown, whose pictures lie beside it under the names of
    /// [`Report::figures`].
    ///
    /// # Errors
    /// As there.
    pub fn markdown(&self) -> Result<String, ReportError> {
        page::markdown(self)
    }

    /// The report as a page that needs no other file.
    ///
    /// # Errors
    /// As there.
    pub fn html(&self) -> Result<String, ReportError> {
        page::html(self)
    }
}

/// A picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Its file's name.
    pub file: &'static str,
    /// What it shows, in a sentence.
    pub caption: String,
    /// The picture: SVG without a background, of colours that can be read on white and on black.
    pub svg: String,
}

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
