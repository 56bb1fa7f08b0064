//! Browsing text over a prepared catalogue, for the base model of real data.
//!
//! A visitor with a training task's instruction searches random words and presses random buttons:
//! the text shows how pages answer and what words mean the same, and no strategy. Some thoughts
//! state what stands on a page. Tasks of validation and test do not occur.

use std::collections::BTreeSet;

use anyhow::bail;
use eef_chat::PromptTemplate;
use eef_core::{Env, Environment, Message, Rng, Seed, Split};
use eef_webshop::{AgentAction, ShopEnvironment};

/// Pages seen in one visit.
const MAX_PAGES: usize = 5;
/// How often a thought follows a page that something can be said about.
const NOTE: f64 = 0.5;

/// `n` transcripts; the same arguments give the same ones.
pub fn transcripts(
    environment: &ShopEnvironment,
    prompt: PromptTemplate,
    n: usize,
    seed: Seed,
) -> anyhow::Result<Vec<Vec<Message>>> {
    let tasks = environment.tasks(Split::Train);
    if tasks.is_empty() {
        bail!("the data has no training tasks to browse for");
    }
    let mut shopper = environment.shop().shopper();
    let mut transcripts = Vec::with_capacity(n);
    for visit in 0..n {
        let mut rng = seed.derive("visit", visit as u64).rng();
        let task = &tasks[rng.below(tasks.len())];
        let opening = shopper.reset(task)?;
        let mut transcript = vec![Message::user(prompt.of_opening(&opening))];
        let mut page = opening.observation.as_str().to_owned();
        let mut has_thought = true;
        let mut n_pages = 0;
        while n_pages < MAX_PAGES {
            let note = (!has_thought && rng.chance(NOTE))
                .then(|| note(&opening.instruction, &page, &mut rng))
                .flatten();
            has_thought = note.is_some();
            let action = match note {
                Some(note) => AgentAction::think(note),
                None => act(environment, &opening.instruction, &page, &mut rng),
            };
            let said = action.to_string();
            let transition = shopper.step(&said)?;
            transcript.push(Message::assistant(said, None));
            transcript.push(Message::user(transition.observation.as_str()));
            if transition.terminated {
                break;
            }
            if !has_thought {
                n_pages += 1;
                transition.observation.as_str().clone_into(&mut page);
            }
        }
        transcripts.push(transcript);
    }
    Ok(transcripts)
}

fn act(environment: &ShopEnvironment, instruction: &str, page: &str, rng: &mut Rng) -> AgentAction {
    let buttons = buttons(page);
    if buttons.iter().any(|button| button == "Search") {
        return AgentAction::search(query(environment, instruction, rng));
    }
    match rng.choose(&buttons) {
        Some(button) => AgentAction::click(button),
        None => AgentAction::click("Back to Search"),
    }
}

/// Some words in a row, of the instruction or of a random product.
fn query(environment: &ShopEnvironment, instruction: &str, rng: &mut Rng) -> String {
    let products = environment.shop().catalog().products();
    let text = match rng.choose(products) {
        Some(product) if rng.chance(0.3) => product.title.to_lowercase(),
        _ => instruction.split(", and price").next().unwrap_or(instruction).to_lowercase(),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    let n_words = 2 + rng.below(5);
    let start = rng.below(words.len().saturating_sub(n_words) + 1);
    let chosen = &words[start..words.len().min(start + n_words)];
    chosen.join(" ").replace(['[', ']', '{', '}', '"', '\\'], "")
}

/// Everything in square brackets.
fn buttons(page: &str) -> Vec<String> {
    let mut buttons = Vec::new();
    for piece in page.split('[').skip(1) {
        if let Some((button, _)) = piece.split_once(']')
            && !button.is_empty()
        {
            buttons.push(button.to_owned());
        }
    }
    buttons
}

/// A fact about a page of results: a price against the limit, or words that a title shares with
/// the instruction.
fn note(instruction: &str, page: &str, rng: &mut Rng) -> Option<String> {
    let offers = offers(page);
    let (asin, title, price) = rng.choose(&offers)?;
    let limit: Option<f64> = instruction
        .rsplit_once("lower than ")
        .and_then(|(_, rest)| rest.split_whitespace().next()?.parse().ok());
    if let (Some(limit), true) = (limit, rng.chance(0.5)) {
        let cheapest: f64 = price.trim_start_matches('$').split(' ').next()?.parse().ok()?;
        let not = if cheapest < limit { "" } else { "not " };
        return Some(format!("{asin} {price} is {not}lower than {limit:.2}"));
    }
    let title = title.to_lowercase();
    let has: BTreeSet<&str> = title.split(|c: char| !c.is_alphanumeric()).collect();
    let asked = instruction.split(|c: char| !c.is_alphanumeric());
    let shared: Vec<&str> = asked.filter(|word| word.len() > 3 && has.contains(word)).collect();
    Some(if shared.is_empty() {
        format!("{asin} has none of it")
    } else {
        format!("{asin} has {}", shared.join(", "))
    })
}

/// Product number, title and price of each offer on a page of results.
fn offers(page: &str) -> Vec<(String, String, String)> {
    let lines: Vec<&str> = page.lines().map(str::trim).collect();
    let offer = |three: &[&str]| {
        let asin = three[0].strip_prefix('[')?.strip_suffix(']')?;
        let is_number = asin.len() == 10 && asin.chars().all(|c| c.is_ascii_alphanumeric());
        let price = three[2].trim_end_matches(['}', ' ']);
        (is_number && price.starts_with('$'))
            .then(|| (asin.to_owned(), three[1].to_owned(), price.to_owned()))
    };
    lines.windows(3).filter_map(offer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "WEB PAGE: {\n[Back to Search] \nPage 1 (Total results: 15) \n[Next >] \
        \n[B012345678] \nRed Cotton Mug [New] \n$14.99 }";

    #[test]
    fn a_page_of_results_is_read() {
        let offer = ("B012345678", "Red Cotton Mug [New]", "$14.99");
        let offer = [offer.0, offer.1, offer.2].map(str::to_owned);
        assert_eq!(offers(PAGE), [(offer[0].clone(), offer[1].clone(), offer[2].clone())]);
        assert_eq!(buttons(PAGE), ["Back to Search", "Next >", "B012345678", "New"]);
    }

    #[test]
    fn notes_state_what_stands_there() {
        let asked = "find me a cotton mug, and price lower than 20.00 dollars";
        let mut rng = Seed::new(3).rng();
        let notes: BTreeSet<String> = (0..20).filter_map(|_| note(asked, PAGE, &mut rng)).collect();
        let notes: Vec<&str> = notes.iter().map(String::as_str).collect();
        assert_eq!(notes, ["B012345678 $14.99 is lower than 20.00", "B012345678 has cotton"]);
    }
}
