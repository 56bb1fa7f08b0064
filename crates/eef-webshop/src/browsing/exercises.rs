//! Copying exercises: visits to pages of words in no order.
//!
//! What a shop's titles say in order can be learned by heart, and a small model does that first.
//! Here words, product numbers and prices are drawn anew for every visit, so that only reading
//! the page tells what to type: copying has to be learned. Pages are short and the visitor repeats
//! much of them aloud, because that is learned from repetitions and not from what is read once.

use eef_core::{Message, Observation, Opening, Rng, Seed};

use super::{drawn_from, notes};
use crate::teacher::need::Need;
use crate::teacher::page::Choice;
use crate::teacher::view::{BACK, BUY, NEXT, PREVIOUS};
use crate::{AgentAction, WebShop};

/// The words of a shop that exists.
pub(super) struct Exercises {
    /// Of titles, as they stand there.
    title_words: Vec<String>,
    /// Options that products offer.
    choices: Vec<Choice>,
    seed: Seed,
    n_made: u64,
}

impl Exercises {
    /// Collects the words of a catalogue.
    pub(super) fn new(shop: &WebShop, seed: Seed) -> Self {
        let products = || drawn_from(shop.catalog());
        let title_words = products()
            .flat_map(|product| product.title.split_whitespace())
            .map(str::to_owned)
            .filter(|word| can_be_typed(word))
            .collect();
        let choices = products()
            .flat_map(|product| product.options)
            .map(|option| {
                let values = option.values.iter().filter(|value| can_be_typed(value));
                let values = values.map(|value| (*value).to_owned()).collect();
                Choice { name: option.name.to_owned(), values }
            })
            .filter(|choice| !choice.values.is_empty())
            .collect();
        Self { title_words, choices, seed, n_made: 0 }
    }

    /// The next exercise.
    pub(super) fn next(&mut self, prompt: &dyn Fn(&Opening) -> String) -> Vec<Message> {
        let mut rng = self.seed.derive("exercise", self.n_made).rng();
        self.n_made += 1;
        let rng = &mut rng;
        let (choices, named) = self.options(rng);
        let asked = self.words(2 + rng.below(8), &[" ", " ", " ", ", ", " with ", " for "], rng);
        let with = if named.is_empty() { "" } else { " with " };
        let limit = 10 * (1 + rng.below(20));
        let instruction = format!(
            "Find me {}{with}{}, and price lower than {limit}.00 dollars",
            asked.to_lowercase(),
            named.join(", and ")
        );
        let need = Need::read(&instruction);
        let query = need.query();
        let observation = Observation::new("WEB PAGE: {Let us begin shopping \n[Search]}");
        let mut transcript = vec![Message::user(prompt(&Opening { instruction, observation }))];
        let mut say = |action: AgentAction, answer: String| {
            transcript.push(Message::assistant(action.to_string(), None));
            transcript.push(Message::user(answer));
        };
        let think = |thought: String| (AgentAction::think(thought), "OK".to_owned());

        for _ in 0..2 + rng.below(2) {
            let (action, answer) = think(stretch(&query, rng));
            say(action, answer);
        }
        let offers: [[String; 3]; 3] = std::array::from_fn(|_| self.offer(rng));
        say(AgentAction::search(stretch(&query, rng)), results(&offers));
        for _ in 0..2 + rng.below(3) {
            let (action, answer) = think(offers[rng.below(offers.len())].join(" "));
            say(action, answer);
        }
        let [asin, title, price] = &offers[rng.below(offers.len())];
        say(AgentAction::click(asin.as_str()), item(title, price, &choices));
        for _ in 0..choices.len() {
            if let Some(note) = notes::about_item(&need, &choices, rng) {
                let (action, answer) = think(note);
                say(action, answer);
            }
        }
        for _ in 0..2 + rng.below(3) {
            let Some(choice) = rng.choose(&choices) else { break };
            if let Some(value) = rng.choose(&choice.values) {
                let answer = format!("WEB PAGE: {{You have clicked {value}.}}");
                say(AgentAction::click(value.as_str()), answer);
            }
        }
        transcript
    }

    /// Up to two options of an item, each with some of its values, and those that are asked for
    /// as an instruction names them. What is asked for need not be there.
    fn options(&self, rng: &mut Rng) -> (Vec<Choice>, Vec<String>) {
        let (mut choices, mut named) = (Vec::<Choice>::new(), Vec::new());
        for _ in 0..rng.below(3) {
            let Some(choice) = rng.choose(&self.choices) else { break };
            if choices.iter().any(|other| other.name == choice.name) {
                continue;
            }
            let mut values = choice.values.clone();
            rng.shuffle(&mut values);
            let asked_for = values[0].clone();
            values.truncate(2 + rng.below(4));
            if values.len() > 1 && rng.chance(0.15) {
                values.remove(0);
            }
            rng.shuffle(&mut values);
            if rng.chance(0.7) {
                named.push(format!("{}: {asked_for}", choice.name));
            }
            choices.push(Choice { name: choice.name.clone(), values });
        }
        (choices, named)
    }

    fn words(&self, n: usize, joints: &[&str], rng: &mut Rng) -> String {
        let mut text = String::new();
        for index in 0..n {
            let Some(word) = rng.choose(&self.title_words) else { break };
            let joint = rng.choose(joints).filter(|_| index > 0);
            text.push_str(joint.unwrap_or(&""));
            text.push_str(word);
        }
        text
    }

    /// Number, title and price.
    fn offer(&self, rng: &mut Rng) -> [String; 3] {
        let price = format!("${}.{:02}", 1 + rng.below(150), rng.below(100));
        [product_number(rng), self.words(1 + rng.below(4), &[" "], rng), price]
    }
}

/// One that nobody has seen: those of a thousand products are learned by heart, and not read.
fn product_number(rng: &mut Rng) -> String {
    const DIGITS: &[u8] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let digits: String = (0..7).map(|_| char::from(DIGITS[rng.below(DIGITS.len())])).collect();
    format!("B0{}{digits}", 7 + rng.below(3))
}

/// Whether a button or a search of it is understood.
fn can_be_typed(text: &str) -> bool {
    !text.contains(['[', ']', '"', '\\'])
}

/// Some words in a row, and never all of several: that is what a teacher searches first.
fn stretch(text: &str, rng: &mut Rng) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let n_words = 1 + rng.below(words.len().saturating_sub(1).max(1));
    let start = rng.below(words.len() - n_words + 1);
    words[start..start + n_words].join(" ")
}

fn results(offers: &[[String; 3]]) -> String {
    let lines =
        offers.iter().map(|[asin, title, price]| format!("\n[{asin}] \n{title} \n{price} "));
    format!(
        "WEB PAGE: {{\n[{BACK}] \nPage 1 (Total results: 15) \n[{NEXT}] {}}}",
        lines.collect::<String>()
    )
}

fn item(title: &str, price: &str, choices: &[Choice]) -> String {
    let options =
        choices.iter().map(|choice| format!("\n{} [{}]", choice.name, choice.values.join("][")));
    format!(
        "WEB PAGE: {{\n[{BACK}] \n[{PREVIOUS}] {}\n{title} \nPrice: {price} \nRating: N.A. \n\
         [Description] \n[Features] \n[Reviews] \n[{BUY}] }}",
        options.collect::<String>()
    )
}
