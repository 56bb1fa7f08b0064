//! What a run would do: phases, simulations, tokens, time and memory, and what is missing.

use std::fmt::Write as _;
use std::path::Path;

use eef_core::{Environment, Split, Trajectory};
use eef_llama::LlamaConfig;
use eef_select::AnchorSchedule;
use eef_store::read_jsonl;
use eef_webshop::teacher::ScriptedTeacher;
use serde::Serialize;

use crate::config::{Config, EnvironmentKind};
use crate::context::Context;
use crate::output::{self, Table, count, duration};
use crate::{paths, wiring};

/// A plan. Figures are estimates from sizes alone; nothing is run.
#[derive(Debug, Serialize)]
struct Plan {
    name: String,
    method: String,
    sizes: Sizes,
    phases: Vec<Phase>,
    memory_bytes: f64,
    missing: Vec<Missing>,
}

/// What estimates rest on; `assumed` names those that come from `[plan]`.
#[derive(Debug, Serialize)]
struct Sizes {
    n_train: usize,
    n_validation: usize,
    n_test: usize,
    n_experts: usize,
    positive_share: f64,
    actions: f64,
    n_simulated_states: usize,
    n_parameters: f64,
    assumed: Vec<&'static str>,
}

/// One phase and what it costs.
#[derive(Debug, Serialize)]
struct Phase {
    name: String,
    n_rollouts: f64,
    n_examples: f64,
    n_read_tokens: f64,
    n_generated_tokens: f64,
    n_training_tokens: f64,
    seconds: f64,
}

/// An input that is not there.
#[derive(Debug, Serialize)]
struct Missing {
    what: String,
    path: String,
    how: String,
}

/// Prints the plan of a configuration.
pub fn print(context: &Context, config: &Config) -> anyhow::Result<()> {
    let plan = plan(config);
    if context.global.json {
        return output::print_json(&plan);
    }
    output::print(&plan.render())
}

fn plan(config: &Config) -> Plan {
    let missing = missing(config);
    let sizes = Sizes::of(config);
    let phases = phases(config, &sizes);
    let memory_bytes = memory(config, &sizes);
    let (name, method) = (config.name.clone(), config.method.name.clone());
    Plan { name, method, sizes, phases, memory_bytes, missing }
}

fn missing(config: &Config) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut need = |what: &str, path: &str, how: &str| {
        if !paths::resolve(path).exists() {
            let [what, path, how] = [what, path, how].map(str::to_owned);
            missing.push(Missing { what, path, how });
        }
    };
    if config.data.environment == EnvironmentKind::ScienceWorld {
        need("the ScienceWorld simulator", "(not part of this version)", "a later version");
    }
    need("data", &config.data.directory, &config.plan.data_source);
    for expert in
        config.data.experts.iter().filter(|expert| ScriptedTeacher::by_name(expert).is_none())
    {
        need("expert trajectories", expert, &config.plan.data_source);
    }
    need("base model", &config.model.base, &config.plan.model_source);
    missing
}

impl Sizes {
    fn of(config: &Config) -> Self {
        let plan = &config.plan;
        let mut assumed = Vec::new();
        let data = &config.data;
        let shop = wiring::environment(config).ok();
        if shop.is_none() {
            assumed.push("tasks");
        }
        let n_tasks = |split, assumed: usize, most: usize| {
            let n = shop.as_ref().map_or(assumed, |shop| shop.tasks(split).len());
            if most > 0 { n.min(most) } else { n }
        };
        let n_train = n_tasks(Split::Train, plan.n_train_tasks, data.n_train_tasks);
        let n_validation =
            n_tasks(Split::Validation, plan.n_validation_tasks, data.n_validation_tasks);
        let n_test = n_tasks(Split::Test, plan.n_test_tasks, data.n_test_tasks);
        let files = data.experts.iter().map(|path| read_jsonl(paths::resolve(path)));
        let experts: Option<Vec<_>> = files.map(Result::ok).collect();
        let experts = experts.map(|files| files.concat()).filter(|experts| !experts.is_empty());
        let schedule =
            AnchorSchedule::from_name(&config.method.anchors).unwrap_or(AnchorSchedule::Floor);
        let n_simulations = config.method.n_simulations;
        if experts.is_none() {
            assumed.push("experts");
        }
        let n_experts = experts.as_ref().map_or(plan.n_expert_trajectories, Vec::len);
        let mean = |of: &dyn Fn(&Trajectory) -> usize, assumed: f64| match &experts {
            Some(experts) => experts.iter().map(of).sum::<usize>() as f64 / n_experts as f64,
            None => assumed,
        };
        let positive_share = mean(&|expert| expert.is_positive().into(), plan.positive_share);
        let actions = mean(&Trajectory::n_actions, plan.actions_per_episode);
        let n_states =
            |expert: &Trajectory| schedule.anchors(expert.n_actions(), n_simulations).len();
        let n_simulated_states =
            (mean(&n_states, n_simulations as f64) * n_experts as f64).round() as usize;
        let counted = model_parameters(&paths::resolve(&config.model.base));
        let n_parameters = counted.map_or(plan.n_parameters, |n| n as f64);
        if counted.is_none() {
            assumed.push("model");
        }
        Self {
            n_train,
            n_validation,
            n_test,
            n_experts,
            positive_share,
            actions,
            n_simulated_states,
            n_parameters,
            assumed,
        }
    }
}

fn model_parameters(model: &Path) -> Option<usize> {
    let path = model.join("config.json");
    let text = std::fs::read_to_string(&path).ok()?;
    Some(LlamaConfig::from_json(&path, &text).ok()?.n_parameters())
}

/// Tokens of an episode: what is read, and what is said.
fn episode_tokens(config: &Config, actions: f64) -> (f64, f64) {
    let plan = &config.plan;
    (plan.prompt_tokens + actions * plan.observation_tokens, actions * plan.reply_tokens)
}

fn phases(config: &Config, sizes: &Sizes) -> Vec<Phase> {
    let (read, said) = episode_tokens(config, sizes.actions);
    let speed = config.plan.gigaflops * 1e9;
    let phase = |name: String, n_rollouts: f64, n_examples: f64, n_epochs: f64| {
        let n_training_tokens = n_examples * n_epochs * (read + said);
        let (n_read_tokens, n_generated_tokens) = (n_rollouts * read, n_rollouts * said);
        // A token costs about 2 operations per parameter forwards and 6 in training.
        let operations = sizes.n_parameters
            * (2.0 * (n_read_tokens + n_generated_tokens) + 6.0 * n_training_tokens);
        let seconds = operations / speed;
        Phase {
            name,
            n_rollouts,
            n_examples,
            n_read_tokens,
            n_generated_tokens,
            n_training_tokens,
            seconds,
        }
    };
    let cloning = &config.behaviour_cloning;
    let all = config.method.name == "sft-all";
    let n_cloned = sizes.n_experts as f64 * if all { 1.0 } else { sizes.positive_share };
    let validation = sizes.n_validation as f64;
    let n_epochs = (cloning.stage_epochs * cloning.max_stages) as f64;
    let mut phases = vec![
        phase("behaviour cloning (at most)".to_owned(), 0.0, n_cloned, n_epochs),
        phase(
            "validation of its stages".to_owned(),
            validation * cloning.max_stages as f64,
            0.0,
            0.0,
        ),
    ];
    let from_experts = sizes.n_simulated_states as f64;
    let tasks = sizes.n_train as f64;
    let simulations = match config.method.name.as_str() {
        "eef" => tasks + from_experts,
        "rft" => tasks,
        "rft-x6" => tasks * config.method.temperatures.len() as f64,
        _ => 0.0,
    };
    if simulations > 0.0 {
        for round in 2..=config.method.n_iterations {
            // At most a solution per task and one recovery per expert trajectory.
            let examples = match config.method.name.as_str() {
                "eef" => tasks * 0.6 + sizes.n_experts as f64 * 0.2,
                _ => tasks * 0.5,
            };
            phases.push(phase(format!("round {round}: explore"), simulations, 0.0, 0.0));
            let n_epochs = config.train.n_epochs as f64;
            phases.push(phase(format!("round {round}: train"), 0.0, examples, n_epochs));
            phases.push(phase(format!("round {round}: validate"), validation, 0.0, 0.0));
        }
    }
    phases.push(phase(
        "test, SFT pos and best round".to_owned(),
        2.0 * sizes.n_test as f64,
        0.0,
        0.0,
    ));
    phases
}

/// What training holds: weights, gradients and moments.
fn memory(config: &Config, sizes: &Sizes) -> f64 {
    sizes.n_parameters * config.plan.bytes_per_trained_parameter
}

impl Plan {
    fn render(&self) -> String {
        let Sizes { n_train, n_validation, n_test, n_experts, n_parameters, .. } = self.sizes;
        let mut text = format!(
            "{}: {}, {} training, {} validation and {} test tasks, {} expert trajectories \
             ({:.0} % positive, {:.1} actions), {} parameters\n",
            self.name,
            self.method,
            count(n_train as u64),
            count(n_validation as u64),
            count(n_test as u64),
            count(n_experts as u64),
            100.0 * self.sizes.positive_share,
            self.sizes.actions,
            parameters(n_parameters),
        );
        if !self.sizes.assumed.is_empty() {
            let assumed = self.sizes.assumed.join(", ");
            let _ = writeln!(text, "assumed, for want of the files ([plan]): {assumed}");
        }
        text.push('\n');
        text.push_str(&self.table());
        let total: f64 = self.phases.iter().map(|phase| phase.seconds).sum();
        let _ = writeln!(
            text,
            "\nestimated from sizes alone: {} of computing, {} for weights, gradients and moments",
            duration(total),
            bytes(self.memory_bytes),
        );
        if self.missing.is_empty() {
            text.push_str("nothing is missing\n");
        }
        for missing in &self.missing {
            let Missing { what, path, how } = missing;
            let _ = writeln!(text, "missing: {what} {path}\n  to get it: {how}");
        }
        text
    }

    fn table(&self) -> String {
        let mut table = Table::new(&[
            "phase",
            "rollouts",
            "examples",
            "tokens read",
            "generated",
            "trained through",
            "time",
        ]);
        for phase in &self.phases {
            let number = |value: f64| count(value.round() as u64);
            table.row([
                phase.name.clone(),
                number(phase.n_rollouts),
                number(phase.n_examples),
                number(phase.n_read_tokens),
                number(phase.n_generated_tokens),
                number(phase.n_training_tokens),
                duration(phase.seconds),
            ]);
        }
        table.render()
    }
}

fn parameters(n: f64) -> String {
    match n {
        n if n >= 1e9 => format!("{:.2} billion", n / 1e9),
        n if n >= 1e6 => format!("{:.1} million", n / 1e6),
        n if n > 0.0 => count(n as u64),
        _ => "an unknown number of".to_owned(),
    }
}

fn bytes(n: f64) -> String {
    if n >= 1e9 { format!("{:.1} GB", n / 1e9) } else { format!("{:.0} MB", n / 1e6) }
}
