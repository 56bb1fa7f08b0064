//! How alike two texts are: the `token_set_ratio` of thefuzz 0.19 on Python's difflib.

use std::collections::BTreeMap;

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
    highest_ratio(a, b, 0)
}

/// Whether two texts are more alike than that, which is mostly told without comparing them
/// character by character.
pub(super) fn is_more_alike(a: &str, b: &str, than: u32) -> bool {
    highest_ratio(a, b, than) > than
}

/// The ratio, exact where it is above `floor` and anything up to that where it is not.
fn highest_ratio(a: &str, b: &str, floor: u32) -> u32 {
    let (a, b) = (normalize(a), normalize(b));
    let (a, b) = (words(&a), words(&b));
    if a.is_empty() || b.is_empty() {
        return 0;
    }
    let common: Vec<&str> =
        a.iter().copied().filter(|word| b.binary_search(word).is_ok()).collect();
    let with_rest = |one: &[&str]| {
        let rest = one.iter().filter(|word| common.binary_search(word).is_err());
        let all: Vec<&str> = common.iter().chain(rest).copied().collect();
        all.join(" ")
    };
    let (x, y, common) = (with_rest(&a), with_rest(&b), common.join(" "));
    let mut highest = 0;
    for (one, other) in [(&common, &x), (&common, &y), (&x, &y)] {
        if highest < 100 {
            highest = highest.max(ratio(one, other, highest.max(floor)));
        }
    }
    highest
}

/// The words of a text, sorted, each once.
fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<&str> = text.split_whitespace().collect();
    words.sort_unstable();
    words.dedup();
    words
}

/// Drops Latin-1 characters above ASCII, makes a space of all that is no letter, digit or
/// underscore, and lowers the case.
fn normalize(text: &str) -> String {
    let kept = text.chars().filter(|c| !('\u{80}'..='\u{ff}').contains(c));
    let spaced: String =
        kept.map(|c| if c.is_alphanumeric() || c == '_' { c } else { ' ' }).collect();
    spaced.to_lowercase()
}

/// The ratio, exact where it is above `floor` and anything up to that where it is not.
fn ratio(a: &str, b: &str, floor: u32) -> u32 {
    if a == b {
        return 100;
    }
    if a.is_empty() || b.is_empty() {
        return 0;
    }
    let of = |n_matching: usize, n_a: usize, n_b: usize| {
        let ratio = 2.0 * n_matching as f64 / (n_a + n_b) as f64;
        (100.0 * ratio).round_ties_even() as u32
    };
    let (n_a, n_b) = (a.chars().count(), b.chars().count());
    // Never more match than the shorter one has, and than both have of each character.
    if of(n_a.min(n_b), n_a, n_b) <= floor || of(n_common(a, b), n_a, n_b) <= floor {
        return 0;
    }
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    of(matching_characters(&a, &b), n_a, n_b)
}

/// No fewer than the characters that both have, in whatever order.
fn n_common(a: &str, b: &str) -> usize {
    // By the last bits of their codes: characters that share them count as the same.
    let mut counts = [0_i32; 64];
    for c in b.chars() {
        counts[c as usize % 64] += 1;
    }
    let mut n_common = 0;
    for c in a.chars() {
        let count = &mut counts[c as usize % 64];
        n_common += usize::from(*count > 0);
        *count -= 1;
    }
    n_common
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

        #[test]
        fn what_is_told_early_is_what_a_comparison_tells(
            a in "[abc é-]{0,24}", b in "[abc é-]{0,24}", than in 0..100_u32,
        ) {
            prop_assert_eq!(is_more_alike(&a, &b, than), token_set_ratio(&a, &b) > than);
        }
    }
}
