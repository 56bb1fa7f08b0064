//! Reads the reports that `eef-cli iterate` left in run directories and prints a line for each.
//!
//! `cargo run --release -p eef-cli --example read_reports -- runs/*`
#![expect(clippy::print_stdout, reason = "an example shows what it did")]

use std::path::Path;

use eef::RunReport;

fn main() -> anyhow::Result<()> {
    let directories: Vec<String> = std::env::args().skip(1).collect();
    if directories.is_empty() {
        println!("give it run directories, such as runs/embedded-seed1");
    }
    for directory in directories {
        let report: RunReport =
            serde_json::from_slice(&std::fs::read(Path::new(&directory).join("report.json"))?)?;
        let (first, best) = (&report.test_of_imitation.win_rate, &report.test.win_rate);
        println!(
            "{directory}: SFT pos {:.1} %, {} {:.1} % ({:.1} to {:.1}) in round {}",
            100.0 * first.mean,
            report.method,
            100.0 * best.mean,
            100.0 * best.low,
            100.0 * best.high,
            report.best_round
        );
    }
    Ok(())
}
