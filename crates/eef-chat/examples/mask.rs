//! Trains a tokenizer on a few words, then shows what a recovered trajectory trains.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;

use eef_chat::{BpeTraining, ChatTemplate, Encoder, Example, PromptTemplate, Tokenizer, train_bpe};
use eef_core::{
    Action, Author, EpisodeEnd, Observation, Origin, Outcome, Reward, Split, Step, TaskId,
    Trajectory, TrajectoryId,
};

fn main() -> Result<(), Box<dyn Error>> {
    let texts = ["take room 2", "room 0", "room 1", "right", "take"].map(String::from);
    let json = train_bpe(texts.into_iter(), &BpeTraining::default())?;
    let encoder = Encoder::new(Arc::new(Tokenizer::from_bytes(json)?), ChatTemplate::compact())?;

    let step = |reply: &str, observation: &str, author: Author| Step {
        reply: reply.to_owned(),
        action: Action::new(reply),
        observation: Observation::new(observation),
        author,
        sampled: None,
    };
    let trajectory = Trajectory {
        id: TrajectoryId::derive(&[b"example"]),
        task: TaskId::new("corridor", Split::Train, 2),
        instruction: "take room 2".to_owned(),
        first_observation: Observation::new("room 0"),
        steps: vec![
            step("right", "room 1", Author::Expert("scripted".into())),
            step("right", "room 2", Author::Policy),
            step("take", "taken", Author::Policy),
        ],
        origin: Origin::Rollout { round: 1, sample: 0, parent: None },
        outcome: Outcome { end: EpisodeEnd::Terminated, reward: Reward::ONE },
    };
    // The expert's first action is context; the policy's own recovery is trained.
    let example = Example::of_trajectory(&encoder, &trajectory, 1, PromptTemplate::Short, 512)?;
    writeln!(std::io::stdout(), "{}", example.render(encoder.tokenizer())?)?;
    Ok(())
}
