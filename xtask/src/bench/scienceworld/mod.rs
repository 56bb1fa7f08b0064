//! `cargo xtask bench scienceworld`: the simulator in our workers beside its own Python package, in
//! turns on one machine, playing the same actions.

mod episodes;
mod players;

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;
use eef_scienceworld::{DETERMINISM_FLAGS, Jar, PoolOptions};

use self::episodes::Episode;
use self::players::Program;
use super::figures::{ratio, row, spread};
use crate::prepare_data::{say, tell};
use crate::process;

#[derive(Args)]
pub struct ScienceWorldArguments {
    /// The simulator's jar, as `prepare-data scienceworld` brings it
    #[arg(long, value_name = "FILE", default_value = "data/scienceworld/scienceworld.jar")]
    jar: PathBuf,
    /// A Python that has scienceworld 1.2.3; without it the package is not measured
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// Recorded episodes, a line each with task, variation and steps; without them the simulator's
    /// own solutions are played, one of each of AgentGym's tasks
    #[arg(long, value_name = "FILE")]
    episodes: Option<PathBuf>,
    /// Actions of an episode at most
    #[arg(long, value_name = "N", default_value_t = 30)]
    moves: usize,
    /// Workers of the pool that uses all cores; as many as there are cores unless given
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// How often each program is measured; they take turns, so that a busy machine is busy for all
    #[arg(long, value_name = "N", default_value = "3")]
    rounds: NonZeroUsize,
}

/// Passes over all episodes between the first and the one that counts: Java compiles what is used
/// often, and after two passes little is left to compile.
const N_UNMEASURED: usize = 1;
/// Environments in the measurement of memory.
const N_ENVIRONMENTS: usize = 8;
/// Numbers of environments whose memory is shown.
const SHOWN: [usize; 4] = [1, 2, 4, 8];
/// Episodes that each of them plays before memory is read.
const N_EPISODES_EACH: usize = 4;
/// Columns of ours, before those of the package.
const N_OURS: usize = 2;

/// A program in the table.
struct Column {
    name: String,
    program: Program,
    /// Whether it is measured with many environments too.
    grows: bool,
}

/// Values of all rounds by what was measured and the column; what, in the order of the table.
#[derive(Default)]
struct Figures {
    order: Vec<String>,
    values: BTreeMap<(String, usize), Vec<f64>>,
}

impl Figures {
    fn add(&mut self, what: &str, column: usize, value: f64) {
        if !self.order.iter().any(|known| known == what) {
            self.order.push(what.to_owned());
        }
        self.values.entry((what.to_owned(), column)).or_default().push(value);
    }

    fn get(&self, what: &str, column: usize) -> Option<&[f64]> {
        self.values.get(&(what.to_owned(), column)).map(Vec::as_slice)
    }
}

/// Runs the command.
pub fn run(arguments: &ScienceWorldArguments) -> anyhow::Result<()> {
    let jar = Jar::open(&arguments.jar)?;
    let episodes = match &arguments.episodes {
        Some(path) => episodes::read(path, arguments.moves)?,
        None => episodes::solutions(&jar, arguments.moves)?,
    };
    let n_actions = n_actions(&episodes);
    ensure!(n_actions > 0, "there are no actions to play");
    let columns = columns(arguments, &jar, &episodes)?;
    let machine = machine();

    let mut figures = Figures::default();
    let mut scores: Vec<Vec<i32>> = Vec::new();
    let n_rounds = arguments.rounds.get();
    for round in 1..=n_rounds {
        for (index, column) in columns.iter().enumerate() {
            tell(&format!("round {round} of {n_rounds}: {}", column.name));
            let found = measure_speed(&column.program, &episodes, index, &mut figures)?;
            if round == 1 {
                scores.push(found);
            }
        }
        for (index, column) in columns.iter().enumerate().filter(|(_, column)| column.grows) {
            tell(&format!("round {round} of {n_rounds}: {}, memory", column.name));
            measure_growth(&column.program, &episodes, index, &mut figures)?;
        }
    }
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    say(&table(&names, &figures));
    say(&format!(
        "\n{machine}. Median (lowest to highest) of {n_rounds} rounds in turns; a ratio is the \
         median of the rounds' ratios. A pass has {} episodes with {n_actions} actions; its loads \
         are counted with its steps. CPU is of all processes and cores, Java's compiler and \
         collector included; memory counts a shared page once. Where hashCode=2 is not named, the \
         package's Java runs with flags of its own, and episodes do not repeat.",
        episodes.len()
    ));
    for (name, found) in names.iter().zip(&scores).skip(1) {
        let n_alike = found.iter().zip(&scores[0]).filter(|(theirs, ours)| theirs == ours).count();
        say(&format!("{name}: {n_alike} of {} episodes end with our score.", scores[0].len()));
    }
    Ok(())
}

/// What is measured, ours first.
fn columns(
    arguments: &ScienceWorldArguments,
    jar: &Jar,
    episodes: &[Episode],
) -> anyhow::Result<Vec<Column>> {
    let n_workers = arguments.workers.unwrap_or(PoolOptions::default().n_workers);
    let ours = |n_workers| Program::Ours { jar: jar.clone(), n_workers };
    let column = |name: &str, program, grows| Column { name: name.to_owned(), program, grows };
    let mut columns = vec![
        column("here, 1 simulator", ours(1), true),
        column(&format!("here, {n_workers} workers"), ours(n_workers), false),
    ];
    if let Some(python) = &arguments.python {
        let folder = process::target_folder()?;
        let (script, file) =
            (folder.join("scienceworld_peers.py"), folder.join("scienceworld_episodes.json"));
        write(&script, include_bytes!("../scienceworld_peers.py"))?;
        write(&file, &serde_json::to_vec(episodes)?)?;
        let peer = |way: &'static str, java: &str| Program::Python {
            python: python.clone(),
            arguments: [script.clone(), way.into(), file.clone()],
            java_flags: java.to_owned(),
        };
        let flags = DETERMINISM_FLAGS.join(" ");
        columns.extend([
            column("Python env.step", peer("step", ""), true),
            column("Python raw step", peer("raw", ""), true),
            column("Python raw step, hashCode=2", peer("raw", &flags), false),
        ]);
    }
    Ok(columns)
}

fn write(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
}

/// Plays all episodes some times over, in one environment for each worker; their last scores.
fn measure_speed(
    program: &Program,
    episodes: &[Episode],
    column: usize,
    figures: &mut Figures,
) -> anyhow::Result<Vec<i32>> {
    let mut player = program.start()?;
    player.open(episodes)?;
    let processes = player.processes();
    let mut pass = || processes.measure(|| player.play(episodes, usize::MAX));
    let (_, first) = pass()?;
    for _ in 0..N_UNMEASURED {
        pass()?;
    }
    let (scores, warm) = pass()?;
    let (_, loads) = processes.measure(|| player.play(episodes, 0))?;

    let (n_actions, n_episodes) = (n_actions(episodes) as f64, episodes.len() as f64);
    for (cost, which) in [(warm, ""), (first, ", first pass")] {
        figures.add(&format!("steps/s{which}"), column, n_actions / cost.seconds);
        figures.add(&format!("CPU ms a step{which}"), column, 1e3 * cost.cpu_seconds / n_actions);
    }
    figures.add("ms a load", column, 1e3 * loads.seconds / n_episodes);
    figures.add("CPU ms a load", column, 1e3 * loads.cpu_seconds / n_episodes);
    Ok(scores)
}

fn n_actions(episodes: &[Episode]) -> usize {
    episodes.iter().map(|episode| episode.actions.len()).sum()
}

/// Opens one environment after the other; each plays a little before memory is read.
fn measure_growth(
    program: &Program,
    episodes: &[Episode],
    column: usize,
    figures: &mut Figures,
) -> anyhow::Result<()> {
    let played = &episodes[..episodes.len().min(N_EPISODES_EACH)];
    let mut player = program.start()?;
    let processes = player.processes();
    let [mut further_seconds, mut further_cpu] = [Vec::new(), Vec::new()];
    let [mut memory_of_first, mut memory] = [0.0; 2];
    for n_open in 1..=N_ENVIRONMENTS {
        let ((), cost) = processes.measure(|| player.open(episodes))?;
        player.play(played, usize::MAX)?;
        memory = processes.bytes()? as f64 / 1e6;
        if n_open == 1 {
            figures.add("first environment, s", column, cost.seconds);
            figures.add("first environment, CPU s", column, cost.cpu_seconds);
            memory_of_first = memory;
        } else {
            further_seconds.push(cost.seconds);
            further_cpu.push(cost.cpu_seconds);
        }
        if SHOWN.contains(&n_open) {
            figures.add(&format!("memory with {n_open}, MB"), column, memory);
        }
    }
    figures.add("further environment, s", column, spread(further_seconds).1);
    figures.add("further environment, CPU s", column, spread(further_cpu).1);
    let n_further = (N_ENVIRONMENTS - 1) as f64;
    figures.add("memory of a further one, MB", column, (memory - memory_of_first) / n_further);
    Ok(())
}

/// A Markdown table; ratios are of the first column to the package's.
fn table(names: &[&str], figures: &Figures) -> String {
    let peers = N_OURS..names.len();
    let mut headings = vec!["what".to_owned()];
    headings.extend(names.iter().map(|name| (*name).to_owned()));
    headings.extend(peers.clone().map(|peer| format!("{} / {}", names[0], names[peer])));
    let mut lines = vec![row(&headings), row(&vec!["---".to_owned(); headings.len()])];
    for what in &figures.order {
        let none = || "–".to_owned();
        let mut cells = vec![what.clone()];
        for column in 0..names.len() {
            let shown = figures.get(what, column).map(|values| {
                let (low, middle, high) = spread(values.to_vec());
                format!("{} ({} to {})", number(middle), number(low), number(high))
            });
            cells.push(shown.unwrap_or_else(none));
        }
        for peer in peers.clone() {
            let both = figures.get(what, 0).zip(figures.get(what, peer));
            let shown = both.map(|(ours, theirs)| number(ratio(ours, theirs)));
            cells.push(shown.unwrap_or_else(none));
        }
        lines.push(row(&cells));
    }
    lines.join("\n")
}

/// A value with about three digits.
fn number(value: f64) -> String {
    let decimals = match value.abs() {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    format!("{value:.decimals$}")
}

/// The processor, its cores, and how busy they are.
fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model);
    let n_cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default();
    format!("{model}, {n_cores} cores, load before {load}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_a_ratio_for_each_peer_and_gaps_where_nothing_was_measured() {
        let mut figures = Figures::default();
        for (ours, theirs) in [(30.0, 10.0), (10.0, 5.0), (20.0, 5.0)] {
            figures.add("steps/s", 0, ours);
            figures.add("steps/s", 2, theirs);
        }
        figures.add("memory", 0, 250.4);
        let text = table(&["here", "here, 2 workers", "Python"], &figures);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "| what | here | here, 2 workers | Python | here / Python |");
        let steps = "| steps/s | 20.0 (10.0 to 30.0) | – | 5.00 (5.00 to 10.0) | 3.00 |";
        assert_eq!(lines[2], steps);
        assert_eq!(lines[3], "| memory | 250 (250 to 250) | – | – | – |");
    }
}
