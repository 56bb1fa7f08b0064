//! The shop as an environment.

use std::sync::Arc;

use eef_core::{
    Env, EnvError, Environment, Observation, Opening, Reward, Split, TaskId, Transition,
};

use crate::browser::AvailableActions;
use crate::catalog::Catalog;
use crate::error::WebShopError;
use crate::goal::Goal;
use crate::prepared::n_leaks;
use crate::reward::{RewardDetail, reward};
use crate::search::SearchIndex;
use crate::session::{Floor, Purchase};
use crate::variant::{Fidelity, Variant};
use crate::visit::Visit;

/// A shop with its goals: shared by every visit.
///
/// Invariants: every goal's product is in the catalogue, every goal asks for an attribute and has
/// a price limit above 0.
#[derive(Clone, Debug)]
pub struct WebShop {
    name: Arc<str>,
    pub(crate) floor: Floor,
    goals: [Vec<Goal>; 3],
    max_turns: usize,
}

impl WebShop {
    /// Opens a shop. Goals of a split are its tasks, in the order given.
    ///
    /// # Errors
    /// [`WebShopError::UnknownProduct`] or [`WebShopError::BadGoal`] for a goal that cannot be
    /// judged, [`WebShopError::NoProducts`] for an empty catalogue.
    pub fn new(
        name: impl Into<Arc<str>>,
        catalog: Catalog,
        goals: impl IntoIterator<Item = (Split, Goal)>,
    ) -> Result<Self, WebShopError> {
        let index = SearchIndex::new(&catalog);
        Self::with_index(name, catalog, index, goals)
    }

    /// Opens a shop whose search index exists.
    pub(crate) fn with_index(
        name: impl Into<Arc<str>>,
        catalog: Catalog,
        index: SearchIndex,
        goals: impl IntoIterator<Item = (Split, Goal)>,
    ) -> Result<Self, WebShopError> {
        if catalog.is_empty() {
            return Err(WebShopError::NoProducts { n_records: 0 });
        }
        let (variant, fidelity) = (Variant::default(), Fidelity::default());
        let max_turns = variant.max_turns();
        let floor = Floor { catalog, index, variant, fidelity };
        Self { name: name.into(), floor, goals: <[Vec<Goal>; 3]>::default(), max_turns }
            .replace_goals(goals)
    }

    /// The same shop under another name and with other goals; catalogue and index are shared.
    ///
    /// # Errors
    /// As [`WebShop::new`].
    pub fn with_goals(
        &self,
        name: impl Into<Arc<str>>,
        goals: impl IntoIterator<Item = (Split, Goal)>,
    ) -> Result<Self, WebShopError> {
        Self { name: name.into(), ..self.clone() }.replace_goals(goals)
    }

    fn replace_goals(
        mut self,
        goals: impl IntoIterator<Item = (Split, Goal)>,
    ) -> Result<Self, WebShopError> {
        self.goals = <[Vec<Goal>; 3]>::default();
        for (number, (split, goal)) in goals.into_iter().enumerate() {
            goal.check(number, &self.floor.catalog)?;
            self.goals[split as usize].push(goal.with_nouns_of(&self.floor.catalog));
        }
        Ok(self)
    }

    /// The same shop as another program shows it, with that program's limit of turns.
    #[must_use]
    pub fn with_variant(mut self, variant: Variant) -> Self {
        self.floor.variant = variant;
        self.max_turns = variant.max_turns();
        self
    }

    /// The same shop, with the original's accidents or without.
    #[must_use]
    pub fn with_fidelity(mut self, fidelity: Fidelity) -> Self {
        self.floor.fidelity = fidelity;
        self
    }

    /// The same shop with another limit of turns.
    #[must_use]
    pub fn with_max_turns(mut self, max_turns: usize) -> Self {
        self.max_turns = max_turns;
        self
    }

    /// The environment's name in task ids.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The products.
    pub fn catalog(&self) -> &Catalog {
        &self.floor.catalog
    }

    /// The search.
    pub fn index(&self) -> &SearchIndex {
        &self.floor.index
    }

    /// The goals of a split: goal `i` is task `i`.
    pub fn goals(&self, split: Split) -> &[Goal] {
        &self.goals[split as usize]
    }

    /// How many test goals share a product, or an instruction apart from its price limit, with a
    /// training goal. Where there are any, as in the paper's splits, wins on the test are no measure
    /// of generalisation.
    pub fn n_leaked_test_goals(&self) -> usize {
        let of = |split| self.goals(split).iter().map(move |goal| (split, goal));
        n_leaks(of(Split::Train).chain(of(Split::Test)))
    }

    /// The goal of a task.
    pub fn goal(&self, task: &TaskId) -> Option<&Goal> {
        let goals = self.goals(task.split());
        goals.get(task.index() as usize).filter(|_| task.environment() == self.name())
    }

    /// What a purchase earns for a goal.
    pub fn judge(&self, goal: &Goal, purchase: &Purchase) -> RewardDetail {
        let product = self.floor.catalog.product(purchase.product);
        let chosen: Vec<_> = purchase.options.iter().map(|(_, value)| value.as_str()).collect();
        let mut detail = reward(goal, &product, &chosen, product.price);
        if !purchase.is_valid {
            detail.reward = Reward::ZERO;
        }
        detail
    }

    /// A visitor without a task yet.
    pub fn shopper(self: &Arc<Self>) -> Shopper {
        Shopper { shop: Arc::clone(self), visit: None, is_over: false }
    }

    /// This shop as an environment; every instance shares it.
    pub fn environment(self: &Arc<Self>) -> ShopEnvironment {
        ShopEnvironment(Arc::clone(self))
    }
}

/// A [`WebShop`] as an [`Environment`].
#[derive(Clone, Debug)]
pub struct ShopEnvironment(Arc<WebShop>);

impl ShopEnvironment {
    /// The shop.
    pub fn shop(&self) -> &Arc<WebShop> {
        &self.0
    }
}

impl Environment for ShopEnvironment {
    fn tasks(&self, split: Split) -> Vec<TaskId> {
        let n_tasks = self.0.goals(split).len() as u32;
        (0..n_tasks).map(|i| TaskId::new(Arc::clone(&self.0.name), split, i)).collect()
    }

    fn instance(&self) -> Result<Box<dyn Env>, EnvError> {
        Ok(Box::new(self.0.shopper()))
    }

    fn max_turns(&self) -> usize {
        self.0.max_turns
    }
}

/// One visit at a time to a shop.
#[derive(Clone, Debug)]
pub struct Shopper {
    shop: Arc<WebShop>,
    visit: Option<Visit>,
    /// The visit has ended; it is kept for its progress rate.
    is_over: bool,
}

/// A visit's state: taken and restored in constant time.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    visit: Option<Visit>,
    is_over: bool,
}

impl Shopper {
    /// The state now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { visit: self.visit.clone(), is_over: self.is_over }
    }

    /// Returns to a state.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        self.visit.clone_from(&snapshot.visit);
        self.is_over = snapshot.is_over;
    }

    /// AgentBoard's progress rate, 0 to 1, of the visit so far or of the one that just ended: the
    /// mean of the best reward that a page of results, a product's page and the purchase offered,
    /// at its highest. `None` before the first visit, and for other variants.
    pub fn progress_rate(&self) -> Option<f64> {
        self.visit.as_ref().and_then(Visit::progress_rate)
    }

    /// What can be done on the page, as WebShop's own environment tells; `None` before the first
    /// visit, and for other variants than [`Variant::Original`].
    pub fn available_actions(&self) -> Option<AvailableActions> {
        self.visit.as_ref().and_then(|visit| visit.available_actions(&self.shop))
    }

    /// The page's address, on the same terms.
    pub fn url(&self) -> Option<String> {
        self.visit.as_ref().and_then(|visit| visit.url(&self.shop))
    }
}

impl Env for Shopper {
    fn reset(&mut self, task: &TaskId) -> Result<Opening, EnvError> {
        let Some(goal) = self.shop.goal(task) else {
            let n_tasks = self.shop.goals(task.split()).len();
            return Err(EnvError::UnknownTask { task: task.clone(), n_tasks });
        };
        let instruction = goal.instruction_text.clone();
        let (visit, first_page) = Visit::new(&self.shop, task);
        self.visit = Some(visit);
        self.is_over = false;
        Ok(Opening { instruction, observation: Observation::new(first_page) })
    }

    fn step(&mut self, reply: &str) -> Result<Transition, EnvError> {
        let visit = self.visit.as_mut().filter(|_| !self.is_over).ok_or(EnvError::NotRunning)?;
        let transition = visit.step(&self.shop, reply);
        self.is_over = transition.terminated;
        Ok(transition)
    }
}
