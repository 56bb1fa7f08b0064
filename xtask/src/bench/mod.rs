//! `cargo xtask bench`: speed and memory, as tables that can be put into a document.

mod figures;
mod llama;
mod process_tree;
mod scienceworld;
mod train;
mod webshop;

use clap::{Args, Subcommand};

/// What to measure.
#[derive(Args)]
pub struct BenchArguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The shop: steps of random visits, and a catalogue of a million products
    Webshop(webshop::WebshopArguments),
    /// Generation with a LLaMA model beside torch and llama.cpp
    Llama(llama::LlamaArguments),
    /// Training of a LLaMA model beside torch with transformers
    Train(train::TrainArguments),
    /// ScienceWorld's simulator in our workers beside its own Python package
    #[command(name = "scienceworld")]
    ScienceWorld(scienceworld::ScienceWorldArguments),
}

/// Runs the command.
pub fn run(arguments: &BenchArguments) -> anyhow::Result<()> {
    match &arguments.what {
        What::Webshop(arguments) => webshop::run(arguments),
        What::Llama(arguments) => llama::run(arguments),
        What::Train(arguments) => train::run(arguments),
        What::ScienceWorld(arguments) => scienceworld::run(arguments),
    }
}
