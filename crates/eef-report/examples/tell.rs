//! Tells a comparison as tables and pictures.
//!
//! `cargo run -p eef-report --example tell -- comparison.json N_TRAINING_TASKS OUT`: what `eef-cli
//! compare` wrote, as a page and its pictures in a folder. Without arguments a small one, made up, is
//! told on stdout.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::Path;

use eef_report::Report;

fn main() -> Result<(), Box<dyn Error>> {
    let given: Vec<String> = std::env::args().skip(1).collect();
    match given.as_slice() {
        [] => {
            let report = report(include_bytes!("comparison.json"), 4)?;
            Ok(stdout().write_all(report.markdown()?.as_bytes())?)
        }
        [file, n_train_tasks, out] => {
            let report = report(&std::fs::read(file)?, n_train_tasks.parse()?)?;
            let out = Path::new(out);
            std::fs::create_dir_all(out)?;
            for figure in report.figures()? {
                std::fs::write(out.join(figure.file), figure.svg)?;
            }
            Ok(std::fs::write(out.join("report.html"), report.html()?)?)
        }
        _ => Err("expected comparison.json N_TRAINING_TASKS OUT, or nothing".into()),
    }
}

/// What the runs say by themselves; `eef-cli report` adds experts, cases, and what ran where.
fn report(comparison: &[u8], n_train_tasks: usize) -> Result<Report, Box<dyn Error>> {
    Ok(Report {
        title: "A comparison".to_owned(),
        provenance: Vec::new(),
        remarks: Vec::new(),
        experts: Vec::new(),
        n_train_tasks,
        comparison: serde_json::from_slice(comparison)?,
        cases: Vec::new(),
    })
}
