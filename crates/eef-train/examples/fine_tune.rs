//! Fine-tunes a model on a file of chats, one JSON object a line.
//!
//! `cargo run --release -p eef-train --example fine_tune -- MODEL CHATS.jsonl OUT`; without arguments a
//! tiny random model learns a few chats that are made up here.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eef_chat::{BpeTraining, ChatTemplate, Encoder, Sample, Tokenizer, train_bpe};
use eef_llama::{Llama, LlamaConfig, device};
use eef_train::{TrainConfig, TrainExample, TrainPaths, Trainer};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let given: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let [model, chats, out] = match <[PathBuf; 3]>::try_from(given) {
        Ok(given) => given,
        Err(given) if given.is_empty() => made_up(folder.path())?,
        Err(_) => return Err("expected MODEL CHATS.jsonl OUT, or nothing".into()),
    };
    let tokenizer = Arc::new(Tokenizer::open(&model.join("tokenizer.json"))?);
    let template = ChatTemplate::of_model(&model, &tokenizer)?;
    let encoder = Encoder::new(tokenizer, template)?;

    let mut examples = Vec::new();
    for (_, sample) in Sample::read_all(&chats)? {
        let Sample::Chat(chat) = sample else { return Err("a line holds no plain chat".into()) };
        let example = chat.example(&encoder)?; // replies are trained, the rest is context
        examples.push(TrainExample::new(example.token_ids, example.loss_mask.into_vec())?);
    }
    let config = TrainConfig { n_epochs: 30, learning_rate: 5e-3, ..TrainConfig::default() };
    let paths = TrainPaths { init: &model, output: &out, scratch: &folder.path().join("training") };
    let summary = Trainer::new(config, device("cpu")?)?.run(&paths, &examples, &mut ())?;
    let (first, last) = (summary.epoch_losses.first(), summary.epoch_losses.last());
    if let (Some(first), Some(last)) = (first, last) {
        writeln!(stdout(), "loss of the first epoch {first:.3}, of the last {last:.3}")?;
    }
    Ok(())
}

/// A tiny random model, a few chats, and where to write to.
fn made_up(folder: &Path) -> Result<[PathBuf; 3], Box<dyn Error>> {
    let [model, chats, out] = ["model", "chats.jsonl", "tuned"].map(|name| folder.join(name));
    let said = [("sky", "blue"), ("grass", "green"), ("sun", "yellow")];
    let lines: Vec<String> = said
        .iter()
        .map(|(question, answer)| {
            let user = format!(r#"{{"role": "user", "content": "{question}?"}}"#);
            let assistant = format!(r#"{{"role": "assistant", "content": "{answer}"}}"#);
            format!(r#"{{"messages": [{user}, {assistant}]}}"#)
        })
        .collect();
    std::fs::write(&chats, lines.join("\n"))?;
    let tokenizer = train_bpe(lines.into_iter(), &BpeTraining::default())?;
    let vocabulary = Tokenizer::from_bytes(tokenizer.clone())?.vocabulary_size();
    Llama::init(&LlamaConfig::tiny(vocabulary), 1, &device("cpu")?)?.save(&model)?;
    std::fs::write(model.join("tokenizer.json"), tokenizer)?;
    ChatTemplate::compact().write(&model)?;
    Ok([model, chats, out])
}
