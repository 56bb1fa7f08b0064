//! `pretrain`: the small base model, from browsing text.

mod destination;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;
use eef_agent::{PretrainRequest, Trained, pretrain};
use eef_chat::{BpeTraining, ChatTemplate, Encoder, Example, Tokenizer, messages_of, train_bpe};
use eef_core::{Message, Seed, Split};
use eef_llama::LlamaConfig;
use eef_train::Order;
use eef_webshop::ShopEnvironment;
use eef_webshop::browsing::{BrowsingConfig, BrowsingCorpus};

use crate::config::{Config, PretrainConfig};
use crate::context::Context;
use crate::wiring::World;
use crate::{output, paths, wiring};
use destination::Destination;

/// What to pre-train.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Directory to write the model to; without it the configuration's model.base
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Replaces the model that is there, if this program wrote it
    #[arg(long)]
    force: bool,
}

/// Pre-trains.
pub fn run(context: &Context, arguments: &Arguments) -> anyhow::Result<()> {
    let config = context.config()?;
    let settings = &config.pretrain;
    let out = arguments.out.clone().map_or_else(|| paths::find(&config.model.base), Ok)?;
    let destination = Destination::new(out, arguments.force)?;
    let world = wiring::World::open(&config)?;
    let corpus = match &world {
        World::Shop(shop) => corpus(&config, shop)?,
        World::ScienceWorld(world, solver) => {
            let prompt = wiring::prompt(&config)?;
            let control = context.control();
            let transcripts = wiring::transcripts(&config, world, solver.as_ref(), &control)?;
            transcripts.iter().map(|transcript| messages_of(transcript, prompt)).collect()
        }
    };
    let boilerplate = match &world {
        World::Shop(_) => &BOILERPLATE[..],
        World::ScienceWorld(..) => &ROOM_BOILERPLATE,
    };
    let tokenizer = tokenizer(settings, boilerplate, &corpus)?;
    let encoder = Encoder::new(Arc::new(tokenizer), ChatTemplate::compact())?;
    let corpus = fitting(context, corpus, &encoder, settings.context_length)?;
    let scratch = destination.scratch();
    let fresh = scratch.join("model");
    let model = model_config(settings);
    let train = eef_train::TrainConfig {
        n_epochs: settings.n_epochs,
        batch_size: settings.batch_size,
        learning_rate: settings.learning_rate,
        order: if settings.n_exercises_first > 0 { Order::AsGiven } else { Order::Shuffled },
        seed: config.seed,
        ..wiring::train_config(&config)?
    };
    let request = PretrainRequest {
        model: &model,
        encoder: &encoder,
        output: &fresh,
        scratch: &scratch,
        train: &train,
        device: &config.machine.device,
        trained: match settings.trained.as_str() {
            "replies" => Trained::Replies,
            _ => Trained::Everything,
        },
    };
    let summary = pretrain(&request, corpus, &context.control())?;
    destination.put(&fresh)?;
    std::fs::remove_dir_all(&scratch)
        .with_context(|| format!("cannot remove {}", scratch.display()))?;
    let out = destination.path();
    let loss = summary.epoch_losses.last().copied().unwrap_or(f64::NAN);
    if context.global.json {
        return output::print_json(&serde_json::json!({
            "model": out, "steps": summary.n_steps, "tokens": summary.n_tokens, "loss": loss,
        }));
    }
    let tokens = output::count(summary.n_tokens);
    output::print(&format!("{}: {tokens} tokens, loss {loss:.4}\n", out.display()))
}

/// Browsing text; what any task asks for does not occur in it.
fn corpus(config: &Config, environment: &ShopEnvironment) -> anyhow::Result<Vec<Vec<Message>>> {
    let template = wiring::prompt(config)?;
    let seed = Seed::new(config.seed).derive("browsing", 0);
    let n_transcripts = config.pretrain.n_transcripts;
    let prompt = |opening: &eef_core::Opening| template.of_opening(opening);
    let settings = BrowsingConfig {
        n_transcripts,
        n_exercises_first: config.pretrain.n_exercises_first,
        exercises: config.pretrain.exercises,
        ..BrowsingConfig::default()
    };
    let shop = environment.shop();
    let goals = Split::ALL.into_iter().flat_map(|split| shop.goals(split));
    let reserved = goals.map(|goal| goal.instruction_text.as_str());
    let mut corpus = BrowsingCorpus::new(settings, seed, &prompt).without(reserved);
    if config.pretrain.source == "catalog" {
        corpus = corpus.over(Arc::clone(shop));
    }
    Ok(corpus.collect::<Result<_, _>>()?)
}

/// The tokenizer that the configuration names, or one trained on the corpus.
fn tokenizer(
    settings: &PretrainConfig,
    boilerplate: &[&str],
    corpus: &[Vec<Message>],
) -> anyhow::Result<Tokenizer> {
    if settings.tokenizer != TRAIN_TOKENIZER {
        let how = "cargo xtask fixtures writes fixtures/tokenizer.json; or set \
                   pretrain.tokenizer=train";
        let path = paths::require(&settings.tokenizer, "the tokenizer", how)?;
        return Ok(Tokenizer::open(&path)?);
    }
    let training = BpeTraining {
        vocabulary_size: settings.vocabulary_size,
        added_tokens: boilerplate.iter().map(|text| (*text).to_owned()).collect(),
        ..BpeTraining::default()
    };
    let texts = corpus.iter().flatten().map(|message| message.text.clone());
    Ok(Tokenizer::from_bytes(train_bpe(texts, &training)?)?)
}

/// What `pretrain.tokenizer` says where there is none yet.
const TRAIN_TOKENIZER: &str = "train";

/// What stands on every page of WebShop: one token each.
const BOILERPLATE: [&str; 12] = [
    "WEB PAGE: {\n[Back to Search] \n",
    " (Total results: 15) \n",
    "[< Prev] \n",
    "[Next >] \n",
    " \nRating: N.A. \n[Description] \n[Features] \n[Reviews] \n[Buy Now] }",
    "search[{\"product\": \"",
    "click[{\"button\": \"",
    "Think[{\"response\": \"",
    "\"}]",
    ", and price lower than ",
    "You have clicked ",
    " \nPrice: $",
];

/// What stands in every room of ScienceWorld.
const ROOM_BOILERPLATE: [&str; 12] = [
    "Task Description:\nYour task is to ",
    "This room is called the ",
    ". In it, you see: \n\tthe agent\n\ta substance called air\n",
    "You also see:\n\tA door to the ",
    "\n\tA door to the ",
    " (that is closed)",
    " (that is open)",
    " (containing nothing)",
    "The door is now open.",
    "You move to the ",
    "a substance called ",
    "No known action matches that input.",
];

/// The transcripts that fit the context. Some real products have hundreds of options.
fn fitting(
    context: &Context,
    corpus: Vec<Vec<Message>>,
    encoder: &Encoder,
    context_length: usize,
) -> anyhow::Result<Vec<Vec<Message>>> {
    let n_all = corpus.len();
    let mut fitting = Vec::with_capacity(n_all);
    for transcript in corpus {
        if Example::of_everything(encoder, &transcript)?.token_ids.len() <= context_length {
            fitting.push(transcript);
        }
    }
    let n_left_out = n_all - fitting.len();
    if n_left_out > 0 {
        let note = format!("{n_left_out} of {n_all} transcripts exceed the context: left out");
        context.progress.note(&note);
    }
    Ok(fitting)
}

fn model_config(settings: &PretrainConfig) -> LlamaConfig {
    LlamaConfig {
        // Set to the tokenizer's where the model is made.
        vocab_size: 1,
        hidden_size: settings.hidden_size,
        intermediate_size: settings.intermediate_size,
        num_hidden_layers: settings.n_layers,
        num_attention_heads: settings.n_heads,
        num_key_value_heads: Some(settings.n_kv_heads),
        head_dim: None,
        max_position_embeddings: settings.context_length,
        rms_norm_eps: 1e-6,
        rope_theta: 10_000.0,
        tie_word_embeddings: true,
        other: serde_json::Map::new(),
    }
}
