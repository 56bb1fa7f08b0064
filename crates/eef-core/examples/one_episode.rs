//! Plays one episode of the test environment with a scripted policy.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use eef_core::testing::{Corridor, FunctionPolicy};
use eef_core::{ConversationId, Environment, Message, Policy, Sampling, Seed, Split, Turn};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let corridor = Corridor { length: 5, n_tasks: 5, max_turns: 10 };
    // Walks right until the room it was asked for is the one it stands in.
    let mut policy = FunctionPolicy::new(|said: &[String], _| {
        let goal = said[0].lines().next().and_then(|line| line.rsplit(' ').next());
        let here = said.last().and_then(|text| text.rsplit(' ').next());
        if goal == here { "take" } else { "right" }.to_owned()
    });

    let task = corridor.tasks(Split::Train).remove(3);
    let mut env = corridor.instance()?;
    let opening = env.reset(&task)?;
    let mut message = format!("{}\n{}", opening.instruction, opening.observation);
    for _ in 0..corridor.max_turns() {
        let turn = Turn {
            conversation: ConversationId(0),
            messages: vec![Message::user(message.clone())],
            sampling: Sampling::GREEDY,
            seed: Seed::new(1),
        };
        let reply = policy.step(vec![turn])?.remove(0);
        let transition = env.step(&reply.text)?;
        println!("{} -> {}", reply.text, transition.observation);
        if transition.terminated {
            println!("reward {}", transition.reward.get());
            break;
        }
        transition.observation.as_str().clone_into(&mut message);
    }
    Ok(())
}
