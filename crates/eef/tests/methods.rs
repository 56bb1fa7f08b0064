//! What the methods achieve, and on what budget.

#![allow(clippy::unwrap_used, reason = "this file holds tests and their helpers")]

mod common;

use common::{Bench, CORRIDOR, config};
use eef::{Config, MethodOptions, RunError, compare, evaluate, iterate, method};
use eef_core::{Control, Split};
use eef_store::{MemoryStore, TrajectoryStore};

fn run(bench: &Bench, name: &str) -> eef::RunReport {
    let (store, control) = (MemoryStore::new(), Control::silent());
    bench.iterate(&CORRIDOR, name, &store, &bench.path(name), &control).unwrap()
}

#[test]
fn eef_solves_what_rejection_sampling_never_reaches() {
    let bench = Bench::new();
    let [rft, rft_x6, eef] = ["rft", "rft-x6", "eef"].map(|name| run(&bench, name));
    // The policy knows the way to rooms 0 to 2 from the teacher's positives, and elsewhere takes
    // at once: more samples do not help. From the teacher's states it wins.
    assert_eq!(rft.test.win_rate.mean, rft.test_of_imitation.win_rate.mean);
    assert_eq!(rft_x6.test.win_rate.mean, rft.test.win_rate.mean);
    // (Not room 6: of its trajectory's 8 actions the paper's anchors reach the fifth.)
    assert_eq!(eef.test.win_rate.mean, rft.test.win_rate.mean + 6.0 / 16.0);
    assert!(eef.best_round > 1);
    assert!(eef.rounds[1].n_need_recover > 0, "the teacher overshoots");
    // Simulations: one a task; six a task; one a task and one for each simulated state.
    assert_eq!([rft.rounds[1].n_simulations, rft_x6.rounds[1].n_simulations], [16, 96]);
    assert!((17..=16 * 6).contains(&eef.rounds[1].n_simulations));
}

#[test]
fn a_recovery_is_learned_from_where_it_begins() {
    let bench = Bench::new();
    let options = MethodOptions { n_simulations: 8, ..MethodOptions::default() };
    let eef = method("eef", &options).unwrap();
    let (store, control) = (MemoryStore::new(), Control::silent());
    let (setup, directory) = (bench.setup(&CORRIDOR), bench.path("run"));
    let report = iterate(&setup, &config(), eef.as_ref(), &store, &directory, &control).unwrap();
    // The teacher walks past room 3 and comes back: with every state simulated the policy fails
    // from s_4, and wins from s_7, where it is back in room 3. Two tasks have that goal.
    let round = &report.rounds[1];
    assert!(round.n_recoveries >= 2 && round.n_recoveries <= round.n_need_recover, "{round:?}");
    assert_eq!(round.training.n_examples, round.n_initial + round.n_recoveries);
    assert_eq!(report.test.win_rate.mean, 1.0);
}

#[test]
fn a_replay_that_diverges_is_counted_and_claims_nothing() {
    let mut bench = Bench::new();
    for expert in &mut bench.experts {
        let expert = std::sync::Arc::make_mut(expert);
        if !expert.is_positive() {
            expert.steps[0].observation = eef_core::Observation::new("another room");
        }
    }
    let eef = run(&bench, "eef");
    let round = &eef.rounds[1];
    assert!(round.n_diverged > 16, "{round:?}");
    assert_eq!((round.n_environment_errors, round.n_need_recover), (0, 0));
    assert_eq!(round.n_solved_tasks, 8);
    assert_eq!(eef.best_round, 1);
}

#[test]
fn imitation_explores_nothing() {
    let bench = Bench::new();
    let (positives, everything) = (run(&bench, "sft-pos"), run(&bench, "sft-all"));
    assert_eq!((positives.rounds.len(), everything.rounds.len()), (1, 1));
    assert_eq!(positives.test, positives.test_of_imitation);
    // Rooms 0, 1, 2 and, at the corridor's end, 7: half of the sixteen tasks.
    assert_eq!(positives.rounds[0].training.n_examples, 8);
    assert_eq!(everything.rounds[0].training.n_examples, 16);
    assert_eq!(positives.curve.len(), 2, "a second stage brings nothing");
}

#[test]
fn methods_are_compared_on_one_first_round_and_complete_runs_are_not_repeated() {
    let bench = Bench::new();
    let setup = bench.setup(&CORRIDOR);
    let methods =
        ["sft-pos", "rft", "eef"].map(|name| method(name, &MethodOptions::default()).unwrap());
    // One store for each directory, as files would be.
    let stores = std::sync::Mutex::new(std::collections::BTreeMap::new());
    let open = |path: &std::path::Path| {
        let mut stores = stores.lock().unwrap();
        let store = stores.entry(path.to_path_buf()).or_insert_with(common_store);
        Ok(Box::new(Shared(std::sync::Arc::clone(store))) as Box<dyn TrajectoryStore>)
    };
    let directory = bench.path("compare");
    let control = Control::silent();
    let go = || {
        compare(&setup, &config(), &methods, &[1, 2], "eef", &open, &directory, &control).unwrap()
    };
    let first = go();
    assert_eq!(first.runs.len(), 6);
    assert_eq!(first.runs[0].curve, first.runs[2].curve);
    let minus_rft = first.differences.iter().find(|difference| difference.minus == "rft").unwrap();
    assert!(minus_rft.win_rate.mean > 0.3 && minus_rft.win_rate.excludes_zero());
    assert_eq!(go(), first);
    assert_eq!(stores.lock().unwrap().len(), 2 * (1 + 3));
}

type Store = std::sync::Arc<MemoryStore>;

fn common_store() -> Store {
    Store::default()
}

struct Shared(Store);

mod shared {
    use std::sync::Arc;

    use eef_core::{Incident, StateKey, TaskId, Trajectory, TrajectoryId};
    use eef_store::{AppendReport, StoreError, TrajectoryStore, Unit};

    type Result<T> = std::result::Result<T, StoreError>;

    impl TrajectoryStore for super::Shared {
        fn append(&self, trajectories: &[Trajectory]) -> Result<AppendReport> {
            self.0.append(trajectories)
        }
        fn append_unit(
            &self,
            key: &str,
            trajectories: &[Trajectory],
            incidents: &[Incident],
        ) -> Result<AppendReport> {
            self.0.append_unit(key, trajectories, incidents)
        }
        fn unit(&self, key: &str) -> Result<Option<Unit>> {
            self.0.unit(key)
        }
        fn incidents(&self) -> Result<Vec<Incident>> {
            self.0.incidents()
        }
        fn get(&self, id: &TrajectoryId) -> Result<Option<Arc<Trajectory>>> {
            self.0.get(id)
        }
        fn contains(&self, id: &TrajectoryId) -> Result<bool> {
            self.0.contains(id)
        }
        fn n_trajectories(&self) -> Result<u64> {
            self.0.n_trajectories()
        }
        fn best_solution(&self, state: &StateKey) -> Result<Option<TrajectoryId>> {
            self.0.best_solution(state)
        }
        fn positives_of(&self, task: &TaskId) -> Result<Vec<Arc<Trajectory>>> {
            self.0.positives_of(task)
        }
        fn experts(&self) -> Result<Vec<Arc<Trajectory>>> {
            self.0.experts()
        }
        fn by_round(&self, round: u32) -> Result<Vec<Arc<Trajectory>>> {
            self.0.by_round(round)
        }
        fn ids(&self) -> Result<Vec<TrajectoryId>> {
            self.0.ids()
        }
        fn put_record(&self, key: &str, bytes: &[u8]) -> Result<()> {
            self.0.put_record(key, bytes)
        }
        fn record(&self, key: &str) -> Result<Option<Vec<u8>>> {
            self.0.record(key)
        }
    }
}

#[test]
fn a_directory_is_not_mistaken_for_another_runs() {
    let bench = Bench::new();
    let (store, control) = (MemoryStore::new(), Control::silent());
    let directory = bench.path("run");
    bench.iterate(&CORRIDOR, "rft", &store, &directory, &control).unwrap();
    let error = bench.iterate(&CORRIDOR, "eef", &store, &directory, &control).unwrap_err();
    assert!(error.to_string().contains("`method` was rft"), "{error}");
    let other = MemoryStore::new();
    let error = bench.iterate(&CORRIDOR, "rft", &other, &directory, &control).unwrap_err();
    assert!(matches!(error, RunError::ForeignModel { .. }), "{error}");
    let changed = Config { seed: 2, ..config() };
    let rft = method("rft", &MethodOptions::default()).unwrap();
    let setup = bench.setup(&CORRIDOR);
    let error = iterate(&setup, &changed, rft.as_ref(), &store, &directory, &control).unwrap_err();
    assert!(error.to_string().contains("`seed` was 1, is now 2"), "{error}");
}

#[test]
fn without_positives_there_is_nothing_to_imitate() {
    let bench = Bench::new();
    let config = Config { bc_experts: vec!["nobody".into()], ..config() };
    let (store, control) = (MemoryStore::new(), Control::silent());
    let eef = method("eef", &MethodOptions::default()).unwrap();
    let setup = bench.setup(&CORRIDOR);
    let error =
        iterate(&setup, &config, eef.as_ref(), &store, &bench.path("run"), &control).unwrap_err();
    assert!(matches!(error, RunError::NothingToImitate { n_experts: 16, n_named: 0, .. }));
}

#[test]
fn a_model_is_evaluated_by_itself() {
    let bench = Bench::new();
    let report = run(&bench, "eef");
    let model = bench.path("eef").join("models").join(&report.best_model);
    let (store, control) = (MemoryStore::new(), Control::silent());
    let setup = bench.setup(&CORRIDOR);
    let found = evaluate(&setup, &config(), &model, "best", Split::Test, &store, &control).unwrap();
    assert_eq!(found.rewards, report.test.rewards);
    assert_eq!(found.skills[0].name, "left");
    assert_eq!(store.n_trajectories().unwrap(), 16);
}
