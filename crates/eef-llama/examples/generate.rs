//! Ten tokens from a model with random weights, or from a model directory.
//!
//! `cargo run --release -p eef-llama --example generate -- [path/to/model]`
#![expect(clippy::print_stdout, reason = "an example shows its result")]

use eef_llama::{Generator, GeneratorConfig, Llama, LlamaConfig, Request, device};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let cpu = device("cpu")?;
    let model = match std::env::args_os().nth(1) {
        Some(directory) => Llama::load(directory.as_ref(), &cpu)?,
        None => Llama::init(&LlamaConfig::tiny(100), 1, &cpu)?,
    };
    let mut generator = Generator::new(model, GeneratorConfig::default())?;
    let request = Request::greedy(0, vec![1, 2, 3], 10);
    generator.submit(Request { temperature: 1.0, seed: 7, ..request })?;
    for completion in generator.advance()? {
        println!("{:?} ended by {:?}", completion.tokens, completion.finish);
    }
    Ok(())
}
