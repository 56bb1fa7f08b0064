//! The shop as an environment.

use std::sync::Arc;

use eef_core::{
    Action, Env, EnvError, Environment, Observation, Opening, Reward, Split, TaskId, Transition,
};

use crate::action::{AgentAction, BoardAction};
use crate::catalog::Catalog;
use crate::error::WebShopError;
use crate::goal::Goal;
use crate::page;
use crate::progress::Progress;
use crate::raw::NounTable;
use crate::reward::{RewardDetail, reward};
use crate::search::SearchIndex;
use crate::session::{Answer, Floor, Purchase, Seen, Session};
use crate::variant::{Fidelity, Variant};

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
        let (variant, fidelity) = (Variant::default(), Fidelity::default());
        let max_turns = variant.max_turns();
        let floor = Floor { catalog, index, variant, fidelity };
        Ok(Self { name: name.into(), floor, nouns, goals: by_split, max_turns })
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

#[derive(Clone, Debug, PartialEq)]
struct Visit {
    task: TaskId,
    session: Session,
    progress: Progress,
    /// What AgentBoard shows again with a refusal.
    last_shown: Arc<str>,
}

/// What a call of a visit led to.
struct Outcome {
    observation: String,
    /// What the purchase earns; `None` where nothing was bought.
    earned: Option<Reward>,
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
        let is_rated = self.shop.floor.variant == Variant::AgentBoard;
        self.visit.as_ref().filter(|_| is_rated).map(|visit| visit.progress.rate())
    }
}

impl Visit {
    fn new(task: &TaskId) -> Self {
        Self {
            task: task.clone(),
            session: Session::new(),
            progress: Progress::default(),
            last_shown: Session::first_page().into(),
        }
    }

    fn search(&mut self, shop: &WebShop, query: &str) -> Outcome {
        let answer = self.session.search(&shop.floor, query);
        self.answered(shop, answer)
    }

    fn click(&mut self, shop: &WebShop, button: &str) -> Outcome {
        let answer = self.session.click(&shop.floor, button);
        self.answered(shop, answer)
    }

    fn answered(&mut self, shop: &WebShop, answer: Answer) -> Outcome {
        let goal = shop.goal(&self.task);
        let is_board = shop.floor.variant == Variant::AgentBoard;
        match answer {
            Answer::Shown(observation) => {
                if let Some(goal) = goal.filter(|_| is_board) {
                    self.rate(shop, goal);
                    self.last_shown = observation.as_str().into();
                }
                Outcome { observation, earned: None }
            }
            Answer::Bought(purchase) => {
                let judged = |(purchase, goal)| shop.judge(goal, purchase);
                let detail = purchase.as_ref().zip(goal).map(judged);
                let earned = detail.map_or(Reward::ZERO, |detail| detail.reward);
                if !is_board {
                    return Outcome {
                        observation: page::FINISHED.to_owned(),
                        earned: Some(earned),
                    };
                }
                let is_understood = purchase.is_some_and(|purchase| purchase.is_valid);
                let body = match earned.get() {
                    _ if !is_understood => "",
                    reward if reward >= 1.0 => page::SUCCESS,
                    _ => page::FAILURE,
                };
                if is_understood {
                    self.progress.see_purchase(earned.get());
                }
                Outcome { observation: page::web_page(body), earned: Some(earned) }
            }
            Answer::Refused(refusal) => {
                let observation = shop.floor.variant.refuse(&refusal, &self.last_shown);
                Outcome { observation, earned: None }
            }
        }
    }

    /// Takes what was just shown into the progress rate.
    fn rate(&mut self, shop: &WebShop, goal: &Goal) {
        let products = shop.catalog().products();
        match self.session.seen() {
            Seen::Nothing => {}
            Seen::Results(range) => {
                let hits = &self.session.hits()[range.clone()];
                let shown = hits.iter().map(|hit| &products[hit.product as usize]);
                self.progress.see_results(shown, goal, &shop.nouns);
            }
            Seen::Product(product) => {
                let product = &products[*product as usize];
                self.progress.see_item(product, goal, &shop.nouns, shop.floor.fidelity);
            }
        }
    }
}

impl Env for Shopper {
    fn reset(&mut self, task: &TaskId) -> Result<Opening, EnvError> {
        let Some(goal) = self.shop.goal(task) else {
            let n_tasks = self.shop.goals(task.split()).len();
            return Err(EnvError::UnknownTask { task: task.clone(), n_tasks });
        };
        let instruction = goal.instruction_text.clone();
        self.visit = Some(Visit::new(task));
        self.is_over = false;
        Ok(Opening { instruction, observation: Observation::new(Session::first_page()) })
    }

    fn step(&mut self, reply: &str) -> Result<Transition, EnvError> {
        let visit = self.visit.as_mut().filter(|_| !self.is_over).ok_or(EnvError::NotRunning)?;
        let shop = &*self.shop;
        let said = |observation: String| Outcome { observation, earned: None };
        let mut is_finished = false;
        let (action, outcome) = match shop.floor.variant {
            Variant::AgentLite => {
                let action = AgentAction::parse(reply);
                let outcome = match &action {
                    AgentAction::Search { product } => visit.search(shop, product),
                    AgentAction::Click { button } => visit.click(shop, button),
                    AgentAction::Think { .. } => said(page::OK.to_owned()),
                    AgentAction::Finish { response } => {
                        is_finished = true;
                        said(response.clone())
                    }
                    AgentAction::Invalid(_) => said(page::WRONG_ACTION.to_owned()),
                };
                (action.to_string(), outcome)
            }
            Variant::AgentBoard => {
                let action = BoardAction::parse(reply, shop.floor.fidelity);
                let outcome = match &action {
                    BoardAction::Search { query } => visit.search(shop, query),
                    BoardAction::Click { button } => visit.click(shop, button),
                    BoardAction::Invalid(_) => said(page::WRONG_FORMAT.to_owned()),
                };
                (action.to_string(), outcome)
            }
        };
        let terminated = outcome.earned.is_some() || is_finished;
        self.is_over = terminated;
        Ok(Transition {
            action: Action::new(action),
            observation: Observation::new(outcome.observation),
            reward: outcome.earned.unwrap_or(Reward::ZERO),
            terminated,
        })
    }
}
