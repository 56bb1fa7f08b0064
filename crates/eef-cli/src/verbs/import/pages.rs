//! Whether what a record shows is what the environment shows now.

use eef_webshop::page;

/// What the environment answers.
pub struct Answer<'a> {
    /// The text.
    pub shown: &'a str,
    /// The page that was shown last before it.
    pub page: &'a str,
    /// Whether the episode ended, and if so whether the task was solved.
    pub ended: Option<bool>,
}

/// Whether a recorded answer tells the same as the environment's.
///
/// Only what is known to be told otherwise by the programs that records come from is passed over:
/// white space and characters above U+00FF (AgentLite loses them), the double brackets of chosen
/// values, AgentBoard's last page, and the original's own text form, whose pages list ten products
/// where AgentLite's list three.
pub fn agrees(recorded: &str, answer: &Answer<'_>) -> bool {
    let recorded = recorded.trim();
    let recorded = recorded.strip_prefix("Observation:").unwrap_or(recorded).trim();
    if plain(recorded) == plain(answer.shown) {
        return true;
    }
    if let Some(is_solved) = answer.ended {
        return match plain(recorded).as_str() {
            "WEB PAGE: {Result: [Success]}" | "Result: [Success]" => is_solved,
            "WEB PAGE: {Result: [False]}" | "Result: [False]" => !is_solved,
            thanks => thanks.starts_with("Thank you for shopping with us!"),
        };
    }
    recorded.contains(SEPARATOR) && agrees_in_text(recorded, answer)
}

/// What stands between the parts of a page in the original's text form.
const SEPARATOR: &str = "[SEP]";

/// How AgentLite answers a click on an option.
const CLICKED: &str = "You have clicked ";

/// Whether an answer of the environment shows a page, and not only that something was done.
pub fn is_page(shown: &str) -> bool {
    shown.starts_with("WEB PAGE: {") && !body(shown).starts_with(CLICKED)
}

fn agrees_in_text(recorded: &str, answer: &Answer<'_>) -> bool {
    let theirs = words(&without_heading(recorded));
    let shown = body(answer.shown);
    if shown == page::INITIAL_PAGE {
        return theirs == ["Search"];
    }
    // The original answers a click on an option with the product's page.
    if shown.starts_with(CLICKED) {
        return theirs == words(body(answer.page));
    }
    let ours = words(shown);
    let (Some(theirs), Some(ours)) = (without_total(&theirs), without_total(&ours)) else {
        return theirs == ours;
    };
    let listed = shown.split_once("[Next >]").map_or("", |(_, listed)| listed);
    // Only a full page of ours goes on in theirs.
    if listed.matches("\n[").count() < page::PAGE_SIZE {
        theirs == ours
    } else {
        theirs.starts_with(&ours)
    }
}

/// A page without the words that stand above it in the original.
fn without_heading(recorded: &str) -> String {
    let mut parts = recorded.split(SEPARATOR).map(str::trim).peekable();
    parts.next_if_eq(&"WebShop");
    if parts.next_if_eq(&"Instruction:").is_some() {
        parts.next();
    }
    parts.collect::<Vec<_>>().join(" ")
}

/// A page of results without the number of all results, which AgentLite's pages make up.
fn without_total(words: &[String]) -> Option<Vec<&String>> {
    let at = words.windows(2).position(|pair| pair == ["(Total", "results:"])?;
    Some(words.iter().enumerate().filter(|(index, _)| *index != at + 2).map(|(_, w)| w).collect())
}

fn body(shown: &str) -> &str {
    shown.strip_prefix("WEB PAGE: {").and_then(|shown| shown.strip_suffix('}')).unwrap_or(shown)
}

fn plain(text: &str) -> String {
    let text = latin_1(text).replace("[[", "[").replace("]]", "]");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The words of a page, which are the same however its buttons are marked.
fn words(page: &str) -> Vec<String> {
    let page = latin_1(page).replace(['[', ']'], " ");
    page.split_whitespace().map(str::to_owned).collect()
}

fn latin_1(text: &str) -> String {
    text.chars().filter(|c| *c <= '\u{ff}').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESULTS: &str = "WEB PAGE: {\n[Back to Search] \nPage 1 (Total results: 15) \n[Next >] \
                           \n[B01] \nRed Mug \n$5.0 \n[B02] \nBlue Mug \n$6.0 \n[B03] \nMug \
                           \n$7.0 }";
    const ITEM: &str = "WEB PAGE: {\n[Back to Search] \n[< Prev] \ncolor [red][[blue]]\nMug \
                        \nPrice: $7.0 \nRating: N.A. \n[Buy Now] }";

    fn answer<'a>(shown: &'a str, page: &'a str) -> Answer<'a> {
        Answer { shown, page, ended: None }
    }

    #[test]
    fn white_space_and_marks_are_passed_over_and_nothing_else() {
        let same = |recorded: &str, shown: &str| agrees(recorded, &answer(shown, ""));
        assert!(same(ITEM, ITEM));
        assert!(same(&format!("Observation: {}", ITEM.replace("[[blue]]", "[blue]")), ITEM));
        assert!(same("WEB PAGE: {\nMug 5 \n}", "WEB PAGE: {\nMug \u{2013} 5 \n}"));
        assert!(!same(&ITEM.replace("$7.0", "$7.5"), ITEM));
        assert!(!same(&ITEM.replace("[red]", ""), ITEM));
        assert!(!same("", ITEM));
        assert!(!same("OK", ITEM));
    }

    #[test]
    fn the_originals_text_is_understood() {
        let head = "Instruction: [SEP] buy a mug [SEP] ";
        let listed = "Back to Search [SEP] Page 1 (Total results: 50) [SEP] Next > [SEP] B01 [SEP] \
                      Red Mug [SEP] $5.0 [SEP] B02 [SEP] Blue Mug [SEP] $6.0 [SEP] B03 [SEP] Mug \
                      [SEP] $7.0 [SEP] B04 [SEP] Cup [SEP] $1.0";
        let same = |recorded: &str, shown: &str, page: &str| {
            agrees(&format!("{head}{recorded}"), &answer(shown, page))
        };
        assert!(same(listed, RESULTS, ""));
        assert!(!same(&listed.replace("Blue", "Green"), RESULTS, ""));
        assert!(!same(&listed.replace("Page 1", "Page 2"), RESULTS, ""));
        // Two products of ours are all there are: theirs must end there too.
        let short = RESULTS.replace(" \n[B03] \nMug \n$7.0", "");
        assert!(!same(listed, &short, ""));
        let item = "Back to Search [SEP] < Prev [SEP] color [SEP] red [SEP] blue [SEP] Mug [SEP] \
                    Price: $7.0 [SEP] Rating: N.A. [SEP] Buy Now";
        assert!(same(item, ITEM, ""));
        assert!(same(item, "WEB PAGE: {You have clicked red.}", ITEM));
        assert!(!same(item, "WEB PAGE: {You have clicked red.}", RESULTS));
        assert!(!same(item, "WEB PAGE: {Button must be an asin}", ITEM));
        let first = format!("WEB PAGE: {{{}}}", page::INITIAL_PAGE);
        assert!(agrees("WebShop [SEP] Instruction: [SEP] buy [SEP] Search", &answer(&first, "")));
        assert!(!same(item, &first, ""));
    }

    #[test]
    fn the_last_page_is_told_in_three_ways() {
        let same = |recorded: &str, is_solved: bool| {
            agrees(recorded, &Answer { shown: page::FINISHED, page: ITEM, ended: Some(is_solved) })
        };
        assert!(same("shopping is finished.", false));
        assert!(same("Thank you for shopping with us! [SEP] Your code: [SEP] None", true));
        assert!(same("WEB PAGE: {Result: [Success]}", true));
        assert!(!same("WEB PAGE: {Result: [Success]}", false));
        assert!(same("WEB PAGE: {Result: [False]}", false));
        assert!(!same(ITEM, true));
    }
}
