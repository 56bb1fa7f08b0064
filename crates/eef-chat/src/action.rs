//! What part of a reply is the action.

use std::fmt;
use std::str::FromStr;

use crate::ChatError;

/// How replies carry their action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
pub enum ActionFormat {
    /// The reply is the action.
    #[default]
    Plain,
    /// Thought and action in one reply: what follows the last `Action:` is the action.
    ReAct,
}

/// A reply without an action; its text is what an environment answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// There is nothing in the reply.
    #[error("The reply is empty. Reply with an action.")]
    Empty,
    /// ReAct without the word.
    #[error(
        "The reply has no line `Action:`. Reply with `Thought:`, then `Action:` and an action."
    )]
    NoAction,
    /// The word, and nothing after it.
    #[error(
        "Nothing follows the last `Action:`. Reply with `Thought:`, then `Action:` and an action."
    )]
    EmptyAction,
}

impl ActionFormat {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Plain, Self::ReAct];

    /// The name used in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::ReAct => "react",
        }
    }

    /// The action in a reply, without white space around it.
    ///
    /// # Errors
    /// [`ActionError`], worded for the agent.
    pub fn parse(self, reply: &str) -> Result<&str, ActionError> {
        let reply = reply.trim();
        if reply.is_empty() {
            return Err(ActionError::Empty);
        }
        match self {
            Self::Plain => Ok(reply),
            Self::ReAct => {
                let (_, action) = reply.rsplit_once("Action:").ok_or(ActionError::NoAction)?;
                let action = action.trim();
                if action.is_empty() { Err(ActionError::EmptyAction) } else { Ok(action) }
            }
        }
    }

    /// A reply that carries an action, with a thought where the format has room for one.
    pub fn print(self, thought: &str, action: &str) -> String {
        match self {
            Self::Plain => action.to_owned(),
            Self::ReAct => format!("Thought:\n{thought}\n\nAction:\n{action}"),
        }
    }
}

impl fmt::Display for ActionFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for ActionFormat {
    type Err = ChatError;

    fn from_str(text: &str) -> Result<Self, ChatError> {
        Self::ALL.into_iter().find(|format| format.name() == text).ok_or_else(|| {
            ChatError::UnknownName {
                what: "action format",
                found: text.to_owned(),
                expected: Self::ALL.map(Self::name).join(", "),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_action_counts() {
        let reply = "Thought:\nI could say Action: wait\n\nAction:\nopen door ";
        assert_eq!(ActionFormat::ReAct.parse(reply), Ok("open door"));
        assert_eq!(ActionFormat::ReAct.parse("open door"), Err(ActionError::NoAction));
        assert_eq!(ActionFormat::ReAct.parse("Action: "), Err(ActionError::EmptyAction));
        assert_eq!(ActionFormat::Plain.parse(" \n"), Err(ActionError::Empty));
        assert_eq!("react".parse::<ActionFormat>().unwrap(), ActionFormat::ReAct);
    }

    proptest! {
        #[test]
        fn what_is_printed_is_parsed(thought in "[a-z Action:]{0,20}", action in "[a-z]{1,12}") {
            for format in ActionFormat::ALL {
                let reply = format.print(&thought, &action);
                prop_assert_eq!(format.parse(&reply), Ok(&*action));
            }
        }
    }
}
