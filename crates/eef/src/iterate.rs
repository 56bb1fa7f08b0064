//! Algorithm 1, top to bottom.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use eef_core::{Control, Event, Split, StateKey, TrainingItem, Trajectory};
use eef_select::{all_experts, behaviour_cloning};
use eef_store::TrajectoryStore;

use crate::bench::{Bench, Model, Outcomes};
use crate::explored::Explored;
use crate::report::{Evaluation, RoundReport, RunReport, Stage, Training};
use crate::train::Lesson;
use crate::{
    Config, Examples, Imitation, Init, Likelihoods, Method, PreferenceTuning, RunError, Setup,
    Tested, TrainingSet, View,
};

/// Tunes a model by a method: behaviour cloning, then rounds of exploration, selection and
/// training, each evaluated on validation tasks; the best round is evaluated on test tasks.
///
/// Models are kept under `directory/models`, everything else in the store. A call on the directory
/// and store of an interrupted run continues it and gives the same report and the same bytes as a
/// run that was never interrupted; a call on a complete one gives its report again.
///
/// # Errors
/// [`RunError`]. What was complete before it stays: the same call continues.
pub fn iterate(
    setup: &Setup<'_>,
    config: &Config,
    method: &dyn Method,
    store: &dyn TrajectoryStore,
    directory: &Path,
    control: &Control<'_>,
) -> Result<RunReport, RunError> {
    let bench = Bench::new(setup, config, store, directory, control)?;
    let bench = bench.after(method.imitation()).seeing(method.whose());
    bench.open_run(Some(method))?;
    let cloned = clone_behaviour(&bench, method.imitation())?; // lines 3 and 4
    explore_and_tune(&bench, method, &cloned) // lines 5 to 15
}

/// Round 1: a model that imitates the experts, trained until validation gains nothing more.
#[derive(Clone, Debug)]
pub(crate) struct Cloned {
    model: Model,
    curve: Vec<Stage>,
    best_stage: usize,
    n_solved_tasks: usize,
    test: Evaluation,
}

/// Algorithm 1, lines 3 and 4.
pub(crate) fn clone_behaviour(bench: &Bench<'_>, imitation: Imitation) -> Result<Cloned, RunError> {
    let set = TrainingSet {
        announces_outcomes: imitation == Imitation::Announced,
        ..TrainingSet::of(match imitation {
            Imitation::Positives => behaviour_cloning(&bench.experts, &bench.bc_experts), // line 3
            Imitation::Everything | Imitation::Announced => {
                all_experts(&bench.experts, &bench.bc_experts)
            }
        })
    };
    if set.is_empty() {
        return Err(RunError::NothingToImitate {
            n_experts: bench.experts.len(),
            n_named: all_experts(&bench.experts, &bench.bc_experts).len(),
            n_positive: behaviour_cloning(&bench.experts, &bench.bc_experts).len(),
            names: bench.names(),
        });
    }
    let settings = &bench.config.behaviour_cloning;
    let mut model = bench.base();
    let mut models: Vec<Model> = Vec::new();
    let mut curve: Vec<Stage> = Vec::new();
    let mut best = 0;
    for stage in 1..=settings.max_stages {
        let lesson = Lesson {
            name: format!("imitation-{}-stage-{stage:02}", imitation.name()),
            init: &model,
            set: &set,
            n_epochs: settings.stage_epochs,
            max_trained_tokens: None,
            learning_rate: settings.learning_rate,
            beta: 0.0,
            seed: bench.seed().derive("behaviour cloning", stage as u64),
        };
        let (trained, training) = bench.train(&lesson)?; // line 4
        let validation = bench.evaluate(&trained, 1, Split::Validation)?;
        curve.push(Stage { stage, n_epochs: stage * settings.stage_epochs, training, validation });
        models.push(trained.clone());
        model = trained;
        let last = curve.len() - 1;
        if curve[last].validation.is_better_than(&curve[best].validation) {
            best = last;
        }
        if last - best >= settings.patience {
            break;
        }
    }
    let model = models.swap_remove(best);
    let test = bench.evaluate(&model, 1, Split::Test)?;
    let n_solved_tasks = solved_tasks(&set);
    Ok(Cloned { model, curve, best_stage: best, n_solved_tasks, test })
}

/// Algorithm 1, lines 5 to 15, from the model of round 1.
pub(crate) fn explore_and_tune(
    bench: &Bench<'_>,
    method: &dyn Method,
    cloned: &Cloned,
) -> Result<RunReport, RunError> {
    let mut rounds = vec![cloned.report()];
    bench.control.report(Event::Milestone { line: rounds[0].line() });
    let mut models = vec![cloned.model.clone()];
    let n_rounds = if method.explores() { bench.config.n_rounds } else { 1 };
    for round in 2..=n_rounds {
        let policy = models[models.len() - 1].clone(); // line 5: θ of the last round
        let explored = explore(bench, method, round, &policy)?; // lines 6 to 13
        let set = explored.training_set();
        let base = bench.base();
        let (model, training) = if set.is_empty() {
            // Nothing to learn (ETO, where the policy does as well as the experts): it stays.
            (policy.clone(), Training::default())
        } else {
            bench.train(&lesson(bench, round, &set, &policy, &base))? // line 14
        };
        let validation = bench.evaluate(&model, round, Split::Validation)?;
        let report = report(round, &explored, &set, training, validation, &model);
        bench.control.report(Event::Milestone { line: report.line() });
        rounds.push(report);
        models.push(model);
    }
    let best = match bench.config.evaluation.tested {
        Tested::Best => best_round(&rounds), // line 15, decided: the best on validation tasks
        Tested::Last => rounds.len() - 1,
    };
    let test = match best {
        0 => cloned.test.clone(),
        _ => bench.evaluate(&models[best], rounds[best].round, Split::Test)?,
    };
    Ok(RunReport {
        method: method.name().to_owned(),
        seed: bench.config.seed,
        curve: cloned.curve.clone(),
        best_round: rounds[best].round,
        best_model: bench.model_name(&models[best]),
        rounds,
        test_of_imitation: cloned.test.clone(),
        test,
    })
}

/// How a round's training set is taught.
fn lesson<'a>(
    bench: &Bench<'_>,
    round: u32,
    set: &'a TrainingSet,
    policy: &'a Model,
    base: &'a Model,
) -> Lesson<'a> {
    let Config { tuning, preferences, budget, .. } = bench.config;
    let max_trained_tokens = Some(budget.trained_tokens).filter(|limit| *limit > 0);
    let (name, seed) =
        (format!("round-{round:02}"), bench.seed().derive("tuning", u64::from(round)));
    match &set.examples {
        Examples::Solutions(_) => {
            let init = match tuning.init {
                Init::Previous => policy,
                Init::Base => base,
            };
            let (n_epochs, learning_rate) = (tuning.n_epochs, tuning.learning_rate);
            let beta = 0.0;
            Lesson { name, init, set, n_epochs, max_trained_tokens, learning_rate, beta, seed }
        }
        // Pairs move a policy away from where it is: there is nothing to tell apart for a base.
        Examples::Preferences(_) => Lesson {
            name,
            init: policy,
            set,
            n_epochs: preferences.n_epochs,
            max_trained_tokens,
            learning_rate: PreferenceTuning::of_round(&preferences.learning_rates, round),
            beta: PreferenceTuning::of_round(&preferences.betas, round),
            seed,
        },
    }
}

/// Algorithm 1, lines 6 to 13: the method's rollouts, all of which the store keeps (line 10), and
/// what it selects for training.
fn explore(
    bench: &Bench<'_>,
    method: &dyn Method,
    round: u32,
    policy: &Model,
) -> Result<Explored, RunError> {
    let key = format!("explored/{}/round-{round}/{}", method.name(), policy.lineage);
    let known: Option<Explored> = bench.take(&key)?;
    if let Some(explored) = &known
        && explored.is_whole(bench.store)?
    {
        return Ok(explored.clone());
    }
    let mut outcomes = Outcomes::default();
    let mut won: BTreeMap<StateKey, bool> = BTreeMap::new();
    let mut asked: BTreeSet<StateKey> = BTreeSet::new();
    let likelihoods = |items: &[(Arc<Trajectory>, usize)]| bench.likelihoods(policy, items);
    for n_batches in 0.. {
        let view = bench.view(round, n_batches, &won, &asked, &outcomes.trajectories, &likelihoods);
        let mut requests = method.next_jobs(&view)?; // lines 6 to 9: s_0 and the experts' states
        requests.truncate(bench.config.budget.n_left(&outcomes));
        if requests.is_empty() {
            break;
        }
        asked.extend(requests.iter().map(|request| request.state));
        let phase = match n_batches {
            0 => format!("explore round {round}"),
            _ => format!("explore round {round}, part {}", n_batches + 1),
        };
        let batch = bench.run(&phase, policy, bench.jobs(policy, round, requests))?;
        won.extend(batch.won());
        outcomes.extend(batch);
    }
    // What a damaged store had lost is there again; what was selected then still holds.
    if let Some(explored) = known {
        return Ok(explored);
    }
    let view = bench.view(round, 0, &won, &asked, &outcomes.trajectories, &likelihoods);
    let set = method.training_set(&view)?; // lines 11 to 13
    let explored = Explored::new(&outcomes, &set);
    bench.put(&key, &explored)?;
    Ok(explored)
}

impl Bench<'_> {
    fn likelihoods(
        &self,
        policy: &Model,
        items: &[(Arc<Trajectory>, usize)],
    ) -> Result<Vec<f64>, RunError> {
        let item = |(trajectory, train_from): &(Arc<Trajectory>, usize)| TrainingItem {
            trajectory: Arc::clone(trajectory),
            train_from: *train_from,
            label: self.asked_for,
        };
        let items: Vec<_> = items.iter().map(item).collect();
        Ok(self.setup.learner.likelihoods(&policy.path, &items, self.control)?)
    }

    fn view<'v>(
        &'v self,
        round: u32,
        n_batches: usize,
        won: &'v BTreeMap<StateKey, bool>,
        asked: &'v BTreeSet<StateKey>,
        rollouts: &'v [Arc<Trajectory>],
        likelihoods: Likelihoods<'v>,
    ) -> View<'v> {
        View {
            round,
            seed: self.seed().derive("method", u64::from(round)),
            n_batches,
            tasks: &self.tasks,
            experts: &self.experts,
            bc_experts: &self.bc_experts,
            sampling: self.config.exploration.sampling(),
            won,
            asked,
            rollouts,
            likelihoods,
            store: self.store,
        }
    }
}

impl Cloned {
    fn report(&self) -> RoundReport {
        let stage = &self.curve[self.best_stage];
        RoundReport {
            round: 1,
            n_simulations: 0,
            n_diverged: 0,
            n_environment_errors: 0,
            n_won: 0,
            n_generated_tokens: 0,
            n_initial: stage.training.n_examples,
            n_solved_tasks: self.n_solved_tasks,
            n_need_recover: 0,
            n_recoveries: 0,
            training: self.training(),
            validation: stage.validation.clone(),
            model: self.model.name.clone(),
        }
    }

    /// All stages up to the best one, which is what the model cost.
    fn training(&self) -> Training {
        let stages = &self.curve[..=self.best_stage];
        let sum = |of: fn(&Training) -> u64| stages.iter().map(|stage| of(&stage.training)).sum();
        let losses = stages.iter().flat_map(|stage| stage.training.epoch_losses.clone());
        Training {
            n_examples: stages[0].training.n_examples,
            n_epochs: stages[stages.len() - 1].n_epochs,
            n_steps: sum(|training| training.n_steps),
            n_tokens: sum(|training| training.n_tokens),
            n_trained_tokens: sum(|training| training.n_trained_tokens),
            epoch_losses: losses.collect(),
        }
    }
}

fn report(
    round: u32,
    explored: &Explored,
    set: &TrainingSet,
    training: Training,
    validation: Evaluation,
    model: &Model,
) -> RoundReport {
    let n_initial = set.solutions().iter().filter(|solution| solution.train_from == 0).count();
    RoundReport {
        round,
        n_simulations: explored.n_simulations,
        n_diverged: explored.n_diverged,
        n_environment_errors: explored.n_environment_errors,
        n_won: explored.n_won,
        n_generated_tokens: explored.n_generated_tokens,
        n_initial,
        n_solved_tasks: solved_tasks(set),
        n_need_recover: set.n_need_recover,
        n_recoveries: set.solutions().len() - n_initial,
        training,
        validation,
        model: model.name.clone(),
    }
}

fn solved_tasks(set: &TrainingSet) -> usize {
    let whole = set.solutions().iter().filter(|solution| solution.train_from == 0);
    whole.map(|solution| solution.state).collect::<BTreeSet<_>>().len()
}

/// The index of the round with the best validation result; of equals the earlier one.
fn best_round(rounds: &[RoundReport]) -> usize {
    let mut best = 0;
    for (index, round) in rounds.iter().enumerate() {
        if round.validation.is_better_than(&rounds[best].validation) {
            best = index;
        }
    }
    best
}
