//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::RangedU64ValueParser;
use clap::error::ErrorKind;
use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::config::MAX_WORKERS;

/// Tunes LLM agents by exploring expert failures: one command from teacher trajectories to a tuned
/// model.
#[derive(Debug, Parser)]
#[command(name = "eef-cli", version, max_term_width = 100, propagate_version = true)]
pub struct Arguments {
    /// What every verb understands.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What every verb understands, before the verb and after it (see [`Arguments::from_line`]).
#[derive(Args, Clone, Debug)]
pub struct Global {
    /// Configuration (TOML); without it the run's, or the embedded default
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Overrides a key of the configuration, such as train.n_epochs=3
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<String>,
    /// Where the run is kept; without it runs/<name>-seed<seed>
    #[arg(long, value_name = "DIR")]
    pub run_dir: Option<PathBuf>,
    /// Device: cpu, or cuda:0 where compiled in
    #[arg(long)]
    pub device: Option<String>,
    /// Worker threads; 0 takes one per core (changes no result)
    #[arg(long, value_name = "N", value_parser = workers())]
    pub threads: Option<usize>,
    /// JSON on stdout, progress as JSON lines on stderr
    #[arg(long)]
    pub json: bool,
    /// Says more on stderr; twice says much more
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Tunes the base model: Algorithm 1, or the method of the configuration
    ///
    /// Continues an interrupted run directory, and prints the result of a complete one again.
    Iterate(crate::verbs::iterate::Arguments),
    /// Wins and rewards of a model on a split, greedily
    Evaluate(crate::verbs::evaluate::Arguments),
    /// Several methods over several seeds, with paired intervals: the paper's tables
    Compare(crate::verbs::compare::Arguments),
    /// Writes a comparison as the paper's tables and figures: Markdown, HTML, JSON and SVG
    Report(crate::verbs::report::Arguments),
    /// Shows trajectories of a run, and which tokens of them are trained
    Inspect(crate::verbs::inspect::Arguments),
    /// Answers prompts, or continues texts, with a model
    Generate(crate::verbs::generate::Arguments),
    /// Measures how fast a model generates on this machine, or is trained
    Bench(crate::verbs::bench::Arguments),
    /// Asks a scripted teacher to try the tasks of a split and writes its trajectories as JSONL
    Collect(crate::verbs::collect::Arguments),
    /// Fine-tunes a model on a file of conversations, or on preferences between them
    ///
    /// Continues an interrupted training of the same data and settings. Several devices share the work:
    /// `--device cuda:0,cuda:1`.
    Train(crate::verbs::train::Arguments),
    /// Makes the small base model from browsing text
    Pretrain(crate::verbs::pretrain::Arguments),
    /// Reads expert trajectories of other programs, replays them and writes JSONL
    Import(crate::verbs::import::Arguments),
    /// Writes the trajectories of a run as JSONL
    Export(crate::verbs::export::Arguments),
    /// Saves what is sound of a run's damaged store, and keeps the damaged file
    ///
    /// Names what was kept and what is lost. Repairs every store of a comparison.
    Repair,
    /// Compares an environment or a model with recordings of other programs
    ///
    /// Prints one JSON object per file: cases, mismatches, and the first or worst of them. Ends with
    /// exit code 1 where anything differs.
    Verify(crate::verbs::verify::Arguments),
}

impl Arguments {
    /// Reads the command line of this process; one that cannot be understood ends it.
    pub fn read() -> Self {
        let line: Vec<OsString> = std::env::args_os().collect();
        let json = line.iter().any(|argument| argument == "--json");
        Self::from_line(line).unwrap_or_else(|error| {
            if !(json && error.use_stderr()) {
                error.exit()
            }
            let text = error.to_string();
            let message = text.trim_end().trim_start_matches("error: ");
            let event = serde_json::json!({ "event": "error", "message": message });
            crate::output::say(&event.to_string());
            std::process::exit(error.exit_code())
        })
    }

    /// Reads a command line whose first part is the program's name.
    ///
    /// What every verb understands may stand on both sides of the verb. clap's own global arguments
    /// would keep only what stands after it, so the two sides are read apart and joined here.
    fn from_line(line: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let mut command = command();
        let matches = command.try_get_matches_from_mut(line)?;
        let read = |matches: &ArgMatches| -> Result<Self, clap::Error> {
            let mut arguments = Self::from_arg_matches(matches)?;
            if let Some((_, after)) = matches.subcommand() {
                arguments.global.join(Global::from_arg_matches(after)?)?;
            }
            Ok(arguments)
        };
        read(&matches).map_err(|error| error.format(&mut command))
    }
}

impl Global {
    /// Adds what stands after the verb: lists are joined in their order, and what can be said only
    /// once is refused the second time, as it is on one side of the verb.
    fn join(&mut self, after: Self) -> Result<(), clap::Error> {
        let Self { config, overrides, run_dir, device, threads, json, verbose } = after;
        once("--config <FILE>", &mut self.config, config)?;
        once("--run-dir <DIR>", &mut self.run_dir, run_dir)?;
        once("--device <DEVICE>", &mut self.device, device)?;
        once("--threads <N>", &mut self.threads, threads)?;
        self.overrides.extend(overrides);
        self.json |= json;
        self.verbose = self.verbose.saturating_add(verbose);
        Ok(())
    }
}

fn once<T>(name: &str, before: &mut Option<T>, after: Option<T>) -> Result<(), clap::Error> {
    if before.is_some() && after.is_some() {
        let message = format!("the argument '{name}' cannot be used multiple times");
        return Err(clap::Error::raw(ErrorKind::ArgumentConflict, message));
    }
    *before = before.take().or(after);
    Ok(())
}

/// The command line with what every verb understands in every verb.
fn command() -> Command {
    // Built once, so that help shows these arguments in one order everywhere.
    let global: Vec<_> =
        Global::augment_args(Command::new("global")).get_arguments().cloned().collect();
    Arguments::command().mut_subcommands(|verb| verb.args(global.iter().cloned()))
}

fn workers() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(..=MAX_WORKERS as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::from_line(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn what_stands_before_the_verb_counts_as_what_stands_after_it() {
        let line = "E --set a=1 --set b=2 -v --config c.toml iterate --set a=3 -v --threads 2";
        let global = read(line).unwrap().global;
        assert_eq!(global.overrides, ["a=1", "b=2", "a=3"]);
        assert_eq!((global.verbose, global.threads, global.json), (2, Some(2), false));
        assert_eq!(global.config, Some(PathBuf::from("c.toml")));
        assert!(read("E --json iterate").unwrap().global.json);
        assert!(read("E iterate --json").unwrap().global.json);
        assert!(read("E --json iterate --json").unwrap().global.json);
    }

    #[test]
    fn what_can_be_said_once_is_refused_on_both_sides() {
        let pairs = ["--config a", "--run-dir a", "--device cpu", "--threads 2"];
        for pair in pairs {
            assert!(read(&format!("E {pair} iterate")).is_ok());
            assert!(read(&format!("E iterate {pair}")).is_ok());
            let error = read(&format!("E {pair} iterate {pair}")).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
            let (name, _) = pair.split_once(' ').unwrap();
            let text = error.to_string();
            assert!(
                text.contains(name) && text.contains("cannot be used multiple times"),
                "{text}"
            );
            assert!(text.contains("Usage"), "{text}");
        }
    }

    #[test]
    fn threads_that_no_machine_has_are_refused() {
        assert_eq!(read("E iterate --threads 1024").unwrap().global.threads, Some(1024));
        let error = read("E iterate --threads 100000").unwrap_err().to_string();
        assert!(error.contains("100000 is not in 0..=1024"), "{error}");
    }
}
