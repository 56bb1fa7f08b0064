//! What a record of another program asks for, and what was said in it.

use eef_chat::{ActionError, ActionFormat};
use eef_core::{Environment, Role, Split, TaskId};
use eef_store::ForeignTrajectory;
use eef_webshop::{AgentAction, ShopEnvironment};

/// A reply, and what was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// What is done, in AgentLite's form: a thought first, where there is one, then the action.
    pub actions: Result<Vec<String>, ActionError>,
    /// The next message of the record, where there is one.
    pub answer: Option<String>,
}

/// Every task with what it asks, the longest text first: a short one may be part of a long one.
pub struct Tasks(Vec<(String, TaskId)>);

impl Tasks {
    /// The tasks of all splits.
    pub fn of(environment: &ShopEnvironment) -> Self {
        let all = Split::ALL.into_iter().flat_map(|split| environment.tasks(split));
        Self::new(all.filter_map(|task| {
            let goal = environment.shop().goal(&task)?;
            Some((goal.instruction_text.clone(), task))
        }))
    }

    fn new(tasks: impl IntoIterator<Item = (String, TaskId)>) -> Self {
        let tasks = tasks.into_iter().map(|(text, task)| (text.trim().to_lowercase(), task));
        let mut tasks: Vec<_> = tasks.collect();
        tasks.sort_by_key(|(text, task)| (std::cmp::Reverse(text.len()), task.clone()));
        Self(tasks)
    }

    /// The tasks that a record may be for, the likeliest first, each with the message that asks
    /// for it.
    ///
    /// The record's name decides where it is a task's (`webshop/train/6`). Other programs number
    /// their goals in orders of their own, so that a number decides only between tasks that ask
    /// the same.
    pub fn of_record(&self, record: &ForeignTrajectory) -> Vec<(TaskId, usize)> {
        let messages = record.messages.iter().enumerate();
        let users = messages.filter(|(_, message)| message.role == Role::User).take(3);
        let said: Vec<_> =
            users.map(|(index, message)| (index, message.text.to_lowercase())).collect();
        let asks = |text: &str| said.iter().find(|(_, said)| says(said, text)).map(|(at, _)| *at);
        let named = |task: &TaskId| task.to_string() == record.item;
        let by_name = self.0.iter().find(|(_, task)| named(task));
        if let Some((text, task)) = by_name
            && let Some(at) = asks(text)
        {
            return vec![(task.clone(), at)];
        }
        let Some((asked, at)) = self.0.iter().find_map(|(text, _)| Some((text, asks(text)?)))
        else {
            return Vec::new();
        };
        let alike = self.0.iter().filter(|(text, _)| text == asked);
        let mut tasks: Vec<_> = alike.map(|(_, task)| (task.clone(), at)).collect();
        tasks.sort_by_key(|(task, _)| number(&record.item) != Some(task.index()));
        tasks
    }
}

/// Whether a message asks this, and not the same with a price limit besides.
fn says(message: &str, instruction: &str) -> bool {
    let mut rest = message.match_indices(instruction).map(|(at, _)| &message[at..]);
    rest.any(|rest| !rest[instruction.len()..].starts_with(", and price lower than"))
}

/// The number at the end of a name such as `webshop_6`.
fn number(item: &str) -> Option<u32> {
    let text = item.trim_end_matches(|c: char| c.is_ascii_digit());
    item[text.len()..].parse().ok()
}

/// The replies of a record after the message that asks for its task, each with its answer.
pub fn exchanges(record: &ForeignTrajectory, start: usize, thoughts: bool) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for message in record.messages.iter().skip(start + 1) {
        match (message.role, exchanges.last_mut()) {
            // An acknowledgement of the rules is no action, nor is what answers it an answer.
            (Role::Assistant, None) if is_acknowledgement(&message.text) => {}
            (Role::Assistant, _) => {
                let actions = actions(&message.text, thoughts);
                exchanges.push(Exchange { actions, answer: None });
            }
            (Role::User, None) => {}
            (Role::User, Some(Exchange { answer: Some(answer), .. })) => {
                answer.push('\n');
                answer.push_str(&message.text);
            }
            (Role::User, Some(exchange)) => exchange.answer = Some(message.text.clone()),
        }
    }
    exchanges
}

fn is_acknowledgement(text: &str) -> bool {
    text.trim().to_lowercase().starts_with("ok") && !text.contains('[')
}

/// What a reply does: AgentLite's own calls stay as they are, `Thought: … Action: search[mug]`
/// becomes two of them.
fn actions(reply: &str, thoughts: bool) -> Result<Vec<String>, ActionError> {
    let is_call = |text: &str| !matches!(AgentAction::parse(text), AgentAction::Invalid(_));
    if is_call(reply) || !reply.contains("Action:") {
        return Ok(vec![agentlite(ActionFormat::Plain.parse(reply)?)]);
    }
    let action = agentlite(ActionFormat::ReAct.parse(reply)?);
    let before = reply.rsplit_once("Action:").map_or("", |(before, _)| before).trim();
    let thought = before.strip_prefix("Thought:").unwrap_or(before).trim();
    let thought = (thoughts && !thought.is_empty()).then(|| AgentAction::think(thought));
    Ok(thought.map(|thought| thought.to_string()).into_iter().chain([action]).collect())
}

/// An action in AgentLite's form: `search[mug]` becomes `search[{"product": "mug"}]`. What is no
/// action stays as it is said, for the environment to answer.
fn agentlite(action: &str) -> String {
    if !matches!(AgentAction::parse(action), AgentAction::Invalid(_)) {
        return action.to_owned();
    }
    let line = action.lines().next().unwrap_or_default();
    let call = line.split_once('[').and_then(|(name, rest)| {
        let (inside, _) = rest.rsplit_once(']')?;
        match name.trim() {
            "search" => Some(AgentAction::search(inside)),
            "click" => Some(AgentAction::click(button(inside))),
            _ => None,
        }
    });
    call.map_or_else(|| action.to_owned(), |call| call.to_string())
}

/// The button that the original presses for a text: it takes no notice of case.
fn button(text: &str) -> String {
    const FIXED: [&str; 8] = [
        "Back to Search",
        "Next >",
        "< Prev",
        "Buy Now",
        "Description",
        "Features",
        "Reviews",
        "Attributes",
    ];
    let text = text.trim();
    if let Some(fixed) = FIXED.into_iter().find(|fixed| fixed.eq_ignore_ascii_case(text)) {
        return fixed.to_owned();
    }
    // Product numbers are in capitals, the values of options are not.
    let is_number = text.len() == 10
        && text.chars().all(|c| c.is_ascii_alphanumeric())
        && text.contains(|c: char| c.is_ascii_digit());
    if is_number { text.to_uppercase() } else { text.to_lowercase() }
}

#[cfg(test)]
mod tests {
    use eef_store::{ForeignFormat, ForeignMessage};

    use super::*;

    fn record(item: &str, messages: &[(Role, &str)]) -> ForeignTrajectory {
        let message = |(role, text): &(Role, &str)| ForeignMessage {
            role: *role,
            text: (*text).to_owned(),
            trained: None,
        };
        ForeignTrajectory {
            format: ForeignFormat::Eto,
            item: item.to_owned(),
            messages: messages.iter().map(message).collect(),
            reward: Some(1.0),
            position: 1,
        }
    }

    const USER: Role = Role::User;
    const AGENT: Role = Role::Assistant;

    #[test]
    fn actions_of_other_formats_become_agentlites_and_thoughts_are_kept() {
        let record = record(
            "webshop_1",
            &[
                (USER, "You shop."),
                (AGENT, "OK"),
                (USER, "Instruction: [SEP] Find me a red mug [SEP]"),
                (AGENT, "Thought: look\nAction: search[red mug]"),
                (USER, "page one"),
                (AGENT, "Thought: take\n\nAction:\nclick[b000000001]\nObservation: made up"),
                (USER, "page two"),
                (USER, "and more"),
                (AGENT, "Action: click[buy now]"),
                (AGENT, "Think[{\"response\": \"An Action: is next\"}]"),
                (AGENT, "Thought: hm\nAction:"),
                (AGENT, "fly[moon]"),
            ],
        );
        let all = |thoughts| exchanges(&record, 2, thoughts);
        let actions: Vec<_> = all(true).into_iter().map(|exchange| exchange.actions).collect();
        let call = |calls: &[&str]| Ok(calls.iter().map(|call| (*call).to_owned()).collect());
        let expected = [
            call(&[r#"Think[{"response": "look"}]"#, r#"search[{"product": "red mug"}]"#]),
            call(&[r#"Think[{"response": "take"}]"#, r#"click[{"button": "B000000001"}]"#]),
            call(&[r#"click[{"button": "Buy Now"}]"#]),
            call(&[r#"Think[{"response": "An Action: is next"}]"#]),
            Err(ActionError::EmptyAction),
            call(&["fly[moon]"]),
        ];
        assert_eq!(actions, expected);
        assert_eq!(all(false)[0].actions, call(&[r#"search[{"product": "red mug"}]"#]));
        let answers: Vec<_> = all(true).into_iter().map(|exchange| exchange.answer).collect();
        let expected = [Some("page one"), Some("page two\nand more"), None, None, None, None];
        assert_eq!(answers, expected.map(|answer| answer.map(str::to_owned)));
    }

    #[test]
    fn an_acknowledgement_is_no_action() {
        let record = record(
            "1",
            &[(USER, "Buy a mug"), (AGENT, "OK. I'll try."), (USER, "page"), (AGENT, "hm")],
        );
        let exchanges = exchanges(&record, 0, true);
        assert_eq!(exchanges.len(), 1);
        assert_eq!(exchanges[0].actions, Ok(vec!["hm".to_owned()]));
    }

    #[test]
    fn the_longest_instruction_counts_and_a_price_limit_is_part_of_it() {
        let task = |index| TaskId::new("webshop", Split::Train, index);
        let tasks = Tasks::new([
            ("Find me".to_owned(), task(0)),
            ("Find me a red mug".to_owned(), task(1)),
            ("Find me a red mug, and price lower than 20.00 dollars".to_owned(), task(2)),
        ]);
        let of = |text: &str| tasks.of_record(&record("x", &[(USER, "rules"), (USER, text)]));
        assert_eq!(of("[SEP] find me a red MUG [SEP]"), [(task(1), 1)]);
        assert_eq!(of("find me a red mug, and price lower than 20.00 dollars"), [(task(2), 1)]);
        // The limit is another one than any task's: the text before it does not make it this task.
        let other = of("find me a red mug, and price lower than 90.00 dollars");
        assert_eq!(other, [(task(0), 1)]);
        assert_eq!(of("sell a mug"), []);
    }

    #[test]
    fn the_name_of_a_record_decides_between_tasks_that_ask_the_same() {
        let task = |index| TaskId::new("webshop", Split::Train, index);
        let tasks = Tasks::new([3, 4, 5].map(|index| ("Find me a mug".to_owned(), task(index))));
        let of = |item: &str| -> Vec<u32> {
            let tasks = tasks.of_record(&record(item, &[(USER, "find me a mug")]));
            tasks.into_iter().map(|(task, _)| task.index()).collect()
        };
        assert_eq!(of("webshop/train/4"), [4]);
        assert_eq!(of("webshop_5"), [5, 3, 4]);
        assert_eq!(of("mug"), [3, 4, 5]);
    }
}
