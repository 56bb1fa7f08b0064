//! `cargo xtask bench webshop`.

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use eef_core::{Env, Rng, Seed, Split, TaskId};
use eef_webshop::{RandomWalk, Variant, WebShop};

use crate::process;

#[derive(Args)]
pub struct WebshopArguments {
    /// How many products to make up; all of WebShop's are 1180000, and take some minutes
    #[arg(long, default_value_t = 1_180_000)]
    products: u64,
    /// Folder that keeps the made up catalogue; what is there already is made again
    #[arg(long, default_value = "target/bench/webshop")]
    out: PathBuf,
    /// Prepared folder of a shop to walk in, such as data/webshop-1000; without it the embedded one
    #[arg(long)]
    data: Option<PathBuf>,
    /// Leave the made up catalogue out
    #[arg(long)]
    small: bool,
}

/// Steps a second of the original's text mode on 1,000 products, one core (princeton-nlp/WebShop,
/// measured with Python 3.8 and Lucene 8, CPU time): the higher end.
const ORIGINAL_STEPS: f64 = 49.0;
/// The number of products that it was measured on.
const ORIGINAL_PRODUCTS: usize = 1000;
/// How long each row of steps is measured.
const MEASURED: Duration = Duration::from_secs(3);
/// Queries of each kind.
const N_QUERIES: usize = 2_000;

/// Runs the command.
pub fn run(arguments: &WebshopArguments) -> anyhow::Result<()> {
    let mut table = Table::new();
    small(arguments.data.as_deref(), &mut table)?;
    if !arguments.small {
        large(arguments, &mut table)?;
    }
    table.print();
    Ok(())
}

/// Random visits.
fn small(data: Option<&Path>, table: &mut Table) -> anyhow::Result<()> {
    let (shop, what) = small_shop(data)?;
    for variant in [Variant::AgentLite, Variant::AgentBoard] {
        let shop = Arc::new(shop.clone().with_variant(variant));
        let name = format!("{variant:?} on {what}");
        let visits = visits(&shop, variant)?;
        let mut shopper = shop.shopper();
        let (mut n_steps, mut n_visits) = (0_usize, 0_usize);
        let start = Instant::now();
        while start.elapsed() < MEASURED {
            for (task, said) in &visits {
                shopper.reset(task)?;
                for reply in said {
                    black_box(shopper.step(reply)?);
                }
                n_steps += said.len();
                n_visits += 1;
            }
        }
        let seconds = start.elapsed().as_secs_f64();
        let per_second = n_steps as f64 / seconds;
        table.row(
            &format!("{name}: steps of random visits, resets included"),
            format!("{per_second:.0} /s"),
            if variant == Variant::AgentLite && shop.catalog().len() == ORIGINAL_PRODUCTS {
                format!("{:.0} times the original's {ORIGINAL_STEPS}", per_second / ORIGINAL_STEPS)
            } else {
                String::new()
            },
        );
        table.row(
            &format!("{name}: steps in one visit"),
            format!("{:.1}", n_steps as f64 / n_visits as f64),
            String::new(),
        );
    }
    let mut latencies = Vec::new();
    for goal in shop.goals(Split::Train) {
        let start = Instant::now();
        black_box(shop.index().search(asked(&goal.instruction_text)));
        latencies.push(start.elapsed());
    }
    table.latencies(&format!("search of whole instructions on {what}"), &mut latencies, "");
    Ok(())
}

/// The shop to walk in.
fn small_shop(data: Option<&Path>) -> anyhow::Result<(WebShop, String)> {
    let shop = match data {
        Some(folder) => WebShop::open(folder)?,
        None => WebShop::open(&process::workspace_root()?.join("fixtures/webshop"))?,
    };
    let kind = if data.is_some() { "prepared" } else { "embedded" };
    let what = format!("{} {kind} products", shop.catalog().len());
    Ok((shop.as_ref().clone(), what))
}

/// What random visitors say.
fn visits(shop: &Arc<WebShop>, variant: Variant) -> anyhow::Result<Vec<(TaskId, Vec<String>)>> {
    // The walk speaks AgentLite; the same buttons are pressed in another program's words.
    let lite = Arc::new(shop.as_ref().clone().with_variant(Variant::AgentLite));
    let mut shopper = lite.shopper();
    let mut visits = Vec::new();
    for i in 0..shop.goals(Split::Train).len().min(500) as u32 {
        let task = TaskId::new(shop.name(), Split::Train, i);
        let mut said = RandomWalk::visit(&mut shopper, &task, Seed::new(i.into()), 20)?;
        if variant == Variant::AgentBoard {
            for reply in &mut said {
                *reply = board_action(reply);
            }
        }
        visits.push((task, said));
    }
    Ok(visits)
}

fn board_action(reply: &str) -> String {
    use eef_webshop::AgentAction::{Click, Search};
    match eef_webshop::AgentAction::parse(reply) {
        Search { product } => format!("search[{product}]"),
        Click { button } => format!("click[{button}]"),
        _ => reply.to_owned(),
    }
}

/// A made up catalogue: building, opening, searching.
fn large(arguments: &WebshopArguments, table: &mut Table) -> anyhow::Result<()> {
    let out = process::workspace_root()?.join(&arguments.out);
    let n_products = arguments.products;
    tell(&format!("making up and indexing {n_products} products in {}", out.display()));
    let start = Instant::now();
    let peak = build(&out, n_products)?;
    let what = format!("{n_products} made up products");
    let size = |name: &str| std::fs::metadata(out.join(name)).map_or(0, |data| data.len());
    let files = format!(
        "products.bin {} MB, search.bin {} MB",
        size("products.bin") / 1_000_000,
        size("search.bin") / 1_000_000
    );
    let seconds = start.elapsed().as_secs_f64();
    table.row(&format!("{what}: making and indexing"), format!("{seconds:.0} s"), files);
    table.memory(&format!("{what}: most memory while indexing"), peak);

    let before = resident();
    let start = Instant::now();
    let shop = WebShop::open(&out)?;
    let opened = start.elapsed().as_secs_f64();
    let note = "files in the system's cache, goals included".to_owned();
    table.row(&format!("{what}: open"), format!("{opened:.3} s"), note);

    let mut rng = Seed::new(1).rng();
    let mut all = Vec::new();
    for (kind, query) in KINDS {
        let mut latencies = Vec::new();
        for _ in 0..N_QUERIES {
            let query = query(&shop, &mut rng);
            let start = Instant::now();
            black_box(shop.index().search(&query));
            latencies.push(start.elapsed());
        }
        all.extend_from_slice(&latencies);
        table.latencies(&format!("{what}: search, {kind}"), &mut latencies, "");
    }
    table.latencies(&format!("{what}: search, all of these"), &mut all, "");

    let visits = visits(&shop, Variant::AgentLite)?;
    let mut shopper = shop.shopper();
    let (mut n_steps, start) = (0_u32, Instant::now());
    for (task, said) in &visits {
        shopper.reset(task)?;
        for reply in said {
            black_box(shopper.step(reply)?);
            n_steps += 1;
        }
    }
    let per_second = f64::from(n_steps) / start.elapsed().as_secs_f64();
    table.row(
        &format!("{what}: steps of random visits (AgentLite)"),
        format!("{per_second:.0} /s"),
        String::new(),
    );
    let after = resident().zip(before).map(|(after, before)| after.saturating_sub(before));
    table.memory(&format!("{what}: resident after all this, mapped pages included"), after);
    Ok(())
}

/// Makes a query.
type Query = fn(&WebShop, &mut Rng) -> String;

const KINDS: [(&str, Query); 4] = [
    ("whole instructions", |shop, rng| {
        let goals = shop.goals(Split::Test);
        rng.choose(goals).map_or_else(String::new, |goal| asked(&goal.instruction_text).to_owned())
    }),
    ("five words of a title", |shop, rng| {
        let title = shop.catalog().listing(rng.below(shop.catalog().len())).title;
        let mut words: Vec<&str> = title.split(' ').collect();
        rng.shuffle(&mut words);
        words.truncate(5);
        words.join(" ")
    }),
    ("kind, colour and size", |shop, rng| {
        let product = shop.catalog().product(rng.below(shop.catalog().len()));
        let colour = rng.choose(&["red", "black", "white", "blue"]).copied().unwrap_or_default();
        format!("{} {colour} medium", product.query)
    }),
    ("four of the most frequent words", |_, rng| {
        let mut words =
            ["your", "you", "use", "design", "high", "from", "make", "include", "color", "size"];
        rng.shuffle(&mut words);
        words[..4].join(" ")
    }),
];

/// An instruction without its price limit.
fn asked(instruction: &str) -> &str {
    instruction.split(", and price lower than").next().unwrap_or_default()
}

/// Prepares in a process of its own; gives the most memory that it had.
fn build(out: &Path, n_products: u64) -> anyhow::Result<Option<u64>> {
    let program = std::env::current_exe().context("this program has no path")?;
    let mut child = Command::new(program)
        .args(["prepare-data", "webshop", "--synthetic", &n_products.to_string(), "--out"])
        .arg(out)
        .stdout(Stdio::null())
        .spawn()
        .context("cannot start the preparation")?;
    let mut peak = None;
    loop {
        // Read until it ends: then there is nothing left to read.
        peak = status(&child.id().to_string(), "VmHWM:").or(peak);
        if let Some(status) = child.try_wait().context("cannot wait for the preparation")? {
            ensure!(status.success(), "the preparation failed ({status})");
            return Ok(peak);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn resident() -> Option<u64> {
    status("self", "VmRSS:")
}

/// A number of bytes that Linux tells of a process; other systems are not asked.
fn status(process: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024)
}

/// Rows of what, how much, and a remark.
struct Table {
    rows: Vec<[String; 3]>,
}

impl Table {
    fn new() -> Self {
        Self { rows: Vec::new() }
    }

    fn row(&mut self, what: &str, value: String, remark: String) {
        tell(&format!("{what}: {value}"));
        self.rows.push([what.to_owned(), value, remark]);
    }

    fn latencies(&mut self, what: &str, latencies: &mut [Duration], remark: &str) {
        latencies.sort_unstable();
        let at = |share: f64| {
            let place = (latencies.len() as f64 * share) as usize;
            let latency = latencies.get(place.min(latencies.len().saturating_sub(1)));
            latency.map_or(0.0, |latency| latency.as_secs_f64() * 1e3)
        };
        let value = format!("p50 {:.3} ms, p99 {:.3} ms", at(0.5), at(0.99));
        self.row(what, value, remark.to_owned());
    }

    fn memory(&mut self, what: &str, bytes: Option<u64>) {
        let value = bytes.map_or("not told by this system".to_owned(), |bytes| {
            format!("{:.2} GiB", bytes as f64 / f64::from(1 << 30))
        });
        self.row(what, value, String::new());
    }

    #[expect(clippy::print_stdout, reason = "a command's output")]
    fn print(&self) {
        println!("| what | measured | |\n|---|---|---|");
        for [what, value, remark] in &self.rows {
            println!("| {what} | {value} | {remark} |");
        }
    }
}

#[expect(clippy::print_stderr, reason = "progress is for people")]
fn tell(line: &str) {
    eprintln!("{line}");
}
