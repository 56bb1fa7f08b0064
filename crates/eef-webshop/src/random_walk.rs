//! A visitor without a plan, to measure speed with and to look for surprises.

use eef_core::{Env, EnvError, Opening, Rng, Seed, TaskId};

use crate::AgentAction;

/// Searches for words of its instruction and presses whatever button the page shows, at random.
///
/// ```
/// use eef_core::{Seed, Split, TaskId};
/// use eef_webshop::{RandomWalk, WebShop};
///
/// let shop = WebShop::sample()?;
/// let task = TaskId::new(shop.name(), Split::Test, 0);
/// let replies = RandomWalk::visit(&mut shop.shopper(), &task, Seed::new(1), 20)?;
/// assert!(replies[0].starts_with("search["));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct RandomWalk {
    words: Vec<String>,
    rng: Rng,
    /// The page that a message was shown instead of.
    buttons: Vec<String>,
}

impl RandomWalk {
    /// A visitor who was told this.
    pub fn new(instruction: &str, seed: Seed) -> Self {
        let words = instruction.split_whitespace().map(str::to_owned).collect();
        Self { words, rng: seed.rng(), buttons: Vec::new() }
    }

    /// What a visitor says in one visit, at most so many times.
    ///
    /// # Errors
    /// [`EnvError`] of a task that the shop does not have.
    pub fn visit(
        shopper: &mut impl Env,
        task: &TaskId,
        seed: Seed,
        n_replies: usize,
    ) -> Result<Vec<String>, EnvError> {
        let Opening { instruction, mut observation } = shopper.reset(task)?;
        let (mut walk, mut said) = (Self::new(&instruction, seed), Vec::new());
        while said.len() < n_replies {
            let reply = walk.reply(observation.as_str());
            let seen = shopper.step(&reply)?;
            said.push(reply);
            if seen.terminated {
                break;
            }
            observation = seen.observation;
        }
        Ok(said)
    }

    /// The next AgentLite action after this observation.
    pub fn reply(&mut self, observation: &str) -> String {
        let shown = buttons(observation);
        if !shown.is_empty() {
            self.buttons = shown;
        }
        let button = self.rng.choose(&self.buttons).map_or("Search", String::as_str);
        match button {
            "Search" => AgentAction::search(self.query()),
            button => AgentAction::click(button),
        }
        .to_string()
    }

    /// A stretch of the instruction.
    fn query(&mut self) -> String {
        let n_words = self.words.len();
        let length = 1 + self.rng.below(n_words.max(1));
        let start = self.rng.below((n_words + 1).saturating_sub(length).max(1));
        self.words.iter().skip(start).take(length).cloned().collect::<Vec<_>>().join(" ")
    }
}

/// The texts in brackets.
fn buttons(observation: &str) -> Vec<String> {
    let parts = observation.split('[').skip(1);
    let texts = parts.filter_map(|part| part.split_once(']')).map(|(text, _)| text.to_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_searches_where_it_can_and_presses_what_is_shown() {
        let mut walk = RandomWalk::new("a red mug", Seed::new(1));
        assert!(walk.reply("WEB PAGE: {Let us begin shopping \n[Search]}").starts_with("search["));
        for _ in 0..20 {
            let reply = walk.reply("WEB PAGE: {\n[< Prev] \n[[red]][blue]}");
            let shown = ["< Prev", "red", "blue"].map(|b| AgentAction::click(b).to_string());
            assert!(shown.contains(&reply), "{reply}");
        }
        assert!(walk.reply("OK").starts_with("click["), "a message leaves the page where it was");
    }
}
