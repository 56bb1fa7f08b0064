//! The whole loop in miniature: a random tiny LLaMA learns two trajectories and replays them.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use eef_agent::{
    GenerationOptions, LearnerOptions, LlamaLearner, LlamaPolicy, PretrainRequest, create_model,
    open_encoder, pretrain,
};
use eef_chat::{BpeTraining, ChatTemplate, Encoder, Example, PromptTemplate, Tokenizer, train_bpe};
use eef_core::testing::Corridor;
use eef_core::{
    Author, Control, ConversationId, Environment, EpisodeEnd, Event, Interrupt, Learner,
    LearnerError, Message, Origin, Outcome, Policy, PolicyError, Progress, ReplyEnd, Reward,
    Sampling, Seed, Split, Step, TaskId, TrainRequest, TrainingData, TrainingItem, Trajectory,
    TrajectoryId, Turn,
};
use eef_llama::LlamaConfig;
use eef_train::TrainConfig;

/// One step each: there are two trajectories, and two in a batch.
const N_EPOCHS: usize = 120;
const CORRIDOR: Corridor = Corridor { length: 4, n_tasks: 4, max_turns: 6 };

fn encoder() -> Encoder {
    let texts = (0..4).flat_map(|room| [format!("take room {room}"), format!("room {room}")]);
    let texts = texts.chain(["right", "left", "take"].map(String::from));
    let config = BpeTraining { vocabulary_size: 272, min_frequency: 1, ..BpeTraining::default() };
    let tokenizer = Tokenizer::from_bytes(train_bpe(texts, &config).unwrap()).unwrap();
    Encoder::new(Arc::new(tokenizer), ChatTemplate::compact()).unwrap()
}

fn random_model(directory: &Path) -> PathBuf {
    let model = directory.join("base");
    create_model(&model, &LlamaConfig::tiny(1), &encoder(), 3).unwrap();
    model
}

fn learner() -> LlamaLearner {
    let train = TrainConfig { batch_size: 2, ..TrainConfig::default() };
    let generation = GenerationOptions { max_reply_tokens: 8, ..GenerationOptions::default() };
    LlamaLearner::new(LearnerOptions { train, generation, ..LearnerOptions::default() }).unwrap()
}

/// Plays one episode, as a rollout does, and gives the ids that the policy had at its end.
fn play(
    answer: &mut dyn FnMut(Turn) -> eef_core::Reply,
    task: &TaskId,
    author: &Author,
    sampling: Sampling,
) -> Trajectory {
    let mut env = CORRIDOR.instance().unwrap();
    let opening = env.reset(task).unwrap();
    let mut message = Message::user(PromptTemplate::Short.of_opening(&opening));
    let mut steps = Vec::new();
    let mut outcome = Outcome { end: EpisodeEnd::TurnLimit, reward: Reward::ZERO };
    for turn in 0..CORRIDOR.max_turns {
        let reply = answer(Turn {
            conversation: ConversationId(u64::from(task.index())),
            messages: vec![message],
            sampling,
            seed: Seed::new(5).derive("turn", turn as u64),
        });
        if reply.end == ReplyEnd::ContextFull {
            outcome.end = EpisodeEnd::ContextFull;
            break;
        }
        let transition = env.step(&reply.text).unwrap();
        steps.push(Step {
            reply: reply.text,
            action: transition.action,
            observation: transition.observation.clone(),
            author: author.clone(),
            sampled: reply.sampled,
        });
        if transition.terminated {
            outcome = Outcome { end: EpisodeEnd::Terminated, reward: transition.reward };
            break;
        }
        message = Message::user(transition.observation.as_str());
    }
    Trajectory {
        id: TrajectoryId::derive(&[task.to_string().as_bytes()]),
        task: task.clone(),
        instruction: opening.instruction,
        first_observation: opening.observation,
        steps,
        origin: Origin::Expert { name: "scripted".into() },
        outcome,
    }
}

/// Walks right until the goal's room. Only the prompt tells how far that is.
fn expert(goal: u32) -> Trajectory {
    let task = TaskId::new("corridor", Split::Train, goal);
    let mut room = 0;
    let mut answer = |turn: Turn| {
        let text = if room == goal { "take" } else { "right" }.to_owned();
        room += 1;
        let end = ReplyEnd::Stop;
        eef_core::Reply { conversation: turn.conversation, text, sampled: None, end }
    };
    play(&mut answer, &task, &Author::Expert("scripted".into()), Sampling::GREEDY)
}

fn items() -> Vec<TrainingItem> {
    [1, 3]
        .map(|goal| TrainingItem { trajectory: Arc::new(expert(goal)), train_from: 0, label: None })
        .into()
}

fn train(init: &Path, output: &Path, control: &Control<'_>) -> Result<(), LearnerError> {
    let scratch = output.with_extension("scratch");
    let items = items();
    let request = TrainRequest {
        init,
        output,
        scratch: &scratch,
        data: TrainingData::Demonstrations(&items),
        n_epochs: N_EPOCHS,
        max_trained_tokens: None,
        learning_rate: 5e-3,
        seed: Seed::new(1),
    };
    let summary = learner().train(&request, control)?;
    assert_eq!(summary.n_steps, N_EPOCHS as u64);
    assert!(summary.epoch_losses[N_EPOCHS - 1] < 0.05, "{:?}", summary.epoch_losses);
    Ok(())
}

/// Asks to stop once this many steps are done.
struct Stopper {
    at: u64,
    interrupt: Interrupt,
}

impl Progress for Stopper {
    fn report(&self, event: Event) {
        if matches!(event, Event::Advanced { done, .. } if done >= self.at) {
            self.interrupt.request();
        }
    }
}

fn ask(policy: &mut dyn Policy, turn: Turn) -> eef_core::Reply {
    let mut replies = policy.step(vec![turn]).unwrap();
    assert_eq!(replies.len(), 1);
    replies.remove(0)
}

#[test]
fn two_trajectories_are_learned_and_replayed() {
    let directory = tempfile::tempdir().unwrap();
    let base = random_model(directory.path());
    let tuned = directory.path().join("tuned");
    train(&base, &tuned, &Control::silent()).unwrap();

    // The tuned directory stands alone: tokenizer and template came along.
    assert_eq!(open_encoder(&tuned).unwrap().template(), &ChatTemplate::compact());
    let mut policy = learner().policy(&tuned).unwrap();
    let tasks = [1, 3].map(|goal| TaskId::new("corridor", Split::Train, goal));
    for (task, expected) in tasks.iter().zip(items()) {
        let mut answer = |turn| ask(policy.as_mut(), turn);
        let replayed = play(&mut answer, task, &Author::Policy, Sampling::GREEDY);
        assert!(replayed.is_positive(), "{replayed:?}");
        assert_eq!(replayed.state_keys(), expected.trajectory.state_keys());
    }
}

#[test]
fn an_interrupted_training_continues_to_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let base = random_model(directory.path());
    let straight = directory.path().join("straight");
    train(&base, &straight, &Control::silent()).unwrap();

    let output = directory.path().join("interrupted");
    let stopper = Stopper { at: 7, interrupt: Interrupt::default() };
    let control = Control::new(&stopper, stopper.interrupt.clone());
    let stopped = train(&base, &output, &control);
    assert!(matches!(stopped, Err(LearnerError::Interrupted)), "{stopped:?}");
    assert!(!output.exists());
    train(&base, &output, &Control::silent()).unwrap();
    let weights = |model: &Path| std::fs::read(model.join("model.safetensors")).unwrap();
    assert!(weights(&straight) == weights(&output));
}

#[test]
fn training_sees_the_ids_that_the_policy_had() {
    let directory = tempfile::tempdir().unwrap();
    let base = random_model(directory.path());
    let encoder = open_encoder(&base).unwrap();
    let options = GenerationOptions { max_reply_tokens: 6, ..GenerationOptions::default() };
    let mut n_compared = 0;
    let mut n_cut_off = 0;
    for task in CORRIDOR.tasks(Split::Train) {
        // A random model babbles: replies that are cut off, and bytes that are no text.
        let mut policy = LlamaPolicy::open(&base, "cpu", &options).unwrap();
        let mut answer = |turn| ask(&mut policy, turn);
        let babble = play(&mut answer, &task, &Author::Policy, Sampling::at_temperature(1.0));
        let conversation = ConversationId(u64::from(task.index()));
        let example =
            Example::of_trajectory(&encoder, &babble, 0, PromptTemplate::Short, 512).unwrap();
        assert_eq!(policy.token_ids(conversation), Some(&example.token_ids[..]));
        // What is trained is exactly what was sampled.
        let sampled: Vec<u32> = babble
            .steps
            .iter()
            .flat_map(|step| step.sampled.as_ref().unwrap().ids.clone())
            .collect();
        let trained = example.loss_mask.as_slice().iter().zip(&example.token_ids);
        let trained: Vec<u32> = trained.filter_map(|(on, id)| on.then_some(*id)).collect();
        assert_eq!(sampled, trained);
        let stop = encoder.stop_token();
        n_cut_off += babble
            .steps
            .iter()
            .filter(|step| step.sampled.as_ref().unwrap().ids.last() != Some(&stop))
            .count();
        n_compared += 1;
        policy.close(conversation);
        assert_eq!(policy.token_ids(conversation), None);
    }
    assert!(n_compared == 4 && n_cut_off > 0);
}

#[test]
fn a_replayed_prefix_gives_the_reply_of_the_conversation_that_said_it() {
    let directory = tempfile::tempdir().unwrap();
    let base = random_model(directory.path());
    let options = GenerationOptions { max_reply_tokens: 6, ..GenerationOptions::default() };
    let mut policy = LlamaPolicy::open(&base, "cpu", &options).unwrap();
    let turn = |number, messages, seed| Turn {
        conversation: ConversationId(number),
        messages,
        sampling: Sampling::at_temperature(0.7),
        seed: Seed::new(seed),
    };
    let opening = Message::user("take room 1\nroom 0");
    let first = ask(&mut policy, turn(0, vec![opening.clone()], 1));
    let second = ask(&mut policy, turn(0, vec![Message::user("room 1")], 2));
    let replay = vec![
        opening,
        Message::assistant(first.text.clone(), first.sampled.clone()),
        Message::user("room 1"),
    ];
    let again = ask(&mut policy, turn(1, replay, 2));
    assert_eq!((second.text, second.end), (again.text, again.end));
    let (one, two) = (second.sampled.unwrap(), again.sampled.unwrap());
    assert_eq!(one.ids, two.ids);
    assert_eq!(one.log_probabilities.len(), one.ids.len());
}

#[test]
fn a_conversation_that_outgrows_the_context_ends() {
    let directory = tempfile::tempdir().unwrap();
    let base = random_model(directory.path());
    let options = GenerationOptions { context_length: Some(24), ..GenerationOptions::default() };
    let mut policy = LlamaPolicy::open(&base, "cpu", &options).unwrap();
    let reply = ask(
        &mut policy,
        Turn {
            conversation: ConversationId(7),
            messages: vec![Message::user("room 1 ".repeat(40))],
            sampling: Sampling::GREEDY,
            seed: Seed::new(1),
        },
    );
    assert_eq!(reply.end, ReplyEnd::ContextFull);
    assert!(reply.sampled.is_none() && reply.text.is_empty());
}

#[test]
fn a_longer_context_than_the_models_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let base = random_model(directory.path());
    let own = LlamaConfig::tiny(1).max_position_embeddings;
    let options =
        |asked| GenerationOptions { context_length: Some(asked), ..GenerationOptions::default() };
    options(own).check_context_length(&base).unwrap();
    LlamaPolicy::open(&base, "cpu", &options(own)).unwrap();
    let expected = format!(
        "a context length of {} tokens is more than the model's own of {own} \
         (max_position_embeddings in its config.json): ask for at most {own}, or take a model with \
         a longer context",
        own + 1
    );
    let error = options(own + 1).check_context_length(&base).unwrap_err();
    assert_eq!(error.to_string(), expected);
    let Err(error) = LlamaPolicy::open(&base, "cpu", &options(own + 1)) else {
        panic!("a policy over a context that the model does not have");
    };
    assert_eq!(error.to_string(), expected);
    let generation = options(own + 1);
    let learner =
        LlamaLearner::new(LearnerOptions { generation, ..LearnerOptions::default() }).unwrap();
    assert_eq!(learner.examples(&base, &[]).unwrap_err().to_string(), expected);
}

#[test]
fn what_follows_a_full_context_is_a_new_conversation() {
    let directory = tempfile::tempdir().unwrap();
    let base = random_model(directory.path());
    let options = GenerationOptions {
        context_length: Some(48),
        max_reply_tokens: 4,
        ..GenerationOptions::default()
    };
    let turn = |text: String| Turn {
        conversation: ConversationId(7),
        messages: vec![Message::user(text)],
        sampling: Sampling::at_temperature(1.0),
        seed: Seed::new(1),
    };
    let mut policy = LlamaPolicy::open(&base, "cpu", &options).unwrap();
    assert_ne!(ask(&mut policy, turn("room 1".to_owned())).end, ReplyEnd::ContextFull);
    let full = ask(&mut policy, turn("room 1 ".repeat(60)));
    assert_eq!(full.end, ReplyEnd::ContextFull);
    assert_eq!(policy.token_ids(ConversationId(7)), None);
    let after = ask(&mut policy, turn("room 2".to_owned()));
    let mut fresh = LlamaPolicy::open(&base, "cpu", &options).unwrap();
    assert_eq!(after, ask(&mut fresh, turn("room 2".to_owned())));
    assert_eq!(policy.token_ids(ConversationId(7)), fresh.token_ids(ConversationId(7)));
}

/// Four conversations that open alike, so that later ones wait for the first one's prefix and end
/// their replies after it.
fn openings(text: &str, seed: u64) -> Vec<Turn> {
    let opening = Message::user(format!("take room 1\n{}", text.repeat(20)));
    let turn = |conversation| Turn {
        conversation: ConversationId(conversation),
        messages: vec![opening.clone()],
        sampling: Sampling::at_temperature(1.0),
        seed: Seed::new(seed).derive("conversation", conversation),
    };
    (0..4).map(turn).collect()
}

/// All replies to these turns and to one more turn of each conversation.
fn converse(policy: &mut dyn Policy, turns: Vec<Turn>) -> Vec<eef_core::Reply> {
    let mut all = Vec::new();
    let seconds = turns.iter().map(|turn| Turn {
        messages: vec![Message::user("room 3")],
        seed: turn.seed.derive("turn", 1),
        ..turn.clone()
    });
    for turns in [turns.clone(), seconds.collect()] {
        let mut replies = policy.step(turns).unwrap();
        while !replies.is_empty() {
            all.append(&mut replies);
            replies = policy.step(Vec::new()).unwrap();
        }
    }
    all
}

#[test]
fn a_policy_that_was_reset_in_the_middle_of_replies_is_as_a_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let base = random_model(directory.path());
    // Three of the four have a place; the last one waits for it.
    let options = GenerationOptions { max_sequences: 3, max_reply_tokens: 6, ..Default::default() };
    let mut policy = LlamaPolicy::open(&base, "cpu", &options).unwrap();
    let ready = policy.step(openings("room 0 ", 1)).unwrap();
    assert!((1..=2).contains(&ready.len()), "nobody is in the middle of a reply: {ready:?}");
    policy.reset();
    for conversation in 0..4 {
        assert_eq!(policy.token_ids(ConversationId(conversation)), None);
    }
    assert!(policy.step(Vec::new()).unwrap().is_empty());

    let found = converse(&mut policy, openings("room 2 ", 2));
    let mut fresh = LlamaPolicy::open(&base, "cpu", &options).unwrap();
    assert_eq!(found, converse(&mut fresh, openings("room 2 ", 2)));
    assert_eq!(found.len(), 8);
}

#[test]
fn a_turn_that_is_refused_loses_the_conversations_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let base = random_model(directory.path());
    let options = GenerationOptions { max_reply_tokens: 6, ..GenerationOptions::default() };
    let mut policy = LlamaPolicy::open(&base, "cpu", &options).unwrap();
    let mut refused = openings("room 0 ", 1);
    refused[1].sampling.temperature = -1.0;
    let error = policy.step(refused).unwrap_err();
    assert!(matches!(error, PolicyError::Failed { .. }), "{error}");
    let found = converse(&mut policy, openings("room 2 ", 2));
    let mut fresh = LlamaPolicy::open(&base, "cpu", &options).unwrap();
    assert_eq!(found, converse(&mut fresh, openings("room 2 ", 2)));
}

#[test]
fn policies_of_one_learner_follow_the_directory_and_not_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let base = random_model(directory.path());
    let learner = learner();
    let replies = |learner: &LlamaLearner| {
        let mut policy = learner.policy(&base).unwrap();
        converse(policy.as_mut(), openings("room 1 ", 3))
    };
    // Both are open at once, on one copy of the weights.
    let mut held = learner.policy(&base).unwrap();
    let first = replies(&learner);
    assert_eq!(first, converse(held.as_mut(), openings("room 1 ", 3)));

    let other = directory.path().join("other");
    create_model(&other, &LlamaConfig::tiny(1), &encoder(), 4).unwrap();
    std::fs::rename(&base, directory.path().join("replaced")).unwrap();
    std::fs::rename(&other, &base).unwrap();
    let second = replies(&learner);
    assert_ne!(first, second);
    assert_eq!(second, replies(&self::learner()));
    // Who had opened the model before keeps it.
    held.reset();
    assert_eq!(first, converse(held.as_mut(), openings("room 1 ", 3)));
}

#[test]
fn a_base_is_pretrained_on_every_token_and_continues_after_an_interruption() {
    let directory = tempfile::tempdir().unwrap();
    let encoder = encoder();
    let train =
        TrainConfig { n_epochs: 30, batch_size: 4, learning_rate: 3e-3, ..TrainConfig::default() };
    let model = LlamaConfig::tiny(1);
    let corpus = || {
        (0..4).map(|room| {
            let opening = Message::user(format!("take room {room}\nroom 0"));
            vec![opening, Message::assistant("right", None), Message::user("room 1")]
        })
    };
    let run = |name: &str, control: &Control<'_>| {
        let output = directory.path().join(name);
        let scratch = directory.path().join(format!("{name}-scratch"));
        let request = PretrainRequest {
            model: &model,
            encoder: &encoder,
            output: &output,
            scratch: &scratch,
            train: &train,
            device: "cpu",
            trained: eef_agent::Trained::Everything,
        };
        let summary = pretrain(&request, corpus(), control)?;
        Ok::<_, eef_agent::AgentError>((summary, std::fs::read(output.join("model.safetensors"))))
    };
    let (summary, straight) = run("straight", &Control::silent()).unwrap();
    assert_eq!(summary.n_tokens, summary.n_trained_tokens + 30 * 4);
    assert!(summary.epoch_losses[29] < summary.epoch_losses[0] / 2.0, "{:?}", summary.epoch_losses);
    let stopper = Stopper { at: 11, interrupt: Interrupt::default() };
    assert!(run("interrupted", &Control::new(&stopper, stopper.interrupt.clone())).is_err());
    let (_, continued) = run("interrupted", &Control::silent()).unwrap();
    assert!(straight.unwrap() == continued.unwrap());
}

#[test]
fn mistakes_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let base = random_model(directory.path());
    let train = |items: &[TrainingItem], init: &Path| {
        let (output, scratch) = (directory.path().join("out"), directory.path().join("scratch"));
        let request = TrainRequest {
            init,
            output: &output,
            scratch: &scratch,
            data: TrainingData::Demonstrations(items),
            n_epochs: 1,
            max_trained_tokens: None,
            learning_rate: 1e-3,
            seed: Seed::new(1),
        };
        learner().train(&request, &Control::silent()).unwrap_err()
    };
    assert!(matches!(train(&[], &base), LearnerError::NoItems));
    let missing = train(&items(), &directory.path().join("nowhere"));
    let LearnerError::Failed { source, .. } = missing else { panic!("{missing}") };
    assert!(source.to_string().contains("nowhere/tokenizer.json"), "{source}");
    let trajectory = Arc::new(expert(1));
    let none = train(&[TrainingItem { trajectory, train_from: 9, label: None }], &base);
    let LearnerError::Failed { source, .. } = none else { panic!("{none}") };
    assert!(source.to_string().contains("none of them trained"), "{source}");
}
