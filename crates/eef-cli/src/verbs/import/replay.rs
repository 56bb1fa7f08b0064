//! Says a record's replies again, and compares what the environment answers.

use std::fmt;
use std::sync::Arc;

use eef_core::{
    Author, EnvError, Environment, EpisodeEnd, Origin, Outcome, Reward, Step, TaskId, Trajectory,
    TrajectoryId,
};
use eef_webshop::AgentAction;
use serde::Serialize;

use super::pages::{Answer, agrees, is_page};
use super::record::Exchange;

/// Rewards are written with a few digits.
pub const TOLERANCE: f64 = 1e-3;

/// Why a record is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// It asks for none of the tasks.
    UnknownTask,
    /// It says nothing, or a reply has no action in it.
    NoAction,
    /// The environment answers otherwise.
    OtherAnswer,
    /// A reply in its middle has no answer to compare with.
    NoAnswer,
    /// It goes on where the episode has ended.
    GoesOn,
    /// The environment allows fewer turns.
    TooLong,
    /// It earns another reward than it states.
    OtherReward,
}

/// Where a record and the environment part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mismatch {
    /// Why.
    pub reason: Reason,
    /// At which reply after the task was asked for, from 1.
    pub reply: Option<usize>,
    /// What the record says.
    pub expected: String,
    /// What is so.
    pub found: String,
}

impl Mismatch {
    /// Joins the parts.
    pub fn new(reason: Reason, reply: Option<usize>, expected: &str, found: &str) -> Self {
        let (expected, found) = (expected.to_owned(), found.to_owned());
        Self { reason, reply, expected, found }
    }
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reply) = self.reply {
            write!(f, "reply {reply}: ")?;
        }
        let (expected, found) = where_they_differ(&self.expected, &self.found);
        match self.reason {
            Reason::UnknownTask => write!(f, "it asks for no task of this data"),
            Reason::NoAction => write!(f, "no action of this environment: {found}"),
            Reason::OtherAnswer => write!(f, "expected the answer `{expected}`, found `{found}`"),
            Reason::NoAnswer => write!(f, "the record has no answer to it"),
            Reason::GoesOn => write!(f, "`{expected}` comes after the end of the episode"),
            Reason::TooLong => write!(f, "the environment allows {found} (--drop-thoughts?)"),
            Reason::OtherReward => write!(f, "it states the reward {expected}, and earns {found}"),
        }
    }
}

/// Two texts in a line each, from a little before the first difference.
fn where_they_differ(left: &str, right: &str) -> (String, String) {
    const BEFORE: usize = 20;
    const SHOWN: usize = 80;
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (left, right) = (line(left), line(right));
    let n_same = left.chars().zip(right.chars()).take_while(|(left, right)| left == right).count();
    let n_skipped = if n_same > SHOWN / 2 { n_same - BEFORE } else { 0 };
    let part = |text: &str| {
        let start = if n_skipped > 0 { "…" } else { "" };
        let end = if text.chars().count() > n_skipped + SHOWN { "…" } else { "" };
        let part: String = text.chars().skip(n_skipped).take(SHOWN).collect();
        format!("{start}{part}{end}")
    };
    (part(&left), part(&right))
}

/// Replays exchanges in a task's environment: the trajectory, or where it diverges.
///
/// # Errors
/// The environment itself fails.
pub fn replay(
    environment: &dyn Environment,
    task: &TaskId,
    id: TrajectoryId,
    expert: &Arc<str>,
    exchanges: &[Exchange],
    stated: Option<f64>,
) -> Result<Result<Trajectory, Mismatch>, EnvError> {
    let mut env = environment.instance()?;
    let opening = env.reset(task)?;
    let mut page = opening.observation.clone();
    let mut steps: Vec<Step> = Vec::new();
    let (mut reward, mut ended) = (Reward::ZERO, false);
    let mismatch = |reason, reply, expected: &str, found: &str| {
        Ok(Err(Mismatch::new(reason, reply, expected, found)))
    };
    if exchanges.is_empty() {
        return mismatch(Reason::NoAction, None, "", "no reply after the task");
    }
    for (index, exchange) in exchanges.iter().enumerate() {
        let reply = Some(index + 1);
        let actions = match &exchange.actions {
            Ok(actions) => actions,
            Err(error) => return mismatch(Reason::NoAction, reply, "", &error.to_string()),
        };
        if ended {
            if actions.iter().all(|action| is_last_word(action)) {
                continue;
            }
            return mismatch(Reason::GoesOn, reply, &actions.join(", "), "the episode has ended");
        }
        for action in actions {
            if steps.len() >= environment.max_turns() {
                let most = format!("at most {} turns, thoughts included", environment.max_turns());
                return mismatch(Reason::TooLong, reply, action, &most);
            }
            let transition = env.step(action)?;
            (reward, ended) = (transition.reward, transition.terminated);
            steps.push(Step {
                reply: action.clone(),
                action: transition.action,
                observation: transition.observation,
                author: Author::Expert(Arc::clone(expert)),
                sampled: None,
            });
        }
        let Some(step) = steps.last() else { continue };
        let shown = step.observation.as_str();
        let is_last = index + 1 == exchanges.len();
        match &exchange.answer {
            Some(recorded) => {
                let ended = ended.then(|| reward.is_positive());
                if !agrees(recorded, &Answer { shown, page: page.as_str(), ended }) {
                    return mismatch(Reason::OtherAnswer, reply, recorded, shown);
                }
            }
            None if !is_last => return mismatch(Reason::NoAnswer, reply, "", shown),
            None if is_no_action(&step.reply) => {
                return mismatch(Reason::NoAction, reply, &step.reply, shown);
            }
            None => {}
        }
        if is_page(shown) {
            page = step.observation.clone();
        }
    }
    // A stated reward that is no number is none that anything earns.
    let is_earned = |stated: f64| (stated - reward.get()).abs() <= TOLERANCE;
    if let Some(stated) = stated.filter(|stated| !is_earned(*stated)) {
        let found = reward.get().to_string();
        return mismatch(Reason::OtherReward, None, &stated.to_string(), &found);
    }
    // Where a record stops before its episode ends, its own program's limit of turns was reached.
    let end = if ended { EpisodeEnd::Terminated } else { EpisodeEnd::TurnLimit };
    Ok(Ok(Trajectory {
        id,
        task: task.clone(),
        instruction: opening.instruction,
        first_observation: opening.observation,
        steps,
        origin: Origin::Expert { name: Arc::clone(expert) },
        outcome: Outcome { end, reward },
    }))
}

/// AgentLite's loop goes on after a purchase until the agent says that it has finished.
fn is_last_word(action: &str) -> bool {
    matches!(AgentAction::parse(action), AgentAction::Think { .. } | AgentAction::Finish { .. })
}

fn is_no_action(reply: &str) -> bool {
    matches!(AgentAction::parse(reply), AgentAction::Invalid(_))
}

#[cfg(test)]
mod tests {
    use eef_core::Split;
    use eef_webshop::WebShop;

    use super::*;

    const BUY: [&str; 4] = [
        r#"search[{"product": "stoneware coffee mug"}]"#,
        r#"click[{"button": "B0MUG00004"}]"#,
        r#"click[{"button": "red"}]"#,
        r#"click[{"button": "Buy Now"}]"#,
    ];

    /// These replies with what the sample shop answers.
    fn recorded(replies: &[&str]) -> Vec<Exchange> {
        let shop = WebShop::sample().unwrap();
        let mut env = shop.environment().instance().unwrap();
        env.reset(&TaskId::new(shop.name(), Split::Test, 0)).unwrap();
        let mut ended = false;
        let exchange = |reply: &&str| {
            let answer = (!ended).then(|| env.step(reply).unwrap());
            ended = ended || answer.as_ref().is_some_and(|answer| answer.terminated);
            let answer = answer.map(|answer| answer.observation.as_str().to_owned());
            Exchange { actions: Ok(vec![(*reply).to_owned()]), answer }
        };
        replies.iter().map(exchange).collect()
    }

    fn again(exchanges: &[Exchange], stated: Option<f64>) -> Result<Trajectory, Mismatch> {
        let shop = WebShop::sample().unwrap();
        let task = TaskId::new(shop.name(), Split::Test, 0);
        let id = TrajectoryId::derive(&[b"test"]);
        replay(&shop.environment(), &task, id, &Arc::from("gpt"), exchanges, stated).unwrap()
    }

    #[test]
    fn what_replays_becomes_a_trajectory() {
        let found = again(&recorded(&BUY), Some(1.0)).unwrap();
        assert!(found.is_positive());
        assert_eq!((found.n_actions(), found.n_expert_actions()), (4, 4));
        assert_eq!(found.outcome.end, EpisodeEnd::Terminated);
        // The last answer need not be there, and AgentLite's last word changes nothing.
        let mut exchanges = recorded(&BUY);
        exchanges[3].answer = None;
        assert_eq!(again(&exchanges, None).unwrap(), found);
        let mut said = BUY.to_vec();
        said.push(r#"Finish[{"response": "bought"}]"#);
        assert_eq!(again(&recorded(&said), Some(1.0)).unwrap(), found);
        let stopped = again(&recorded(&BUY[..2]), Some(0.0)).unwrap();
        assert_eq!(stopped.outcome.end, EpisodeEnd::TurnLimit);
    }

    #[test]
    fn a_thought_is_a_step_and_its_answer_is_the_environments() {
        let mut exchanges = recorded(&BUY);
        let thought = AgentAction::think("mugs first").to_string();
        exchanges[0].actions = Ok(vec![thought.clone(), BUY[0].to_owned()]);
        let found = again(&exchanges, Some(1.0)).unwrap();
        assert_eq!((found.steps[0].reply.as_str(), found.n_actions()), (thought.as_str(), 5));
        assert_eq!(found.steps[0].observation.as_str(), "OK");
    }

    #[test]
    fn the_original_shows_the_product_after_every_click_on_an_option() {
        let mut exchanges = recorded(&[BUY[0], BUY[1], BUY[2], BUY[2], BUY[3]]);
        let item = exchanges[1].answer.clone().unwrap();
        let item = item.trim_start_matches("WEB PAGE: {").trim_end_matches('}');
        for exchange in &mut exchanges[2..4] {
            exchange.answer = Some(format!("Instruction: [SEP] buy a mug [SEP] {item}"));
        }
        assert!(again(&exchanges, Some(1.0)).is_ok());
        exchanges[3].answer = exchanges[0].answer.clone();
        assert_eq!(again(&exchanges, Some(1.0)).unwrap_err().reply, Some(4));
    }

    #[test]
    fn a_mismatch_is_told_in_a_line_that_shows_the_difference() {
        let page = format!("WEB PAGE: {{\n{} \nPrice: $", "long title ".repeat(20));
        let (left, right) = (format!("{page}4.5 }}"), format!("{page}14.5 }}"));
        let told = Mismatch::new(Reason::OtherAnswer, Some(2), &left, &right).to_string();
        assert_eq!(
            told,
            "reply 2: expected the answer `… long title Price: $4.5 }`, found `… long title Price: $14.5 }`"
        );
        let told = Mismatch::new(Reason::OtherReward, None, "1", "0.6").to_string();
        assert_eq!(told, "it states the reward 1, and earns 0.6");
    }

    #[test]
    fn what_diverges_is_named_with_its_place() {
        let why = |exchanges: &[Exchange], stated| {
            let mismatch = again(exchanges, stated).unwrap_err();
            (mismatch.reason, mismatch.reply)
        };
        let good = recorded(&BUY);
        let mut other = good.clone();
        other[1].answer = other[1].answer.take().map(|page| page.replace("Price: $", "Price: $1"));
        assert_eq!(why(&other, None), (Reason::OtherAnswer, Some(2)));
        // An action that the environment does not have, answered as if it had.
        let mut other = good.clone();
        other[2].actions = Ok(vec!["fly[moon]".to_owned()]);
        assert_eq!(why(&other, None), (Reason::OtherAnswer, Some(3)));
        other[2].answer = None;
        assert_eq!(why(&other[..3], None), (Reason::NoAction, Some(3)));
        assert_eq!(why(&other, None), (Reason::NoAnswer, Some(3)));
        let mut other = good.clone();
        other[0].actions = Err(eef_chat::ActionError::EmptyAction);
        assert_eq!(why(&other, None), (Reason::NoAction, Some(1)));
        let twice: Vec<_> = good.iter().chain(&good).cloned().collect();
        assert_eq!(why(&twice, None), (Reason::GoesOn, Some(5)));
        let long = [r#"Think[{"response": "hm"}]"#; 21];
        assert_eq!(why(&recorded(&long), None), (Reason::TooLong, Some(21)));
        assert_eq!(why(&good, Some(0.5)), (Reason::OtherReward, None));
        assert_eq!(why(&good, Some(f64::NAN)), (Reason::OtherReward, None));
        assert_eq!(why(&[], None), (Reason::NoAction, None));
    }
}
