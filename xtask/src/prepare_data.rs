//! `cargo xtask prepare-data`: data in the form that the program runs on.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use eef_core::Split;
use eef_webshop::{PrepareReport, PrepareRequest, PreparedData};

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
    Webshop(WebshopArguments),
}

#[derive(Args)]
struct WebshopArguments {
    /// The products: items_shuffle.json or items_shuffle_1000.json
    #[arg(long)]
    items: PathBuf,
    /// Attributes and synthetic instructions: items_ins_v2.json or items_ins_v2_1000.json
    #[arg(long)]
    instructions: PathBuf,
    /// Instructions that people wrote: items_human_ins.json
    #[arg(long)]
    human_goals: Option<PathBuf>,
    /// Prices in dollars by asin, to pin what the original draws anew in every process
    #[arg(long)]
    prices: Option<PathBuf>,
    /// Nouns of the titles by asin; without it a heuristic stands in for the original's parser
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
    /// Synthetic goals per product at most: products with many options have thousands
    #[arg(long, default_value_t = 8)]
    max_goals_per_product: usize,
    /// Goals per split at most
    #[arg(long)]
    max_goals_per_split: Option<usize>,
}

/// Runs the command.
pub fn run(arguments: &PrepareDataArguments) -> anyhow::Result<()> {
    match &arguments.what {
        None => embedded(),
        Some(What::Webshop(arguments)) => webshop(arguments),
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
    say(&format!("  search index built over {} products", shop.catalog().products().len()));
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
    say("    Then: cargo run --release -p eef-cli -- iterate --config configs/webshop-1000.toml");
    say("  Real models need no preparing: a Hugging Face directory (config.json, safetensors,");
    say("    tokenizer.json) is used as it is, see `model` in configs/.");
    Ok(())
}

fn webshop(arguments: &WebshopArguments) -> anyhow::Result<()> {
    let mut request = PrepareRequest::new(&arguments.items, &arguments.instructions);
    request.name = environment_name(&arguments.out)?;
    request.human_goals.clone_from(&arguments.human_goals);
    request.prices.clone_from(&arguments.prices);
    request.nouns.clone_from(&arguments.nouns);
    request.notice = arguments.notice.clone().or_else(|| licence_beside(&arguments.items));
    request.seed = arguments.seed;
    request.max_goals_per_product = arguments.max_goals_per_product;
    if let Some(n_goals) = arguments.max_goals_per_split {
        request.max_goals_per_split = n_goals;
    }
    let (data, report) = PreparedData::prepare(&request)?;
    for split in Split::ALL {
        if report.n_goals.get(&split).copied().unwrap_or(0) == 0 {
            bail!(
                "no {split} task is left: the products have too few instructions; check that \
                 {} belongs to {}",
                arguments.instructions.display(),
                arguments.items.display(),
            );
        }
    }
    let changed = data.write(&arguments.out)?;
    say_report(&report);
    let done = if changed { "written" } else { "was up to date" };
    say(&format!("{} {done}", arguments.out.display()));
    Ok(())
}

fn say_report(report: &PrepareReport) {
    let load = &report.load;
    say(&format!("{} products of {} records", report.n_products, load.n_records));
    if load.n_repeated > 0 {
        say(&format!("  {} left out: their asin came before", load.n_repeated));
    }
    if load.n_bad_asin > 0 {
        say(&format!("  {} left out: their asin is no product number", load.n_bad_asin));
    }
    if !load.bad_prices.is_empty() {
        say(&format!("  {} left out: no price can be read", load.bad_prices.len()));
    }
    say(&format!(
        "{} goals that people wrote, {} synthetic ones",
        report.n_human_goals, report.n_synthetic_goals
    ));
    for (split, n_goals) in &report.n_goals {
        say(&format!("  {n_goals} {split} tasks"));
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

#[expect(clippy::print_stdout, reason = "a command's output")]
fn say(line: &str) {
    println!("{line}");
}
