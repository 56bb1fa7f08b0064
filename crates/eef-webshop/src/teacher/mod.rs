//! Teachers that are scripts: they read pages well, try Next and Back, and slip.
//!
//! They stand in for the paper's GPT-4 and GPT-3.5 where no such model is at hand. Like any
//! policy they see what an agent sees and nothing else: the instruction and the observations, as
//! texts. The decision behind them: *a skill must stand in their failures*. They turn to the next
//! page when nothing fits, and then often spoil the purchase (the paper: GPT-4 tries Next in
//! 16.8 % of its trajectories and wins with it in 2.8 %). What spoils it comes after the
//! navigation, so a student who starts from there can still win.
//!
//! ```
//! use eef_core::{ConversationId, Message, Policy, Sampling, Seed, Turn};
//! use eef_webshop::teacher::ScriptedTeacher;
//!
//! let mut teacher = ScriptedTeacher::strong();
//! let asked = "i need a cotton modern rug in blue, and price lower than 40.00 dollars";
//! let replies = teacher.step(vec![Turn {
//!     conversation: ConversationId(0),
//!     messages: vec![Message::user(asked)],
//!     sampling: Sampling::GREEDY,
//!     seed: Seed::new(1),
//! }])?;
//! assert_eq!(replies[0].text, r#"search[{"product": "cotton modern rug"}]"#);
//! # Ok::<(), eef_core::PolicyError>(())
//! ```

mod decide;
pub(crate) mod need;
pub(crate) mod page;
pub(crate) mod view;

use std::collections::BTreeMap;

use eef_core::{
    ConversationId, ExpertName, Message, Policy, PolicyError, Reply, ReplyEnd, Role, Turn,
};

use view::View;

/// How a scripted teacher behaves. Probabilities are per decision.
#[derive(Clone, Debug, PartialEq)]
pub struct TeacherParameters {
    /// Turns to the next page when nothing on this one fits.
    pub next: f64,
    /// Next pages per search at most.
    pub max_next: usize,
    /// Goes back to the search box when the product lacks an option that is asked for.
    pub back: f64,
    /// Returns to the search box at most.
    pub max_back: usize,
    /// Turns to the next page although something fits.
    pub wander: f64,
    /// Overlooks the price limit when it reads a page of results.
    pub overlook_price: f64,
    /// Chooses a wrong value of an option, or buys without choosing it.
    pub spoil_option: f64,
    /// What each navigation before adds to the two probabilities above.
    pub slip_per_navigation: f64,
    /// Says a thought before it acts.
    pub think: f64,
    /// The share of the instruction's words that a title must hold to fit, up to four words.
    pub required_share: f64,
    /// The same where more words are asked for: no title of a real product holds them all.
    pub required_share_of_many: f64,
}

/// A policy that follows a script. Its randomness comes from the seed of each turn; sampling
/// parameters do not apply to it.
#[derive(Clone, Debug)]
pub struct ScriptedTeacher {
    name: ExpertName,
    parameters: TeacherParameters,
    conversations: BTreeMap<ConversationId, View>,
}

impl ScriptedTeacher {
    /// A teacher of one's own.
    pub fn new(name: impl Into<ExpertName>, parameters: TeacherParameters) -> Self {
        Self { name: name.into(), parameters, conversations: BTreeMap::new() }
    }

    /// `scripted-strong`: careful on the first page, tries Next more often than not when nothing
    /// fits, and slips once it has navigated. The counterpart of the paper's GPT-4.
    pub fn strong() -> Self {
        Self::new(
            "scripted-strong",
            TeacherParameters {
                next: 0.6,
                max_next: 2,
                back: 0.6,
                max_back: 1,
                wander: 0.0,
                overlook_price: 0.08,
                spoil_option: 0.18,
                slip_per_navigation: 0.5,
                think: 0.0,
                required_share: 1.0,
                required_share_of_many: 0.25,
            },
        )
    }

    /// `scripted-weak`: navigates more and slips more. The counterpart of GPT-3.5.
    pub fn weak() -> Self {
        Self::new(
            "scripted-weak",
            TeacherParameters {
                next: 0.85,
                max_next: 3,
                back: 0.75,
                max_back: 1,
                wander: 0.15,
                overlook_price: 0.25,
                spoil_option: 0.38,
                slip_per_navigation: 0.5,
                think: 0.0,
                required_share: 1.0,
                required_share_of_many: 0.25,
            },
        )
    }

    /// Reads without fault and never slips: what can be reached by searching the instruction's
    /// words, turning pages and going back. A yardstick, not a teacher.
    pub fn oracle() -> Self {
        Self::new(
            "oracle",
            TeacherParameters {
                next: 1.0,
                max_next: 5,
                back: 1.0,
                max_back: 2,
                wander: 0.0,
                overlook_price: 0.0,
                spoil_option: 0.0,
                slip_per_navigation: 0.0,
                think: 0.0,
                required_share: 1.0,
                required_share_of_many: 0.25,
            },
        )
    }

    /// A teacher by its name: `scripted-strong`, `scripted-weak` or `oracle`.
    pub fn by_name(name: &str) -> Option<Self> {
        [Self::strong(), Self::weak(), Self::oracle()]
            .into_iter()
            .find(|teacher| teacher.name() == name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How it behaves.
    pub fn parameters(&self) -> &TeacherParameters {
        &self.parameters
    }

    /// The same teacher with other parameters.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut TeacherParameters)) -> Self {
        change(&mut self.parameters);
        self
    }

    fn answer(&mut self, turn: Turn) -> Result<Reply, PolicyError> {
        let conversation = turn.conversation;
        let nothing = || PolicyError::NothingToAnswer { conversation };
        if turn.messages.last().is_none_or(|message| message.role != Role::User) {
            return Err(nothing());
        }
        let first = turn.messages.first().ok_or_else(nothing)?.text.as_str();
        let opens = !self.conversations.contains_key(&conversation);
        let view = self.conversations.entry(conversation).or_insert_with(|| View::open(first));
        for message in turn.messages.iter().skip(usize::from(opens)) {
            view.hear(message);
        }
        let text = decide::decide(view, &self.parameters, &mut turn.seed.rng()).to_string();
        view.hear(&Message::assistant(text.clone(), None));
        Ok(Reply { conversation, text, sampled: None, end: ReplyEnd::Stop })
    }
}

impl Policy for ScriptedTeacher {
    fn step(&mut self, turns: Vec<Turn>) -> Result<Vec<Reply>, PolicyError> {
        let replies: Result<Vec<Reply>, _> =
            turns.into_iter().map(|turn| self.answer(turn)).collect();
        let mut replies = replies?;
        replies.sort_by_key(|reply| reply.conversation);
        Ok(replies)
    }

    fn close(&mut self, conversation: ConversationId) {
        self.conversations.remove(&conversation);
    }

    fn reset(&mut self) {
        self.conversations.clear();
    }
}

#[cfg(test)]
mod tests {
    use eef_core::{Env, Sampling, Seed, Split, TaskId};

    use super::*;
    use crate::AgentAction;
    use crate::synthetic::{Needs, World, WorldConfig};

    /// What came of one teacher's trajectories.
    #[derive(Debug, Default)]
    struct Shares {
        n: f64,
        won: f64,
        next: f64,
        next_won: f64,
        back: f64,
        back_won: f64,
        n_actions: f64,
    }

    impl Shares {
        fn of(&self, count: f64) -> f64 {
            count / self.n
        }
    }

    fn visit(teacher: &mut ScriptedTeacher, env: &mut dyn Env, task: &TaskId) -> (bool, String) {
        let opening = env.reset(task).unwrap();
        let prompt = format!("{}\n{}", opening.instruction, opening.observation);
        goes_on(teacher, env, task, vec![Message::user(prompt)])
    }

    /// Whether the task is won after these messages, and what is said to that end.
    fn goes_on(
        teacher: &mut ScriptedTeacher,
        env: &mut dyn Env,
        task: &TaskId,
        mut messages: Vec<Message>,
    ) -> (bool, String) {
        let conversation = ConversationId(u64::from(task.index()));
        let seed = Seed::new(5).derive("task", task.index().into());
        let mut said = String::new();
        for number in 0..20 {
            let seed = seed.derive("turn", number);
            let turn = Turn { conversation, messages, sampling: Sampling::GREEDY, seed };
            let reply = teacher.step(vec![turn]).unwrap().remove(0);
            said.push_str(&reply.text);
            said.push('\n');
            let transition = env.step(&reply.text).unwrap();
            if transition.terminated {
                teacher.close(conversation);
                return (transition.reward.is_positive(), said);
            }
            messages = vec![Message::user(transition.observation.as_str())];
        }
        (false, said)
    }

    fn shares(mut teacher: ScriptedTeacher, world: &World, split: Split) -> Shares {
        let shop = world.open("webshop").unwrap();
        let mut env = shop.shopper();
        let mut shares = Shares::default();
        for index in 0..shop.goals(split).len() as u32 {
            let (won, said) = visit(&mut teacher, &mut env, &TaskId::new("webshop", split, index));
            let [won, next, back] = [won, said.contains("Next >"), said.contains("Back to")]
                .map(|is| f64::from(u8::from(is)));
            shares.n += 1.0;
            shares.won += won;
            shares.next += next;
            shares.next_won += next * won;
            shares.back += back;
            shares.back_won += back * won;
            shares.n_actions += said.lines().count() as f64;
        }
        println!("{}: {shares:?}", teacher.name());
        shares
    }

    fn world() -> World {
        World::draw(&WorldConfig::default(), Seed::new(1))
    }

    #[test]
    fn the_strong_teacher_fails_where_the_skill_stands() {
        let shares = shares(ScriptedTeacher::strong(), &world(), Split::Train);
        assert!((0.34..0.44).contains(&shares.of(shares.won)), "{shares:?}");
        assert!((0.15..0.30).contains(&shares.of(shares.next)), "{shares:?}");
        assert!((0.01..0.04).contains(&shares.of(shares.next_won)), "{shares:?}");
    }

    #[test]
    fn the_weak_teacher_navigates_more_and_wins_less() {
        let shares = shares(ScriptedTeacher::weak(), &world(), Split::Train);
        assert!((0.18..0.28).contains(&shares.of(shares.won)), "{shares:?}");
        assert!(shares.of(shares.next) > 0.3, "{shares:?}");
    }

    #[test]
    fn the_oracle_wins_and_uses_what_a_task_needs() {
        let world = world();
        let shares = shares(ScriptedTeacher::oracle(), &world, Split::Test);
        assert!(shares.of(shares.won) > 0.99, "{shares:?}");
        let n = |needs: &[Needs]| {
            let goals = world.goals.iter().filter(|goal| goal.split == Split::Test);
            goals.filter(|goal| needs.contains(&goal.needs)).count() as f64
        };
        assert_eq!(shares.next, n(&[Needs::Next, Needs::Both]));
        assert_eq!(shares.back, n(&[Needs::Back, Needs::Both]));
    }

    #[test]
    fn thoughts_change_no_deed() {
        let shop = world().open("webshop").unwrap();
        let mut thinker = ScriptedTeacher::oracle().with(|parameters| parameters.think = 0.5);
        let mut n_thoughts = 0;
        for index in 0..20 {
            let task = TaskId::new("webshop", Split::Train, index);
            let (won, said) = visit(&mut thinker, &mut shop.shopper(), &task);
            assert!(won, "{said}");
            n_thoughts += said.matches("Think[").count();
        }
        assert!(n_thoughts > 10);
    }

    #[test]
    fn a_prefix_that_ends_among_a_products_details_is_left_again() {
        let shop = world().open("webshop").unwrap();
        let task = TaskId::new("webshop", Split::Train, 0);
        let mut oracle = ScriptedTeacher::oracle();
        let (won, said) = visit(&mut oracle, &mut shop.shopper(), &task);
        assert!(won, "{said}");
        for page in ["Description", "Features", "Reviews"] {
            let mut env = shop.shopper();
            let mut messages = vec![Message::user(env.reset(&task).unwrap().instruction)];
            let opens = AgentAction::click(page).to_string();
            for reply in said.lines() {
                let has_item = messages[messages.len() - 1].text.contains("[Buy Now]");
                let reply = if has_item { &opens } else { reply };
                let observation = env.step(reply).unwrap().observation;
                messages.push(Message::assistant(reply, None));
                messages.push(Message::user(observation.as_str()));
                if has_item {
                    break;
                }
            }
            let (won, after) = goes_on(&mut oracle, &mut env, &task, messages);
            let back = AgentAction::click("< Prev").to_string();
            assert_eq!(after.lines().next(), Some(&*back), "{page}");
            assert!(won, "{page}: {after}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_stops_a_teacher(
            texts in proptest::collection::vec(
                "(WEB PAGE: \\{)?(\\[Buy Now\\]|\\(Total results: 15\\)|\\[< Prev\\])?(\n\\[?[A-Z0-9é \\]]{0,10}\\]?| with |: |price lower than |\\$[0-9.]{0,4}|\n){0,8}",
                1..6,
            ),
        ) {
            let mut teacher = ScriptedTeacher::weak();
            for (number, text) in texts.into_iter().enumerate() {
                let turn = Turn {
                    conversation: ConversationId(0),
                    messages: vec![Message::user(text)],
                    sampling: Sampling::GREEDY,
                    seed: Seed::new(number as u64),
                };
                let replies = teacher.step(vec![turn]).unwrap();
                proptest::prop_assert!(!replies[0].text.is_empty());
            }
        }
    }
}
