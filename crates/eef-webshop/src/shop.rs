//! The shop as an environment.

use std::sync::Arc;

use eef_core::{
    Action, Env, EnvError, Environment, Observation, Opening, Reward, Split, TaskId, Transition,
};

use crate::action::AgentAction;
use crate::catalog::Catalog;
use crate::error::WebShopError;
use crate::goal::Goal;
use crate::page;
use crate::raw::NounTable;
use crate::reward::{RewardDetail, reward};
use crate::search::SearchIndex;
use crate::session::{Fidelity, Floor, Purchase, Session};

/// AgentLite's limit of turns, thoughts included.
pub const MAX_TURNS: usize = 20;

/// A shop with its goals: shared by every visit.
///
/// Invariants: every goal's product is in the catalogue, every goal asks for an attribute and has
/// a price limit above 0.
#[derive(Clone, Debug)]
pub struct WebShop {
    name: Arc<str>,
    floor: Floor,
    nouns: NounTable,
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
        nouns: NounTable,
    ) -> Result<Self, WebShopError> {
        if catalog.products().is_empty() {
            return Err(WebShopError::NoProducts { n_records: 0 });
        }
        let mut by_split = [Vec::new(), Vec::new(), Vec::new()];
        for (number, (split, goal)) in goals.into_iter().enumerate() {
            goal.check(number, &catalog)?;
            by_split[split as usize].push(goal);
        }
        let index = SearchIndex::new(&catalog);
        let floor = Floor { catalog, index, fidelity: Fidelity::Sane };
        Ok(Self { name: name.into(), floor, nouns, goals: by_split, max_turns: MAX_TURNS })
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

    /// The goal of a task.
    pub fn goal(&self, task: &TaskId) -> Option<&Goal> {
        let goals = self.goals(task.split());
        goals.get(task.index() as usize).filter(|_| task.environment() == self.name())
    }

    /// What a purchase earns for a goal.
    pub fn judge(&self, goal: &Goal, purchase: &Purchase) -> RewardDetail {
        let product = &self.floor.catalog.products()[purchase.product];
        let chosen: Vec<_> = purchase.options.iter().map(|(_, value)| value.as_str()).collect();
        let mut detail = reward(goal, product, &chosen, product.price, &self.nouns);
        if !purchase.is_valid {
            detail.reward = Reward::ZERO;
        }
        detail
    }

    /// A visitor without a task yet.
    pub fn shopper(self: &Arc<Self>) -> Shopper {
        Shopper { shop: Arc::clone(self), visit: None }
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
}

#[derive(Clone, Debug, PartialEq)]
struct Visit {
    task: TaskId,
    session: Session,
}

/// A visit's state: taken and restored in constant time.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot(Option<Visit>);

impl Shopper {
    /// The state now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.visit.clone())
    }

    /// Returns to a state.
    pub fn restore(&mut self, snapshot: &Snapshot) {
        self.visit.clone_from(&snapshot.0);
    }
}

impl Env for Shopper {
    fn reset(&mut self, task: &TaskId) -> Result<Opening, EnvError> {
        let Some(goal) = self.shop.goal(task) else {
            let n_tasks = self.shop.goals(task.split()).len();
            return Err(EnvError::UnknownTask { task: task.clone(), n_tasks });
        };
        let instruction = goal.instruction_text.clone();
        self.visit = Some(Visit { task: task.clone(), session: Session::new() });
        Ok(Opening { instruction, observation: Observation::new(Session::first_page()) })
    }

    fn step(&mut self, reply: &str) -> Result<Transition, EnvError> {
        let visit = self.visit.as_mut().ok_or(EnvError::NotRunning)?;
        let action = AgentAction::parse(reply);
        let (observation, purchase) = match &action {
            AgentAction::Search { product } => {
                (visit.session.search(&self.shop.floor, product), None)
            }
            AgentAction::Click { button } => visit.session.click(&self.shop.floor, button),
            AgentAction::Think { .. } => (page::OK.to_owned(), None),
            AgentAction::Finish { response } => (response.clone(), None),
            AgentAction::Invalid(_) => (page::WRONG_ACTION.to_owned(), None),
        };
        let goal = self.shop.goal(&visit.task);
        let reward = match (&purchase, goal) {
            (Some(purchase), Some(goal)) => self.shop.judge(goal, purchase).reward,
            _ => Reward::ZERO,
        };
        let terminated = purchase.is_some() || matches!(action, AgentAction::Finish { .. });
        if terminated {
            self.visit = None;
        }
        let action = Action::new(action.to_string());
        Ok(Transition { action, observation: Observation::new(observation), reward, terminated })
    }
}
