//! What can go wrong outside an episode: reading, preparing and checking data.

use std::path::{Path, PathBuf};

/// A failure to read, prepare or check data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebShopError {
    /// A file could not be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file could not be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no JSON, or its outermost shape is another.
    #[error("{}: expected {expected}: {message}", path.display())]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
        /// What the parser says, with line and column.
        message: String,
    },
    /// One record of a file cannot be used.
    #[error("{}: record {record}: {message}", path.display())]
    Record {
        /// Which file.
        path: PathBuf,
        /// Which record: its number from 1, or its key.
        record: String,
        /// What is wrong, and what was expected.
        message: String,
    },
    /// No product is left.
    #[error("the catalogue is empty: {n_records} records were read and none was usable")]
    NoProducts {
        /// Records read.
        n_records: usize,
    },
    /// A goal names a product that the catalogue lacks.
    #[error("goal {goal} asks for product {asin}, which the catalogue does not hold")]
    UnknownProduct {
        /// The goal's position, from 0.
        goal: usize,
        /// The product.
        asin: String,
    },
    /// A goal that no purchase can be judged by.
    #[error("goal {goal} ({asin}): {message}")]
    BadGoal {
        /// The goal's position, from 0.
        goal: usize,
        /// Its product.
        asin: String,
        /// What is wrong.
        message: &'static str,
    },
    /// Two splits share a goal product or an instruction.
    #[error("{first} and {second} share the {what} `{value}`: splits must be disjoint")]
    Leak {
        /// One split.
        first: eef_core::Split,
        /// The other.
        second: eef_core::Split,
        /// `product` or `instruction`.
        what: &'static str,
        /// Which one.
        value: String,
    },
    /// The paper's splits cannot be made of these files.
    #[error("the paper's splits cannot be made: {message}")]
    PaperSplit {
        /// Why, and what would mend it.
        message: String,
    },
    /// A folder lacks a file that is needed.
    #[error("{} holds no file named {expected}", directory.display())]
    MissingData {
        /// The folder.
        directory: PathBuf,
        /// The file's name, with `*` for what may differ.
        expected: String,
    },
    /// There is nothing to compare.
    #[error("{} holds no recorded case: expected reward_cases.jsonl, search_cases.jsonl, fuzz_cases.jsonl, color_cases.jsonl, episodes.jsonl or episodes_original_text.jsonl", path.display())]
    NothingToVerify {
        /// The folder, or the file without a case.
        path: PathBuf,
    },
    /// No instruction to browse with is left.
    #[error("nothing to browse: every instruction asks what one of the {n_reserved} reserved does")]
    NothingToBrowse {
        /// How many instructions are reserved.
        n_reserved: usize,
    },
    /// A directory has no manifest.
    #[error("{} is no prepared data: it has no manifest.json, so it was never prepared or preparing was interrupted; prepare it (again)", directory.display())]
    NotPrepared {
        /// The directory.
        directory: PathBuf,
    },
    /// Another process is preparing the directory.
    #[error("{} is being prepared by another process: wait for it, or choose another folder", directory.display())]
    Busy {
        /// The directory.
        directory: PathBuf,
    },
    /// A prepared directory was made by a program that writes another format.
    #[error("{} has format version {found}, this program reads version {expected}: prepare it again", path.display())]
    Version {
        /// The manifest.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        expected: u32,
    },
    /// A catalogue or search index is not of its form.
    #[error("{} is damaged: {message}: prepare it again", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        message: &'static str,
    },
    /// A prepared file is not the one that the manifest describes.
    #[error("{} has changed since it was prepared (expected {expected}, found {found}): prepare it again", path.display())]
    Changed {
        /// Which file.
        path: PathBuf,
        /// What the manifest says: a hash or a number of bytes.
        expected: String,
        /// The file's.
        found: String,
    },
}

impl WebShopError {
    pub(crate) fn syntax(path: &Path, expected: &'static str, error: &serde_json::Error) -> Self {
        Self::Syntax { path: path.to_owned(), expected, message: error.to_string() }
    }
}
