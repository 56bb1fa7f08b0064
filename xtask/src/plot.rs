//! `cargo xtask plot`: the picture of a comparison.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;

mod comparison;
mod picture;

use comparison::Comparison;

#[derive(Args)]
pub struct PlotArguments {
    /// The comparison.json of a run directory, or what `eef-cli compare --json` printed
    #[arg(long, value_name = "FILE")]
    comparison: PathBuf,
    /// The SVG file to write
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Text above the picture
    #[arg(long, value_name = "TEXT")]
    title: Option<String>,
}

/// Runs the command.
pub fn run(arguments: &PlotArguments) -> anyhow::Result<()> {
    let comparison = read(&arguments.comparison)?;
    let svg = picture::draw(&comparison, arguments.title.as_deref())?;
    let out = &arguments.out;
    std::fs::write(out, svg).with_context(|| format!("cannot write {}", out.display()))?;
    say(&format!("{}: {}", out.display(), comparison.summary()));
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Comparison> {
    let shown = path.display();
    if path.extension().is_some_and(|extension| extension == "toml") {
        bail!("{shown} is a configuration; give the comparison.json beside it");
    }
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    Comparison::parse(&text)
        .with_context(|| format!("{shown} is not what `eef-cli compare --json` prints"))
}

#[expect(clippy::print_stdout, reason = "a command's output")]
fn say(line: &str) {
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXAMPLE: &str = include_str!("../testdata/comparison.json");

    #[test]
    fn every_method_has_its_name_and_a_dot_for_each_seed() {
        let comparison = Comparison::parse(EXAMPLE).unwrap();
        let svg = picture::draw(&comparison, Some("Wins & losses")).unwrap();
        let n_seeds = 3;
        assert_eq!(comparison.methods.len(), 2);
        for method in ["sft-pos", "eef"] {
            assert!(texts(&svg).any(|text| text == method), "{method} is not named");
        }
        assert_eq!(dots(&svg, picture::WIN_RATE_DOT), 2 * n_seeds);
        assert_eq!(dots(&svg, picture::SKILL_DOT), 2 * 2 * n_seeds, "two skills");
        for text in ["Wins &amp; losses", "35.0", "45.0", "Next", "Back"] {
            assert!(texts(&svg).any(|found| found == text), "{text} is missing");
        }
        assert_eq!(svg, picture::draw(&comparison, Some("Wins & losses")).unwrap());
    }

    #[test]
    fn without_skills_there_is_one_panel() {
        let mut comparison = Comparison::parse(EXAMPLE).unwrap();
        for run in &mut comparison.runs {
            run.test.skills.clear();
        }
        let svg = picture::draw(&comparison, None).unwrap();
        assert_eq!(dots(&svg, picture::WIN_RATE_DOT), 6);
        assert_eq!(dots(&svg, picture::SKILL_DOT), 0);
    }

    #[test]
    fn what_cannot_be_drawn_is_named_with_its_field() {
        let directory = tempfile::tempdir().unwrap();
        let message = |from: &str, to: &str| {
            assert!(EXAMPLE.contains(from), "the example has no {from}");
            let file = directory.path().join("comparison.json");
            std::fs::write(&file, EXAMPLE.replacen(from, to, 1)).unwrap();
            let message = format!("{:#}", read(&file).unwrap_err());
            assert!(message.contains("comparison.json"), "{message}");
            message
        };
        for (from, to, field) in [
            ("\"low\": 0.31", "\"low\": null", "methods[0].win_rate.low: invalid type: null"),
            ("\"low\": 0.31", "\"down\": 0.31", "missing field `low`"),
            ("\"low\": 0.31", "\"low\": 31.0", "methods[0].win_rate.low is 31"),
            ("\"low\": 0.31", "\"low\": 0.36", "methods[0].win_rate: the mean 0.35 is not within"),
            ("0.33, 0.35, 0.37", "0.33, 0.35", "methods[1].win_rates: 3 seeds"),
            ("0.33, 0.35, 0.37", "", "methods[0].win_rates is empty"),
            ("\"method\": \"eef\"", "\"method\": \"new\"", "runs[1].method is `new`"),
            ("\"won\": 0.02", "\"won\": 2", "runs[0].test.skills[0].won is 2"),
        ] {
            let message = message(from, to);
            assert!(message.contains(field), "expected {field} in: {message}");
        }
    }

    fn dots(svg: &str, radius: i32) -> usize {
        let radius = format!(" r=\"{radius}\"");
        svg.lines().filter(|line| line.starts_with("<circle") && line.contains(&radius)).count()
    }

    /// The lines between tags.
    fn texts(svg: &str) -> impl Iterator<Item = &str> {
        svg.lines().filter(|line| !line.starts_with('<'))
    }
}
