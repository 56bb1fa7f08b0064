//! AgentBoard's progress rate: what the pages seen so far could have earned.

use crate::catalog::Product;
use crate::goal::Goal;
use crate::reward::{best_reward, last_reward};
use crate::variant::Fidelity;

/// The rate and the three parts it is the mean of, each in 0..=1.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub(crate) struct Progress {
    /// The best that a product of any page of results could earn.
    results: f64,
    /// The best that a product whose page was opened could earn.
    items: f64,
    /// The highest rate so far.
    rate: f64,
}

impl Progress {
    /// The rate.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// A page of results was shown.
    pub(crate) fn see_results<'a>(
        &mut self,
        products: impl Iterator<Item = Product<'a>>,
        goal: &Goal,
    ) {
        let rewards = products.map(|product| best_reward(goal, &product));
        self.results = rewards.fold(self.results, f64::max);
        self.raise(0.0);
    }

    /// A product's page, or one of its details, was shown.
    pub(crate) fn see_item(&mut self, product: &Product<'_>, goal: &Goal, fidelity: Fidelity) {
        let reward = match fidelity {
            Fidelity::Sane => best_reward(goal, product),
            Fidelity::Original => last_reward(goal, product),
        };
        self.items = self.items.max(reward);
        self.raise(0.0);
    }

    /// A purchase earned so much.
    pub(crate) fn see_purchase(&mut self, reward: f64) {
        self.raise(reward);
        // The page after a purchase shows the reward as another score.
        self.rate = self.rate.max(reward);
    }

    fn raise(&mut self, purchase: f64) {
        // In this order, as the original adds them.
        let rate = self.results / 3.0 + self.items / 3.0 + purchase / 3.0;
        self.rate = self.rate.max(rate);
    }
}
