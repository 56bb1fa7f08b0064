//! `generate`: a model's continuations of texts and conversations.

use std::io::Read;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use eef_agent::{CompletionRequest, LoadOptions, Prompt, TextCompletion, TextGenerator};
use eef_core::{Event, Message, Progress, Seed};
use eef_llama::{Finish, GeneratorConfig, Precision};
use eef_rollout::RolloutError;
use serde::Deserialize;

use crate::context::Context;
use crate::output;

/// What to generate.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Model directory; without it the embedded base model, which only knows its shop
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Directory of a PEFT LoRA adapter to add to the model's weights
    #[arg(long, value_name = "DIR", requires = "model")]
    adapter: Option<PathBuf>,
    /// What matrices are kept and multiplied in: f32, or bf16, which takes half the memory and is
    /// for GPUs
    #[arg(long, value_name = "NAME", default_value_t = Precision::F32)]
    precision: Precision,
    /// A prompt; may be given several times
    #[arg(long, value_name = "TEXT", required_unless_present = "prompts")]
    prompt: Vec<String>,
    /// File of prompts, one JSON value a line: a text, {"prompt": text}, or {"messages": [{"role":
    /// "user", "content": text}, …]} with the roles user and assistant; - for stdin
    #[arg(long, value_name = "FILE")]
    prompts: Option<PathBuf>,
    /// Continues texts as they stand, control tokens by name, instead of answering them in the
    /// model's chat template
    #[arg(long)]
    raw: bool,
    /// Most tokens of an answer
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = clap::value_parser!(u32).range(1..))]
    max_new_tokens: u32,
    /// A text that ends an answer, and is no part of it; may be given several times
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    stop: Vec<String>,
    /// 0 takes the likeliest token
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_parser = temperature)]
    temperature: f32,
    /// Samples from this many of the likeliest tokens
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    top_k: Option<u32>,
    /// Samples from the likeliest tokens that together have this probability
    #[arg(long, default_value_t = 1.0, allow_negative_numbers = true, value_parser = share)]
    top_p: f32,
    /// Samples from tokens at least this share as likely as the likeliest
    #[arg(long, default_value_t = 0.0, allow_negative_numbers = true, value_parser = min_share)]
    min_p: f32,
    /// Answers to each prompt
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    samples: u32,
    /// Seeds the sampling; the same seed gives the same answers
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Answers generated at once
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// Most memory for keys and values, in gigabytes; answers wait for each other where they do not
    /// fit together
    #[arg(long, value_name = "GB", default_value_t = 2.0, allow_negative_numbers = true, value_parser = gigabytes)]
    cache_gigabytes: f64,
}

fn temperature(text: &str) -> Result<f32, String> {
    number(text, |value| value == 0.0 || value >= 1e-6, "0, or at least a millionth")
}

fn share(text: &str) -> Result<f32, String> {
    number(text, |value| value > 0.0 && value <= 1.0, "more than 0 and at most 1")
}

fn min_share(text: &str) -> Result<f32, String> {
    number(text, |value| (0.0..=1.0).contains(&value), "between 0 and 1")
}

fn gigabytes(text: &str) -> Result<f64, String> {
    number(text, |value| value > 0.0 && value <= 1e6, "more than 0").map(f64::from)
}

fn number(text: &str, fits: impl Fn(f64) -> bool, expected: &str) -> Result<f32, String> {
    let value = text.parse().ok().filter(|value: &f64| value.is_finite() && fits(*value));
    value.map(|value| value as f32).ok_or_else(|| format!("expected {expected}"))
}

/// A line of a file of prompts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Text(String),
    Prompt(PromptLine),
    Messages(MessagesLine),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptLine {
    prompt: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MessagesLine {
    messages: Vec<Said>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    role: String,
    content: String,
}

/// Generates.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let prompts = arguments.read()?;
    let model = context.model_or_base(arguments.model.as_ref())?;
    let device = context.global.device.as_deref().unwrap_or("cpu");
    let config = GeneratorConfig {
        max_sequences: arguments.batch as usize,
        max_cache_bytes: (arguments.cache_gigabytes * 1e9) as usize,
        ..GeneratorConfig::default()
    };
    let (precision, adapter) = (arguments.precision, arguments.adapter.as_deref());
    let options = LoadOptions { device, precision, adapter };
    let mut generator = TextGenerator::open(&model, options, config)?;
    let context_length = generator.model().config().max_position_embeddings;
    let seed = Seed::new(arguments.seed);
    let requests: Vec<CompletionRequest> = prompts
        .iter()
        .enumerate()
        .flat_map(|(number, prompt)| {
            let of_prompt = seed.derive("prompt", number as u64);
            (0..arguments.samples).map(move |sample| CompletionRequest {
                prompt: prompt.clone(),
                max_new_tokens: arguments.max_new_tokens as usize,
                temperature: arguments.temperature,
                top_p: arguments.top_p,
                top_k: arguments.top_k.map(|k| k as usize),
                min_p: arguments.min_p,
                stops: arguments.stop.clone(),
                seed: of_prompt.derive("sample", sample.into()).get(),
            })
        })
        .collect();
    let n_requests = requests.len();
    let (mut n_done, mut n_tokens) = (0, 0);
    context.progress.report(Event::Started {
        phase: "generating".to_owned(),
        unit: "answers",
        total: n_requests as u64,
    });
    let start = Instant::now();
    let completions = generator.complete(requests, &mut |completion| {
        n_done += 1;
        n_tokens += completion.token_ids.len();
        context.progress.report(Event::Advanced { done: n_done, note: String::new() });
        !context.interrupt.is_requested()
    })?;
    let seconds = start.elapsed().as_secs_f64();
    context.progress.clear();
    let n_samples = arguments.samples as usize;
    for completion in &completions {
        print(context, completion, prompts.len(), n_samples)?;
    }
    let n_prompt: usize = completions.iter().map(|completion| completion.n_prompt_tokens).sum();
    context.progress.note(&format!(
        "{} {}: {n_tokens} tokens to {n_prompt} of prompts in {seconds:.1} s, {:.1} tokens a second",
        completions.len(),
        if completions.len() == 1 { "answer" } else { "answers" },
        n_tokens as f64 / seconds.max(1e-9)
    ));
    if completions.len() < n_requests {
        let (n_committed, n_units) = (completions.len(), n_requests);
        return Err(RolloutError::Interrupted { n_committed, n_units }.into());
    }
    let refused = completions.iter().find(|completion| completion.token_ids.is_empty());
    if let Some(refused) = refused {
        bail!(
            "prompt {} has {} tokens, and the model's context is {context_length}: shorten it",
            refused.request / n_samples + 1,
            refused.n_prompt_tokens
        );
    }
    Ok(())
}

fn print(
    context: &Context,
    completion: &TextCompletion,
    n_prompts: usize,
    n_samples: usize,
) -> anyhow::Result<()> {
    let (prompt, sample) = (completion.request / n_samples, completion.request % n_samples);
    let finish = match completion.finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ContextFull => "context_full",
    };
    if context.global.json {
        let record = serde_json::json!({
            "prompt": prompt, "sample": sample, "text": completion.text, "finish": finish,
            "token_ids": completion.token_ids, "log_probabilities": completion.log_probabilities,
            "n_prompt_tokens": completion.n_prompt_tokens,
        });
        return output::print(&format!("{record}\n"));
    }
    if n_prompts * n_samples > 1 {
        output::print(&format!("--- prompt {}, answer {}\n", prompt + 1, sample + 1))?;
    }
    output::print(&format!("{}\n", completion.text))?;
    if completion.finish == Finish::ContextFull && !completion.token_ids.is_empty() {
        context.progress.note(&format!("prompt {}: the model's context is full", prompt + 1));
    }
    Ok(())
}

impl Arguments {
    /// All prompts, those of the command line first.
    fn read(&self) -> anyhow::Result<Vec<Prompt>> {
        let mut prompts: Vec<Prompt> =
            self.prompt.iter().map(|text| self.prompt_of(text.clone())).collect();
        if let Some(file) = &self.prompts {
            let mut text = String::new();
            let read = || format!("cannot read {}", file.display());
            if file.as_os_str() == "-" {
                std::io::stdin().read_to_string(&mut text).with_context(read)?;
            } else {
                text = std::fs::read_to_string(file).with_context(read)?;
            }
            for (number, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
                let prompt = self.parse(line);
                prompts.push(
                    prompt.with_context(|| format!("{}: line {}", file.display(), number + 1))?,
                );
            }
            ensure!(!prompts.is_empty(), "{} holds no prompt", file.display());
        }
        Ok(prompts)
    }

    fn parse(&self, line: &str) -> anyhow::Result<Prompt> {
        let Ok(parsed) = serde_json::from_str(line) else {
            bail!(
                "expected a JSON text, {{\"prompt\": text}}, or {{\"messages\": [{{\"role\": …, \
                 \"content\": text}}, …]}}, and no other fields"
            );
        };
        let messages = match parsed {
            Line::Text(text) | Line::Prompt(PromptLine { prompt: text }) => {
                return Ok(self.prompt_of(text));
            }
            Line::Messages(MessagesLine { messages }) => messages,
        };
        ensure!(!self.raw, "--raw continues texts, and this is a conversation");
        let mut said = Vec::new();
        for Said { role, content } in messages {
            said.push(match role.as_str() {
                "user" => Message::user(content),
                "assistant" => Message::assistant(content, None),
                other => bail!(
                    "the role `{other}` is not known; expected user or assistant (a system message \
                     can be written out with --raw)"
                ),
            });
        }
        let ends_with_user =
            said.last().is_some_and(|message| message.role == eef_core::Role::User);
        ensure!(ends_with_user, "a conversation must end with a user's message");
        Ok(Prompt::Conversation(said))
    }

    fn prompt_of(&self, text: String) -> Prompt {
        if self.raw { Prompt::Text(text) } else { Prompt::Conversation(vec![Message::user(text)]) }
    }
}
