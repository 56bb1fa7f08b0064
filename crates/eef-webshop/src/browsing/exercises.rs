//! Copying exercises: visits to pages of words in no order.
//!
//! What a shop's titles say in order can be learned by heart, and a small model does that first.
//! Here words, product numbers and prices are drawn anew for every visit, so that only reading
//! the page tells what to type: copying has to be learned.

use eef_core::{Message, Observation, Opening, Rng, Seed};

use crate::teacher::view::{BACK, BUY, NEXT, PREVIOUS};
use crate::{AgentAction, WebShop};

/// The words of a shop that exists.
pub(super) struct Exercises {
    /// Of titles, as they stand there.
    title_words: Vec<String>,
    /// Of options' values.
    values: Vec<String>,
    product_numbers: Vec<String>,
    seed: Seed,
    n_made: u64,
}

impl Exercises {
    /// Collects the words of a catalogue.
    pub(super) fn new(shop: &WebShop, seed: Seed) -> Self {
        let products = || shop.catalog().products().iter();
        let title_words = products()
            .flat_map(|product| product.title.split_whitespace().map(str::to_owned))
            .filter(|word| !word.contains(['[', ']', '"', '\\']))
            .collect();
        let values = products()
            .flat_map(|product| product.options.iter().flat_map(|option| option.values.clone()))
            .filter(|value| !value.contains(['[', ']', '"', '\\']))
            .collect();
        let product_numbers = products().map(|product| product.asin.clone()).collect();
        Self { title_words, values, product_numbers, seed, n_made: 0 }
    }

    /// The next exercise.
    pub(super) fn next(&mut self, prompt: &dyn Fn(&Opening) -> String) -> Vec<Message> {
        let mut rng = self.seed.derive("exercise", self.n_made).rng();
        self.n_made += 1;
        let rng = &mut rng;
        let asked = self.words(3 + rng.below(8), rng).to_lowercase();
        let limit = 10 * (1 + rng.below(20));
        let mut values: Vec<&String> =
            (0..2 + rng.below(8)).filter_map(|_| rng.choose(&self.values)).collect();
        values.sort();
        values.dedup();
        rng.shuffle(&mut values);
        let wanted = values.first().copied().filter(|_| rng.chance(0.7));
        let options = wanted.map(|value| format!(" with color: {value}")).unwrap_or_default();
        rng.shuffle(&mut values);
        let opening = Opening {
            instruction: format!(
                "Find me {asked}{options}, and price lower than {limit}.00 dollars"
            ),
            observation: Observation::new("WEB PAGE: {Let us begin shopping \n[Search]}"),
        };
        let mut transcript = vec![Message::user(prompt(&opening))];
        let mut say = |action: AgentAction, answer: String| {
            transcript.push(Message::assistant(action.to_string(), None));
            transcript.push(Message::user(answer));
        };
        let offers: [[String; 3]; 3] = std::array::from_fn(|_| self.offer(rng));
        say(AgentAction::search(stretch(&asked, rng)), results(&offers));
        for _ in 0..rng.below(3) {
            let offer = &offers[rng.below(offers.len())];
            say(AgentAction::think(offer.join(" ")), "OK".to_owned());
        }
        let [asin, title, price] = &offers[rng.below(offers.len())];
        let buttons: Vec<&str> = values.iter().map(|value| value.as_str()).collect();
        let buttons = buttons.join("][");
        let page = format!(
            "WEB PAGE: {{\n[{BACK}] \n[{PREVIOUS}] \ncolor [{buttons}]\n{title} \nPrice: {price} \
             \nRating: N.A. \n[Description] \n[Features] \n[Reviews] \n[{BUY}] }}"
        );
        say(AgentAction::click(asin.as_str()), page);
        if let Some(value) = wanted {
            say(AgentAction::think(format!("color {value} is there")), "OK".to_owned());
        }
        for _ in 0..=rng.below(3) {
            if let Some(value) = rng.choose(&values) {
                let answer = format!("WEB PAGE: {{You have clicked {value}.}}");
                say(AgentAction::click(value.as_str()), answer);
            }
        }
        transcript
    }

    fn words(&self, n: usize, rng: &mut Rng) -> String {
        let words = (0..n).filter_map(|_| rng.choose(&self.title_words).map(String::as_str));
        words.collect::<Vec<_>>().join(" ")
    }

    /// Number, title and price.
    fn offer(&self, rng: &mut Rng) -> [String; 3] {
        let asin = rng.choose(&self.product_numbers).cloned().unwrap_or_default();
        let price = format!("${}.{:02}", 1 + rng.below(150), rng.below(100));
        [asin, self.words(3 + rng.below(6), rng), price]
    }
}

/// Some words in a row.
fn stretch(text: &str, rng: &mut Rng) -> String {
    let words: Vec<&str> = text.split(' ').collect();
    let n_words = 1 + rng.below(words.len());
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
