//! What each method asks for and selects, on a case made by hand.

#![allow(clippy::unwrap_used, reason = "this file holds tests and their helpers")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use eef::{
    Examples, ExpertSize, Imitation, JobRequest, Method, MethodOptions, RoundLimits, RoundSizes,
    TrainingSet, View, Whose, method,
};
use eef_core::{
    Action, Author, EpisodeEnd, ExpertName, Observation, Origin, Outcome, Parent, Reward, Sampling,
    Seed, Split, StateKey, Step, TaskId, Trajectory, TrajectoryId,
};
use eef_rollout::Start;
use eef_store::{MemoryStore, TrajectoryStore as _};

fn task(index: u32) -> TaskId {
    TaskId::new("made by hand", Split::Train, index)
}

fn id(name: &str) -> TrajectoryId {
    TrajectoryId::derive(&[name.as_bytes()])
}

fn step(action: &str, author: Author) -> Step {
    Step {
        reply: action.to_owned(),
        action: Action::new(action),
        observation: Observation::new("seen"),
        author,
        sampled: None,
    }
}

fn trajectory(name: &str, task: TaskId, steps: Vec<Step>, origin: Origin, won: bool) -> Trajectory {
    let reward = if won { Reward::ONE } else { Reward::ZERO };
    Trajectory {
        id: id(name),
        task,
        instruction: String::new(),
        first_observation: Observation::default(),
        steps,
        origin,
        outcome: Outcome { end: EpisodeEnd::Terminated, reward },
    }
}

/// A trajectory of `n` actions that no other one has.
fn expert(name: &str, of: &str, index: u32, n: usize, won: bool) -> Arc<Trajectory> {
    let of: ExpertName = of.into();
    let steps = (0..n).map(|i| step(&format!("{name} {i}"), Author::Expert(Arc::clone(&of))));
    Arc::new(trajectory(name, task(index), steps.collect(), Origin::Expert { name: of }, won))
}

fn rollout(name: &str, index: u32, sample: u32, n: usize, won: bool) -> Arc<Trajectory> {
    let steps = (0..n).map(|i| step(&format!("{name} {i}"), Author::Policy)).collect();
    let origin = Origin::Rollout { round: 2, sample, parent: None };
    Arc::new(trajectory(name, task(index), steps, origin, won))
}

fn after(expert: &Trajectory, n_actions: usize, won: bool) -> Arc<Trajectory> {
    let name = format!("{} after {n_actions}", expert.id);
    let mut steps = expert.steps[..n_actions].to_vec();
    steps.push(step(&name, Author::Policy));
    let parent = Some(Parent { trajectory: expert.id, n_actions });
    let origin = Origin::Rollout { round: 2, sample: 0, parent };
    Arc::new(trajectory(&name, expert.task.clone(), steps, origin, won))
}

/// A policy that likes long trajectories.
#[expect(clippy::unnecessary_wraps, reason = "as a view has it")]
fn longest_first(items: &[(Arc<Trajectory>, usize)]) -> Result<Vec<f64>, eef::RunError> {
    Ok(items.iter().map(|(one, from)| (one.n_actions() - from) as f64).collect())
}

/// Three tasks. The strong expert wins task 0 in 7 actions, and fails task 1 in 13 and task 2 in 6;
/// the weak one fails task 0 in 4.
struct Case {
    tasks: Vec<TaskId>,
    experts: Vec<Arc<Trajectory>>,
    strong: [ExpertName; 1],
    won: BTreeMap<StateKey, bool>,
    asked: BTreeSet<StateKey>,
    rollouts: Vec<Arc<Trajectory>>,
    store: MemoryStore,
}

impl Case {
    fn new() -> Self {
        let experts = vec![
            expert("a", "strong", 0, 7, true),
            expert("w", "weak", 0, 4, false),
            expert("b", "strong", 1, 13, false),
            expert("c", "strong", 2, 6, false),
        ];
        let store = MemoryStore::new();
        for expert in &experts {
            store.append(&[expert.as_ref().clone()]).unwrap();
        }
        Self {
            tasks: (0..3).map(task).collect(),
            experts,
            strong: ["strong".into()],
            won: BTreeMap::new(),
            asked: BTreeSet::new(),
            rollouts: Vec::new(),
            store,
        }
    }

    fn expert(&self, name: &str) -> Arc<Trajectory> {
        Arc::clone(self.experts.iter().find(|expert| expert.id == id(name)).unwrap())
    }

    /// What a method sees of the experts that it may not see: nothing.
    fn hide(&mut self, whose: Whose) {
        if whose == Whose::Imitated {
            self.experts.retain(|expert| expert.id != id("w"));
        }
    }

    fn view(&self, n_batches: usize) -> View<'_> {
        View {
            round: 2,
            seed: Seed::new(1),
            n_batches,
            tasks: &self.tasks,
            experts: &self.experts,
            bc_experts: &self.strong,
            sampling: Sampling { temperature: 0.7, top_p: 1.0 },
            won: &self.won,
            asked: &self.asked,
            rollouts: &self.rollouts,
            likelihoods: &longest_first,
            store: &self.store,
        }
    }

    /// Takes the results of a round's rollouts in, as a run does.
    fn add(&mut self, rollouts: impl IntoIterator<Item = Arc<Trajectory>>) {
        for rollout in rollouts {
            let start = rollout.state_keys()[rollout.n_replayed()];
            self.asked.insert(start);
            if matches!(rollout.origin, Origin::Rollout { sample: 0, .. }) {
                self.won.insert(start, rollout.is_positive());
            }
            self.store.append(&[rollout.as_ref().clone()]).unwrap();
            self.rollouts.push(rollout);
        }
    }

    /// The rollouts from `s_0`: task 1 alone is solved.
    fn begin(&mut self) {
        self.add([
            rollout("0", 0, 0, 9, false),
            rollout("1", 1, 0, 3, true),
            rollout("2", 2, 0, 1, false),
        ]);
    }

    /// Simulates what a method asks for along its experts; from the states for which `wins` holds
    /// the policy wins.
    fn explore(
        &mut self,
        method: &dyn Method,
        wins: impl Fn(&Trajectory, usize) -> bool,
    ) -> Vec<(TrajectoryId, usize)> {
        self.hide(method.whose());
        let mut asked = Vec::new();
        for n_batches in 1.. {
            let jobs = method.next_jobs(&self.view(n_batches)).unwrap();
            if jobs.is_empty() {
                break;
            }
            let results = jobs.iter().map(|job| match &job.start {
                Start::Replay { expert, n_actions } => {
                    assert_eq!(job.state, expert.state_keys()[*n_actions]);
                    asked.push((expert.id, *n_actions));
                    after(expert, *n_actions, wins(expert, *n_actions))
                }
                Start::Initial => panic!("{job:?}"),
            });
            let results: Vec<_> = results.collect();
            self.add(results);
        }
        asked
    }
}

fn of(name: &str) -> Box<dyn Method> {
    method(name, &MethodOptions::default()).unwrap()
}

fn initial(jobs: &[JobRequest]) -> Vec<(u32, u32, f32)> {
    let job = |job: &JobRequest| {
        assert!(matches!(job.start, Start::Initial));
        (job.task.index(), job.sample, job.sampling.temperature)
    };
    jobs.iter().map(job).collect()
}

fn trained(set: &TrainingSet) -> Vec<(TrajectoryId, usize)> {
    set.solutions().iter().map(|solution| (solution.trajectory, solution.train_from)).collect()
}

#[test]
fn imitation_differs_in_what_is_imitated_alone() {
    let case = Case::new();
    let expected = [
        ("sft-pos", Imitation::Positives),
        ("sft-all", Imitation::Everything),
        ("nat", Imitation::Announced),
    ];
    for (name, imitation) in expected {
        let method = of(name);
        assert_eq!((method.imitation(), method.explores()), (imitation, false));
        assert!(method.next_jobs(&case.view(0)).unwrap().is_empty());
        assert!(method.training_set(&case.view(0)).unwrap().is_empty());
    }
}

#[test]
fn rejection_sampling_asks_for_a_batch_per_sample_and_more_samples_begin_with_fewer() {
    let case = Case::new();
    let batches = |name: &str| -> Vec<_> {
        let method = of(name);
        (0..99)
            .map(|n| initial(&method.next_jobs(&case.view(n)).unwrap()))
            .take_while(|batch| !batch.is_empty())
            .collect()
    };
    assert_eq!(batches("rft"), [[(0, 0, 0.7), (1, 0, 0.7), (2, 0, 0.7)]]);
    let (six, ten) = (batches("rft-x6"), batches("rft-x10"));
    assert_eq!((six.len(), ten.len()), (6, 10));
    assert_eq!(six[..], ten[..6]);
    let mut temperatures: Vec<f32> = six.iter().map(|batch| batch[0].2).collect();
    temperatures.sort_by(f32::total_cmp);
    assert_eq!(temperatures, [0.2, 0.35, 0.5, 0.65, 0.8, 0.95]);
    assert_eq!(ten[6][0], (0, 6, ten[0][0].2), "from the first temperature again");
}

#[test]
fn rejection_sampling_trains_positives_balanced_or_not() {
    let mut case = Case::new();
    case.begin();
    case.add([rollout("1 again", 1, 1, 4, true), rollout("1 once more", 1, 2, 5, true)]);
    let set = |name: &str| trained(&of(name).training_set(&case.view(0)).unwrap());
    let one_each = set("rft");
    assert_eq!((one_each.len(), one_each[0]), (2, (id("a"), 0)));
    for name in ["rft-all", "dart-uniform"] {
        assert_eq!(set(name).len(), 4, "{name}");
    }
    let options = MethodOptions { dart_positives_per_task: 2, ..MethodOptions::default() };
    let uniform = method("dart-uniform", &options).unwrap().training_set(&case.view(0)).unwrap();
    assert_eq!(uniform.len(), 3);
    // Task 0 failed its only rollout and is the harder one: it may have all, task 1 a share of
    // (1/5) / (2/3) of 4.
    assert_eq!(set("dart-prop2diff").len(), 1 + 1);
}

#[test]
fn eto_prefers_the_experts_positives_to_what_failed() {
    let mut case = Case::new();
    case.begin();
    let pairs = |name: &str| match of(name).training_set(&case.view(0)).unwrap().examples {
        Examples::Preferences(pairs) => {
            pairs.iter().map(|p| (p.chosen, p.rejected, p.n_rejected_actions)).collect()
        }
        Examples::Solutions(_) => Vec::new(),
    };
    assert_eq!(pairs("eto"), [(id("a"), id("0"), 9)]);
    // Where the policy wins and the expert failed, the policy's own is preferred: cut to 3 + 5.
    assert_eq!(pairs("eto-all"), [(id("a"), id("0"), 9), (id("1"), id("b"), 8)]);
    assert_eq!(initial(&of("eto").next_jobs(&case.view(0)).unwrap()).len(), 3);
    assert!(of("eto").next_jobs(&case.view(1)).unwrap().is_empty());
}

/// Wins along `a` from its third action, along `b` up to its seventh, nowhere along `c` and `w`.
fn wins(expert: &Trajectory, n_actions: usize) -> bool {
    (expert.id == id("a") && n_actions >= 3) || (expert.id == id("b") && n_actions <= 7)
}

#[test]
fn eef_simulates_states_of_every_trajectory_and_teaches_what_they_show() {
    let mut case = Case::new();
    case.begin();
    let asked = case.explore(of("eef").as_ref(), wins);
    let grid = |name: &str, at: &[usize]| at.iter().map(|at| (id(name), *at)).collect::<Vec<_>>();
    let expected =
        [grid("a", &[1, 2, 3, 4, 5]), grid("b", &[2, 4, 6, 8, 10]), grid("c", &[1, 2, 3, 4, 5])];
    assert_eq!(asked, expected.concat());
    let set = of("eef").training_set(&case.view(0)).unwrap();
    // s_0 of task 0 by the rollout with the fewest expert actions, of task 1 by the policy itself;
    // the fall at s_8 of `b` has no solution.
    let a = case.expert("a");
    assert_eq!(trained(&set), [(after(&a, 3, true).id, 0), (id("1"), 0)]);
    assert_eq!(set.n_need_recover, 1);
    // A rollout that recovers from there is trained from there.
    let b = case.expert("b");
    case.add([after(&b, 9, true)]);
    let set = of("eef").training_set(&case.view(0)).unwrap();
    assert_eq!(trained(&set)[2], (after(&b, 9, true).id, 8));
}

#[test]
fn eef_with_every_expert_explores_the_weak_one_too() {
    let mut case = Case::new();
    case.begin();
    let asked = case.explore(of("eef-all-experts").as_ref(), wins);
    assert_eq!(asked.len(), 15 + 3);
    let mut case = Case::new();
    case.begin();
    assert_eq!(case.explore(of("eef-m1").as_ref(), wins).len(), 3);
}

#[test]
fn adaptive_anchors_find_the_same_with_fewer_simulations() {
    let mut case = Case::new();
    case.begin();
    let asked = case.explore(of("eef-adaptive").as_ref(), wins);
    let n = |name: &str| asked.iter().filter(|(expert, _)| *expert == id(name)).count();
    // The rise along `a` and the fall along `b` by halving; two blind tries along `c`.
    assert_eq!([n("a"), n("b"), n("c"), n("w")], [3, 2, 2, 0]);
    let set = of("eef-adaptive").training_set(&case.view(0)).unwrap();
    let a = case.expert("a");
    assert_eq!(trained(&set), [(after(&a, 3, true).id, 0), (id("1"), 0)]);
    assert_eq!(set.n_need_recover, 1);
}

#[test]
fn the_likeliest_solution_is_taught_whoever_chose_its_actions() {
    let mut case = Case::new();
    case.begin();
    case.explore(of("eef-likelihood").as_ref(), wins);
    let b = case.expert("b");
    case.add([after(&b, 9, true), after(&b, 11, true)]);
    let set = of("eef-likelihood").training_set(&case.view(0)).unwrap();
    // Here the longest is likeliest: the expert's own in place of one with three of its actions.
    let b = |n| after(&b, n, true).id;
    assert_eq!(trained(&set), [(id("a"), 0), (b(11), 0), (b(11), 8)]);
    assert_eq!(set.n_need_recover, 1);
}

#[test]
fn a_state_without_an_outcome_is_not_asked_for_again() {
    let mut case = Case::new();
    case.begin();
    let method = of("eef-adaptive");
    case.hide(method.whose());
    let mut n_asked = 0;
    for n_batches in 1..20 {
        let jobs = method.next_jobs(&case.view(n_batches)).unwrap();
        n_asked += jobs.len();
        for job in &jobs {
            assert!(case.asked.insert(job.state), "asked twice");
        }
    }
    assert_eq!(n_asked, 15, "every state once, none of which has an outcome");
}

#[test]
fn a_tree_search_branches_off_from_what_the_policy_did_too() {
    let mut case = Case::new();
    case.begin();
    let asked = case.explore(of("eef-tree").as_ref(), wins);
    let n = |name: &str| asked.iter().filter(|(one, _)| *one == id(name)).count();
    // The rise along `a` and the fall along `b` by halving, and no search, since both tasks are won by
    // somebody; nobody has won task 2, which has five.
    assert_eq!([n("a"), n("b"), n("w"), n("0")], [3, 2, 0, 0]);
    assert_eq!(asked.len(), 3 + 2 + 5);
    let set = of("eef-tree").training_set(&case.view(0)).unwrap();
    let a = case.expert("a");
    assert_eq!(trained(&set), [(after(&a, 3, true).id, 0), (id("1"), 0)]);
    assert_eq!(set.n_need_recover, 1);
    let error = MethodOptions { tree_exploration: -1.0, ..MethodOptions::default() };
    assert!(method("eef-tree", &error).is_err());

    // Where the policy's own rollout earned more than the expert did, the search begins there.
    let mut promising = rollout("2 again", 2, 0, 4, false);
    Arc::make_mut(&mut promising).outcome.reward = Reward::new(0.6).unwrap();
    let mut case = Case::new();
    case.add([Arc::clone(&promising)]);
    let asked = case.explore(of("eef-tree").as_ref(), |_, _| false);
    let of_task_2 = [id("2 again"), id("c")];
    let first = asked.iter().find(|(one, _)| of_task_2.contains(one)).unwrap();
    assert_eq!(first, &(id("2 again"), 1));

    // So it does in the next round, from what the store holds.
    (case.rollouts, case.asked, case.won) = Default::default();
    let mut of_validation = rollout("elsewhere", 2, 0, 3, false);
    Arc::make_mut(&mut of_validation).task = TaskId::new("made by hand", Split::Validation, 2);
    case.store.append(&[of_validation.as_ref().clone()]).unwrap();
    let view = View { round: 3, ..case.view(1) };
    let jobs = of("eef-tree").next_jobs(&view).unwrap();
    let states: Vec<StateKey> = jobs.iter().map(|job| job.state).collect();
    assert!(states.contains(&promising.state_keys()[1]), "{jobs:?}");
    assert!(!states.iter().any(|state| of_validation.state_keys().contains(state)));
}

#[test]
fn among_equals_the_newest_or_the_likeliest_is_taught() {
    let mut case = Case::new();
    case.begin();
    let mut newer = rollout("1 later", 1, 0, 2, true);
    Arc::make_mut(&mut newer).origin = Origin::Rollout { round: 3, sample: 0, parent: None };
    case.add([newer]);
    let of_task_1 = |tie: &str| {
        let options = MethodOptions { tie: tie.to_owned(), ..MethodOptions::default() };
        let eef = method("eef", &options).unwrap();
        let set = eef.training_set(&View { round: 3, ..case.view(0) }).unwrap();
        (trained(&set)[1], eef.settings())
    };
    assert_eq!(of_task_1("newest").0, (id("1 later"), 0));
    // Here the longer one is likelier; an expert's is no equal, however long.
    let (taught, settings) = of_task_1("likelihood");
    assert_eq!(taught, (id("1"), 0));
    assert!(settings.ends_with("ties by likelihood"), "{settings}");
}

#[test]
fn eef_of_its_own_explores_hot_trajectories() {
    let mut case = Case::new();
    case.begin();
    let method = of("eef-self");
    assert_eq!(initial(&method.next_jobs(&case.view(1)).unwrap())[2], (2, 1, 1.2));
    case.add([rollout("hot", 0, 1, 3, false), rollout("hotter", 2, 1, 2, true)]);
    let jobs = method.next_jobs(&case.view(2)).unwrap();
    let states: Vec<_> = jobs
        .iter()
        .map(|job| match &job.start {
            Start::Replay { expert, n_actions } => (expert.id, *n_actions),
            Start::Initial => panic!("{job:?}"),
        })
        .collect();
    assert_eq!(states, [(id("hot"), 1), (id("hot"), 2), (id("hotter"), 1)]);
    assert!(method.next_jobs(&case.view(3)).unwrap().is_empty());
}

#[test]
fn a_bandit_gives_up_an_expert_whose_replays_diverge() {
    let mut case = Case::new();
    case.begin();
    let options = MethodOptions { n_bandit_parts: 3, ..MethodOptions::default() };
    let method = method("eef-bandit", &options).unwrap();
    let mut experts = Vec::new();
    for n_batches in 1..9 {
        let jobs = method.next_jobs(&case.view(n_batches)).unwrap();
        for job in &jobs {
            assert!(case.asked.insert(job.state), "asked twice");
            let Start::Replay { expert, .. } = &job.start else { panic!("{job:?}") };
            experts.push((expert.task.index(), expert.id));
        }
    }
    // Each task once, along one expert's trajectory, though nothing came of any.
    experts.dedup();
    let tasks: Vec<u32> = experts.iter().map(|(task, _)| *task).collect();
    assert_eq!(tasks, [0, 1, 2], "{experts:?}");
}

#[test]
fn a_bandit_spends_on_one_expert_per_task() {
    let mut case = Case::new();
    case.begin();
    let options = MethodOptions { n_bandit_parts: 2, ..MethodOptions::default() };
    let asked = case.explore(method("eef-bandit", &options).unwrap().as_ref(), wins);
    let tasks_of = |name: &str| asked.iter().any(|(expert, _)| *expert == id(name));
    // Part 1 (tasks 0 and 2) is given to one of the two; task 0 has both, and pays for one.
    assert!(tasks_of("a") != tasks_of("w"), "{asked:?}");
    assert!(tasks_of("b") && tasks_of("c"), "who else would there be");
    assert!(asked.len() <= 15);
}

/// Whether replays give an outcome or diverge.
#[test]
fn no_method_costs_more_than_its_plan_says() {
    for (name, diverges) in eef::METHODS.iter().flat_map(|name| [(*name, false), (*name, true)]) {
        let method = of(name);
        let mut case = Case::new();
        let experts: Vec<ExpertSize> = (case.experts.iter())
            .map(|expert| ExpertSize {
                n_actions: expert.n_actions(),
                is_imitated: !matches!(&expert.origin, Origin::Expert { name } if &**name == "weak"),
            })
            .collect();
        let sizes = RoundSizes { round: 2, n_tasks: 3, experts: &experts, n_positives: 1 };
        let limits = method.at_most(&sizes);
        case.hide(method.whose());
        let first = method.next_jobs(&case.view(0)).unwrap();
        let mut n_rollouts = first.len();
        case.begin();
        for n_batches in 1..40 {
            let jobs = method.next_jobs(&case.view(n_batches)).unwrap();
            n_rollouts += jobs.len();
            let result = |job: &JobRequest| match &job.start {
                Start::Replay { expert, n_actions } => {
                    after(expert, *n_actions, wins(expert, *n_actions))
                }
                Start::Initial => {
                    let index = job.task.index();
                    rollout(&format!("{index} of {}", job.sample), index, job.sample, 3, true)
                }
            };
            let results: Vec<_> = jobs.iter().map(result).collect();
            case.asked.extend(jobs.iter().map(|job| job.state));
            let has_outcome = |one: &Arc<Trajectory>| !diverges || one.n_replayed() == 0;
            case.add(results.into_iter().filter(has_outcome));
        }
        let n_examples = method.training_set(&case.view(0)).unwrap().len();
        assert!(n_rollouts <= limits.n_rollouts, "{name}: {n_rollouts} of {limits:?}");
        assert!(n_examples <= limits.n_examples, "{name}: {n_examples} of {limits:?}");
        assert_eq!(limits == RoundLimits::default(), !method.explores(), "{name}");
    }
}
