//! What a conversation has come to: all that a teacher's next action depends on.

use eef_core::{Message, Role};

use super::need::Need;
use super::page::{Choice, Page};
use crate::AgentAction;

/// The button that turns to the next page of results.
pub(crate) const NEXT: &str = "Next >";
/// The button that turns back.
pub(crate) const PREVIOUS: &str = "< Prev";
/// The button that leads back to the search box.
pub(crate) const BACK: &str = "Back to Search";
/// The button that buys.
pub(crate) const BUY: &str = "Buy Now";

/// A conversation, followed message by message.
#[derive(Clone, Debug)]
pub(crate) struct View {
    /// What is asked.
    pub need: Need,
    /// The page in front of the reader; answers in words leave it where it was.
    pub page: Page,
    /// Products looked at so far.
    pub visited: Vec<String>,
    /// Values chosen of the product looked at.
    pub chosen: Vec<String>,
    /// Next pages turned to since the last search.
    pub n_next: usize,
    /// Returns to the search box.
    pub n_back: usize,
    /// Next pages and returns in all: the further one went, the easier one slips.
    pub n_navigations: usize,
    /// Whether the last reply was a thought.
    pub has_just_thought: bool,
    said: Option<AgentAction>,
}

impl View {
    /// Starts with the first message, which holds the instruction and the first page.
    pub fn open(prompt: &str) -> Self {
        Self {
            need: Need::read(prompt),
            page: Page::Home,
            visited: Vec::new(),
            chosen: Vec::new(),
            n_next: 0,
            n_back: 0,
            n_navigations: 0,
            has_just_thought: false,
            said: None,
        }
    }

    /// Follows the conversation by one message.
    pub fn hear(&mut self, message: &Message) {
        match message.role {
            Role::Assistant => self.said = Some(AgentAction::parse(&message.text)),
            Role::User => self.see(&message.text),
        }
    }

    /// The choices of the product looked at.
    pub fn choices(&self) -> &[Choice] {
        match &self.page {
            Page::Item(choices) => choices,
            _ => &[],
        }
    }

    fn see(&mut self, observation: &str) {
        let page = Page::read(observation);
        let said = self.said.take();
        self.has_just_thought = matches!(said, Some(AgentAction::Think { .. }));
        match said {
            Some(AgentAction::Search { .. }) => self.n_next = 0,
            Some(AgentAction::Click { button }) if button == NEXT => {
                self.n_next += 1;
                self.n_navigations += 1;
            }
            Some(AgentAction::Click { button }) if button == BACK => {
                self.n_back += 1;
                self.n_navigations += 1;
            }
            Some(AgentAction::Click { button }) => match (&self.page, &page) {
                (Page::Results(_), Some(Page::Item(_))) => {
                    self.visited.push(button);
                    self.chosen.clear();
                }
                (Page::Item(_), None) => self.chosen.push(button),
                _ => {}
            },
            _ => {}
        }
        if let Some(page) = page {
            self.page = page;
        }
    }
}
