//! From the original's files to a directory that opens, in whatever state the files are.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};

use eef_core::{Env, Split, TaskId};
use eef_webshop::{
    PrepareReport, PrepareRequest, PreparedData, ProductSource, RandomWalk, Reason, SplitRule,
    WebShop, WebShopError, prepare,
};
use serde_json::{Value, json};
use tempfile::{TempDir, tempdir};

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sample").join(name)
}

fn request() -> PrepareRequest {
    PrepareRequest {
        human_goals: Some(sample("human_goals.json")),
        max_goals_per_product: 2,
        ..PrepareRequest::new(sample("items.json"), sample("instructions.json"))
    }
}

fn run(request: &PrepareRequest, directory: &Path) -> Result<PrepareReport, WebShopError> {
    prepare(request, directory, &mut |_| {})
}

/// Every file of a directory with its bytes.
fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    files.sort();
    files
}

#[test]
fn prepared_data_is_the_same_each_time_and_opens() {
    let folder = tempdir().unwrap();
    let report = run(&request(), folder.path()).unwrap();
    assert_eq!((report.load.n_products, report.n_human_goals), (10, 2));
    assert!(report.changed);
    let before = contents(folder.path());
    let again = run(&request(), folder.path()).unwrap();
    assert_eq!(PrepareReport { changed: true, ..again }, report);
    assert!(!again.changed, "a second run changed something");
    assert_eq!(contents(folder.path()), before);
    let elsewhere = tempdir().unwrap();
    run(&request(), elsewhere.path()).unwrap();
    let bytes =
        |files: Vec<(PathBuf, Vec<u8>)>| files.into_iter().map(|(_, b)| b).collect::<Vec<_>>();
    assert_eq!(bytes(contents(elsewhere.path())), bytes(before));

    let shop = WebShop::open(folder.path()).unwrap();
    let n_tasks: usize = Split::ALL.into_iter().map(|split| shop.goals(split).len()).sum();
    assert_eq!(n_tasks, report.n_human_goals + report.n_synthetic_goals);
    assert!(Split::ALL.into_iter().all(|split| !shop.goals(split).is_empty()));
}

/// The text form of the same products, prices and goals.
fn as_text(shop: &WebShop) -> PreparedData {
    let read = |name: &str| fs::read_to_string(sample(name)).unwrap();
    let goals = |split| shop.goals(split).iter().map(move |goal| (split, goal.clone()));
    PreparedData::new(eef_webshop::Parts {
        name: shop.name().to_owned(),
        seed: 1,
        items: serde_json::from_str(&read("items.json")).unwrap(),
        annotations: serde_json::from_str(&read("instructions.json")).unwrap(),
        prices: shop.catalog().prices(),
        goals: Split::ALL.into_iter().flat_map(goals).collect(),
        ..eef_webshop::Parts::default()
    })
    .unwrap()
}

#[test]
fn a_mapped_shop_and_one_in_memory_are_the_same() {
    let folder = tempdir().unwrap();
    run(&request(), folder.path()).unwrap();
    let mapped = WebShop::open(folder.path()).unwrap();
    let data = as_text(&mapped);
    let texts = tempdir().unwrap();
    assert!(data.write(texts.path()).unwrap());
    assert!(!data.write(texts.path()).unwrap(), "a second writing changed something");
    assert_eq!(PreparedData::read(texts.path()).unwrap(), data);
    let in_memory = WebShop::open(texts.path()).unwrap();
    assert_eq!(mapped.catalog(), in_memory.catalog());
    let mut n_steps = 0;
    for split in Split::ALL {
        assert_eq!(mapped.goals(split), in_memory.goals(split));
        for index in 0..mapped.goals(split).len() as u32 {
            let task = TaskId::new(mapped.name(), split, index);
            let (mut one, mut other) = (mapped.shopper(), in_memory.shopper());
            let opening = one.reset(&task).unwrap();
            assert_eq!(other.reset(&task).unwrap(), opening);
            let mut walk = RandomWalk::new(&opening.instruction, eef_core::Seed::new(index.into()));
            let mut observation = opening.observation;
            for _ in 0..20 {
                let reply = walk.reply(observation.as_str());
                let seen = one.step(&reply).unwrap();
                assert_eq!(other.step(&reply).unwrap(), seen);
                n_steps += 1;
                if seen.terminated {
                    break;
                }
                observation = seen.observation;
            }
        }
    }
    assert!(n_steps > 50, "{n_steps}");
    // Writing the other form over one leaves nothing of it.
    assert!(data.write(folder.path()).unwrap());
    assert_eq!(contents(folder.path()).len(), contents(texts.path()).len());
    assert_eq!(WebShop::open(folder.path()).unwrap().catalog(), mapped.catalog());
}

#[test]
fn what_is_wrong_with_a_prepared_file_is_said_with_its_name() {
    for name in ["goals.jsonl", "products.bin", "search.bin", "manifest.json"] {
        let folder = tempdir().unwrap();
        run(&request(), folder.path()).unwrap();
        let path = folder.path().join(name);
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let message = WebShop::open(folder.path()).unwrap_err().to_string();
        assert!(message.contains(name), "{message}");
        fs::remove_file(&path).unwrap();
        let message = WebShop::open(folder.path()).unwrap_err().to_string();
        let is_manifest = name == "manifest.json";
        assert!(is_manifest || message.starts_with("cannot read "), "{message}");
        assert!(message.contains(name), "{message}");
        // Preparing again mends it.
        assert!(run(&request(), folder.path()).unwrap().changed);
        WebShop::open(folder.path()).unwrap();
    }
}

#[test]
fn what_was_there_is_left_alone_where_preparing_fails_or_is_refused() {
    let folder = tempdir().unwrap();
    let out = folder.path().join("out");
    run(&request(), &out).unwrap();
    let before = contents(&out);
    // Another seed, so that every file would change, and a goals' order that lacks the goals.
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        Some(path)
    };
    let test = agentboard_goal("B0MUG00004", "a mug");
    let failing = PrepareRequest {
        seed: 7,
        split: SplitRule::Paper { every_fourth: false },
        agentboard_goals: file("test.jsonl", &test),
        goal_order: file("order.json", "[]"),
        ..request()
    };
    run(&failing, &out).unwrap_err();
    assert_eq!(contents(&out), before);
    let unknown = file("none.jsonl", &agentboard_goal("B0NONE", "x"));
    let message = run(&PrepareRequest { agentboard_goals: unknown, ..request() }, &out)
        .unwrap_err()
        .to_string();
    assert!(message.contains("none.jsonl") && message.contains("none of its 1 goals"), "{message}");
    assert_eq!(contents(&out), before);
    WebShop::open(&out).unwrap();
    let new = folder.path().join("new");
    run(&failing, &new).unwrap_err();
    assert!(!new.exists(), "a folder is left behind");

    // A folder with other files, and one that is read from.
    let own = folder.path().join("own");
    fs::create_dir(&own).unwrap();
    for name in ["items.json", "instructions.json"] {
        fs::copy(sample(name), own.join(name)).unwrap();
    }
    let before = contents(&own);
    let message = run(&request(), &own).unwrap_err().to_string();
    assert!(message.contains("no manifest of prepared data"), "{message}");
    let reading = PrepareRequest::new(own.join("items.json"), own.join("instructions.json"));
    let message = run(&reading, &own).unwrap_err().to_string();
    assert!(message.contains("lies there, which is to be read"), "{message}");
    assert_eq!(contents(&own), before);
}

/// Prepares these records.
fn prepare_items(text: &str) -> (TempDir, Result<PrepareReport, WebShopError>) {
    let folder = tempdir().unwrap();
    let items = folder.path().join("raw.json");
    fs::write(&items, text).unwrap();
    let products = ProductSource::Files { items, instructions: sample("instructions.json") };
    let result = run(&PrepareRequest { products, ..request() }, &folder.path().join("out"));
    (folder, result)
}

#[test]
fn records_that_are_no_products_are_left_out_and_counted() {
    let records = json!([
        { "asin": "B1", "name": "Mug", "pricing": null, "full_description": null,
          "customization_options": "", "small_description": null, "category": null,
          "images": null, "query": null, "product_category": null },
        { "asin": "B2", "name": 7 },
        { "asin": "B3", "name": "" },
        { "asin": "B3", "name": "Mug again" },
        { "asin": "B4" },
        { "asin": null, "name": "Mug" },
        { "asin": "nan", "name": "Mug" },
        { "asin": "B0123456789", "name": "Mug" },
        { "asin": "B5", "name": "Mug", "pricing": "ask us" },
        { "asin": "B6", "name": "Mug", "customization_options": { "size": [{ "value": null }] } },
        { "asin": "B7", "name": "Mug", "customization_options": ["red"] },
        { "asin": "B8", "name": null, "pricing": "$3.00", "customization_options": { "size": null } },
        "a text", 7, null, [],
    ]);
    let (folder, report) = prepare_items(&records.to_string());
    let report = report.unwrap();
    assert_eq!((report.load.n_records, report.load.n_products), (16, 4));
    let n_skipped = |reason| report.load.n_skipped(reason);
    assert_eq!(n_skipped(Reason::NoProduct), 8);
    assert_eq!(n_skipped(Reason::RepeatedAsin), 1);
    assert_eq!(n_skipped(Reason::BadAsin), 2);
    assert_eq!(n_skipped(Reason::BadPrice), 1);
    let examples = &report.load.skipped[&Reason::NoProduct].examples;
    assert!(
        examples[0].starts_with("record 2: ") && examples[0].contains("string"),
        "{examples:?}"
    );
    assert!(examples[1].contains("missing field `name`"), "{examples:?}");

    // Nulls and empty texts are fine, to look at and to search.
    let shop = WebShop::open(&folder.path().join("out")).unwrap();
    let kept: Vec<_> = shop.catalog().products().map(|p| (p.asin, p.title, p.price)).collect();
    assert_eq!(
        kept,
        [("B1", "Mug", 100.0), ("B3", "", 100.0), ("B6", "Mug", 100.0), ("B8", "", 3.0)]
    );
    assert_eq!(shop.index().search("mug").len(), 2);
}

#[test]
fn a_file_that_breaks_off_is_refused_with_the_record() {
    let (_folder, result) = prepare_items(r#"[{"asin":"B1","name":"Mug"},{"asin":"B2","na"#);
    let message = result.unwrap_err().to_string();
    assert!(message.contains("raw.json: record 2: no JSON (EOF"), "{message}");
    assert!(message.contains("line 1 column"), "{message}");
    let (_folder, result) = prepare_items(
        "[{\"asin\":\"B1\",\"name\":\"Mug\"},\n{\"asin\":\"B2\",,},\n{\"asin\":\"B3\"}]",
    );
    let message = result.unwrap_err().to_string();
    assert!(message.contains("raw.json: record 2: no JSON ("), "{message}");
    assert!(message.contains("line 2"), "{message}");
    for (text, expected) in [
        ("{\"B1\": {}}", "raw.json: expected a list of products: "),
        ("", "raw.json: expected a list of products: "),
        ("[]", "raw.json: expected a list of products: the list is empty"),
        (r#"[{"name":"no asin"}]"#, "the catalogue is empty: 1 records"),
        (r#"[{"asin":"B1","name":"Mug"}] and more"#, "raw.json: record 2: no JSON ("),
    ] {
        let (folder, result) = prepare_items(text);
        let message = result.unwrap_err().to_string();
        assert!(message.contains(expected), "{text}: {message}");
        // Nothing half-written is left behind.
        let out = folder.path().join("out");
        assert!(!out.exists() || contents(&out).is_empty(), "{text}");
    }
    let bytes = [b"[{\"asin\":\"B1\",\"name\":\"".as_slice(), &[0xff, 0xfe], b"\"}]"].concat();
    let folder = tempdir().unwrap();
    let items = folder.path().join("raw.json");
    fs::write(&items, bytes).unwrap();
    let products = ProductSource::Files { items, instructions: sample("instructions.json") };
    let result = run(&PrepareRequest { products, ..request() }, &folder.path().join("out"));
    assert!(result.unwrap_err().to_string().contains("raw.json: record 1: "));
}

#[test]
fn the_other_files_are_refused_with_the_record() {
    let folder = tempdir().unwrap();
    let file = |text: &str| {
        let path = folder.path().join("other.json");
        fs::write(&path, text).unwrap();
        path
    };
    let out = folder.path().join("out");
    let message = |request: PrepareRequest| run(&request, &out).unwrap_err().to_string();
    let found = message(PrepareRequest { prices: Some(file(r#"{"B1": "free"}"#)), ..request() });
    assert!(found.contains("other.json: record B1: "), "{found}");
    let priced = file(r#"{"product_prices": {"B0MUG00004": 12.5}}"#);
    run(&PrepareRequest { prices: Some(priced), ..request() }, &folder.path().join("priced"))
        .unwrap();
    let shop = WebShop::open(&folder.path().join("priced")).unwrap();
    assert_eq!(shop.catalog().get("B0MUG00004").unwrap().price, 12.5);
    let found = message(PrepareRequest { nouns: Some(file(r#"{"B1": ["mug", 7]}"#)), ..request() });
    assert!(found.contains("other.json: record B1: "), "{found}");
    let found = message(PrepareRequest { human_goals: Some(file("[]")), ..request() });
    assert!(found.contains("other.json: expected records by asin"), "{found}");
    let lines = "{\"goal\": \"a mug\"}\n";
    let found = message(PrepareRequest { agentboard_goals: Some(file(lines)), ..request() });
    assert!(found.contains("other.json: record 1: missing field `additional_info`"), "{found}");
}

/// A goal in AgentBoard's layout.
fn agentboard_goal(asin: &str, text: &str) -> String {
    let info = json!({
        "product_id": asin, "category": "garden", "query": "mugs", "product_name": "Mug",
        "product_category": "Dining", "attributes": ["handmade"], "price_upper": 50.0,
        "product_options": [], "weight": 1,
    });
    json!({ "id": 0, "goal": text, "additional_info": info }).to_string()
}

#[test]
fn agentboards_goals_are_the_test_and_share_nothing_with_the_rest() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("test.jsonl");
    let lines = [agentboard_goal("B0MUG00004", "a mug of mine"), agentboard_goal("B0NONE", "x")];
    fs::write(&path, lines.join("\n")).unwrap();
    let out = folder.path().join("out");
    let all = run(&request(), &out).unwrap();
    let request = PrepareRequest { agentboard_goals: Some(path), ..request() };
    let report = run(&request, &out).unwrap();
    assert_eq!((report.n_agentboard_goals, report.n_without_product), (1, 1));
    assert!(report.n_shared > 0 && report.n_leaks == 0);
    let shop = WebShop::open(&out).unwrap();
    assert_eq!(shop.goals(Split::Test).len(), 1);
    assert_eq!(shop.goals(Split::Test)[0].instruction_text, "a mug of mine");
    let others = [Split::Train, Split::Validation].into_iter().flat_map(|split| shop.goals(split));
    let n_others = others.filter(|goal| goal.asin != "B0MUG00004").count();
    assert_eq!(n_others, all.n_human_goals + all.n_synthetic_goals - report.n_shared);
}

#[test]
fn the_papers_splits_go_by_its_ids_and_name_their_leak() {
    let folder = tempdir().unwrap();
    let write = |name: &str, text: String| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        Some(path)
    };
    let human: Value =
        serde_json::from_str(&fs::read_to_string(sample("human_goals.json")).unwrap()).unwrap();
    let texts: Vec<&str> = human
        .as_object()
        .unwrap()
        .values()
        .flat_map(|list| list.as_array().unwrap())
        .filter(|goal| !goal["instruction_attributes"].as_array().unwrap().is_empty())
        .map(|goal| goal["instruction"].as_str().unwrap())
        .collect();
    assert_eq!(texts.len(), 2);
    // The first has a training id, the second one for validation.
    let mut order = vec!["something else".to_owned(); 3000];
    order[7] = texts[0].replace('\'', "");
    order[2251] = texts[1].replace('\'', "");
    let out = folder.path().join("out");
    let paper = |every_fourth| SplitRule::Paper { every_fourth };
    let leaking =
        agentboard_goal("B0MUG00004", &format!("{}, and price lower than 9.00 dollars", texts[0]));
    let request = PrepareRequest {
        split: paper(false),
        agentboard_goals: write("test.jsonl", leaking),
        goal_order: write("human_goals.json", serde_json::to_string(&order).unwrap()),
        ..request()
    };
    let report = run(&request, &out).unwrap();
    assert_eq!(Split::ALL.map(|split| report.n_goals[&split]), [1, 1, 1]);
    assert_eq!(report.n_leaks, 1);
    let manifest = fs::read_to_string(out.join("manifest.json")).unwrap();
    assert!(manifest.contains(r#""leaked_test_goals": "1""#), "{manifest}");
    let fewer = PrepareRequest { split: paper(true), ..request.clone() };
    assert_eq!(run(&fewer, &out).unwrap().n_goals[&Split::Train], 0, "7 is no fourth id");

    let message = |request: PrepareRequest| run(&request, &out).unwrap_err().to_string();
    let found = message(PrepareRequest { goal_order: None, ..request.clone() });
    assert!(found.contains("number the 12087 human goals") && found.contains("give 2"), "{found}");
    let found = message(PrepareRequest { agentboard_goals: None, ..request.clone() });
    assert!(found.contains("AgentBoard's test.jsonl"), "{found}");
    let goal_order = write("human_goals.json", "[\"something else\"]".to_owned());
    let found = message(PrepareRequest { goal_order, ..request });
    assert!(found.contains("does not have the instruction"), "{found}");
}

#[test]
fn a_made_up_catalogue_of_any_size_opens() {
    let folder = tempdir().unwrap();
    let report = run(&PrepareRequest::synthetic(3000), folder.path()).unwrap();
    assert_eq!((report.load.n_products, report.load.n_records), (3000, 3000));
    let shop = WebShop::open(folder.path()).unwrap();
    for goal in shop.goals(Split::Test) {
        let hits = shop.index().search(&goal.name);
        assert_eq!(shop.catalog().listing(hits[0].product as usize).asin, goal.asin);
    }
    assert!(!shop.goals(Split::Test).is_empty());
}

#[test]
fn two_do_not_prepare_one_folder_at_a_time() {
    let folder = tempdir().unwrap();
    let mut refused = Vec::new();
    prepare(&request(), folder.path(), &mut |_| {
        refused.push(run(&request(), folder.path()).unwrap_err().to_string());
    })
    .unwrap();
    assert!(!refused.is_empty());
    for message in refused {
        assert!(message.contains("is being prepared by another process"), "{message}");
    }
    // The first went on undisturbed, and leaves no lock.
    WebShop::open(folder.path()).unwrap();
    assert!(!folder.path().join("prepare.lock").exists());
    assert!(!run(&request(), folder.path()).unwrap().changed);
}

#[test]
fn a_folder_without_a_manifest_is_called_unprepared() {
    let folder = tempdir().unwrap();
    let error = |path: &Path| WebShop::open(path).unwrap_err().to_string();
    assert!(error(folder.path()).contains("it was never prepared or preparing was interrupted"));
    assert!(error(&folder.path().join("missing")).starts_with("cannot read"));
}

#[test]
fn every_byte_can_be_checked() {
    let folder = tempdir().unwrap();
    run(&request(), folder.path()).unwrap();
    let check = || {
        let mut names = Vec::new();
        WebShop::check_files(folder.path(), &mut |name| names.push(name.to_owned()))
            .map(|()| names.len())
    };
    assert_eq!(check().unwrap(), 5);
    let digest = WebShop::digest(folder.path()).unwrap();

    // As if the catalogue were too large to be hashed at every opening.
    let (manifest, products) =
        (folder.path().join("manifest.json"), folder.path().join("products.bin"));
    let mut record: Value = serde_json::from_slice(&fs::read(&manifest).unwrap()).unwrap();
    let mut bytes = fs::read(&products).unwrap();
    record["lengths"] = json!({ "products.bin": bytes.len() });
    fs::write(&manifest, serde_json::to_vec(&record).unwrap()).unwrap();
    assert_ne!(WebShop::digest(folder.path()).unwrap(), digest);
    let title = bytes.windows(3).position(|letters| letters == b"mug").unwrap();
    bytes[title] = b'r';
    fs::write(&products, &bytes).unwrap();
    WebShop::open(folder.path()).unwrap();
    let message = check().unwrap_err().to_string();
    assert!(message.contains("products.bin has changed since it was prepared"), "{message}");
    bytes.push(0);
    fs::write(&products, &bytes).unwrap();
    let message = WebShop::open(folder.path()).unwrap_err().to_string();
    assert!(message.contains(&format!("expected {} bytes", bytes.len() - 1)), "{message}");
}

#[test]
fn what_finds_no_product_is_counted() {
    let folder = tempdir().unwrap();
    let file = |name: &str, value: Value| {
        let path = folder.path().join(name);
        fs::write(&path, value.to_string()).unwrap();
        Some(path)
    };
    let written = json!({
        "instruction": "a thing", "instruction_attributes": ["red"], "instruction_options": [],
    });
    let mut request = PrepareRequest {
        prices: file("prices.json", json!({ "B000000000": 3.5 })),
        nouns: file("nouns.json", json!({ "B000000000": ["mug"], "B000000001": [] })),
        human_goals: file("people.json", json!({ "B000000000": [written, written, written] })),
        ..request()
    };
    let out = folder.path().join("out");
    let report = run(&request, &out).unwrap();
    let counts = (report.n_unused_prices, report.n_unused_nouns, report.n_human_without_product);
    assert_eq!(counts, (1, 2, 3));
    assert_eq!(report.n_over_limit, 0);

    let SplitRule::LeakFree { max_goals_per_split, .. } = &mut request.split else { panic!() };
    *max_goals_per_split = 1;
    let report = run(&request, &out).unwrap();
    assert_eq!(report.n_goals.values().copied().collect::<Vec<_>>(), [1, 1, 1]);
    assert_eq!(report.n_over_limit, report.n_synthetic_goals - 3);
}
