//! Work to measure a generator with: the same in the benchmarks of this crate, in `eef-cli bench`, and
//! beside other programs.

use std::fmt;

use crate::{Generator, LlamaError, Request};

/// Turns of a rollout; the `i`-th rollout of a task begins after the expert's first `i`.
const N_TURNS: u64 = 6;
/// Tokens of an observation.
const OBSERVATION: u64 = 40;
/// Tokens of an action.
const ACTION: u64 = 8;

/// What a generator is asked to do, with arbitrary tokens.
///
/// ```
/// use eef_llama::{Generator, GeneratorConfig, Llama, LlamaConfig, Workload, device};
///
/// let model = Llama::init(&LlamaConfig::tiny(50), 7, &device("cpu")?)?;
/// let mut generator = Generator::new(model, GeneratorConfig::default())?;
/// let workload = Workload::Decode { n_sequences: 8, context: 16, n_tokens: 4 };
/// workload.prepare(&mut generator)?;
/// let start = std::time::Instant::now();
/// let n_tokens = workload.run(&mut generator)?;
/// println!("{workload}: {} tokens/s", n_tokens as f64 / start.elapsed().as_secs_f64());
/// # assert_eq!(n_tokens, 32);
/// # Ok::<(), eef_llama::LlamaError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// Reads prompts and chooses one token after each.
    Prefill {
        /// How many prompts, all different.
        n_sequences: u64,
        /// Tokens of each.
        length: u64,
    },
    /// Continues sequences all at once.
    Decode {
        /// How many, all different.
        n_sequences: u64,
        /// Tokens that each has already.
        context: u64,
        /// Tokens to generate of each.
        n_tokens: usize,
    },
    /// What EEF does: six rollouts of each task, each from another prefix of the task's expert
    /// trajectory, to the end of six turns, sampled at temperature 1. A turn is an observation of 40
    /// tokens and an action of 8.
    Rollouts {
        /// How many tasks.
        n_tasks: u64,
    },
}

impl fmt::Display for Workload {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefill { n_sequences, length } => write!(out, "prefill {n_sequences}x{length}"),
            Self::Decode { n_sequences, context, .. } => {
                write!(out, "decode {n_sequences} at {context}")
            }
            Self::Rollouts { .. } => write!(out, "rollouts"),
        }
    }
}

impl Workload {
    /// Clears the generator and does what is not to be measured.
    ///
    /// # Errors
    ///
    /// Where the model's context or the generator's memory is too small.
    pub fn prepare(&self, generator: &mut Generator) -> Result<(), LlamaError> {
        generator.clear();
        if let Self::Decode { n_sequences, context, .. } = *self {
            for name in 0..n_sequences {
                let tokens = tokens(generator, name, context);
                generator.submit(Request::greedy(name, tokens, 1))?;
            }
            while !generator.advance()?.is_empty() {}
        }
        Ok(())
    }

    /// Does the work; returns the tokens that count: of the prompts for a prefill, generated ones
    /// otherwise.
    ///
    /// # Errors
    ///
    /// As [`prepare`](Self::prepare).
    pub fn run(&self, generator: &mut Generator) -> Result<u64, LlamaError> {
        match *self {
            Self::Prefill { n_sequences, length } => {
                for name in 0..n_sequences {
                    let tokens = tokens(generator, name, length);
                    generator.submit(Request::greedy(name, tokens, 1))?;
                }
                while !generator.advance()?.is_empty() {}
                Ok(n_sequences * length)
            }
            Self::Decode { n_sequences, n_tokens, .. } => {
                for name in 0..n_sequences {
                    generator.submit(Request::greedy(name, Vec::new(), n_tokens))?;
                }
                while !generator.advance()?.is_empty() {}
                Ok(n_sequences * n_tokens as u64)
            }
            Self::Rollouts { n_tasks } => roll_out(generator, n_tasks),
        }
    }
}

fn roll_out(generator: &mut Generator, n_tasks: u64) -> Result<u64, LlamaError> {
    let request = |name: u64, turn: u64, tokens| Request {
        temperature: 1.0,
        seed: name * N_TURNS + turn,
        ..Request::greedy(name, tokens, ACTION as usize)
    };
    let n_rollouts = n_tasks * N_TURNS;
    let mut turns: Vec<u64> = (0..n_rollouts).map(|name| name % N_TURNS).collect();
    for (name, turn) in (0..).zip(&turns) {
        let length = (OBSERVATION + ACTION) * turn + OBSERVATION;
        let prompt = tokens(generator, name / N_TURNS, length);
        generator.submit(request(name, *turn, prompt))?;
    }
    let mut n_generated = 0;
    loop {
        let completions = generator.advance()?;
        if completions.is_empty() {
            return Ok(n_generated);
        }
        for completion in completions {
            n_generated += completion.tokens.len() as u64;
            let name = completion.sequence;
            let turn = &mut turns[name as usize];
            *turn += 1;
            if *turn < N_TURNS {
                let observation = tokens(generator, n_tasks + name, OBSERVATION);
                generator.submit(request(name, *turn, observation))?;
            } else {
                generator.close(name);
            }
        }
    }
}

/// Tokens that differ between seeds from the first on; those of one seed begin alike.
fn tokens(generator: &Generator, seed: u64, n: u64) -> Vec<u32> {
    let vocabulary = generator.model().config().vocab_size as u64;
    (0..n).map(|i| ((i * 31 + seed * 97 + i * i * (seed + 1)) % vocabulary) as u32).collect()
}
