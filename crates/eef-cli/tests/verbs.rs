//! The verbs on one small run: what each prints can be read by programs, and they agree.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{eef, fixtures, small};
use eef_chat::{Example, PromptTemplate};
use eef_store::{SqliteStore, TrajectoryStore as _};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row, RowAccessor as _};
use serde_json::Value;

/// What the program prints, which must be JSON and nothing else.
fn json(command: &mut Command) -> Value {
    let output = command.arg("--json").output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

/// A verb that finds in the run's directory how the run was made.
fn of_run(verb: &str, run: &Path) -> Command {
    let mut command = eef(verb);
    command.arg("--run-dir").arg(run);
    command
}

/// The records of a JSONL file by their ids.
fn records(file: &Path) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let n_lines = text.lines().count();
    let record = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        (record["id"].as_str().unwrap().to_owned(), record)
    };
    let records: BTreeMap<String, Value> = text.lines().map(record).collect();
    assert_eq!(records.len(), n_lines, "an id stands twice in {}", file.display());
    records
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("not a list: {value}"))
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("not a count: {value}")) as usize
}

#[test]
fn the_verbs_agree_on_a_run() {
    if fixtures().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let report = json(&mut small("iterate", &run));
    check_report(&report);
    assert_eq!(json(&mut small("iterate", &run)), report, "a complete run is printed again");
    let file = std::fs::read(run.join("report.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&file).unwrap(), report);

    assert_eq!(json(&mut of_run("evaluate", &run)), report["test"]);

    let exported = export(&run, &folder.path().join("all.jsonl"), &report);
    check_masks(&run, &exported);
    check_training_set(&run, &folder.path().join("chats.jsonl"), &exported);
    check_tokens(&run, &folder.path().join("tokens.parquet"));

    check_comparison(&folder.path().join("comparison"), &report);
}

/// Counts that every run of the small settings has.
fn check_report(report: &Value) {
    assert_eq!(report["method"], "eef");
    assert_eq!(list(&report["curve"]).len(), 2, "stages");
    let rounds = list(&report["rounds"]);
    assert_eq!(rounds.len(), 3);
    for (number_before, round) in rounds.iter().enumerate() {
        assert_eq!(number(&round["round"]), number_before + 1);
        assert_eq!(number(&round["validation"]["n_tasks"]), 12);
        assert!(number(&round["training"]["n_trained_tokens"]) > 0);
        if number_before > 0 {
            assert!(number(&round["n_simulations"]) > 24, "from s_0 and from anchors");
            assert!(number(&round["n_generated_tokens"]) > 0);
        }
    }
    let test = &report["test"];
    assert_eq!((number(&test["n_tasks"]), list(&test["rewards"]).len()), (12, 12));
    assert!(number(&test["n_generated_tokens"]) > 0);
    let names = list(&test["skills"]).iter().map(|skill| skill["name"].as_str().unwrap());
    assert!(names.eq(["Next", "Back"]));
}

/// Every simulation of the report is in the export, and no rollout on another split's task is.
fn export(run: &Path, file: &Path, report: &Value) -> BTreeMap<String, Value> {
    let said = json(of_run("export", run).arg("--out").arg(file));
    let records = records(file);
    assert_eq!(number(&said["trajectories"]), records.len());
    assert!(records.values().all(|record| record["split"] == "train"));
    assert!(number(&said["left_out"]) > 0, "rollouts on validation and test tasks: {said}");
    for round in &list(&report["rounds"])[1..] {
        let is_of_round = |record: &&Value| record["origin"]["round"] == round["round"];
        let n_without = number(&round["n_diverged"]) + number(&round["n_environment_errors"]);
        let n_found = records.values().filter(is_of_round).count();
        assert_eq!(n_found + n_without, number(&round["n_simulations"]), "{}", round["round"]);
    }
    records
}

/// A training set for other programs holds each example once, with marks from the first trained action
/// on; `train` reads it.
fn check_training_set(run: &Path, file: &Path, exported: &BTreeMap<String, Value>) {
    let model = "round-02";
    let text = std::fs::read(run.join(format!("training-sets/{model}.json"))).unwrap();
    let items: Vec<Value> = serde_json::from_slice(&text).unwrap();
    let export = ["--training-set", model, "--format", "messages", "--out"];
    let said = json(of_run("export", run).args(export).arg(file));
    assert_eq!(number(&said["conversations"]), items.len());
    let lines = std::fs::read_to_string(file).unwrap();
    assert_eq!(lines.lines().count(), items.len());
    for (line, item) in lines.lines().zip(&items) {
        let record: Value = serde_json::from_str(line).unwrap();
        let steps = list(&exported[item["trajectory"].as_str().unwrap()]["steps"]);
        let is_reply = |message: &&Value| message["role"] == "assistant";
        let replies: Vec<&Value> = list(&record["messages"]).iter().filter(is_reply).collect();
        assert_eq!(replies.len(), steps.len());
        for (index, (reply, step)) in replies.iter().zip(steps).enumerate() {
            assert_eq!(reply["content"], step["reply"]);
            let is_trained = index >= number(&item["train_from"]);
            assert_eq!(reply["weight"], usize::from(is_trained));
        }
    }
    let mut train = eef("train");
    train.arg("--dry-run").arg("--model").arg(run.join("models").join(model));
    let plan = json(train.arg("--data").arg(file).arg("--out").arg(run.join("out")));
    assert_eq!(number(&plan["units"]), items.len());

    let mut unknown = of_run("export", run);
    let output = unknown.args(["--training-set", "x", "--out", "-"]).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && message.contains(model), "{message}");
}

/// A training set in tokens is what the training saw: the ids and masks of its examples, and as many
/// tokens as each step counted.
fn check_tokens(run: &Path, file: &Path) {
    let model = "round-02";
    let export = ["--training-set", model, "--format", "tokens", "--out"];
    let said = json(of_run("export", run).args(export).arg(file));
    let set = std::fs::read(run.join(format!("training-sets/{model}.json"))).unwrap();
    let items: Vec<Value> = serde_json::from_slice(&set).unwrap();
    assert_eq!(number(&said["conversations"]), items.len());

    let encoder = eef_agent::open_encoder(&fixtures().unwrap().join("base")).unwrap();
    let store = SqliteStore::open(run.join("store.sqlite")).unwrap();
    let reader = SerializedFileReader::new(std::fs::File::open(file).unwrap()).unwrap();
    let rows: Vec<Row> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
    assert_eq!(rows.len(), items.len());
    let mut n_trained = 0;
    for (row, item) in rows.iter().zip(&items) {
        let train_from = number(&item["train_from"]);
        assert_eq!(row.get_long(3).unwrap() as usize, train_from);
        assert_eq!(row.get_string(2).unwrap(), item["trajectory"].as_str().unwrap());
        let id = row.get_string(2).unwrap().parse().unwrap();
        let trajectory = store.get(&id).unwrap().unwrap();
        let prompt = PromptTemplate::Short;
        let example =
            Example::of_trajectory(&encoder, &trajectory, train_from, prompt, usize::MAX).unwrap();
        let list = |column| -> Vec<Field> { row.get_list(column).unwrap().elements().to_vec() };
        let ids: Vec<Field> =
            example.token_ids.iter().map(|id| Field::Long((*id).into())).collect();
        assert_eq!(list(0), ids);
        let labels: Vec<Field> = (ids.into_iter().zip(example.loss_mask.as_slice()))
            .map(|(id, trained)| if *trained { id } else { Field::Long(-100) })
            .collect();
        assert_eq!(list(1), labels);
        n_trained += example.loss_mask.n_trained();
    }
    let metrics = std::fs::read_to_string(run.join(format!("metrics/{model}.jsonl"))).unwrap();
    let steps = metrics.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_epoch = steps.filter(|step| step["epoch"] == 1);
    assert_eq!(of_epoch.map(|step| number(&step["n_trained_tokens"])).sum::<usize>(), n_trained);
}

/// What `inspect` shows as trained are the replies from the first trained action on, and of those
/// that the policy sampled exactly the ids that it sampled.
fn check_masks(run: &Path, exported: &BTreeMap<String, Value>) {
    let shown = json(of_run("inspect", run).args(["--masks", "--trained", "--limit", "0"]));
    assert!(!list(&shown).is_empty(), "behaviour cloning trains on something");
    let mut n_masks = 0;
    let mut n_sampled_steps = 0;
    for trajectory in list(&shown) {
        let steps = list(&exported[trajectory["id"].as_str().unwrap()]["steps"]);
        let (trainings, masks) = (list(&trajectory["trainings"]), list(&trajectory["masks"]));
        assert_eq!(trainings.len(), masks.len(), "{trajectory}");
        for (training, mask) in trainings.iter().zip(masks) {
            let mask = Mask::read(mask.as_str().unwrap());
            assert_eq!(mask.model, training["model"].as_str().unwrap());
            assert!(mask.n_trained < mask.n_tokens, "the prompt is context: {trajectory}");
            let trained = &steps[number(&training["train_from"])..];
            assert_eq!(mask.pieces.len(), trained.len(), "{trajectory}");
            for (piece, step) in mask.pieces.iter().zip(trained) {
                assert!(piece.starts_with(step["reply"].as_str().unwrap().trim()), "{piece}");
            }
            let ids = |step: &Value| step["sampled"]["ids"].as_array().map(Vec::len);
            let n_ids: usize = trained.iter().filter_map(ids).sum();
            let n_sampled = trained.iter().filter(|step| ids(step).is_some()).count();
            if n_sampled == trained.len() {
                assert_eq!(mask.n_trained, n_ids, "{trajectory}");
            } else {
                assert!(mask.n_trained > n_ids, "{trajectory}");
            }
            n_masks += 1;
            n_sampled_steps += n_sampled;
        }
    }
    assert!(n_masks > 0 && n_sampled_steps > 0, "{n_masks} masks, {n_sampled_steps} sampled steps");
}

/// A rendered mask: `MODEL, N of M tokens trained:` and a text with `⟦…⟧` around what is trained.
struct Mask<'a> {
    model: &'a str,
    n_trained: usize,
    n_tokens: usize,
    pieces: Vec<&'a str>,
}

impl<'a> Mask<'a> {
    fn read(text: &'a str) -> Self {
        let (heading, text) = text.split_once('\n').unwrap();
        let (model, counts) = heading.split_once(", ").unwrap();
        let counts = counts.strip_suffix(" tokens trained:").unwrap();
        let (n_trained, n_tokens) = counts.split_once(" of ").unwrap();
        let piece = |text: &'a str| text.split_once('⟧').unwrap().0;
        Self {
            model,
            n_trained: n_trained.parse().unwrap(),
            n_tokens: n_tokens.parse().unwrap(),
            pieces: text.split('⟦').skip(1).map(piece).collect(),
        }
    }
}

/// A comparison's run of a method is the run that `iterate` makes, and differences are what they
/// are called.
fn check_comparison(directory: &Path, report: &Value) {
    let arguments = ["--seeds", "1", "--methods", "sft-pos,eef"];
    let comparison = json(small("compare", directory).args(arguments));
    let runs = list(&comparison["runs"]);
    assert_eq!(runs.len(), 2);
    // Round 1's model lies beside, where the methods share it; nothing else differs.
    let mut eef = runs[1].clone();
    let best_model = eef["best_model"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    eef["best_model"] = best_model.into();
    assert_eq!((&runs[0]["method"], &eef), (&Value::from("sft-pos"), report));
    // Each method's directory is a run's: its model is found and evaluates as it did.
    let method = directory.join("seed-1").join("sft-pos");
    assert_eq!(json(&mut of_run("evaluate", &method)), runs[0]["test"]);
    assert_eq!(runs[0]["test"], report["test_of_imitation"], "both begin with the same model");
    let rate = |method: usize| comparison["methods"][method]["win_rates"][0].as_f64().unwrap();
    assert_eq!(rate(1), report["test"]["win_rate"]["mean"].as_f64().unwrap());
    let [difference] = list(&comparison["differences"]) else { panic!("{comparison}") };
    assert_eq!((&difference["of"], &difference["minus"]), (&"eef".into(), &"sft-pos".into()));
    let found = difference["win_rates"][0].as_f64().unwrap();
    assert!((found - (rate(1) - rate(0))).abs() < 1e-12, "{difference}");
    check_more_methods(directory, &runs[0]);
}

/// A comparison takes more methods, and is told as tables and pictures.
fn check_more_methods(directory: &Path, sft_pos: &Value) {
    let none = eef("report").arg("--run-dir").arg(directory.join("nowhere")).output().unwrap();
    let said = String::from_utf8(none.stderr).unwrap();
    assert!(said.contains("holds no complete comparison: `compare --run-dir"), "{said}");

    let arguments = ["--seeds", "1", "--methods", "sft-pos,nat,eto-all,eef-adaptive"];
    let comparison = json(small("compare", directory).args(arguments));
    let runs = list(&comparison["runs"]);
    assert_eq!(&runs[0], sft_pos, "what is complete stays");
    // NAT learns from failures too, and is asked for success, then and now.
    let rounds = list(&runs[1]["rounds"]);
    let n_imitated = |run: &Value| number(&run["rounds"][0]["training"]["n_examples"]);
    assert!(n_imitated(&runs[1]) > n_imitated(&runs[0]), "{rounds:?}");
    let nat = directory.join("seed-1").join("nat");
    assert_eq!(json(&mut of_run("evaluate", &nat)), runs[1]["test"]);
    let eto = list(&runs[2]["rounds"]);
    assert_eq!(eto.len(), 3);
    assert!(
        eto.iter().skip(1).any(|round| number(&round["training"]["n_examples"]) > 0),
        "{eto:?}"
    );

    let said = json(&mut of_run("report", directory));
    let page = PathBuf::from(said["report"].as_str().unwrap());
    let text = std::fs::read_to_string(&page).unwrap();
    for part in ["NAT", "EEF, adaptive anchors", "scripted-strong", "hash of the configuration"] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    for (start, _) in text.match_indices("](") {
        let file = text[start + 2..].split(')').next().unwrap();
        let picture = std::fs::read_to_string(page.with_file_name(file)).unwrap();
        assert!(picture.starts_with("<svg"), "{file}");
    }
    assert!(page.with_file_name("report.html").is_file());
}

/// `collect` and `cargo xtask fixtures` ask the same teachers in the same way.
#[test]
fn the_embedded_teachers_can_be_asked_again() {
    let Some(fixtures) = fixtures() else { return };
    let manifest = std::fs::read(fixtures.join("webshop/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for teacher in ["scripted-strong", "scripted-weak"] {
        let name = format!("{teacher}.jsonl");
        let out = folder.path().join(&name);
        let mut command = eef("collect");
        command.args(["--teacher", teacher, "--set", &format!("seed={}", manifest["seed"])]);
        let said = json(command.arg("--out").arg(&out));
        let found = records(&out);
        assert_eq!(number(&said["trajectories"]), found.len());
        assert_eq!(found.len(), number(&manifest["n_goals"]["train"]));
        let n_positive = found.values().filter(|record| record["reward"] == 1.0).count();
        assert_eq!(number(&said["positive"]), n_positive);
        assert!(n_positive > 0 && n_positive < found.len(), "{teacher}: {n_positive} positive");
        let equal = std::fs::read(&out).unwrap()
            == std::fs::read(fixtures.join("experts").join(&name)).unwrap();
        assert!(equal, "fixtures/experts/{name} is not what {teacher} does");
    }
}
