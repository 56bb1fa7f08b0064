//! Training examples: token ids and the mask of those that carry loss.

use std::fmt::Write as _;
use std::ops::Range;

use eef_core::{Message, Trajectory};

use crate::{ChatError, Encoder, Prompt, Tokenizer};

/// Which tokens of a sequence carry loss (the paper's `m_l`).
///
/// Invariant: at least one does, and never the first, which nothing predicts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LossMask(Vec<bool>);

impl LossMask {
    /// Checks a mask.
    ///
    /// # Errors
    /// [`ChatError::InvalidMask`].
    pub fn new(trained: Vec<bool>) -> Result<Self, ChatError> {
        if trained.first() == Some(&true) || !trained.contains(&true) {
            return Err(ChatError::InvalidMask { n_tokens: trained.len() });
        }
        Ok(Self(trained))
    }

    /// For every token, whether it carries loss.
    pub fn as_slice(&self) -> &[bool] {
        &self.0
    }

    /// How many do: at least one.
    pub fn n_trained(&self) -> usize {
        self.0.iter().filter(|trained| **trained).count()
    }

    /// The mask as a vector.
    pub fn into_vec(self) -> Vec<bool> {
        self.0
    }
}

/// A sequence to train on.
///
/// Invariant: the mask is as long as the ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The ids.
    pub token_ids: Vec<u32>,
    /// Which of them carry loss.
    pub loss_mask: LossMask,
}

impl Example {
    /// A trajectory of which actions `train_from..` are trained, their end-of-turn tokens
    /// included; the prompt, the observations and earlier actions are context.
    ///
    /// The observation after the last action is left out: nothing is predicted from it.
    ///
    /// # Errors
    /// [`ChatError::NothingTrained`]; [`ChatError::TooLong`] for more than `context_length` tokens.
    pub fn of_trajectory(
        encoder: &Encoder,
        trajectory: &Trajectory,
        train_from: usize,
        prompt: impl Into<Prompt>,
        context_length: usize,
    ) -> Result<Self, ChatError> {
        let trained = train_from..trajectory.n_actions();
        Self::of_actions(encoder, trajectory, trained, prompt, context_length)
    }

    /// A trajectory up to action `trained.end` (or its end, if that comes first), of which the
    /// actions from `trained.start` on are trained: otherwise as [`Example::of_trajectory`].
    ///
    /// # Errors
    /// As there.
    pub fn of_actions(
        encoder: &Encoder,
        trajectory: &Trajectory,
        trained: Range<usize>,
        prompt: impl Into<Prompt>,
        context_length: usize,
    ) -> Result<Self, ChatError> {
        let train_from = trained.start;
        let n_actions = trained.end.min(trajectory.n_actions());
        if train_from >= n_actions {
            return Err(ChatError::NothingTrained {
                trajectory: trajectory.id,
                n_actions,
                train_from,
            });
        }
        let mut conversation = encoder.start();
        // The prompt, then a reply and an observation for each action but the last.
        for message in messages_of(trajectory, prompt).iter().take(2 * n_actions) {
            encoder.push(&mut conversation, message)?;
        }
        if conversation.len() > context_length {
            return Err(ChatError::TooLong {
                trajectory: trajectory.id,
                n_tokens: conversation.len(),
                limit: context_length,
            });
        }
        let mut trained = vec![false; conversation.len()];
        for reply in &conversation.replies()[train_from..] {
            trained[reply.clone()].fill(true);
        }
        let loss_mask = LossMask::new(trained)?;
        Ok(Self { token_ids: conversation.token_ids().to_vec(), loss_mask })
    }

    /// A conversation of which every reply is trained, its end-of-turn tokens included.
    ///
    /// # Errors
    /// [`ChatError::InvalidMask`] where there is no reply.
    pub fn of_replies(encoder: &Encoder, messages: &[Message]) -> Result<Self, ChatError> {
        let mut conversation = encoder.start();
        for message in messages {
            encoder.push(&mut conversation, message)?;
        }
        let mut trained = vec![false; conversation.len()];
        for reply in conversation.replies() {
            trained[reply.clone()].fill(true);
        }
        let loss_mask = LossMask::new(trained)?;
        Ok(Self { token_ids: conversation.token_ids().to_vec(), loss_mask })
    }

    /// A conversation of which every token is trained, a user's too (but the first, which nothing
    /// predicts): for pre-training a base model.
    ///
    /// # Errors
    /// [`ChatError::InvalidMask`] where there are fewer than two tokens.
    pub fn of_everything(encoder: &Encoder, messages: &[Message]) -> Result<Self, ChatError> {
        let mut conversation = encoder.start();
        for message in messages {
            encoder.push(&mut conversation, message)?;
        }
        let mut trained = vec![true; conversation.len()];
        if let Some(first) = trained.first_mut() {
            *first = false;
        }
        let loss_mask = LossMask::new(trained)?;
        Ok(Self { token_ids: conversation.token_ids().to_vec(), loss_mask })
    }

    /// Maximal runs of tokens that are all trained, or all not.
    pub fn spans(&self) -> Vec<(Range<usize>, bool)> {
        let mut spans: Vec<(Range<usize>, bool)> = Vec::new();
        for (index, trained) in self.loss_mask.as_slice().iter().enumerate() {
            match spans.last_mut() {
                Some((range, last)) if last == trained => range.end = index + 1,
                _ => spans.push((index..index + 1, *trained)),
            }
        }
        spans
    }

    /// The text, with `⟦…⟧` around what is trained.
    ///
    /// # Errors
    /// [`ChatError::Tokenizer`].
    pub fn render(&self, tokenizer: &Tokenizer) -> Result<String, ChatError> {
        let mut text = String::new();
        for (range, trained) in self.spans() {
            let piece = tokenizer.decode(&self.token_ids[range])?;
            // Writing to a string cannot fail.
            let _ = if trained { write!(text, "⟦{piece}⟧") } else { write!(text, "{piece}") };
        }
        Ok(text)
    }
}

/// The messages of a trajectory, as a rollout exchanged them: the prompt, then replies and
/// observations in turn, up to the last reply.
pub fn messages_of(trajectory: &Trajectory, prompt: impl Into<Prompt>) -> Vec<Message> {
    let first =
        prompt.into().render(&trajectory.instruction, trajectory.first_observation.as_str());
    let mut messages = vec![Message::user(first)];
    for (index, step) in trajectory.steps.iter().enumerate() {
        messages.push(Message::assistant(step.reply.clone(), step.sampled.clone()));
        if index + 1 < trajectory.steps.len() {
            messages.push(Message::user(step.observation.as_str()));
        }
    }
    messages
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::PromptTemplate;
    use crate::testing::{tiny_encoder, trajectory};

    fn example(replies: &[&str], train_from: usize) -> Result<Example, ChatError> {
        let trajectory = trajectory(replies);
        Example::of_trajectory(
            tiny_encoder(),
            &trajectory,
            train_from,
            PromptTemplate::Short,
            1_000,
        )
    }

    #[test]
    fn a_rendered_mask() {
        let example = example(&["right", "left", "right", "take"], 2).unwrap();
        let text = example.render(tiny_encoder().tokenizer()).unwrap();
        insta::assert_snapshot!(text, @r"
        take room 3
        room 0<|assistant|>right<|end|>room 1<|assistant|>left<|end|>room 2<|assistant|>⟦right<|end|>⟧room 3<|assistant|>⟦take<|end|>⟧
        ");
    }

    #[test]
    fn a_trajectory_that_is_cut_is_that_of_its_first_actions() {
        let replies = ["right", "left", "right", "take"];
        let cut = |trained| {
            let (trajectory, prompt) = (trajectory(&replies), PromptTemplate::Short);
            Example::of_actions(tiny_encoder(), &trajectory, trained, prompt, 1_000)
        };
        assert_eq!(cut(0..2).unwrap(), example(&replies[..2], 0).unwrap());
        assert_eq!(cut(1..9).unwrap(), example(&replies, 1).unwrap());
        assert!(cut(2..2).is_err());
    }

    #[test]
    fn an_example_too_long_or_without_loss_is_an_error() {
        let error = example(&["right"], 1).unwrap_err();
        assert!(error.to_string().contains("has 1 actions, none of them trained"), "{error}");
        let trajectory = trajectory(&["right"; 9]);
        let error =
            Example::of_trajectory(tiny_encoder(), &trajectory, 0, PromptTemplate::Short, 20)
                .unwrap_err();
        let expected = format!("trajectory {} is ", trajectory.id);
        assert!(error.to_string().starts_with(&expected), "{error}");
        assert!(LossMask::new(vec![false, false]).is_err());
        assert!(LossMask::new(vec![true, true]).is_err());
    }

    #[test]
    fn everything_but_the_first_token_is_trained_for_a_base() {
        let messages = [Message::user("room 0"), Message::assistant("right", None)];
        let example = Example::of_everything(tiny_encoder(), &messages).unwrap();
        assert_eq!(example.loss_mask.n_trained() + 1, example.token_ids.len());
    }

    proptest! {
        /// Training more actions only turns tokens on; the ids do not depend on the mask, and
        /// what is trained decodes to exactly the replies trained.
        #[test]
        fn masks_follow_the_actions(
            replies in proptest::collection::vec("[a-z <>|\\[\\]é]{0,12}", 1..8),
            seed in 0_usize..8,
        ) {
            let train_from = seed % replies.len();
            let texts: Vec<&str> = replies.iter().map(String::as_str).collect();
            let all = example(&texts, 0).unwrap();
            let some = example(&texts, train_from).unwrap();
            prop_assert_eq!(&all.token_ids, &some.token_ids);
            let pairs = all.loss_mask.as_slice().iter().zip(some.loss_mask.as_slice());
            prop_assert!(pairs.into_iter().all(|(all, some)| *all || !*some));
            let tokenizer = tiny_encoder().tokenizer();
            let trained: Vec<u32> = some
                .token_ids
                .iter()
                .zip(some.loss_mask.as_slice())
                .filter_map(|(id, trained)| trained.then_some(*id))
                .collect();
            let expected = texts[train_from..].join("<|end|>") + "<|end|>";
            prop_assert_eq!(tokenizer.decode(&trained).unwrap(), expected);
        }
    }
}
