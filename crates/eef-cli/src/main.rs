//! Tunes LLM agents by exploring expert failures: arguments, configuration, wiring and progress.
//! Everything else is in the crates that this one joins.
#![allow(rustdoc::invalid_html_tags, reason = "doc comments of arguments are help texts")]

mod arguments;
mod browsing;
mod config;
mod context;
mod interrupt;
mod memory;
mod output;
mod paths;
mod plan;
mod progress;
mod recording;
mod results;
mod run_directory;
mod verbs;
mod wiring;

use std::process::ExitCode;

use arguments::{Arguments, Verb};
use clap::Parser;
use context::Context;
use progress::Renderer;

fn main() -> ExitCode {
    memory::keep_freed();
    let arguments = Arguments::parse();
    log(arguments.global.verbose);
    let interrupt = match interrupt::watch() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(&error),
    };
    let progress = Renderer::new(arguments.global.json);
    let context = Context { global: arguments.global, progress, interrupt };
    let result = match &arguments.verb {
        Verb::Iterate(arguments) => verbs::iterate::run(&context, arguments),
        Verb::Evaluate(arguments) => verbs::evaluate::run(&context, arguments),
        Verb::Compare(arguments) => verbs::compare::run(&context, arguments),
        Verb::Inspect(arguments) => verbs::inspect::run(&context, arguments),
        Verb::Collect(arguments) => verbs::collect::run(&context, arguments),
        Verb::Pretrain(arguments) => verbs::pretrain::run(&context, arguments),
        Verb::Import(arguments) => verbs::import::run(&context, arguments),
        Verb::Export(arguments) => verbs::export::run(&context, arguments),
    };
    context.progress.clear();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) if context.interrupt.is_requested() => {
            output::say("interrupted; the same command continues");
            ExitCode::from(interrupt::EXIT_CODE)
        }
        Err(error) => fail(&error),
    }
}

/// One line for what failed, one for each cause that says something new.
fn fail(error: &anyhow::Error) -> ExitCode {
    let mut said = error.to_string();
    output::say(&format!("error: {said}"));
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !said.contains(&cause) {
            output::say(&format!("  caused by: {cause}"));
        }
        said.push_str(&cause);
    }
    ExitCode::FAILURE
}

/// Events of the libraries, on stderr: warnings, and more with `-v`; `RUST_LOG` overrides.
fn log(verbose: u8) {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let ours =
        format!("error,eef={level},{}", OURS.map(|name| format!("{name}={level}")).join(","));
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(ours));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(verbose > 0)
        .init();
}

/// The crates whose events `-v` shows.
const OURS: [&str; 8] = [
    "eef_agent",
    "eef_chat",
    "eef_llama",
    "eef_rollout",
    "eef_select",
    "eef_store",
    "eef_train",
    "eef_webshop",
];
