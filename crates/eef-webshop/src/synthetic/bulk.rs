//! A catalogue of any size, to measure with.
//!
//! Its texts make no sense; what is like the real catalogue is what search and memory depend on:
//! how long texts are, how many words there are and how often each occurs (of a thousand real products
//! 44 % have the most frequent word, 8 % the hundredth, 1 % the thousandth), how many options and
//! values products have, and that one in eleven has a range of prices.

use eef_core::{Rng, Seed};

use super::words::{BRANDS, CATEGORIES, SIZES};
use crate::raw::{Annotation, RawItem, RawOptions};

/// Words that every shop's texts are full of: the most frequent ones here too.
#[rustfmt::skip] // a word a line would fill two screens
const FREQUENT: [&str; 58] = [
    "your", "you", "use", "can", "design", "high", "from", "make", "include",
    "product", "all", "up", "quality", "style", "material", "please", "our", "easy", "set", "one",
    "more", "pack", "home", "fit", "time", "great", "best", "new", "clean", "gift", "water",
    "good", "free", "soft", "light", "need", "any", "other", "when", "we", "inch", "perfect",
    "made", "care", "help", "day", "keep", "long", "look", "support", "order", "package", "hand",
    "natural", "comfort", "wear", "double", "strong",
];
const SYLLABLES: [&str; 40] = [
    "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "ri", "so", "tu", "va",
    "we", "xi", "yo", "zu", "bra", "cle", "dri", "flo", "gru", "spa", "ste", "tri", "plo", "sku",
    "lan", "men", "tin", "bor", "sul", "mar", "ner", "kis", "don", "vel",
];
/// The words that texts mostly consist of.
const N_COMMON: f64 = 12_000.0;
/// The rest: names and numbers, most of which few products have.
const N_RARE: f64 = 800_000.0;
/// How likely a word is one of those.
const RARE: f64 = 0.06;
/// Flattens the head of the words' frequencies: the word of rank `r` occurs in proportion to
/// `1 / (r + FLATNESS)`.
const FLATNESS: f64 = 25.0;
/// Kinds of products.
const N_KINDS: usize = 3000;
/// One product in so many has an instruction.
const INSTRUCTION_EVERY: u64 = 100;

/// Draws one record after the other, each by its number alone.
#[derive(Clone, Debug)]
pub struct BulkCatalog {
    seed: Seed,
}

/// A product and what the other files say about it.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkRecord {
    /// As in `items_shuffle.json`.
    pub item: RawItem,
    /// As in `items_ins_v2.json`.
    pub annotation: Annotation,
    /// The nouns of its title.
    pub nouns: Vec<String>,
}

impl BulkCatalog {
    /// The catalogue of a seed.
    pub fn new(seed: Seed) -> Self {
        Self { seed }
    }

    /// The record with this number; below 2⁴⁶ no two share an asin.
    pub fn record(&self, number: u64) -> BulkRecord {
        let rng = &mut self.seed.derive("bulk record", number).rng();
        let category = CATEGORIES[rng.below(CATEGORIES.len())];
        let kind = zipf(N_KINDS as f64, rng);
        let noun = word(1_000 + kind);
        let brand =
            format!("{}{}", BRANDS[rng.below(BRANDS.len())], word(50_000 + rng.below(9_000)));
        let material = category.materials[rng.below(category.materials.len())];
        let style = category.styles[rng.below(category.styles.len())];
        let title = format!("{brand} {material} {style} {noun} {}", prose(6 + rng.below(15), rng));
        let dollars = 5 + zipf(900.0, rng);
        let pricing = match rng.below(11) {
            0 => format!("${dollars}.99 - ${}.49", dollars + 1 + rng.below(30)),
            _ => format!("${dollars}.99"),
        };
        let n_colours = if rng.chance(0.35) { 1 + rng.below(9) } else { 0 };
        let n_sizes = if rng.chance(0.25) { 1 + rng.below(SIZES.len()) } else { 0 };
        let colour = |rng: &mut Rng| category.colours[rng.below(category.colours.len())];
        let colours: Vec<String> =
            (0..n_colours).map(|_| format!("{} {}", colour(rng), word(rank(rng)))).collect();
        let sizes: Vec<String> = SIZES.iter().take(n_sizes).map(|&size| size.to_owned()).collect();
        let options = [("Color", colours), ("Size", sizes)];
        let options: Vec<_> =
            options.into_iter().filter(|(_, values)| !values.is_empty()).collect();
        let item = RawItem {
            asin: asin(number),
            name: title,
            full_description: prose(rng.below(100), rng),
            small_description: (0..=rng.below(8)).map(|_| prose(8 + rng.below(30), rng)).collect(),
            pricing,
            customization_options: RawOptions::from_texts(options),
            category: category.department.to_owned(),
            query: noun.clone(),
            product_category: format!("{} › {noun}", category.path),
            images: Vec::new(),
        };
        let attributes = vec![material.to_owned(), style.to_owned(), prose(2, rng)];
        let is_asked_for = number.is_multiple_of(INSTRUCTION_EVERY);
        let instruction =
            is_asked_for.then(|| format!("Find me {material} {style} {noun} {}", prose(3, rng)));
        let annotation = Annotation {
            instruction_attributes: instruction.is_some().then(|| attributes[..2].to_vec()),
            instruction,
            attributes,
        };
        BulkRecord { item, annotation, nouns: vec![noun] }
    }
}

/// A number below `n`, the small ones more often.
fn zipf(n: f64, rng: &mut Rng) -> usize {
    let drawn = FLATNESS * ((n + FLATNESS) / FLATNESS).powf(rng.uniform()) - FLATNESS;
    (drawn as usize).min(n as usize - 1)
}

/// The rank of a word in a text.
fn rank(rng: &mut Rng) -> usize {
    if rng.chance(RARE) { N_COMMON as usize + zipf(N_RARE, rng) } else { zipf(N_COMMON, rng) }
}

fn prose(n_words: usize, rng: &mut Rng) -> String {
    (0..n_words).map(|_| word(rank(rng))).collect::<Vec<_>>().join(" ")
}

/// The word of a rank.
fn word(rank: usize) -> String {
    if let Some(word) = FREQUENT.get(rank) {
        return (*word).to_owned();
    }
    let (mut rest, mut word) = (rank, String::new());
    while rest > 0 || word.len() < 4 {
        word.push_str(SYLLABLES[rest % SYLLABLES.len()]);
        rest /= SYLLABLES.len();
    }
    word
}

/// Ten characters, in an order that has nothing to do with the numbers'.
fn asin(number: u64) -> String {
    // Multiplying by an odd number is one to one among the numbers of 46 bits.
    let mut rest = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) & ((1 << 46) - 1);
    let mut digits = [b'0'; 10];
    for digit in digits[1..].iter_mut().rev() {
        *digit = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[(rest % 36) as usize];
        rest /= 36;
    }
    digits[0] = b'B';
    digits.into_iter().map(char::from).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::catalog::Catalog;
    use crate::raw::{Annotations, NounTable, Prices};
    use crate::search::{analyze, indexed_text};

    #[test]
    fn what_search_depends_on_is_as_in_the_real_catalogue() {
        let bulk = BulkCatalog::new(Seed::new(1));
        let items: Vec<RawItem> = (0..1000).map(|number| bulk.record(number).item).collect();
        let (catalog, report) = Catalog::new(
            &items,
            &Annotations::new(),
            &NounTable::new(),
            &Prices::new(),
            Seed::new(1),
        );
        assert_eq!((report.n_records, report.n_products), (1000, 1000));
        let mut containing: BTreeMap<String, usize> = BTreeMap::new();
        let mut n_tokens = 0;
        for product in catalog.products() {
            let tokens = analyze(&indexed_text(&product));
            n_tokens += tokens.len();
            for token in tokens.into_iter().collect::<BTreeSet<_>>() {
                *containing.entry(token).or_default() += 1;
            }
        }
        let mut counts: Vec<usize> = containing.into_values().collect();
        counts.sort_unstable_by(|a, b| b.cmp(a));
        // Of the real ones: 108 tokens each; 438, 130, 82, 14; 12,074 terms.
        assert!((90_000..125_000).contains(&n_tokens), "{n_tokens}");
        assert!((350..550).contains(&counts[0]), "{}", counts[0]);
        assert!((90..190).contains(&counts[50]), "{}", counts[50]);
        assert!((60..130).contains(&counts[100]), "{}", counts[100]);
        assert!((7..22).contains(&counts[1000]), "{}", counts[1000]);
        assert!((9_000..20_000).contains(&counts.len()), "{}", counts.len());
    }

    #[test]
    fn records_depend_on_seed_and_number_alone() {
        let bulk = BulkCatalog::new(Seed::new(1));
        assert_eq!(bulk.record(7), bulk.record(7));
        assert_ne!(bulk.record(7), BulkCatalog::new(Seed::new(2)).record(7));
        let asins: BTreeSet<String> = (0..5000).map(asin).collect();
        assert_eq!(asins.len(), 5000);
        assert!(asins.iter().all(|asin| asin.len() == 10));
    }
}
