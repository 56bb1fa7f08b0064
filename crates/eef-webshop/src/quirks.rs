//! Accidents of the original that only [`Fidelity::Original`](crate::Fidelity) has.

use std::ops::Range;

use crate::page::PAGE_SIZE;

/// What `list[(n - 1) * 3 : n * 3]` is in Python: below page 1, places count from the end.
pub(crate) fn page_range(page_number: i64, n_hits: usize) -> Range<usize> {
    let size = PAGE_SIZE as i64;
    let n_hits = n_hits as i64;
    let place =
        |index: i64| if index < 0 { index + n_hits } else { index }.clamp(0, n_hits) as usize;
    let start = place(page_number.saturating_sub(1).saturating_mul(size));
    let end = place(page_number.saturating_mul(size));
    start..end.max(start)
}

/// The keywords of a query after its way through a URL; `None` where the server finds no page or
/// fails.
pub(crate) fn keywords_from_url(query: &str) -> Option<Vec<String>> {
    if query.is_empty() || query.contains('/') || query == "." || query == ".." {
        return None;
    }
    // The server evaluates what looks like a Python list.
    if query.starts_with('[') {
        return list_of_texts(query).filter(|texts| !texts.is_empty());
    }
    Some(vec![query.replace(' ', "+")])
}

/// Reads `['a', "b"]`.
fn list_of_texts(text: &str) -> Option<Vec<String>> {
    // Spaces are plus signs by now, which Python reads as signs before a text: an error.
    let mut rest = text.strip_prefix('[')?.strip_suffix(']')?;
    let mut texts = Vec::new();
    while !rest.is_empty() {
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'))?;
        let (inner, after) = rest[1..].split_once(quote)?;
        texts.push(inner.replace(' ', "+"));
        rest = match after.strip_prefix(',') {
            Some(after) => after,
            None if after.is_empty() => after,
            None => return None,
        };
    }
    Some(texts)
}

/// Whether the printed options cannot be read back: a text in double quotes has an apostrophe.
pub(crate) fn breaks_options(chosen: &[(String, String)]) -> bool {
    chosen.iter().any(|(name, value)| name.contains('\'') || value.contains('\''))
}

/// Whether the page marks a chosen value: only where a URL leaves its text as it is.
pub(crate) fn is_marked(value: &str) -> bool {
    value.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-' | '~'))
}

/// A text without the characters that Latin-1 lacks.
pub(crate) fn latin_1(text: &str) -> String {
    text.chars().filter(|c| *c <= '\u{ff}').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_python_slices() {
        assert_eq!(page_range(1, 7), 0..3);
        assert_eq!(page_range(3, 7), 6..7);
        assert!(page_range(4, 7).is_empty());
        assert!(page_range(0, 7).is_empty());
        assert_eq!(page_range(-1, 7), 1..4);
        assert!(page_range(i64::MIN, 7).is_empty() && page_range(i64::MAX, 7).is_empty());
    }

    #[test]
    fn queries_pass_through_a_url() {
        let keywords = |query| keywords_from_url(query).map(|words| words.join("|"));
        assert_eq!(keywords("red mug").as_deref(), Some("red+mug"));
        assert_eq!(keywords("['red','mug']").as_deref(), Some("red|mug"));
        for query in ["a/b", "[red]", "[]", "", "."] {
            assert_eq!(keywords(query), None, "{query}");
        }
    }
}
