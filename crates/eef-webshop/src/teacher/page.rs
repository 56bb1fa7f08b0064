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
    /// Anything else: an answer in words, a product's details.
    Other,
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
    /// Reads an observation.
    pub fn read(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        let has = |button: &str| lines.iter().any(|line| line.contains(button));
        if has("(Total results:") {
            Self::Results(offers(&lines))
        } else if has("[Buy Now]") {
            Self::Item(choices(&lines))
        } else if has("[Search]") && !has("There is no [Search] button") {
            Self::Home
        } else {
            Self::Other
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
        assert_eq!(Page::read(text), Page::Results(expected));
    }

    #[test]
    fn an_item_is_read() {
        let text = "WEB PAGE: {\n[Back to Search] \n[< Prev] \ncolor [red][[light blue]] \nsize \
                    [s] \nA mug [new] \nPrice: $14.99 \nRating: N.A. \n[Description] \
                    \n[Features] \n[Reviews] \n[Buy Now] }";
        let Page::Item(choices) = Page::read(text) else { panic!("no item") };
        assert_eq!(choices[0].values, ["red", "light blue"]);
        assert_eq!(choices[1], Choice { name: "size".to_owned(), values: vec!["s".to_owned()] });
    }

    #[test]
    fn words_are_no_page() {
        assert_eq!(Page::read("Let us begin shopping \n[Search]"), Page::Home);
        assert_eq!(Page::read("You have clicked red."), Page::Other);
        assert_eq!(Page::read("There is no [Search] button, you should click"), Page::Other);
    }
}
