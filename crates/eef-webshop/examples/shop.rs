//! Buys a red handmade mug in the crate's sample shop: `cargo run --example shop`.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use eef_core::{Env, Split, TaskId};
use eef_webshop::{AgentAction, WebShop};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let shop = WebShop::sample()?;
    let mut shopper = shop.shopper();
    let opening = shopper.reset(&TaskId::new(shop.name(), Split::Test, 0))?;
    println!("{}\n{}", opening.instruction, opening.observation);
    let search = AgentAction::search("stoneware coffee mug");
    let clicks = ["B0MUG00004", "red", "Buy Now"].map(AgentAction::click);
    for action in [search].into_iter().chain(clicks) {
        let transition = shopper.step(&action.to_string())?;
        println!("> {action}\n{}", transition.observation);
        if transition.terminated {
            println!("reward {}", transition.reward.get());
        }
    }
    Ok(())
}
