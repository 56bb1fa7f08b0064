//! Recordings made of the sample shop: compared they are the same, and a changed value is found.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eef_core::{Env, Seed, Split, TaskId};
use eef_webshop::raw::{NounTable, Prices};
use eef_webshop::verify::{FILES, verify};
use eef_webshop::{
    Catalog, Fidelity, Goal, SearchIndex, TextMode, Variant, WebShop, WebShopError, analyze,
    normalize_color, reward, token_set_ratio,
};
use serde_json::{Value, json};

/// A folder of its own, emptied before.
fn folder(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("verify").join(name);
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).unwrap();
    path
}

fn sample(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("sample").join(name);
    fs::read_to_string(path).unwrap()
}

fn goal() -> Goal {
    WebShop::sample().unwrap().goals(Split::Test)[0].clone()
}

fn catalog() -> Catalog {
    let items: Vec<_> = serde_json::from_str(&sample("items.json")).unwrap();
    let annotations = serde_json::from_str(&sample("instructions.json")).unwrap();
    Catalog::new(&items, &annotations, &NounTable::new(), &Prices::new(), Seed::new(0)).0
}

fn shop(variant: Variant) -> Arc<WebShop> {
    let shop = WebShop::new("webshop", catalog(), [(Split::Test, goal())]);
    Arc::new(shop.unwrap().with_variant(variant).with_fidelity(Fidelity::Original))
}

/// The data that recordings are compared with.
fn write_data(name: &str) -> PathBuf {
    let data = folder(name);
    let write = |file: &str, text: String| fs::write(data.join(file), text).unwrap();
    write("items_shuffle_sample.json", sample("items.json"));
    write("items_ins_v2_sample.json", sample("instructions.json"));
    write("title_nouns.json", "{}".to_owned());
    write("agentboard_product_prices.json", json!({ "product_prices": {} }).to_string());
    write("original_product_prices.json", "{}".to_owned());
    let goal = goal();
    let info = json!({
        "product_id": goal.asin, "category": goal.category, "query": goal.query,
        "product_name": goal.name, "product_category": goal.product_category,
        "attributes": goal.attributes, "price_upper": goal.price_upper,
        "product_options": goal.goal_options, "weight": goal.weight,
    });
    let line = json!({ "goal": goal.instruction_text, "additional_info": info });
    write("agentboard_style_goals.jsonl", line.to_string());
    data
}

/// Recordings of the sample shop by file, one record each.
fn recordings() -> Vec<(&'static str, Vec<Value>)> {
    let (catalog, goal) = (catalog(), goal());
    let product = catalog.get("B0MUG00004").unwrap();
    let found = reward(&goal, &product, &["red"], product.price);
    let expected = json!({
        "reward": found.reward.get(), "r_type": found.type_factor,
        "title_score": found.title_score, "num_attr_matches": found.n_attributes,
        "num_option_matches": found.n_options,
    });
    let rewards = json!({
        "goal": goal, "purchased_asin": "B0MUG00004", "options": { "color": "red" },
        "price": product.price, "expected": expected,
    });
    let query = "old mill mug";
    let hits = SearchIndex::new(&catalog).search(query);
    let asins: Vec<_> = hits.iter().map(|hit| catalog.listing(hit.product as usize).asin).collect();
    let scores: Vec<_> = hits.iter().map(|hit| hit.score).collect();
    let search =
        json!({ "query": query, "analyzed": analyze(query), "asins": asins, "scores": scores });
    let ratio =
        json!({ "a": "red mug", "b": "mug", "token_set_ratio": token_set_ratio("red mug", "mug") });
    let color = json!({ "s": "dark blue", "normalized": normalize_color("dark blue") });
    vec![
        ("reward_cases.jsonl", vec![rewards]),
        ("search_cases.jsonl", vec![search]),
        ("fuzz_cases.jsonl", vec![ratio]),
        ("color_cases.jsonl", vec![color]),
        ("episodes.jsonl", vec![agent_board(), agent_lite()]),
        ("episodes_original_text.jsonl", vec![original()]),
    ]
}

fn agent_board() -> Value {
    let mut shopper = shop(Variant::AgentBoard).shopper();
    let opening = shopper.reset(&TaskId::new("webshop", Split::Test, 0)).unwrap();
    let mut steps = vec![json!({ "raw": null, "observation": opening.observation.as_str() })];
    for reply in ["search[old mill mug]", "click[B0MUG00004]", "click[red]", "click[Buy Now]"] {
        let step = shopper.step(reply).unwrap();
        steps.push(json!({
            "raw": reply, "observation": step.observation.as_str(), "reward": step.reward.get(),
            "done": step.terminated, "progress": shopper.progress_rate(),
        }));
    }
    let goal = opening.instruction;
    json!({ "variant": "agentboard", "goal_id": 0, "goal": goal, "steps": steps })
}

fn agent_lite() -> Value {
    let mut shopper = shop(Variant::AgentLite).shopper();
    let opening = shopper.reset(&TaskId::new("webshop", Split::Test, 0)).unwrap();
    let mut steps = Vec::new();
    for reply in [
        "search[{\"product\": \"old mill mug\"}]",
        "click[{\"button\": \"B0MUG00004\"}]",
        "click[{\"button\": \"Buy Now\"}]",
    ] {
        let step = shopper.step(reply).unwrap();
        steps.push(json!({
            "raw": reply, "observation": step.observation.as_str(),
            "reward_attr": step.reward.get(), "env_done": step.terminated,
        }));
    }
    // AgentLite goes on after the purchase.
    let back = "click[{\"button\": \"Back to Search\"}]";
    let refused = "WEB PAGE: {This is no [Back to Search] button}";
    steps.push(json!({ "raw": back, "observation": refused, "env_done": true }));
    json!({
        "variant": "agentlite", "goal_id": 0, "goal": opening.instruction,
        "reset_observation": opening.observation.as_str(), "steps": steps,
    })
}

fn original() -> Value {
    let visit = |mode| {
        let mut shopper = shop(Variant::Original(mode)).shopper();
        let opening = shopper.reset(&TaskId::new("webshop", Split::Test, 0)).unwrap();
        (shopper, opening.observation)
    };
    let ((mut text, first), (mut rich, first_rich)) =
        (visit(TextMode::Text), visit(TextMode::TextRich));
    let record = |action: Option<&str>,
                  texts: [&str; 2],
                  end: (f64, bool),
                  shopper: &eef_webshop::Shopper| {
        let actions = shopper.available_actions().unwrap();
        json!({
            "action": action, "reward": end.0, "done": end.1, "text": texts[0],
            "text_rich": texts[1], "url": shopper.url(), "has_search_bar": actions.has_search_bar,
            "clickables": actions.clickables,
        })
    };
    let mut steps = vec![record(None, [first.as_str(), first_rich.as_str()], (0.0, false), &text)];
    for reply in ["search[mug]", "click[b0mug00004]", "click[red]", "click[Buy Now]"] {
        let step = text.step(reply).unwrap();
        let step_rich = rich.step(reply).unwrap();
        let texts = [step.observation.as_str(), step_rich.observation.as_str()];
        steps.push(record(Some(reply), texts, (step.reward.get(), step.terminated), &text));
    }
    json!({ "goal_index": 0, "goal": goal(), "steps": steps })
}

fn write(folder: &Path, file: &str, records: &[Value]) {
    let lines: Vec<String> = records.iter().map(Value::to_string).collect();
    fs::write(folder.join(file), lines.join("\n")).unwrap();
}

#[test]
fn what_is_recorded_here_is_the_same() {
    let (data, reference) = (write_data("same-data"), folder("same"));
    for (file, records) in recordings() {
        write(&reference, file, &records);
    }
    let checks = verify(&data, &reference).unwrap();
    assert_eq!(checks.len(), FILES.len());
    for check in checks {
        assert_eq!((check.mismatches, check.first), (0, None), "{}", check.file);
        assert!(check.cases > 0);
    }
}

/// A file, the record in it, the place of a value in that, and what a change of it is called.
const CHANGES: [(&str, usize, &str, &str); 23] = [
    ("reward_cases.jsonl", 0, "/expected/reward", "reward"),
    ("reward_cases.jsonl", 0, "/expected/r_type", "type factor"),
    ("reward_cases.jsonl", 0, "/expected/title_score", "title score"),
    ("reward_cases.jsonl", 0, "/expected/num_attr_matches", "attributes met"),
    ("reward_cases.jsonl", 0, "/expected/num_option_matches", "options met"),
    ("search_cases.jsonl", 0, "/analyzed/0", "words of the query"),
    ("search_cases.jsonl", 0, "/asins/1", "products"),
    ("search_cases.jsonl", 0, "/scores/0", "scores"),
    ("fuzz_cases.jsonl", 0, "/token_set_ratio", "ratio"),
    ("color_cases.jsonl", 0, "/normalized", "colour"),
    ("episodes.jsonl", 0, "/goal", "instruction"),
    ("episodes.jsonl", 0, "/steps/2/observation", "observation"),
    ("episodes.jsonl", 0, "/steps/3/progress", "progress rate"),
    ("episodes.jsonl", 0, "/steps/4/reward", "reward"),
    ("episodes.jsonl", 1, "/reset_observation", "observation"),
    ("episodes.jsonl", 1, "/steps/3/observation", "observation"),
    ("episodes.jsonl", 1, "/steps/0/reward_attr", "reward"),
    ("episodes.jsonl", 1, "/steps/2/reward_attr", "reward"),
    ("episodes_original_text.jsonl", 0, "/steps/0/text", "observation"),
    ("episodes_original_text.jsonl", 0, "/steps/3/text_rich", "observation"),
    ("episodes_original_text.jsonl", 0, "/steps/4/reward", "reward"),
    ("episodes_original_text.jsonl", 0, "/steps/2/url", "url"),
    ("episodes_original_text.jsonl", 0, "/steps/2/clickables/0", "what can be done"),
];

#[test]
fn a_changed_value_is_found() {
    let (data, reference) = (write_data("changed-data"), folder("changed"));
    let recorded = recordings();
    for (file, record, pointer, what) in CHANGES {
        let (_, records) = recorded.iter().find(|(name, _)| *name == file).unwrap();
        let mut records = records.clone();
        let value = records[record].pointer_mut(pointer).unwrap();
        *value = match value.as_f64() {
            Some(_) if value.is_u64() => json!(77),
            Some(number) => json!(number / 2.0 + 0.01),
            None => json!(format!("{}?", value.as_str().unwrap())),
        };
        write(&reference, file, &records);
        let checks = verify(&data, &reference).unwrap();
        fs::remove_file(reference.join(file)).unwrap();
        assert_eq!(checks.len(), 1);
        assert!(checks[0].mismatches >= 1, "{file} {pointer}");
        let first = checks[0].first.as_ref().unwrap();
        assert_eq!(first.what, what, "{file} {pointer}");
        assert_ne!(first.expected, first.found);
    }
}

#[test]
fn what_cannot_be_compared_is_named() {
    let (data, reference) = (write_data("missing-data"), folder("missing"));
    let nothing = verify(&data, &reference).unwrap_err();
    assert!(matches!(nothing, WebShopError::NothingToVerify { .. }), "{nothing}");
    fs::write(reference.join("color_cases.jsonl"), "\n").unwrap();
    let empty = verify(&data, &reference).unwrap_err().to_string();
    assert!(empty.contains("color_cases.jsonl holds no recorded case"), "{empty}");
    fs::write(reference.join("color_cases.jsonl"), "{\"s\": 1}").unwrap();
    let broken = verify(&data, &reference).unwrap_err().to_string();
    assert!(broken.contains("color_cases.jsonl: record 1: "), "{broken}");
    fs::remove_file(reference.join("color_cases.jsonl")).unwrap();
    let (_, records) = &recordings()[1];
    write(&reference, "search_cases.jsonl", records);
    fs::remove_file(data.join("items_ins_v2_sample.json")).unwrap();
    let missing = verify(&data, &reference).unwrap_err().to_string();
    assert!(missing.ends_with("holds no file named items_ins_v2*.json"), "{missing}");
}
