//! How alike two texts are: the `token_set_ratio` of thefuzz 0.19 on Python's difflib.

use std::collections::{BTreeMap, BTreeSet};

/// From 0 to 100: how alike the sets of words of two texts are. A text whose words all occur in
/// the other gives 100.
///
/// ```
/// use eef_webshop::token_set_ratio;
///
/// assert_eq!(token_set_ratio("dark blue", "blue"), 100);
/// assert_eq!(token_set_ratio("4wx 32l", "46w x 32l"), 88);
/// assert_eq!(token_set_ratio("", "blue"), 0);
/// ```
pub fn token_set_ratio(a: &str, b: &str) -> u32 {
    let (a, b) = (normalize(a), normalize(b));
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<BTreeSet<_>>();
    let (a, b) = (words(&a), words(&b));
    if a.is_empty() || b.is_empty() {
        return 0;
    }
    let common: Vec<&str> = a.intersection(&b).map(String::as_str).collect();
    let with_rest = |one: &BTreeSet<String>, other: &BTreeSet<String>| {
        let rest = one.difference(other).map(String::as_str);
        let all: Vec<&str> = common.iter().copied().chain(rest).collect();
        all.join(" ").chars().collect::<Vec<char>>()
    };
    let (x, y) = (with_rest(&a, &b), with_rest(&b, &a));
    let common: Vec<char> = common.join(" ").chars().collect();
    ratio(&common, &x).max(ratio(&common, &y)).max(ratio(&x, &y))
}

/// Drops Latin-1 characters above ASCII, makes a space of all that is no letter, digit or
/// underscore, and lowers the case.
fn normalize(text: &str) -> String {
    let kept = text.chars().filter(|c| !('\u{80}'..='\u{ff}').contains(c));
    let spaced: String =
        kept.map(|c| if c.is_alphanumeric() || c == '_' { c } else { ' ' }).collect();
    spaced.to_lowercase()
}

fn ratio(a: &[char], b: &[char]) -> u32 {
    if a == b {
        return 100;
    }
    if a.is_empty() || b.is_empty() {
        return 0;
    }
    let n_matching = matching_characters(a, b);
    let ratio = 2.0 * n_matching as f64 / (a.len() + b.len()) as f64;
    (100.0 * ratio).round_ties_even() as u32
}

/// The characters in the matching blocks of difflib's `SequenceMatcher(None, a, b)`: the longest
/// common block, then the same left and right of it. Not symmetric in its arguments.
fn matching_characters(a: &[char], b: &[char]) -> usize {
    let mut positions: BTreeMap<char, Vec<usize>> = BTreeMap::new();
    for (j, c) in b.iter().enumerate() {
        positions.entry(*c).or_default().push(j);
    }
    // difflib's "autojunk": in long texts, frequent characters start no block.
    if b.len() >= 200 {
        positions.retain(|_, places| places.len() <= b.len() / 100 + 1);
    }
    let mut total = 0;
    let mut waiting = vec![(0, a.len(), 0, b.len())];
    let mut row = Row::new(b.len());
    while let Some((a_low, a_high, b_low, b_high)) = waiting.pop() {
        let (i, j, size) = row.longest_match(a, b, &positions, (a_low, a_high, b_low, b_high));
        if size > 0 {
            total += size;
            waiting.push((a_low, i, b_low, j));
            waiting.push((i + size, a_high, j + size, b_high));
        }
    }
    total
}

/// Scratch space: lengths of the blocks that end at each place of `b`.
struct Row {
    lengths: Vec<usize>,
    next: Vec<usize>,
}

impl Row {
    fn new(n: usize) -> Self {
        Self { lengths: vec![0; n + 1], next: vec![0; n + 1] }
    }

    /// The first of the longest blocks: its start in `a`, its start in `b`, its size.
    fn longest_match(
        &mut self,
        a: &[char],
        b: &[char],
        positions: &BTreeMap<char, Vec<usize>>,
        (a_low, a_high, b_low, b_high): (usize, usize, usize, usize),
    ) -> (usize, usize, usize) {
        let (mut best_i, mut best_j, mut best_size) = (a_low, b_low, 0);
        self.lengths[b_low..=b_high].fill(0);
        for (i, c) in a.iter().enumerate().take(a_high).skip(a_low) {
            self.next[b_low..=b_high].fill(0);
            for &j in positions.get(c).into_iter().flatten() {
                if j < b_low {
                    continue;
                }
                if j >= b_high {
                    break;
                }
                // Slot j + 1 belongs to the block that ends at j; slot b_low stays 0.
                let size = self.lengths[j] + 1;
                self.next[j + 1] = size;
                if size > best_size {
                    (best_i, best_j, best_size) = (i + 1 - size, j + 1 - size, size);
                }
            }
            std::mem::swap(&mut self.lengths, &mut self.next);
        }
        // Frequent characters may still extend a block at either end.
        while best_i > a_low && best_j > b_low && a[best_i - 1] == b[best_j - 1] {
            (best_i, best_j, best_size) = (best_i - 1, best_j - 1, best_size + 1);
        }
        while best_i + best_size < a_high
            && best_j + best_size < b_high
            && a[best_i + best_size] == b[best_j + best_size]
        {
            best_size += 1;
        }
        (best_i, best_j, best_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matching(a: &str, b: &str) -> usize {
        let chars = |text: &str| text.chars().collect::<Vec<_>>();
        matching_characters(&chars(a), &chars(b))
    }

    #[test]
    fn blocks_are_those_of_difflib() {
        assert_eq!(matching("abxcd", "abcd"), 4);
        assert_eq!(matching("tide", "diet"), 1);
        assert_eq!(matching("diet", "tide"), 2);
        assert_eq!(matching("", ""), 0);
        // With 200 characters and more, frequent ones start no block.
        let long = "ab".repeat(120);
        assert_eq!(matching("xab", &long), 0);
        assert_eq!(matching("ab", &long), 2);
    }

    proptest! {
        #[test]
        fn a_text_is_like_itself_and_any_score_is_at_most_100(a in ".{0,40}", b in ".{0,40}") {
            prop_assert!(token_set_ratio(&a, &b) <= 100);
            let own = token_set_ratio(&a, &a);
            prop_assert!(own == 100 || own == 0);
        }
    }
}
