//! What a page shows, read from its text.

/// A page as its reader sees it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Page {
    /// A page with a search box.
    Home,
    /// Search results.
    Results(Vec<Offer>),
    /// A product's own page.
    Item(Vec<Choice>),
    /// A page of a product's details, from which one can only go back.
    Details,
}

/// One result of a search.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Offer {
    /// The product number: its button.
    pub asin: String,
    /// The title.
    pub title: String,
    /// The price in dollars, the lower one of two.
    pub price: f64,
}

/// Something to choose on a product's page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    /// Its name, such as `color`.
    pub name: String,
    /// The buttons.
    pub values: Vec<String>,
}

impl Page {
    /// Reads an observation; an answer in words is no page.
    pub fn read(text: &str) -> Option<Self> {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let has = |button: &str| lines.iter().any(|line| line.contains(button));
        // Answers in words name buttons too, but begin no line with one.
        let is_below_an_item = lines.iter().any(|line| line.starts_with("[< Prev]"));
        if has("(Total results:") {
            Some(Self::Results(offers(&lines)))
        } else if has("[Buy Now]") && !has("There is no [Buy Now] button") {
            Some(Self::Item(choices(&lines)))
        } else if is_below_an_item {
            Some(Self::Details)
        } else if has("[Search]") && !has("There is no [Search] button") {
            Some(Self::Home)
        } else {
            None
        }
    }
}

/// A line `[asin]`, then a title (which may be missing), then a price.
fn offers(lines: &[&str]) -> Vec<Offer> {
    let mut offers = Vec::new();
    let mut lines = lines.iter().peekable();
    while let Some(line) = lines.next() {
        let Some(asin) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) else {
            continue;
        };
        if asin.is_empty() || !asin.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()) {
            continue;
        }
        let mut title = String::new();
        if let Some(next) = lines.next_if(|next| !next.starts_with('$')) {
            title.push_str(next);
        }
        let price = lines.next_if(|next| next.starts_with('$')).and_then(|next| price(next));
        offers.push(Offer { asin: asin.to_owned(), title, price: price.unwrap_or(f64::INFINITY) });
    }
    offers
}

fn price(text: &str) -> Option<f64> {
    let number = text.strip_prefix('$')?;
    let end = number.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(number.len());
    number[..end].parse().ok()
}

/// Lines `name [value][value]` between the navigation and the title.
fn choices(lines: &[&str]) -> Vec<Choice> {
    let mut choices = Vec::new();
    let rest = lines.iter().skip_while(|line| !line.contains("[< Prev]")).skip(1);
    for line in rest {
        let Some((name, values)) = line.split_once(" [") else { break };
        let Some(values) = values.strip_suffix(']').filter(|_| !name.is_empty()) else { break };
        let values = values.split("][").map(|value| {
            // A chosen value is shown in two pairs of brackets.
            value.trim_start_matches('[').trim_end_matches(']').to_owned()
        });
        choices.push(Choice { name: name.to_owned(), values: values.collect() });
    }
    choices
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read() {
        let text = "WEB PAGE: {\n[Back to Search] \nPage 1 (Total results: 15) \n[Next >] \
                    \n[B012345678] \nA mug \n$14.99 \n[B087654321] \n$9.99 to $12.5 }";
        let offer = |asin: &str, title: &str, price| Offer {
            asin: asin.to_owned(),
            title: title.to_owned(),
            price,
        };
        let expected = vec![offer("B012345678", "A mug", 14.99), offer("B087654321", "", 9.99)];
        assert_eq!(Page::read(text), Some(Page::Results(expected)));
    }

    #[test]
    fn an_item_is_read() {
        let text = "WEB PAGE: {\n[Back to Search] \n[< Prev] \ncolor [red][[light blue]] \nsize \
                    [s] \nA mug [new] \nPrice: $14.99 \nRating: N.A. \n[Description] \
                    \n[Features] \n[Reviews] \n[Buy Now] }";
        let Some(Page::Item(choices)) = Page::read(text) else { panic!("no item") };
        assert_eq!(choices[0].values, ["red", "light blue"]);
        assert_eq!(choices[1], Choice { name: "size".to_owned(), values: vec!["s".to_owned()] });
    }

    #[test]
    fn words_are_no_page() {
        assert_eq!(Page::read("Let us begin shopping \n[Search]"), Some(Page::Home));
        assert_eq!(Page::read("You have clicked red."), None);
        for button in ["Buy Now", "Search"] {
            let text = format!("WEB PAGE: {{There is no [{button}] button}}");
            assert_eq!(Page::read(&text), None);
        }
        assert_eq!(Page::read("WEB PAGE: {This is no [< Prev] button}"), None);
    }

    #[test]
    fn details_are_a_page() {
        let reviews = "WEB PAGE: {\n[Back to Search] \n[< Prev] }";
        assert_eq!(Page::read(reviews), Some(Page::Details));
        let description = "WEB PAGE: {\n[Back to Search] \n[< Prev] \nPress [Search]. }";
        assert_eq!(Page::read(description), Some(Page::Details));
    }
}
