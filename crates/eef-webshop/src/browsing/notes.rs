//! Reading exercises: thoughts that state what stands on a page.

use eef_core::Rng;

use crate::teacher::need::{Need, Wish};
use crate::teacher::page::{Choice, Offer};

/// A fact about a page of results, `None` where it shows nothing.
pub(crate) fn about_results(need: &Need, offers: &[Offer], rng: &mut Rng) -> Option<String> {
    let offer = rng.choose(offers)?;
    let limit = need.price_limit?;
    let asked = |offer: &Offer| need.match_share(&offer.title) >= 1.0;
    Some(match rng.below(3) {
        0 => format!(
            "{} {} asked, ${} is {}lower than {limit:.2}",
            offer.asin,
            if asked(offer) { "is" } else { "is not" },
            offer.price,
            if need.can_pay(offer.price) { "" } else { "not " },
        ),
        1 => offers
            .iter()
            .map(|offer| {
                let fits = asked(offer) && need.can_pay(offer.price);
                format!("{} {}", offer.asin, if fits { "yes" } else { "no" })
            })
            .collect::<Vec<_>>()
            .join(", "),
        _ => match offers.iter().find(|offer| asked(offer) && need.can_pay(offer.price)) {
            Some(offer) => format!("{} has all that is asked", offer.asin),
            None => "nothing here has all that is asked".to_owned(),
        },
    })
}

/// A fact about a product's page, `None` where it offers no choice that is asked for.
pub(crate) fn about_item(need: &Need, choices: &[Choice], rng: &mut Rng) -> Option<String> {
    let choice = rng.choose(choices)?;
    match need.wish(choice) {
        Wish::None => None,
        Wish::Value(value) => Some(format!("{} {value} is there", choice.name)),
        Wish::Missing => Some(format!("{} is missing", choice.name)),
    }
}
