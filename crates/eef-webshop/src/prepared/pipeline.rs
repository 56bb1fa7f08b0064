//! From the original's files to prepared data, a product at a time.

use std::collections::BTreeMap;
use std::path::Path;

use eef_core::{Seed, Split};

use super::files::{
    GOALS, MAPPED, NOTICE, PRICES, PRODUCTS, SEARCH, count, goal_bytes, map_bytes, named, read,
};
use super::input::{
    PrepareReport, PrepareRequest, ProductSource, SplitRule, prices_of, records_of_map,
};
use super::manifest::Manifest;
use super::price_seed;
use super::split::{self, Splits};
use super::stream::each_item;
use super::writing::Writing;
use crate::FORMAT_VERSION;
use crate::catalog::{Catalog, CatalogWriter, Cleaner, Extras};
use crate::error::WebShopError;
use crate::goal::{Asked, Goal, goals_of, human_goals, synthetic_goals_of};
use crate::raw::{Annotation, Annotations, HumanInstructions, NounTable, Prices, RawItem};
use crate::search::{IndexBuilder, indexed_text};
use crate::synthetic::BulkCatalog;

const NOTICE_FOR_FILES: &str = "# Notice\n\nThis folder holds data that was made from files of the \
    WebShop project (MIT licence), whose products were\ncollected from a public shop by its \
    authors. Keep their licence beside it and do not pass it on without.\n";
const NOTICE_FOR_SYNTHETIC: &str = "# Notice\n\nThese products and goals are made up, to measure \
    with: their texts make no sense.\n";

/// How far preparing has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrepareProgress {
    /// The files about the products are being read.
    Reading,
    /// So many records have been taken in.
    Records(usize),
    /// The search index is being written, over so many products.
    Indexing(usize),
    /// Goals are being made.
    Goals,
}

/// Prepares the original's files: cleans products, indexes them, pins prices and price limits,
/// builds goals and splits them. The same files and settings give the same bytes; what is there
/// already and the same is not touched.
///
/// Products are read one at a time; in memory are attributes, instructions and nouns while they
/// are read, and the search index while it is built.
///
/// # Errors
/// A file that is missing or no JSON, or a record that cannot be used, by file and record. Products
/// that cannot be used are left out and counted in the report.
pub fn prepare(
    request: &PrepareRequest,
    directory: &Path,
    progress: &mut dyn FnMut(PrepareProgress),
) -> Result<PrepareReport, WebShopError> {
    check_request(request, directory)?;
    let mut writing = Writing::new(directory, &MAPPED)?;
    progress(PrepareProgress::Reading);
    let mut inputs = Inputs::default();
    let annotations: Annotations = match &request.products {
        ProductSource::Files { instructions, .. } => {
            inputs.records("instructions", Some(instructions))?
        }
        ProductSource::Synthetic { .. } => Annotations::new(),
    };
    let tables = Tables {
        annotations,
        prices: match &request.prices {
            Some(path) => prices_of(path, &inputs.text("prices", path)?)?,
            None => Prices::new(),
        },
        nouns: inputs.records("nouns", request.nouns.as_deref())?,
    };
    let instructions: HumanInstructions =
        inputs.records("human goals", request.human_goals.as_deref())?;
    let agentboard = match &request.agentboard_goals {
        Some(path) => goals_of(path, &inputs.text("AgentBoard's goals", path)?)?,
        None => Vec::new(),
    };
    let notice = match (&request.notice, &request.products) {
        (Some(path), _) => inputs.text("notice", path)?,
        (None, ProductSource::Files { .. }) => NOTICE_FOR_FILES.to_owned(),
        (None, ProductSource::Synthetic { .. }) => NOTICE_FOR_SYNTHETIC.to_owned(),
    };

    let mut taking = Taking {
        cleaner: Cleaner::new(price_seed(request.seed)),
        index: IndexBuilder::new(),
        asked: Vec::new(),
        drawn: Prices::new(),
    };
    let products = writing.begin(PRODUCTS)?;
    let failed = products.failed();
    let mut catalog = CatalogWriter::new(products);
    let mut n_records = 0;
    let mut take = |record: Result<Record, String>| {
        if n_records % 10_000 == 0 {
            progress(PrepareProgress::Records(n_records));
        }
        n_records += 1;
        taking.take(record, &mut catalog).map_err(&failed)
    };
    match &request.products {
        ProductSource::Files { items, .. } => {
            let hash = each_item(items, &mut |item| take(item.map(|item| tables.record(item))))?;
            inputs.hashes.insert("items".to_owned(), hash);
        }
        ProductSource::Synthetic { n_products } => {
            let bulk = BulkCatalog::new(Seed::new(request.seed));
            for number in 0..*n_products {
                let record = bulk.record(number);
                take(Ok(Record {
                    price: tables.prices.get(&record.item.asin).copied(),
                    item: record.item,
                    annotation: Some(record.annotation),
                    nouns: Some(record.nouns),
                }))?;
            }
        }
    }
    let Taking { cleaner, index, asked, drawn } = taking;
    let mut report = PrepareReport { load: cleaner.into_report(), ..PrepareReport::default() };
    if let (0, ProductSource::Files { items, .. }) = (report.load.n_records, &request.products) {
        let (path, message) = (items.clone(), "the list is empty".to_owned());
        return Err(WebShopError::Syntax { path, expected: "a list of products", message });
    }
    if report.load.n_products == 0 {
        return Err(WebShopError::NoProducts { n_records: report.load.n_records });
    }
    let (products, places) = catalog.finish().map_err(&failed)?;
    let Tables { prices, nouns, annotations: _ } = tables;
    progress(PrepareProgress::Indexing(places.len()));
    let search = writing.begin(SEARCH)?;
    let failed = search.failed();
    let search = index.finish(&places, search).map_err(failed)?;
    let products = writing.end(products)?;
    writing.end(search)?;

    progress(PrepareProgress::Goals);
    let catalog = Catalog::open(&products)?;
    let is_missing = |asin: &&String| catalog.position(asin).is_none();
    report.n_unused_prices = prices.keys().filter(is_missing).count();
    report.n_unused_nouns = nouns.keys().filter(is_missing).count();
    let sources = GoalSources { instructions, asked, agentboard };
    let goals = sources.split(request, &catalog, &mut inputs, &mut report)?;
    report.n_goals = count(&goals);
    let bytes = |result: std::io::Result<Vec<u8>>, name: &str| {
        let path = directory.join(name);
        result.map_err(|source| WebShopError::Write { path, source })
    };
    writing.file(GOALS, &bytes(goal_bytes(&goals), GOALS)?)?;
    writing.file(PRICES, &bytes(map_bytes(&drawn), PRICES)?)?;
    writing.file(NOTICE, notice.as_bytes())?;
    report.changed = writing.finish(Manifest {
        format_version: FORMAT_VERSION,
        name: request.name.clone(),
        seed: request.seed,
        n_products: catalog.len(),
        n_goals: named(report.n_goals.clone()),
        settings: settings(request, &report),
        inputs: inputs.hashes,
        files: BTreeMap::new(),
        lengths: BTreeMap::new(),
    })?;
    Ok(report)
}

/// Finds what cannot work before anything is done.
fn check_request(request: &PrepareRequest, directory: &Path) -> Result<(), WebShopError> {
    if let SplitRule::Paper { .. } = &request.split {
        for (path, what) in [
            (&request.human_goals, "items_human_ins.json (--human-goals)"),
            (&request.agentboard_goals, "AgentBoard's test.jsonl (--agentboard-goals)"),
        ] {
            if path.is_none() {
                let message = format!(
                    "they are of goals that people wrote, and the test is AgentBoard's: {what} is \
                     missing"
                );
                return Err(WebShopError::PaperSplit { message });
            }
        }
    }
    let products = match &request.products {
        ProductSource::Files { items, instructions } => vec![items, instructions],
        ProductSource::Synthetic { .. } => Vec::new(),
    };
    let others = [
        &request.human_goals,
        &request.agentboard_goals,
        &request.goal_order,
        &request.prices,
        &request.nouns,
        &request.notice,
    ];
    let Ok(out) = directory.canonicalize() else { return Ok(()) };
    for input in products.into_iter().chain(others.into_iter().flatten()) {
        let folder = input.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned));
        if folder.as_deref() == Some(&out) {
            let source = std::io::Error::other(format!(
                "{} lies there, which is to be read: choose another folder",
                input.display()
            ));
            return Err(WebShopError::Write { path: directory.to_owned(), source });
        }
    }
    Ok(())
}

fn settings(request: &PrepareRequest, report: &PrepareReport) -> BTreeMap<String, String> {
    let mut settings = BTreeMap::from([
        ("split".to_owned(), request.split.name().to_owned()),
        ("max_goals_per_product".to_owned(), request.max_goals_per_product.to_string()),
    ]);
    if let SplitRule::LeakFree { validation_fraction, test_fraction, max_goals_per_split } =
        &request.split
    {
        settings.insert("validation_fraction".to_owned(), validation_fraction.to_string());
        settings.insert("test_fraction".to_owned(), test_fraction.to_string());
        settings.insert("max_goals_per_split".to_owned(), max_goals_per_split.to_string());
    } else {
        settings.insert("leaked_test_goals".to_owned(), report.n_leaks.to_string());
    }
    if let ProductSource::Synthetic { n_products } = &request.products {
        settings.insert("synthetic_products".to_owned(), n_products.to_string());
    }
    settings
}

/// Reads files and keeps their hashes.
#[derive(Default)]
struct Inputs {
    hashes: BTreeMap<String, String>,
}

impl Inputs {
    fn text(&mut self, role: &str, path: &Path) -> Result<String, WebShopError> {
        let text = read(path)?;
        self.hashes.insert(role.to_owned(), blake3::hash(text.as_bytes()).to_string());
        Ok(text)
    }

    fn records<T: serde::de::DeserializeOwned>(
        &mut self,
        role: &str,
        path: Option<&Path>,
    ) -> Result<BTreeMap<String, T>, WebShopError> {
        match path {
            Some(path) => records_of_map(path, &self.text(role, path)?),
            None => Ok(BTreeMap::new()),
        }
    }
}

/// What other files say about products.
struct Tables {
    annotations: Annotations,
    prices: Prices,
    nouns: NounTable,
}

impl Tables {
    fn record(&self, item: RawItem) -> Record {
        let asin = &item.asin;
        Record {
            annotation: self.annotations.get(asin).cloned(),
            nouns: self.nouns.get(asin).cloned(),
            price: self.prices.get(asin).copied(),
            item,
        }
    }
}

struct Record {
    item: RawItem,
    annotation: Option<Annotation>,
    nouns: Option<Vec<String>>,
    price: Option<f64>,
}

/// What products leave behind besides the catalogue.
struct Taking {
    cleaner: Cleaner,
    index: IndexBuilder,
    /// Instructions for synthetic goals.
    asked: Vec<Asked>,
    /// Prices inside ranges.
    drawn: Prices,
}

impl Taking {
    fn take<W: std::io::Write>(
        &mut self,
        record: Result<Record, String>,
        catalog: &mut CatalogWriter<W>,
    ) -> std::io::Result<()> {
        let record = match record {
            Ok(record) => record,
            Err(message) => {
                self.cleaner.skip_unreadable(message);
                return Ok(());
            }
        };
        let Record { item, annotation, nouns, price } = &record;
        let extras = Extras {
            attributes: annotation.as_ref().map(|annotation| annotation.attributes.as_slice()),
            nouns: nouns.as_deref(),
            price: *price,
        };
        let (index, asked, drawn) = (&mut self.index, &mut self.asked, &mut self.drawn);
        self.cleaner.clean(item, &extras, |product| {
            let place = catalog.len();
            catalog.push(product)?;
            index.push(&indexed_text(product));
            asked.extend(annotation.as_ref().and_then(|annotation| Asked::of(place, annotation)));
            if product.price_tag.contains(" to ") {
                drawn.insert(product.asin.to_owned(), product.price);
            }
            Ok(())
        })
    }
}

/// What goals are made of.
struct GoalSources {
    instructions: HumanInstructions,
    asked: Vec<Asked>,
    agentboard: Vec<Goal>,
}

impl GoalSources {
    fn split(
        mut self,
        request: &PrepareRequest,
        catalog: &Catalog,
        inputs: &mut Inputs,
        report: &mut PrepareReport,
    ) -> Result<Vec<(Split, Goal)>, WebShopError> {
        let seed = Seed::new(request.seed);
        let limits = seed.derive("price limits", 0);
        let human = human_goals(catalog, &self.instructions, limits);
        report.n_human_goals = human.len();
        let unknown = self.instructions.iter().filter(|(asin, _)| catalog.position(asin).is_none());
        report.n_human_without_product = unknown.map(|(_, written)| written.len()).sum();
        if let SplitRule::Paper { .. } = &request.split {
            self.agentboard.truncate(split::PAPER_TEST);
        }
        let n_before = self.agentboard.len();
        self.agentboard.retain(|goal| catalog.position(&goal.asin).is_some());
        report.n_agentboard_goals = self.agentboard.len();
        report.n_without_product = n_before - self.agentboard.len();
        for (number, goal) in self.agentboard.iter().enumerate() {
            goal.check(number, catalog)?;
        }
        if let Some(path) = request.agentboard_goals.as_ref().filter(|_| self.agentboard.is_empty())
        {
            return Err(WebShopError::Record {
                path: path.clone(),
                record: "1".to_owned(),
                message: format!("none of its {n_before} goals asks for a product of these files"),
            });
        }
        let goals = match &request.split {
            SplitRule::Paper { every_fourth } => {
                let order = match &request.goal_order {
                    Some(path) => Some(split::texts(path, &inputs.text("goal order", path)?)?),
                    None => None,
                };
                split::by_paper(human, order, self.agentboard, *every_fourth)?
            }
            SplitRule::LeakFree { validation_fraction, test_fraction, max_goals_per_split } => {
                // More than can be kept need not be made; which ones are is drawn. The smallest
                // split decides, and some more for what shares something with the test.
                let smallest = [
                    *validation_fraction,
                    *test_fraction,
                    1.0 - validation_fraction - test_fraction,
                ]
                .into_iter()
                .filter(|fraction| *fraction > 0.0)
                .fold(1.0, f64::min);
                let n_splits_full = (2.0 / smallest).ceil() as usize;
                let n_wanted = max_goals_per_split.saturating_mul(n_splits_full);
                let synthetic = synthetic_goals_of(
                    catalog,
                    &self.asked,
                    request.max_goals_per_product,
                    n_wanted,
                    limits,
                );
                report.n_synthetic_goals = synthetic.len();
                let goals: Vec<Goal> = human.into_iter().chain(synthetic).collect();
                let splits = Splits {
                    validation_fraction: *validation_fraction,
                    test_fraction: *test_fraction,
                    max_per_split: *max_goals_per_split,
                };
                let n_goals = goals.len() + self.agentboard.len();
                let (goals, n_shared) =
                    split::without_leaks(goals, self.agentboard, &splits, seed.derive("splits", 0));
                report.n_shared = n_shared;
                report.n_over_limit = n_goals - n_shared - goals.len();
                goals
            }
        };
        for (number, (_, goal)) in goals.iter().enumerate() {
            goal.check(number, catalog)?;
        }
        match &request.split {
            SplitRule::Paper { .. } => {
                report.n_leaks = split::n_leaks(goals.iter().map(|(split, goal)| (*split, goal)));
                report.n_missing_tests = split::PAPER_TEST - report.n_agentboard_goals;
            }
            SplitRule::LeakFree { .. } => split::check_disjoint(&goals)?,
        }
        Ok(goals)
    }
}
