//! Comparison with what the original showed.

use eef_scienceworld::verify::{VerifyOptions, verify};
use eef_scienceworld::{Game, PoolOptions, ScienceWorldError, score_in_hundredths};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{jar, options, pool, shared};

fn nothing_differs(pool: PoolOptions, seed: u64) {
    let (Some(jar), Some(shared)) = (jar(), shared()) else { return };
    let reference = shared.join("reference/scienceworld");
    let checks = verify(&jar, &reference, &VerifyOptions { pool, seed }).unwrap();
    for check in checks {
        eprintln!("{}: {} cases, {} differ", check.file, check.cases, check.mismatches);
        assert_eq!(check.mismatches, 0, "{:?}", check.first);
        // 60 episodes of 2,500 steps, and their starts and ends.
        assert_eq!(check.cases, 2620);
    }
}

#[test]
fn one_worker_shows_what_the_original_showed() {
    nothing_differs(options(), 0);
}

#[test]
fn four_workers_with_several_simulators_each_show_the_same_in_another_order() {
    nothing_differs(PoolOptions { n_workers: 4, simulators_per_worker: 2, ..options() }, 20261123);
}

/// One short recording of our own.
fn recording() -> Value {
    let pool = pool().unwrap();
    let mut simulator = pool.simulator();
    let game = Game { task: "find-plant".to_owned(), variation: 4, simplification: String::new() };
    let (description, state) = simulator.load(game).unwrap().clone();
    let inventory = simulator.inventory().unwrap();
    let mut steps = Vec::new();
    for action in ["look around", "inventory", "focus on air"] {
        let found = simulator.step(action).unwrap();
        steps.push(json!({
            "action": action, "observation": found.observation, "score": found.score,
            "score100": score_in_hundredths(found.score), "done": found.completed,
            "moves": found.moves,
        }));
    }
    json!({
        "task": "find-plant", "variation": 4, "simplification": "",
        "task_description": description, "initial_observation": state.observation,
        "initial_inventory": inventory, "steps": steps,
        "goal_progress": simulator.goal_progress().unwrap(),
        "final_valid_actions": simulator.valid_actions().unwrap().len(),
    })
}

/// A folder with the recording, changed.
fn folder(mut trace: Value, change: impl FnOnce(&mut Value)) -> TempDir {
    change(&mut trace);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("traces.jsonl"), trace.to_string()).unwrap();
    folder
}

/// Something that is done to a recording.
type Change<'a> = &'a dyn Fn(&mut Value);

#[test]
fn whatever_differs_is_found() {
    let Some(jar) = jar() else { return };
    let options = VerifyOptions { pool: options(), seed: 1 };
    let recording = recording();
    let check = |change: Change<'_>| {
        let folder = folder(recording.clone(), change);
        let mut checks = verify(&jar, folder.path(), &options).unwrap();
        checks.pop().unwrap()
    };
    let same = check(&|_| ());
    assert_eq!((same.cases, same.mismatches, same.first), (5, 0, None));
    let changes: [(&str, Change<'_>); 10] = [
        ("description", &|trace| trace["task_description"] = json!("")),
        ("observation", &|trace| trace["initial_observation"] = json!("")),
        ("inventory", &|trace| trace["initial_inventory"] = json!("")),
        ("observation", &|trace| trace["steps"][1]["observation"] = json!("")),
        ("score", &|trace| trace["steps"][1]["score"] = json!(0.001)),
        ("score in hundredths", &|trace| trace["steps"][2]["score100"] = json!(0)),
        ("completed", &|trace| trace["steps"][0]["done"] = json!(true)),
        ("moves", &|trace| trace["steps"][2]["moves"] = json!(77)),
        ("goal progress", &|trace| trace["goal_progress"] = json!("")),
        ("number of valid actions", &|trace| trace["final_valid_actions"] = json!(1)),
    ];
    for (what, change) in changes {
        let found = check(change);
        assert_eq!((found.cases, found.mismatches), (5, 1), "{what}");
        let first = found.first.unwrap();
        assert_eq!(first.what, what);
        assert_ne!(first.expected, first.found);
    }
}

#[test]
fn nothing_to_compare_is_an_error() {
    let Some(jar) = jar() else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = VerifyOptions { pool: options(), seed: 0 };
    for text in [None, Some("\n")] {
        if let Some(text) = text {
            std::fs::write(folder.path().join("traces.jsonl"), text).unwrap();
        }
        let error = verify(&jar, folder.path(), &options).unwrap_err();
        assert!(matches!(error, ScienceWorldError::NothingToVerify { .. }), "{error}");
    }
    std::fs::write(folder.path().join("traces.jsonl"), "{}").unwrap();
    let error = verify(&jar, folder.path(), &options).unwrap_err();
    assert!(matches!(error, ScienceWorldError::Record { line: 1, .. }), "{error}");
}
