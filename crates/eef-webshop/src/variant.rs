//! The programs that put WebShop in front of an agent.

use crate::page;
use crate::session::Refusal;

/// Whose texts, buttons and limits a visit has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Variant {
    /// AgentLite's, as in the paper: calls with JSON arguments, thoughts, an explanation for each
    /// refusal, 20 turns.
    #[default]
    AgentLite,
    /// AgentBoard's: `search[mug]` and `click[Buy Now]`, six pages of results, the last page again
    /// with each refusal, a progress rate, 30 steps of which the reset is one.
    AgentBoard,
    /// WebShop's own: ten products a page, a search on every page, silence where nothing can be
    /// done. It has no limit of turns; 100, where its own training stopped, is taken here.
    Original(TextMode),
}

/// How WebShop's own pages become texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum TextMode {
    /// The page's texts with `[SEP]` between them.
    #[default]
    Text,
    /// A line for each, with `[button]` and `[clicked button]` around what can be pressed.
    TextRich,
}

/// How the shop behaves where the original's behaviour is an accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Fidelity {
    /// Queries are taken as they are, pages start at 1, only what is shown can be clicked, every
    /// chosen value is marked, texts keep all their characters, and the progress rate takes the
    /// best of a product's options.
    #[default]
    Sane,
    /// As the original programs on AgentBoard's server: queries and options pass through URLs,
    /// AgentLite has pages below 1 and reports progress as the reward until something is bought,
    /// lists shown before and the hidden attributes can be clicked, characters above U+00FF vanish,
    /// AgentBoard drops the last character of an action whatever it is, and its progress rate takes
    /// a product's last combination of options.
    Original,
}

/// The last page of results that AgentBoard turns from.
const LAST_TURNED: i64 = 5;

impl Variant {
    /// Replies in one episode at most.
    pub fn max_turns(self) -> usize {
        match self {
            Self::AgentLite => 20,
            // Its 30 steps count the reset.
            Self::AgentBoard => 29,
            Self::Original(_) => 100,
        }
    }

    /// The page after this one.
    pub(crate) fn next_page(self, number: i64) -> Result<i64, Refusal> {
        match self {
            Self::AgentBoard if number > LAST_TURNED => Err(Refusal::PageLimit),
            _ => Ok(number + 1),
        }
    }

    /// What a refused click is answered with; `last` is what was shown last.
    pub(crate) fn refuse(self, refusal: &Refusal, last: &str) -> String {
        match (self, refusal) {
            (Self::AgentBoard, Refusal::PageLimit) => format!("{}{last}", page::PAGE_LIMIT),
            (Self::AgentBoard, _) => format!("{}{last}", page::NOT_SHOWN),
            (_, refusal) => page::web_page(&explain(refusal)),
        }
    }
}

fn explain(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NoButton(button) => format!("This is no [{button}] button"),
        Refusal::NothingToBuy => "There is no [Buy Now] button".to_owned(),
        Refusal::NotListed => "Button must be an asin".to_owned(),
        Refusal::NoOptions => "No option_types.".to_owned(),
        Refusal::NotAnOption(values) => format!("your button must be in {values}."),
        // AgentLite itself has no such limit.
        Refusal::PageLimit => "The page number is limited to 5".to_owned(),
    }
}
