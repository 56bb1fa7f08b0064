//! A comparison made by hand, told.

#![allow(clippy::unwrap_used, reason = "this file holds tests and their helpers")]

use std::collections::BTreeMap;
use std::sync::Arc;

use eef::{
    Comparison, Difference, Estimate, Evaluation, MethodSummary, RoundReport, RunReport, SkillUse,
    Stage, Training,
};
use eef_core::{
    Action, Author, EpisodeEnd, Observation, Origin, Outcome, Reward, Split, Step, TaskId,
    Trajectory, TrajectoryId,
};
use eef_report::{CaseStudy, Report, ReportError, expert_summaries, find_cases};

fn estimate(mean: f64) -> Estimate {
    Estimate { mean, low: mean - 0.03, high: mean + 0.03 }
}

fn evaluation(win_rate: f64, tried: f64) -> Evaluation {
    Evaluation {
        split: "test".to_owned(),
        n_tasks: 4,
        n_environment_errors: 0,
        win_rate: estimate(win_rate),
        reward: estimate(win_rate + 0.1),
        n_turn_limit: 0,
        n_context_full: 0,
        mean_actions: 5.0,
        n_generated_tokens: 10,
        skills: vec![
            SkillUse { name: "Next".to_owned(), tried, won: tried / 2.0 },
            SkillUse { name: "Never".to_owned(), tried: 0.0, won: 0.0 },
        ],
        actions: BTreeMap::new(),
        rewards: vec![Some(1.0), Some(0.0), None, Some(0.5)],
    }
}

fn round(number: u32, n_simulations: usize, win_rate: f64) -> RoundReport {
    RoundReport {
        round: number,
        n_simulations,
        n_diverged: 0,
        n_environment_errors: 0,
        n_won: n_simulations / 2,
        n_generated_tokens: 1000 * n_simulations as u64,
        n_initial: 7,
        n_solved_tasks: 7,
        n_need_recover: 3,
        n_recoveries: 2,
        training: Training { n_examples: 9, n_trained_tokens: 1_234_567, ..Training::default() },
        validation: evaluation(win_rate, 0.1),
        model: format!("round-{number:02}"),
    }
}

fn run(method: &str, seed: u64, rounds: Vec<RoundReport>, win_rate: f64) -> RunReport {
    let stage = |stage: usize| Stage {
        stage,
        n_epochs: 4 * stage,
        training: Training::default(),
        validation: evaluation(0.1 * stage as f64, 0.0),
    };
    RunReport {
        method: method.to_owned(),
        seed,
        curve: vec![stage(1), stage(2)],
        best_round: rounds.len() as u32,
        rounds,
        best_model: String::new(),
        test_of_imitation: evaluation(0.2, 0.0),
        test: evaluation(win_rate, win_rate / 2.0),
    }
}

fn comparison() -> Comparison {
    let methods =
        [("sft-pos", 0.2, 0), ("rft-x6", 0.3, 24), ("rft-x10", 0.35, 40), ("eef", 0.5, 30)];
    let mut runs = Vec::new();
    for seed in [1, 2] {
        for (method, win_rate, n) in methods {
            let mut rounds = vec![round(1, 0, 0.2)];
            if n > 0 {
                rounds.push(round(2, n, win_rate));
            }
            runs.push(run(method, seed, rounds, win_rate + 0.01 * seed as f64));
        }
    }
    let summary = |&(method, win_rate, n): &(&str, f64, usize)| MethodSummary {
        method: method.to_owned(),
        win_rate: estimate(win_rate),
        reward: estimate(win_rate + 0.1),
        win_rates: vec![win_rate + 0.01, win_rate + 0.02],
        mean_simulations: n as f64,
        mean_generated_tokens: 1e3 * n as f64,
        mean_trained_tokens: 1_234_567.0,
        mean_solved_tasks: 7.0,
    };
    let difference = |minus: &str, mean: f64| Difference {
        of: "eef".to_owned(),
        minus: minus.to_owned(),
        win_rate: estimate(mean),
        win_rate_over_seeds: Some(estimate(mean)),
        reward: estimate(mean),
        win_rates: vec![mean, mean],
    };
    Comparison {
        runs,
        methods: methods.iter().map(summary).collect(),
        differences: vec![difference("sft-pos", 0.3), difference("rft-x6", 0.02)],
    }
}

#[test]
fn the_examples_comparison_is_this_one() {
    let text = include_str!("../examples/comparison.json");
    assert_eq!(serde_json::from_str::<Comparison>(text).unwrap(), comparison());
}

fn trajectory(name: &str, task: u32, actions: &[&str], won: bool) -> Arc<Trajectory> {
    let step = |action: &&str| Step {
        reply: (*action).to_owned(),
        action: Action::new(*action),
        observation: Observation::new(format!("a page | with {action}\nand more")),
        author: Author::Policy,
        sampled: None,
    };
    Arc::new(Trajectory {
        id: TrajectoryId::derive(&[name.as_bytes()]),
        task: TaskId::new("shop", Split::Test, task),
        instruction: "buy a <mug>".to_owned(),
        first_observation: Observation::new("[Search]"),
        steps: actions.iter().map(step).collect(),
        origin: Origin::Expert { name: "teacher".into() },
        outcome: Outcome {
            end: EpisodeEnd::Terminated,
            reward: if won { Reward::ONE } else { Reward::ZERO },
        },
    })
}

fn report() -> Report {
    let won = trajectory("a", 1, &["search", "next", "buy"], true);
    let lost = trajectory("b", 1, &["search", "buy"], false);
    Report {
        title: "A comparison".to_owned(),
        provenance: vec![("command".to_owned(), "compare".to_owned())],
        remarks: vec!["Nothing was tuned.".to_owned()],
        experts: expert_summaries(&[Arc::clone(&won), Arc::clone(&lost)]),
        n_train_tasks: 4,
        comparison: comparison(),
        cases: vec![CaseStudy { methods: ["EEF".to_owned(), "RFTx6".to_owned()], won, lost }],
    }
}

#[test]
fn everything_is_told_in_words() {
    insta::assert_snapshot!(report().markdown().unwrap());
}

#[test]
fn a_figure_that_changes_is_seen() {
    let before = report();
    let mut after = report();
    after.comparison.methods[3].win_rate.mean += 0.01;
    assert_ne!(before.markdown().unwrap(), after.markdown().unwrap());
    assert_ne!(before.figures().unwrap()[0].svg, after.figures().unwrap()[0].svg);
    assert_eq!(before.html().unwrap(), report().html().unwrap(), "the same values, the same bytes");
}

#[test]
fn pictures_are_whole_and_of_colours_that_can_be_read_on_white_and_on_black() {
    let figures = report().figures().unwrap();
    let files: Vec<&str> = figures.iter().map(|figure| figure.file).collect();
    assert_eq!(files, ["win-rates.svg", "simulations.svg", "skills.svg", "rounds.svg"]);
    for figure in figures {
        let svg = figure.svg;
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{}", figure.file);
        for name in ["EEF", "RFTx6"] {
            assert!(svg.contains(name), "{} lacks {name}", figure.file);
        }
        let colors = svg.split('#').skip(1).filter_map(|rest| rest.get(..6));
        for color in colors.filter(|text| text.chars().all(|digit| digit.is_ascii_hexdigit())) {
            assert!(!["000000", "FFFFFF"].contains(&color), "{}: {color}", figure.file);
        }
    }
}

#[test]
fn a_page_holds_its_pictures_and_no_raw_text() {
    let page = report().html().unwrap();
    assert_eq!(page.matches("<svg").count(), 4);
    assert!(page.contains("buy a &lt;mug&gt;") && !page.contains("<mug>"));
    assert!(!page.contains("<script"));
}

#[test]
fn without_runs_there_is_nothing_to_tell() {
    let mut report = report();
    report.comparison = Comparison { runs: vec![], methods: vec![], differences: vec![] };
    assert!(matches!(report.markdown(), Err(ReportError::NoRuns)));
}

#[test]
fn a_method_that_never_explored_has_neither_simulations_nor_rounds_to_draw() {
    let mut report = report();
    report.comparison.runs.retain(|run| run.method == "sft-pos");
    report.comparison.methods.truncate(1);
    report.comparison.differences.clear();
    let files: Vec<_> = report.figures().unwrap().iter().map(|figure| figure.file).collect();
    assert_eq!(files, ["win-rates.svg", "skills.svg"]);
}

#[test]
fn cases_are_tasks_that_one_wins_and_the_other_loses_the_telling_ones_first() {
    let winners = [
        trajectory("1", 1, &["search", "buy"], true),
        trajectory("2", 2, &["search", "next", "buy"], true),
        trajectory("3", 3, &["search", "next"], false),
        trajectory("4", 4, &["next"], true),
    ];
    let losers = [
        trajectory("5", 1, &["buy"], false),
        trajectory("6", 2, &["search", "look"], false),
        trajectory("7", 3, &["search"], false),
        trajectory("8", 4, &["next"], true),
    ];
    let uses_next = |one: &Trajectory| one.steps.iter().any(|step| step.action.as_str() == "next");
    let cases = find_cases(["A", "B"], &winners, &losers, &uses_next, 9);
    let tasks: Vec<u32> = cases.iter().map(|case| case.won.task.index()).collect();
    assert_eq!(tasks, [2, 1]);
    assert_eq!(cases[0].deciding_step(), 1);
    assert_eq!(find_cases(["A", "B"], &winners, &losers, &uses_next, 1).len(), 1);
    assert!(find_cases(["B", "A"], &losers, &winners, &uses_next, 9).is_empty());
}
