//! Training a small byte-level BPE tokenizer, the same bytes every time.
//!
//! The trainer of the `tokenizers` crate walks hash maps whose order differs between runs, and may
//! break ties by it. This one counts in ordered maps; the result is an ordinary `tokenizer.json`.

use std::collections::{BTreeMap, BTreeSet};

use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::{
    AddedToken, OffsetReferential, OffsetType, PreTokenizer, SplitDelimiterBehavior,
};

use crate::ChatError;

/// How a text is cut before merges are learned; nothing merges across a cut.
///
/// In this order: the two and the first four, then the last four characters of an article number
/// (`B0` + 4 + 4, in either case), prices with their decimals, numbers, words with the space
/// before them, runs of punctuation, white space.
pub const PRE_TOKENIZER_REGEX: &str = concat!(
    r"(?i: ?(?<![a-z0-9])b0(?=[a-z0-9]{8}(?![a-z0-9])))",
    r"|(?i:(?<=b0)[a-z0-9]{4}(?=[a-z0-9]{4}(?![a-z0-9])))",
    r"|(?i:(?<=b0[a-z0-9]{4})[a-z0-9]{4}(?![a-z0-9]))",
    r"| ?\$?\p{N}+\.\p{N}+",
    r"| ?\$?\p{N}+",
    r"| ?\p{L}+",
    r"| ?[^\s\p{L}\p{N}]+",
    r"|\s+(?!\S)",
    r"|\s+",
);

/// What to train.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BpeTraining {
    /// Number of ids in all: control tokens, added tokens, 256 bytes and merges. Fewer come out
    /// where the texts hold too few repeated pairs.
    pub vocabulary_size: usize,
    /// Boilerplate that becomes one token wherever it stands, and is ordinary text otherwise:
    /// ASCII, such as `\n[button] `.
    pub added_tokens: Vec<String>,
    /// Control tokens, such as `<|end|>`, which no text can produce.
    pub special_tokens: Vec<String>,
    /// A pair must be seen this often to be merged.
    pub min_frequency: u64,
}

impl Default for BpeTraining {
    fn default() -> Self {
        Self {
            vocabulary_size: 1_024,
            added_tokens: Vec::new(),
            special_tokens: vec!["<|assistant|>".to_owned(), "<|end|>".to_owned()],
            min_frequency: 2,
        }
    }
}

/// Trains a tokenizer and gives the bytes of its `tokenizer.json`.
///
/// Ids: control tokens, added tokens, the 256 bytes, merges in the order learned. The same texts
/// (in any order) and configuration give the same bytes. Whatever the texts,
/// `decode(encode(x)) == x`.
///
/// # Errors
/// [`ChatError::Training`] where the vocabulary has no room for the bytes, an added or control
/// token is empty, repeated or not ASCII, or a control token is a single character.
pub fn train_bpe(
    texts: impl Iterator<Item = String>,
    config: &BpeTraining,
) -> Result<Vec<u8>, ChatError> {
    let mut tokens = starting_tokens(config)?;
    let cutter = build(&tokens, &[], config)?;
    let counts = count_words(&cutter, texts)?;
    let merges = learn_merges(&counts, &mut tokens, config);
    let tokenizer = build(&tokens, &merges, config)?;
    let mut json = tokenizer.to_string(true).map_err(|error| failed(&*error))?;
    json.push('\n');
    Ok(json.into_bytes())
}

fn failed(error: &(dyn std::error::Error + Send + Sync)) -> ChatError {
    ChatError::Training { message: error.to_string() }
}

/// Control tokens, added tokens and bytes, by id.
fn starting_tokens(config: &BpeTraining) -> Result<Vec<String>, ChatError> {
    let mut alphabet: Vec<char> =
        tokenizers::pre_tokenizers::byte_level::ByteLevel::alphabet().into_iter().collect();
    alphabet.sort_unstable();
    let mut tokens: Vec<String> =
        config.special_tokens.iter().chain(&config.added_tokens).cloned().collect();
    let mut seen = BTreeSet::new();
    for token in &tokens {
        // Decoding reads tokens as byte-level characters; only for ASCII is that the same text.
        if token.is_empty() || !token.is_ascii() || !seen.insert(token) {
            let message =
                format!("token {token:?} is empty, repeated or not ASCII: give it once, in ASCII");
            return Err(ChatError::Training { message });
        }
    }
    // Its character would have no token of its own, and every text with it would hold the control.
    if let Some(token) = config.special_tokens.iter().find(|token| token.len() == 1) {
        let message =
            format!("control token {token:?} is a single character: give it a name, as in <|end|>");
        return Err(ChatError::Training { message });
    }
    let alphabet: Vec<String> =
        alphabet.into_iter().map(String::from).filter(|byte| !seen.contains(byte)).collect();
    tokens.extend(alphabet);
    if config.vocabulary_size < tokens.len() {
        let message = format!(
            "a vocabulary of {} is too small: bytes, control and added tokens are {} already",
            config.vocabulary_size,
            tokens.len()
        );
        return Err(ChatError::Training { message });
    }
    Ok(tokens)
}

fn build(
    tokens: &[String],
    merges: &[(String, String)],
    config: &BpeTraining,
) -> Result<tokenizers::Tokenizer, ChatError> {
    let vocabulary: Vocab =
        tokens.iter().enumerate().map(|(id, token)| (token.clone(), id as u32)).collect();
    let model = BPE::builder()
        .vocab_and_merges(vocabulary, merges.to_vec())
        .build()
        .map_err(|error| failed(&*error))?;
    let split = Split::new(
        SplitPattern::Regex(PRE_TOKENIZER_REGEX.to_owned()),
        SplitDelimiterBehavior::Isolated,
        false,
    )
    .map_err(|error| failed(&*error))?;
    let bytes = ByteLevel::new(false, true, false);
    let mut tokenizer = tokenizers::Tokenizer::new(model);
    tokenizer.with_pre_tokenizer(Some(Sequence::new(vec![
        PreTokenizerWrapper::Split(split),
        PreTokenizerWrapper::ByteLevel(bytes),
    ])));
    tokenizer.with_decoder(Some(bytes));
    let special = config.special_tokens.iter().map(|token| AddedToken::from(token.clone(), true));
    let added = config
        .added_tokens
        .iter()
        .map(|token| AddedToken::from(token.clone(), false).normalized(false));
    tokenizer.add_special_tokens(special.collect::<Vec<_>>()).map_err(|error| failed(&*error))?;
    tokenizer.add_tokens(added.collect::<Vec<_>>()).map_err(|error| failed(&*error))?;
    tokenizer.set_encode_special_tokens(true);
    Ok(tokenizer)
}

/// Counts the pieces between cuts, in byte-level characters.
fn count_words(
    cutter: &tokenizers::Tokenizer,
    texts: impl Iterator<Item = String>,
) -> Result<BTreeMap<String, u64>, ChatError> {
    let mut counts = BTreeMap::new();
    for text in texts {
        let mut pieces =
            cutter.get_added_vocabulary().extract_and_normalize(cutter.get_normalizer(), &text);
        if let Some(pre_tokenizer) = cutter.get_pre_tokenizer() {
            pre_tokenizer.pre_tokenize(&mut pieces).map_err(|error| failed(&*error))?;
        }
        for (piece, _, ready) in pieces.get_splits(OffsetReferential::Original, OffsetType::None) {
            if ready.is_none() {
                *counts.entry(piece.to_owned()).or_insert(0) += 1;
            }
        }
    }
    Ok(counts)
}

type Pair = (u32, u32);

/// Merges the most frequent pair, the smaller ids first among equals, until the vocabulary is full.
fn learn_merges(
    counts: &BTreeMap<String, u64>,
    tokens: &mut Vec<String>,
    config: &BpeTraining,
) -> Vec<(String, String)> {
    // Control tokens are left out, here and below: no merge may lead to one.
    let mut id_of: BTreeMap<String, u32> = tokens
        .iter()
        .enumerate()
        .skip(config.special_tokens.len())
        .map(|(id, token)| (token.clone(), id as u32))
        .collect();
    let mut words: Vec<(Vec<u32>, u64)> = counts
        .iter()
        .map(|(word, count)| {
            let ids = word.chars().filter_map(|c| id_of.get(c.encode_utf8(&mut [0; 4]) as &str));
            (ids.copied().collect(), *count)
        })
        .collect();
    let mut pairs: BTreeMap<Pair, (u64, BTreeSet<usize>)> = BTreeMap::new();
    for (index, (ids, count)) in words.iter().enumerate() {
        add_pairs(&mut pairs, ids, *count, index);
    }
    let mut merges = Vec::new();
    while tokens.len() < config.vocabulary_size {
        // Ordered by pair: the first of equal counts is kept.
        let mut best: Option<(Pair, u64)> = None;
        for (pair, (count, _)) in &pairs {
            if best.is_none_or(|(_, most)| *count > most) {
                best = Some((*pair, *count));
            }
        }
        let Some((pair, count)) = best else { break };
        if count < config.min_frequency.max(1) {
            break;
        }
        let (left, right) = (tokens[pair.0 as usize].clone(), tokens[pair.1 as usize].clone());
        let merged = format!("{left}{right}");
        if config.special_tokens.contains(&merged) {
            pairs.remove(&pair);
            continue;
        }
        let id = *id_of.entry(merged.clone()).or_insert_with(|| {
            tokens.push(merged);
            tokens.len() as u32 - 1
        });
        merges.push((left, right));
        let Some((_, places)) = pairs.get(&pair).cloned() else {
            break;
        };
        for index in places {
            let (ids, count) = &mut words[index];
            remove_pairs(&mut pairs, ids, *count, index);
            merge_in(ids, pair, id);
            add_pairs(&mut pairs, ids, *count, index);
        }
        pairs.remove(&pair);
    }
    merges
}

fn add_pairs(
    pairs: &mut BTreeMap<Pair, (u64, BTreeSet<usize>)>,
    ids: &[u32],
    count: u64,
    index: usize,
) {
    for pair in ids.windows(2) {
        let (total, places) = pairs.entry((pair[0], pair[1])).or_default();
        *total += count;
        places.insert(index);
    }
}

fn remove_pairs(
    pairs: &mut BTreeMap<Pair, (u64, BTreeSet<usize>)>,
    ids: &[u32],
    count: u64,
    index: usize,
) {
    for pair in ids.windows(2) {
        if let Some((total, places)) = pairs.get_mut(&(pair[0], pair[1])) {
            *total = total.saturating_sub(count);
            places.remove(&index);
        }
    }
}

fn merge_in(ids: &mut Vec<u32>, pair: Pair, merged: u32) {
    let mut kept = 0;
    let mut at = 0;
    while at < ids.len() {
        let is_pair = at + 1 < ids.len() && (ids[at], ids[at + 1]) == pair;
        ids[kept] = if is_pair { merged } else { ids[at] };
        kept += 1;
        at += if is_pair { 2 } else { 1 };
    }
    ids.truncate(kept);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Tokenizer;
    use crate::testing::{TEXTS, tiny_tokenizer};

    fn train(texts: &[&str], vocabulary_size: usize) -> Vec<u8> {
        let config = BpeTraining {
            vocabulary_size,
            added_tokens: vec!["\n[button] ".to_owned(), "search[".to_owned()],
            ..BpeTraining::default()
        };
        train_bpe(texts.iter().map(|text| (*text).to_owned()), &config).unwrap()
    }

    #[test]
    fn the_order_of_texts_does_not_change_the_bytes() {
        let forwards = train(TEXTS, 400);
        let reversed: Vec<&str> = TEXTS.iter().rev().copied().collect();
        assert_eq!(forwards, train(&reversed, 400));
    }

    #[test]
    fn words_prices_and_article_numbers_are_single_tokens_where_frequent() {
        let text = "buy B0ABCD12QX for $14.99 or b0abcd12qx modern lamp";
        let tokenizer = Tokenizer::from_bytes(train(&[text; 8], 600)).unwrap();
        let pieces = |text: &str| -> Vec<String> {
            let ids = tokenizer.encode(text).unwrap();
            ids.iter().map(|id| tokenizer.decode(&[*id]).unwrap()).collect()
        };
        assert_eq!(pieces(" modern lamp"), [" modern", " lamp"]);
        assert_eq!(pieces(" $14.99"), [" $14.99"]);
        assert_eq!(pieces(" B0ABCD12QX"), [" B0", "ABCD", "12QX"]);
        assert_eq!(pieces(" b0abcd12qx"), [" b0", "abcd", "12qx"]);
        assert_eq!(pieces("\n[button] search["), ["\n[button] ", "search["]);
    }

    #[test]
    fn impossible_wishes_are_refused() {
        let small = BpeTraining { vocabulary_size: 100, ..BpeTraining::default() };
        let error = train_bpe(std::iter::empty(), &small).unwrap_err();
        assert!(error.to_string().contains("vocabulary of 100 is too small"), "{error}");
        let twice = BpeTraining {
            added_tokens: vec!["a b".to_owned(), "a b".to_owned()],
            ..BpeTraining::default()
        };
        assert!(train_bpe(std::iter::empty(), &twice).is_err());
    }

    #[test]
    fn a_control_token_is_never_learned_from_texts() {
        let config = BpeTraining {
            vocabulary_size: 300,
            special_tokens: vec!["###".to_owned(), "<|end|>".to_owned(), "ab".to_owned()],
            ..BpeTraining::default()
        };
        let text = "### ab ### abc #### <|end|>".to_owned();
        let json = train_bpe(std::iter::repeat_n(text.clone(), 8), &config).unwrap();
        let tokenizer = Tokenizer::from_bytes(json).unwrap();
        let ids = tokenizer.encode(&text).unwrap();
        assert!(ids.iter().all(|id| *id > 2), "{ids:?}");
        assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        // The pieces that are not control tokens were learned all the same.
        assert_eq!(tokenizer.encode("##").unwrap().len(), 1);

        let single = BpeTraining { special_tokens: vec!["#".to_owned()], ..config };
        let error = train_bpe(std::iter::empty(), &single).unwrap_err();
        assert!(error.to_string().contains("\"#\" is a single character"), "{error}");
    }

    #[test]
    fn without_texts_there_are_only_bytes() {
        let tokenizer =
            Tokenizer::from_bytes(train_bpe(std::iter::empty(), &BpeTraining::default()).unwrap())
                .unwrap();
        assert_eq!(tokenizer.vocabulary_size(), 258);
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "(\\PC|[ \t\n\r]|search\\[|<\\|end\\|>|B0[A-D0-3]{8}){0,40}") {
            let tokenizer = tiny_tokenizer();
            let ids = tokenizer.encode(&text).unwrap();
            prop_assert_eq!(tokenizer.decode(&ids).unwrap(), text);
        }
    }

    proptest! {
        // Every case trains twice.
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_same_texts_give_the_same_bytes(
            texts in proptest::collection::vec("[a-d ]{0,24}", 0..12),
        ) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            prop_assert_eq!(train(&texts, 290), train(&texts, 290));
        }
    }
}
