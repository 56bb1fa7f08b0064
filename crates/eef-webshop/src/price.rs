//! Prices, read and printed as the original does.

/// `pricing` as numbers: the amounts after each `$`, at most two, and `[100.0]` for an empty text.
/// `None` where an amount is no number.
///
/// Source: `clean_product_keys`/`load_products` of the original engine.
pub(crate) fn parse_pricing(pricing: &str) -> Option<Vec<f64>> {
    if pricing.is_empty() {
        return Some(vec![100.0]);
    }
    let mut amounts = Vec::new();
    for part in pricing.split('$').skip(1) {
        let digits: String = part.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
        amounts.push(digits.parse::<f64>().ok().filter(|amount| amount.is_finite())?);
    }
    amounts.truncate(2);
    Some(amounts).filter(|amounts| !amounts.is_empty())
}

/// The text after `Price: `, such as `$35.0` or `$19.99 to $27.99`.
pub(crate) fn price_tag(amounts: &[f64]) -> String {
    let tags: Vec<_> = amounts.iter().map(|amount| format!("${}", python_float(*amount))).collect();
    tags.join(" to ")
}

/// A number as Python's `repr` prints it, for the range that prices have.
fn python_float(value: f64) -> String {
    // Rust's `{:?}` also prints the shortest text that reads back the same, with a decimal point.
    format!("{value:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prices_are_read_and_printed() {
        let tag = |pricing| parse_pricing(pricing).map(|amounts| price_tag(&amounts));
        assert_eq!(tag("").as_deref(), Some("$100.0"));
        assert_eq!(tag("$35.00").as_deref(), Some("$35.0"));
        assert_eq!(tag("$1,099.95").as_deref(), Some("$1099.95"));
        assert_eq!(tag("$19.99 - $27.99").as_deref(), Some("$19.99 to $27.99"));
        assert_eq!(tag("$1 $2 $3").as_deref(), Some("$1.0 to $2.0"));
        assert_eq!(tag("free"), None);
        assert_eq!(tag("$"), None);
    }
}
