//! One visit to a shop: from a reply to what the agent sees next.

use std::sync::Arc;

use eef_core::{Action, Observation, Reward, TaskId, Transition};

use crate::action::{AgentAction, BoardAction, TextAction};
use crate::browser::{AvailableActions, Browser};
use crate::goal::Goal;
use crate::page;
use crate::progress::Progress;
use crate::session::{Answer, Purchase, Seen, Session};
use crate::shop::WebShop;
use crate::variant::{Fidelity, TextMode, Variant};

/// A visit's state. Cloned in constant time.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Visit {
    task: TaskId,
    program: Program,
}

/// What each variant keeps.
#[derive(Clone, Debug, PartialEq)]
enum Program {
    AgentLite {
        session: Session,
        /// What the visit is said to have earned, where that is not the purchase alone.
        progress: Option<Progress>,
    },
    AgentBoard {
        session: Session,
        progress: Progress,
        /// Shown again with a refusal.
        last_shown: Arc<str>,
    },
    Original(Browser, TextMode),
}

/// What a reply led to.
struct Outcome {
    observation: String,
    /// What the visit has earned; `None` where nothing was, or is reported before the purchase.
    earned: Option<Reward>,
    is_finished: bool,
}

/// The reward that a progress rate is reported as.
fn reported(progress: &Progress) -> Option<Reward> {
    Reward::new(progress.rate()).ok()
}

impl Outcome {
    fn said(observation: impl Into<String>) -> Self {
        Self { observation: observation.into(), earned: None, is_finished: false }
    }

    fn bought(observation: impl Into<String>, earned: Reward) -> Self {
        Self { observation: observation.into(), earned: Some(earned), is_finished: true }
    }
}

impl Visit {
    /// A visit and its first page.
    pub(crate) fn new(shop: &WebShop, task: &TaskId) -> (Self, String) {
        let first = Session::first_page();
        let (program, first) = match shop.floor.variant {
            Variant::AgentLite => {
                let progress = (shop.floor.fidelity == Fidelity::Original).then(Progress::default);
                (Program::AgentLite { session: Session::new(), progress }, first)
            }
            Variant::AgentBoard => {
                let (session, progress) = (Session::new(), Progress::default());
                let last_shown = first.as_str().into();
                (Program::AgentBoard { session, progress, last_shown }, first)
            }
            Variant::Original(mode) => {
                let browser = Browser::new(task.index());
                let first = browser.observation(&shop.floor, instruction(shop, task), mode);
                (Program::Original(browser, mode), first)
            }
        };
        (Self { task: task.clone(), program }, first)
    }

    pub(crate) fn step(&mut self, shop: &WebShop, reply: &str) -> Transition {
        let (action, outcome) = match &mut self.program {
            Program::AgentLite { session, progress } => {
                let action = AgentAction::parse(reply);
                let outcome = agent_lite(shop, &self.task, session, progress.as_mut(), &action);
                (action.to_string(), outcome)
            }
            Program::AgentBoard { session, progress, last_shown } => {
                let action = BoardAction::parse(reply, shop.floor.fidelity);
                let outcome = agent_board(shop, &self.task, session, progress, last_shown, &action);
                (action.to_string(), outcome)
            }
            Program::Original(browser, mode) => {
                let action = TextAction::parse(reply);
                let outcome = original(shop, &self.task, browser, *mode, &action);
                (action.to_string(), outcome)
            }
        };
        Transition {
            action: Action::new(action),
            observation: Observation::new(outcome.observation),
            reward: outcome.earned.unwrap_or(Reward::ZERO),
            terminated: outcome.is_finished,
        }
    }

    pub(crate) fn progress_rate(&self) -> Option<f64> {
        match &self.program {
            Program::AgentBoard { progress, .. } => Some(progress.rate()),
            Program::AgentLite { .. } | Program::Original(..) => None,
        }
    }

    pub(crate) fn available_actions(&self, shop: &WebShop) -> Option<AvailableActions> {
        self.browser().map(|browser| browser.available_actions(&shop.floor))
    }

    pub(crate) fn url(&self, shop: &WebShop) -> Option<String> {
        self.browser().map(|browser| browser.url(&shop.floor))
    }

    fn browser(&self) -> Option<&Browser> {
        match &self.program {
            Program::Original(browser, _) => Some(browser),
            Program::AgentLite { .. } | Program::AgentBoard { .. } => None,
        }
    }
}

fn instruction<'a>(shop: &'a WebShop, task: &TaskId) -> &'a str {
    shop.goal(task).map_or("", |goal| goal.instruction_text.as_str())
}

/// What a purchase earns in a task; nothing where no product was open.
fn earned(shop: &WebShop, task: &TaskId, purchase: Option<&Purchase>) -> Reward {
    let judged = |(purchase, goal): (&Purchase, &Goal)| shop.judge(goal, purchase).reward;
    purchase.zip(shop.goal(task)).map_or(Reward::ZERO, judged)
}

fn agent_lite(
    shop: &WebShop,
    task: &TaskId,
    session: &mut Session,
    mut progress: Option<&mut Progress>,
    action: &AgentAction,
) -> Outcome {
    let answer = match action {
        AgentAction::Search { product } => Ok(session.search(&shop.floor, product)),
        AgentAction::Click { button } => Ok(session.click(&shop.floor, button)),
        AgentAction::Think { .. } => Err(Outcome::said(page::OK)),
        AgentAction::Finish { response } => {
            Err(Outcome { is_finished: true, ..Outcome::said(response.as_str()) })
        }
        AgentAction::Invalid(_) => Err(Outcome::said(page::WRONG_ACTION)),
    };
    let mut outcome = match answer {
        Ok(Answer::Shown(observation)) => {
            if let (Some(progress), Some(goal)) = (progress.as_mut(), shop.goal(task)) {
                see(shop, goal, session, progress);
            }
            Outcome::said(observation)
        }
        Ok(Answer::Bought(purchase)) => {
            let earned = earned(shop, task, purchase.as_ref());
            session.finish(&shop.floor, earned.get());
            let bought = Outcome::bought(page::FINISHED, earned);
            // Of an order that it loses it goes on reporting the progress before it.
            let is_lost = progress.is_some() && !session.is_understood(&shop.floor);
            Outcome { earned: bought.earned.filter(|_| !is_lost), ..bought }
        }
        Ok(Answer::Refused(refusal)) => Outcome::said(shop.floor.variant.refuse(&refusal, "")),
        Err(outcome) => outcome,
    };
    outcome.earned = outcome.earned.or(progress.and_then(|progress| reported(progress)));
    outcome
}

fn agent_board(
    shop: &WebShop,
    task: &TaskId,
    session: &mut Session,
    progress: &mut Progress,
    last_shown: &mut Arc<str>,
    action: &BoardAction,
) -> Outcome {
    let answer = match action {
        BoardAction::Search { query } => session.search(&shop.floor, query),
        BoardAction::Click { button } => session.click(&shop.floor, button),
        BoardAction::Invalid(_) => return Outcome::said(page::WRONG_FORMAT),
    };
    match answer {
        Answer::Shown(observation) => {
            if let Some(goal) = shop.goal(task) {
                see(shop, goal, session, progress);
            }
            *last_shown = observation.as_str().into();
            Outcome::said(observation)
        }
        Answer::Bought(purchase) => {
            let earned = earned(shop, task, purchase.as_ref());
            if session.is_understood(&shop.floor) {
                progress.see_purchase(earned.get());
            }
            let body = session.finish(&shop.floor, earned.get());
            Outcome::bought(page::web_page(body), earned)
        }
        Answer::Refused(refusal) => Outcome::said(shop.floor.variant.refuse(&refusal, last_shown)),
    }
}

/// Takes what was just shown into the progress rate.
fn see(shop: &WebShop, goal: &Goal, session: &Session, progress: &mut Progress) {
    let product_at = |place: u32| shop.catalog().product(place as usize);
    match session.seen() {
        Seen::Nothing => {}
        Seen::Results(range) => {
            let places = &session.found()[range.clone()];
            let shown = places.iter().map(|place| product_at(*place));
            progress.see_results(shown, goal);
        }
        Seen::Product(product) => {
            progress.see_item(&product_at(*product), goal, shop.floor.fidelity);
        }
    }
}

fn original(
    shop: &WebShop,
    task: &TaskId,
    browser: &mut Browser,
    mode: TextMode,
    action: &TextAction,
) -> Outcome {
    let purchase = match action {
        TextAction::Search { query } => {
            browser.search(&shop.floor, query);
            None
        }
        TextAction::Click { button } => browser.click(&shop.floor, button),
        TextAction::Invalid(_) => None,
    };
    let earned = purchase.map(|purchase| earned(shop, task, Some(&purchase)));
    if let Some(earned) = earned {
        browser.finish(earned.get());
    }
    let observation = browser.observation(&shop.floor, instruction(shop, task), mode);
    match earned {
        Some(earned) => Outcome::bought(observation, earned),
        None => Outcome::said(observation),
    }
}
