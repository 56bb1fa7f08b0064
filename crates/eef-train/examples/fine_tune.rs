//! Fine-tunes a tiny random model on three sequences of tokens.
//!
//! `cargo run --release -p eef-train --example fine_tune`

use std::error::Error;
use std::io::{Write, stdout};

use eef_llama::{Llama, LlamaConfig, device};
use eef_train::{StepReport, TrainConfig, TrainExample, TrainObserver, TrainPaths, Trainer};

/// Prints every tenth step.
struct Printer;

impl TrainObserver for Printer {
    fn stepped(&mut self, report: &StepReport) {
        if report.step.is_multiple_of(10) {
            let StepReport { step, n_steps, loss, tokens_per_second, .. } = report;
            // A closed pipe is no reason to stop training.
            let _ = writeln!(
                stdout(),
                "step {step}/{n_steps}: loss {loss:.3}, {tokens_per_second:.0} tokens/s"
            );
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let init = folder.path().join("init");
    let cpu = device("cpu")?;
    Llama::init(&LlamaConfig::tiny(32), 1, &cpu)?.save(&init)?;

    // Prompts are context; the answers after them are trained.
    let answers = [[5, 6, 7], [8, 9, 10], [11, 12, 13]];
    let examples = answers.into_iter().enumerate().map(|(i, [a, b, c])| {
        let prompt = i as u32;
        TrainExample::new(
            vec![1, 20 + prompt, a, b, c, 2],
            vec![false, false, true, true, true, true],
        )
    });
    let examples = examples.collect::<Result<Vec<_>, _>>()?;

    let config = TrainConfig { n_epochs: 60, learning_rate: 5e-3, ..TrainConfig::default() };
    let paths = TrainPaths {
        init: &init,
        output: &folder.path().join("tuned"),
        scratch: &folder.path().join("training"),
    };
    let summary = Trainer::new(config, cpu)?.run(&paths, &examples, &mut Printer)?;
    let last = summary.epoch_losses.last().copied().unwrap_or(f64::NAN);
    writeln!(stdout(), "trained {} tokens; last loss {last:.3}", summary.n_trained_tokens)?;
    Ok(())
}
