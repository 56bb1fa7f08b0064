//! What the methods achieve, and on what budget.

#![allow(clippy::unwrap_used, reason = "this file holds tests and their helpers")]

mod common;

use common::{Bench, CORRIDOR, config};
use eef::{Budget, Config, MethodOptions, RunError, compare, evaluate, iterate, method};
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
fn a_budget_ends_explorations_and_trainings() {
    let bench = Bench::new();
    let run = |name: &str, budget: Budget| {
        let config = Config { budget, ..config() };
        let method = method(name, &MethodOptions::default()).unwrap();
        let (store, control) = (MemoryStore::new(), Control::silent());
        let directory = bench.path(&format!("{name}-{budget:?}"));
        let setup = bench.setup(&CORRIDOR);
        iterate(&setup, &config, method.as_ref(), &store, &directory, &control).unwrap()
    };
    let of = |report: &eef::RunReport, value: fn(&eef::RoundReport) -> u64| {
        report.rounds.iter().skip(1).map(value).collect::<Vec<_>>()
    };
    let free = run("eef", Budget::default());
    let n_simulations = |round: &eef::RoundReport| round.n_simulations as u64;
    assert!(of(&free, n_simulations).iter().all(|n| *n > 20));
    for (name, simulations) in [("eef", 20), ("rft-x6", 40), ("eef-adaptive", 17)] {
        let report = run(name, Budget { simulations, ..Budget::default() });
        assert_eq!(of(&report, n_simulations), [simulations as u64; 2], "{name}");
    }
    // What is asked for together is run: the rollouts from the initial states.
    let report = run("eef", Budget { generated_tokens: 1, ..Budget::default() });
    assert_eq!(of(&report, n_simulations), [16, 16]);
    // Two of the passes fit.
    let n_trained = |round: &eef::RoundReport| round.training.n_trained_tokens;
    let per_pass = n_trained(&free.rounds[1]) / free.rounds[1].training.n_epochs as u64;
    let report = run("eef", Budget { trained_tokens: 2 * per_pass + 1, ..Budget::default() });
    assert_eq!(report.rounds[1].training.n_epochs, 2);
    assert_eq!(n_trained(&report.rounds[1]), 2 * per_pass);
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
    let eef = first.runs.iter().find(|run| run.method == "eef").unwrap();
    let models = directory.join(format!("seed-{}", eef.seed)).join("eef/models");
    assert!(models.join(&eef.best_model).join("table.json").exists());
    // That of a method whose first round was its best lies beside, where all share it.
    let sft = &first.runs[0];
    let models = directory.join(format!("seed-{}", sft.seed)).join("sft-pos/models");
    assert!(models.join(&sft.best_model).join("table.json").exists(), "{}", sft.best_model);
    let minus_rft = first.differences.iter().find(|difference| difference.minus == "rft").unwrap();
    assert!(minus_rft.win_rate.mean > 0.3 && minus_rft.win_rate.excludes_zero());
    assert_eq!(minus_rft.win_rates.len(), 2);
    assert_eq!(minus_rft.win_rate_over_seeds.unwrap().mean, minus_rft.win_rate.mean);
    assert_eq!(go(), first);
    assert_eq!(stores.lock().unwrap().len(), 2 * (1 + 3));
}

#[test]
fn what_is_compared_is_named_once() {
    let bench = Bench::new();
    let setup = bench.setup(&CORRIDOR);
    let open = |_: &std::path::Path| -> Result<Box<dyn TrajectoryStore>, eef_store::StoreError> {
        Ok(Box::new(MemoryStore::new()))
    };
    let refused = |names: &[&str], seeds: &[u64], reference: &str| {
        let options = MethodOptions::default();
        let methods: Vec<_> = names.iter().map(|name| method(name, &options).unwrap()).collect();
        let (directory, control) = (bench.path("refused"), Control::silent());
        compare(&setup, &config(), &methods, seeds, reference, &open, &directory, &control)
            .unwrap_err()
            .to_string()
    };
    assert!(refused(&["rft", "rft", "eef"], &[1], "eef").contains("each method once"));
    assert!(refused(&["rft", "eef"], &[3, 3], "eef").contains("each seed once"));
    assert!(refused(&["rft", "eef"], &[1], "nat").contains("one of the methods"));
    assert!(!bench.path("refused").exists());
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

/// Runs with these experts imitated.
fn imitating(bench: &Bench, names: &[&str], name: &str) -> Result<eef::RunReport, RunError> {
    let bc_experts = names.iter().map(|&name| name.into()).collect();
    let config = Config { bc_experts, ..config() };
    let (store, control) = (MemoryStore::new(), Control::silent());
    let method = method(name, &MethodOptions::default()).unwrap();
    let directory = bench.path(&format!("{name} of {}", names.join(" and ")));
    iterate(&bench.setup(&CORRIDOR), &config, method.as_ref(), &store, &directory, &control)
}

#[test]
fn without_positives_there_is_nothing_to_imitate() {
    let mut bench = Bench::new();
    bench.experts.retain(|expert| !expert.is_positive());
    let error = imitating(&bench, &["teacher"], "eef").unwrap_err();
    assert!(matches!(error, RunError::NothingToImitate { n_experts: 8, n_positive: 0, .. }));
}

#[test]
fn every_expert_that_is_imitated_must_be_there() {
    let bench = Bench::new();
    let error = imitating(&bench, &["teacher", "techer"], "eef").unwrap_err();
    assert!(error.to_string().contains("`techer`"), "{error}");
    assert!(error.to_string().contains("those of teacher"), "{error}");
}

/// A second teacher, who walks to every room without fault.
fn with_perfect_second_teacher() -> Bench {
    let mut bench = Bench::new();
    let perfect = bench.experts.iter().map(|expert| {
        let mut expert = eef_core::Trajectory::clone(expert);
        let goal = expert.instruction.rsplit(' ').next().unwrap().parse::<usize>().unwrap();
        let step = |reply: &str, seen: String| {
            let mut step = expert.steps[0].clone();
            (step.reply, step.action) = (reply.into(), eef_core::Action::new(reply));
            step.observation = eef_core::Observation::new(seen);
            step
        };
        let mut steps: Vec<_> =
            (1..=goal).map(|room| step("right", format!("room {room}"))).collect();
        steps.push(step("take", "taken".to_owned()));
        expert.steps = steps;
        expert.outcome.reward = eef_core::Reward::new(1.0).unwrap();
        expert.origin = eef_core::Origin::Expert { name: "perfect".into() };
        let task = expert.task.to_string();
        expert.id = eef_core::TrajectoryId::derive(&[b"perfect", task.as_bytes()]);
        std::sync::Arc::new(expert)
    });
    let perfect: Vec<_> = perfect.collect();
    bench.experts.extend(perfect);
    bench
}

#[test]
fn an_expert_that_is_not_imitated_is_explored_and_no_baseline_sees_it() {
    let bench = with_perfect_second_teacher();
    let alone = run(&Bench::new(), "rft");
    let rft = imitating(&bench, &["teacher"], "rft").unwrap();
    // Appendix A.5: behaviour cloning and the baselines know the first expert only.
    assert_eq!(rft.rounds[0].training.n_examples, 8);
    assert_eq!(rft.test.win_rate, alone.test.win_rate);
    let eef = imitating(&bench, &["teacher"], "eef").unwrap();
    assert_eq!(eef.test.win_rate, run(&Bench::new(), "eef").test.win_rate);
    let eef = imitating(&bench, &["teacher"], "eef-all-experts").unwrap();
    assert_eq!(eef.rounds[0].training.n_examples, 8);
    // The second one's wins are solutions from the first exploration on.
    assert_eq!(eef.rounds[1].n_solved_tasks, 16);
    let both = imitating(&bench, &["teacher", "perfect"], "sft-pos").unwrap();
    assert_eq!(both.rounds[0].training.n_examples, 24);
}

#[test]
fn other_experts_make_another_run_and_enter_no_store() {
    let mut bench = Bench::new();
    let (store, control) = (MemoryStore::new(), Control::silent());
    let directory = bench.path("run");
    bench.iterate(&CORRIDOR, "eef", &store, &directory, &control).unwrap();
    let before = store.n_trajectories().unwrap();
    bench.experts = with_perfect_second_teacher().experts;
    let error = bench.iterate(&CORRIDOR, "eef", &store, &directory, &control).unwrap_err();
    assert!(matches!(&error, RunError::OtherRun { field, .. } if field == "experts"), "{error}");
    assert_eq!(store.n_trajectories().unwrap(), before);
}

#[test]
fn a_policys_rollout_is_no_experts() {
    let mut bench = Bench::new();
    let (store, control) = (MemoryStore::new(), Control::silent());
    bench.iterate(&CORRIDOR, "rft", &store, &bench.path("run"), &control).unwrap();
    let explored = store.by_round(2).unwrap();
    let explored = explored.into_iter().find(|found| found.task.split() == Split::Train);
    bench.experts.push(explored.unwrap());
    let error = bench
        .iterate(&CORRIDOR, "eef", &MemoryStore::new(), &bench.path("other"), &control)
        .unwrap_err();
    assert!(matches!(error, RunError::NotAnExpert { .. }), "{error}");
}

#[test]
fn a_damaged_model_is_found_and_trained_again() {
    let bench = Bench::new();
    let (store, control) = (MemoryStore::new(), Control::silent());
    let directory = bench.path("run");
    let report = bench.iterate(&CORRIDOR, "eef", &store, &directory, &control).unwrap();
    let model = directory.join("models").join(&report.best_model);
    let whole = std::fs::read(model.join("table.json")).unwrap();
    std::fs::write(model.join("table.json"), &whole[..whole.len() / 2]).unwrap();
    let error = bench.iterate(&CORRIDOR, "eef", &store, &directory, &control).unwrap_err();
    assert!(matches!(error, RunError::DamagedModel { .. }), "{error}");
    std::fs::remove_dir_all(&model).unwrap();
    assert_eq!(bench.iterate(&CORRIDOR, "eef", &store, &directory, &control).unwrap(), report);
    assert_eq!(std::fs::read(model.join("table.json")).unwrap(), whole);
}

#[test]
fn tuning_may_start_from_the_base_model() {
    let bench = Bench::new();
    let mut config = config();
    config.tuning.init = eef::Init::Base;
    let (store, control) = (MemoryStore::new(), Control::silent());
    let eef = method("eef", &MethodOptions::default()).unwrap();
    let (setup, directory) = (bench.setup(&CORRIDOR), bench.path("base"));
    let report = iterate(&setup, &config, eef.as_ref(), &store, &directory, &control).unwrap();
    // Counts that are kept from round to round grow; from the base model they begin anew.
    let last = report.rounds.last().unwrap();
    let table = std::fs::read(directory.join("models").join(&last.model).join("table.json"));
    let table: std::collections::BTreeMap<String, std::collections::BTreeMap<String, f64>> =
        serde_json::from_slice(&table.unwrap()).unwrap();
    let sum: f64 = table.values().flat_map(|replies| replies.values()).sum();
    assert_eq!(sum, last.training.n_trained_tokens as f64);
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
    let left = found.actions.get("left").copied().unwrap_or_default();
    let (tried, won) = (found.skills[0].tried, found.skills[0].won);
    let n_tasks = found.n_tasks as f64;
    assert_eq!((left.n_tasks as f64, left.n_won as f64), (tried * n_tasks, won * n_tasks));
    assert_eq!(store.n_trajectories().unwrap(), 16);
}

#[test]
fn an_evaluation_on_training_tasks_stays_out_of_a_runs_store() {
    let bench = Bench::new();
    let (store, control) = (MemoryStore::new(), Control::silent());
    let report = bench.iterate(&CORRIDOR, "rft", &store, &bench.path("run"), &control).unwrap();
    let model = bench.path("run").join("models").join(&report.best_model);
    let setup = bench.setup(&CORRIDOR);
    let on = |store: &MemoryStore| {
        evaluate(&setup, &config(), &model, "best", Split::Train, store, &control)
    };
    assert!(matches!(on(&store), Err(RunError::StoreOfRun)));
    assert_eq!(on(&MemoryStore::new()).unwrap().n_tasks, 16);
}
