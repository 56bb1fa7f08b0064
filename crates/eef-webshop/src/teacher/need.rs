//! What an instruction asks for, as a reader understands it.

use super::page::Choice;

/// Colours that a reader knows to be colours.
const COLOURS: [&str; 24] = [
    "black",
    "white",
    "red",
    "blue",
    "green",
    "pink",
    "gray",
    "grey",
    "brown",
    "beige",
    "yellow",
    "orange",
    "purple",
    "gold",
    "silver",
    "navy",
    "ivory",
    "teal",
    "khaki",
    "turquoise",
    "burgundy",
    "bronze",
    "multicolor",
    "cream",
];

/// Sizes that a reader knows to be sizes.
const SIZES: [&str; 12] = [
    "small", "medium", "large", "x-small", "x-large", "xx-large", "3x-large", "4x-large",
    "5x-large", "xx-small", "xl", "xxl",
];

/// Words of an instruction that say nothing about the product.
const FILLERS: [&str; 54] = [
    "a",
    "am",
    "an",
    "and",
    "any",
    "are",
    "at",
    "be",
    "buy",
    "can",
    "color",
    "colored",
    "colors",
    "comes",
    "find",
    "for",
    "from",
    "get",
    "give",
    "have",
    "hello",
    "hi",
    "i",
    "im",
    "i'm",
    "in",
    "is",
    "it",
    "like",
    "looking",
    "made",
    "me",
    "my",
    "need",
    "of",
    "on",
    "one",
    "or",
    "please",
    "should",
    "size",
    "sized",
    "some",
    "something",
    "that",
    "the",
    "them",
    "to",
    "use",
    "want",
    "which",
    "with",
    "would",
    "you",
];

/// What somebody is asked to buy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Need {
    /// The words that describe the product, in the instruction's order: they are searched for
    /// and compared with titles.
    pub keywords: Vec<String>,
    /// The most that it may cost, in dollars.
    pub price_limit: Option<f64>,
    /// What stands between `Find me` and the price limit, where the instruction has the form that
    /// WebShop makes of attributes and options.
    request: Option<String>,
    /// Options named with their values: `color: red`.
    named: Vec<(String, String)>,
    /// All words, among which an option's value may stand.
    words: Vec<String>,
}

/// What a reader does about one choice of an item page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// The instruction does not care.
    None,
    /// This value is asked for.
    Value(String),
    /// A value is asked for that the page does not offer.
    Missing,
}

impl Need {
    /// Reads an instruction, or a prompt that holds it: what follows the last `Task:`, or else
    /// the first line that is not empty.
    pub fn read(prompt: &str) -> Self {
        let text = match prompt.rfind("Task:") {
            Some(at) => &prompt[at + "Task:".len()..],
            None => prompt,
        };
        let line = text.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let line = line.strip_prefix("Instruction:").unwrap_or(line).trim();
        let (line, price_limit) = take_price_limit(line);
        let request = line.strip_prefix("Find me ").map(str::to_owned);
        let line = line.to_lowercase();
        let (line, named) = take_named_options(&line);
        let words = words(line);
        let keywords = words
            .iter()
            .filter(|word| {
                !FILLERS.contains(&word.as_str())
                    && !COLOURS.contains(&word.as_str())
                    && !SIZES.contains(&word.as_str())
            })
            .cloned()
            .collect();
        Self { keywords, price_limit, request, named, words }
    }

    /// What to type into the search box: a request that lists attributes and options as it stands,
    /// of any other the keywords. On WebShop's 1,000 products neither finds more than the other;
    /// what stands there is the easier to copy.
    pub fn query(&self) -> String {
        if let Some(request) = &self.request {
            return request.clone();
        }
        let words = if self.keywords.is_empty() { &self.words } else { &self.keywords };
        let values = self.named.iter().map(|(_, value)| value);
        words.iter().chain(values).map(String::as_str).collect::<Vec<_>>().join(" ")
    }

    /// What is asked, whatever the words around it: equal for paraphrases.
    pub fn canonical(&self) -> String {
        let mut words: Vec<&str> =
            self.words.iter().map(String::as_str).filter(|word| !FILLERS.contains(word)).collect();
        words.sort_unstable();
        format!("{words:?} {:?} {:?}", self.named, self.price_limit)
    }

    /// The share of the keywords that a title holds.
    pub fn match_share(&self, title: &str) -> f64 {
        let title: Vec<String> = words(&title.to_lowercase()).iter().map(|w| stem(w)).collect();
        let n_found = self.keywords.iter().filter(|word| title.contains(&stem(word))).count();
        n_found as f64 / self.keywords.len().max(1) as f64
    }

    /// Whether a price is within the limit.
    pub fn can_pay(&self, price: f64) -> bool {
        self.price_limit.is_none_or(|limit| price <= limit)
    }

    /// What the instruction says about a choice.
    pub fn wish(&self, choice: &Choice) -> Wish {
        if let Some((_, wanted)) = self.named.iter().find(|(name, _)| *name == choice.name) {
            let same = choice.values.iter().find(|value| value.as_str() == wanted);
            return same.map_or(Wish::Missing, |value| Wish::Value(value.clone()));
        }
        let mentioned = |value: &&String| {
            let parts = words(value);
            !parts.is_empty() && parts.iter().all(|part| self.words.contains(part))
        };
        // The longest value says most: `dark blue` rather than `blue`.
        let best = choice.values.iter().filter(mentioned).max_by_key(|value| value.len());
        match best {
            Some(value) => Wish::Value(value.clone()),
            None if choice.name.contains("color") && self.mentions(&COLOURS) => Wish::Missing,
            None if choice.name.contains("size") && self.mentions(&SIZES) => Wish::Missing,
            None => Wish::None,
        }
    }

    fn mentions(&self, list: &[&str]) -> bool {
        self.words.iter().any(|word| list.contains(&word.as_str()))
    }
}

/// Cuts `, and price lower than 40.00 dollars` off.
fn take_price_limit(line: &str) -> (&str, Option<f64>) {
    const PHRASE: &str = "price lower than ";
    let Some(at) = line.rfind(PHRASE) else { return (line, None) };
    let limit = line[at + PHRASE.len()..].split_whitespace().next().and_then(|n| n.parse().ok());
    let before = line[..at].trim_end().trim_end_matches("and").trim_end().trim_end_matches(',');
    (before, limit)
}

/// Cuts ` with color: red, and size: small` off.
fn take_named_options(line: &str) -> (&str, Vec<(String, String)>) {
    let Some(colon) = line.find(": ") else { return (line, Vec::new()) };
    let Some(with) = line[..colon].rfind(" with ") else { return (line, Vec::new()) };
    let options = &line[with + " with ".len()..];
    let pairs = options.split(", and ").filter_map(|pair| pair.split_once(": "));
    (&line[..with], pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '\'' | '-' | '.')))
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// A plural and its singular are the same word to a reader.
fn stem(word: &str) -> String {
    word.strip_suffix('s').filter(|stem| stem.len() > 2).unwrap_or(word).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(name: &str, values: &[&str]) -> Choice {
        let values = values.iter().map(|&value| value.to_owned()).collect();
        Choice { name: name.to_owned(), values }
    }

    #[test]
    fn an_instruction_is_understood() {
        let need = Need::read(
            "Task: i am looking for a cotton modern lamp in blue and size small, and price lower \
             than 40.00 dollars\nLet us begin shopping",
        );
        assert_eq!(need.query(), "cotton modern lamp");
        assert_eq!(need.price_limit, Some(40.0));
        assert!(need.can_pay(39.99) && !need.can_pay(44.99));
        assert_eq!(need.match_share("Norvik cotton modern lamp gift box"), 1.0);
        assert!(need.match_share("Norvik linen modern lamp") < 1.0);
        let blue = Wish::Value("blue".to_owned());
        assert_eq!(need.wish(&choice("color", &["red", "blue"])), blue);
        assert_eq!(need.wish(&choice("color", &["red", "pink"])), Wish::Missing);
        assert_eq!(need.wish(&choice("size", &["large"])), Wish::Missing);
        assert_eq!(need.wish(&choice("pattern", &["dots"])), Wish::None);
    }

    #[test]
    fn named_options_are_taken_by_their_name() {
        let need = Need::read(
            "Find me easy clean, steel mirrors with color: brushed nickel, and size: 24 x 36, \
             and price lower than 120.00 dollars",
        );
        let request = "easy clean, steel mirrors with color: brushed nickel, and size: 24 x 36";
        assert_eq!(need.query(), request);
        let nickel = Wish::Value("brushed nickel".to_owned());
        assert_eq!(need.wish(&choice("color", &["black", "brushed nickel"])), nickel);
        assert_eq!(need.wish(&choice("size", &["20 x 30"])), Wish::Missing);
    }

    #[test]
    fn any_text_is_read() {
        for text in ["", "Task:", "price lower than ", "with : ", "é, and price lower than x"] {
            let need = Need::read(text);
            assert!(need.can_pay(1e9), "{text}");
        }
    }
}
