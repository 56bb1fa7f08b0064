//! Tunes LLM agents by exploring expert failures: arguments, configuration, wiring and progress.
//! Everything else is in the crates that this one joins.
#![allow(rustdoc::invalid_html_tags, reason = "doc comments of arguments are help texts")]

mod arguments;
mod config;
mod context;
mod ending;
mod interrupt;
mod log;
mod memory;
mod output;
mod output_file;
mod paths;
mod plan;
mod progress;
mod recording;
mod results;
mod run_directory;
mod token_file;
mod verbs;
mod wiring;

use std::process::ExitCode;

use arguments::{Arguments, Verb};
use context::Context;
use progress::Renderer;

fn main() -> ExitCode {
    eef_scienceworld::worker_main_if_requested();
    memory::keep_freed();
    let arguments = Arguments::read();
    let json = arguments.global.json;
    log::start(arguments.global.verbose, json);
    let progress = Renderer::new(json);
    let interrupt = match interrupt::watch(json) {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(&progress, &error),
    };
    let context = Context { global: arguments.global, progress, interrupt };
    let result = match &arguments.verb {
        Verb::Iterate(arguments) => verbs::iterate::run(&context, arguments),
        Verb::Evaluate(arguments) => verbs::evaluate::run(&context, arguments),
        Verb::Compare(arguments) => verbs::compare::run(&context, arguments),
        Verb::Report(arguments) => verbs::report::run(&context, arguments),
        Verb::Inspect(arguments) => verbs::inspect::run(&context, arguments),
        Verb::Generate(arguments) => verbs::generate::run(&context, arguments),
        Verb::Bench(arguments) => verbs::bench::run(&context, arguments),
        Verb::Collect(arguments) => verbs::collect::run(&context, arguments),
        Verb::Train(arguments) => verbs::train::run(&context, arguments),
        Verb::Pretrain(arguments) => verbs::pretrain::run(&context, arguments),
        Verb::Import(arguments) => verbs::import::run(&context, arguments),
        Verb::Export(arguments) => verbs::export::run(&context, arguments),
        Verb::Repair => verbs::repair::run(&context),
        Verb::Verify(arguments) => verbs::verify::run(&context, arguments),
    };
    context.progress.clear();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if ending::is_interruption(&error) => {
            let message = ending::interrupted(&arguments.verb);
            let event = serde_json::json!({ "event": "interrupted", "message": message });
            context.progress.line(message, event);
            ExitCode::from(interrupt::EXIT_CODE)
        }
        Err(error) => fail(&context.progress, &error),
    }
}

/// One line for what failed, one for each cause that says something new.
fn fail(progress: &Renderer, error: &anyhow::Error) -> ExitCode {
    let message = error.to_string();
    let mut said = message.clone();
    let mut causes = Vec::new();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        let is_new = !said.contains(&cause);
        said.push_str(&cause);
        if is_new {
            causes.push(cause);
        }
    }
    let event = serde_json::json!({ "event": "error", "message": &message, "causes": &causes });
    let lines: Vec<String> = std::iter::once(message).chain(causes).collect();
    progress.line(&format!("error: {}", lines.join("\n  caused by: ")), event);
    ExitCode::FAILURE
}
