//! Fine-tunes a random tiny model on one trajectory of a corridor, then lets it walk.

use std::error::Error;
use std::io::Write as _;
use std::sync::Arc;

use eef_agent::{LearnerOptions, LlamaLearner, create_model};
use eef_chat::{BpeTraining, ChatTemplate, Encoder, PromptTemplate, Tokenizer, train_bpe};
use eef_core::{
    Action, Author, Control, ConversationId, EpisodeEnd, Learner, Message, Observation, Origin,
    Outcome, Reward, Sampling, Seed, Split, Step, TaskId, TrainRequest, TrainingData, TrainingItem,
    Trajectory, TrajectoryId, Turn,
};
use eef_llama::LlamaConfig;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let base = directory.path().join("base");
    let tuned = directory.path().join("tuned");
    let scratch = directory.path().join("scratch");

    let texts = ["take room 2", "room 0", "right", "take"].map(String::from);
    let json = train_bpe(texts.into_iter(), &BpeTraining::default())?;
    let encoder = Encoder::new(Arc::new(Tokenizer::from_bytes(json)?), ChatTemplate::compact())?;
    create_model(&base, &LlamaConfig::tiny(1), &encoder, 1)?;

    let learner = LlamaLearner::new(LearnerOptions::default())?;
    let items = [TrainingItem { trajectory: Arc::new(trajectory()), train_from: 0, label: None }];
    let request = TrainRequest {
        init: &base,
        output: &tuned,
        scratch: &scratch,
        data: TrainingData::Demonstrations(&items),
        n_epochs: 40,
        max_trained_tokens: None,
        learning_rate: 3e-3,
        seed: Seed::new(1),
    };
    let summary = learner.train(&request, &Control::silent())?;
    let mut out = std::io::stdout();
    let (first, last) = (summary.epoch_losses.first(), summary.epoch_losses.last());
    writeln!(out, "loss {:.3} -> {:.3}", first.unwrap_or(&0.0), last.unwrap_or(&0.0))?;

    let mut policy = learner.policy(&tuned)?;
    let mut text = PromptTemplate::Short.render("take room 2", "room 0");
    for room in 1..=3 {
        let replies = policy.step(vec![Turn {
            conversation: ConversationId(0),
            messages: vec![Message::user(text)],
            sampling: Sampling::GREEDY,
            seed: Seed::new(1),
        }])?;
        writeln!(out, "the policy says: {}", replies[0].text)?;
        text = format!("room {room}");
    }
    Ok(())
}

fn trajectory() -> Trajectory {
    let steps = [("right", "room 1"), ("right", "room 2"), ("take", "taken")];
    let author = Author::Expert("by hand".into());
    Trajectory {
        id: TrajectoryId::derive(&[b"example"]),
        task: TaskId::new("corridor", Split::Train, 2),
        instruction: "take room 2".to_owned(),
        first_observation: Observation::new("room 0"),
        steps: steps
            .map(|(reply, observation)| Step {
                reply: reply.to_owned(),
                action: Action::new(reply),
                observation: Observation::new(observation),
                author: author.clone(),
                sampled: None,
            })
            .into(),
        origin: Origin::Expert { name: "by hand".into() },
        outcome: Outcome { end: EpisodeEnd::Terminated, reward: Reward::ONE },
    }
}
