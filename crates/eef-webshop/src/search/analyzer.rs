//! Words of a text, as the original's index has them: Anserini's English analyzer.
//!
//! Split at the word boundaries of Unicode's annex 29 (as of the Unicode version that Lucene 8
//! has, in which a colon joins letters), strip a possessive `'s`, lower the case, drop stop words,
//! stem.

use super::porter::stem;

/// Longer words are cut into pieces of this many UTF-16 units, as Lucene's tokenizer does.
const MAX_TOKEN_LENGTH: usize = 255;

const STOP_WORDS: &[&str] = &[
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these",
    "they", "this", "to", "was", "will", "with",
];

/// The terms of a text, in order, repetitions kept.
pub fn analyze(text: &str) -> Vec<String> {
    let mut terms = Vec::new();
    words(text, |word| terms.extend(term_of(word)));
    terms
}

/// The term that a word becomes; none for a stop word.
pub(super) fn term_of(word: &str) -> Option<String> {
    let word = strip_possessive(word).to_lowercase();
    (!STOP_WORDS.contains(&word.as_str())).then(|| stem(&word))
}

fn strip_possessive(word: &str) -> &str {
    let shorter = word.strip_suffix(['s', 'S']);
    shorter.and_then(|rest| rest.strip_suffix(['\'', '\u{2019}', '\u{ff07}'])).unwrap_or(word)
}

/// Word-break properties, as far as they matter to a shop's texts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Letter,
    Digit,
    Katakana,
    Underscore,
    /// Joins letters: `:`, `·`.
    MidLetter,
    /// Joins digits: `,`, `;`.
    MidNumber,
    /// Joins either: `.`, `'`.
    MidBoth,
    /// Belongs to whatever is before it.
    Extend,
    /// A word by itself: an ideograph, a hiragana syllable.
    Single,
    /// Thai, Lao, Khmer, Burmese: runs are not split.
    Run,
    Pictograph,
    Other,
}

fn class(c: char) -> Class {
    match c {
        'a'..='z' | 'A'..='Z' => Class::Letter,
        '0'..='9' | '\u{660}'..='\u{669}' | '\u{6f0}'..='\u{6f9}' | '\u{966}'..='\u{96f}' => {
            Class::Digit
        }
        '_'
        | '\u{202f}'
        | '\u{203f}'
        | '\u{2040}'
        | '\u{2054}'
        | '\u{fe33}'
        | '\u{fe34}'
        | '\u{fe4d}'..='\u{fe4f}'
        | '\u{ff3f}' => Class::Underscore,
        ':' | '\u{b7}' | '\u{2d7}' | '\u{387}' | '\u{5f4}' | '\u{2027}' | '\u{fe13}'
        | '\u{fe55}' | '\u{ff1a}' => Class::MidLetter,
        ',' | ';' | '\u{37e}' | '\u{589}' | '\u{60c}' | '\u{60d}' | '\u{66c}' | '\u{7f8}'
        | '\u{2044}' | '\u{fe10}' | '\u{fe14}' | '\u{fe50}' | '\u{fe54}' | '\u{ff0c}'
        | '\u{ff1b}' => Class::MidNumber,
        '.' | '\'' | '\u{2018}' | '\u{2019}' | '\u{2024}' | '\u{fe52}' | '\u{ff07}'
        | '\u{ff0e}' => Class::MidBoth,
        '\u{ad}'
        | '\u{300}'..='\u{36f}'
        | '\u{200c}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{2064}'
        | '\u{20d0}'..='\u{20f0}'
        | '\u{3099}'
        | '\u{309a}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{fe20}'..='\u{fe2f}'
        | '\u{feff}'
        | '\u{ff9e}'
        | '\u{ff9f}'
        | '\u{1f3fb}'..='\u{1f3ff}' => Class::Extend,
        '\u{30a1}'..='\u{30fa}'
        | '\u{30fc}'..='\u{30ff}'
        | '\u{31f0}'..='\u{31ff}'
        | '\u{3031}'..='\u{3035}'
        | '\u{309b}'
        | '\u{309c}'
        | '\u{30a0}'
        | '\u{ff66}'..='\u{ff9d}' => Class::Katakana,
        '\u{3041}'..='\u{3096}'
        | '\u{309d}'..='\u{309f}'
        | '\u{2e80}'..='\u{2fd5}'
        | '\u{3005}'
        | '\u{3007}'
        | '\u{3021}'..='\u{3029}'
        | '\u{3038}'..='\u{303b}'
        | '\u{3400}'..='\u{4dbf}'
        | '\u{4e00}'..='\u{9fff}'
        | '\u{f900}'..='\u{faff}'
        | '\u{20000}'..='\u{3fffd}' => Class::Single,
        '\u{e01}'..='\u{e3a}'
        | '\u{e40}'..='\u{e4e}'
        | '\u{e81}'..='\u{ecd}'
        | '\u{edc}'..='\u{edf}'
        | '\u{1000}'..='\u{103f}'
        | '\u{1780}'..='\u{17d3}' => Class::Run,
        '\0'..='\x7f' => Class::Other,
        _ if is_pictographic(c) => Class::Pictograph,
        _ if c.is_alphabetic() => Class::Letter,
        _ => Class::Other,
    }
}

/// Unicode's `Extended_Pictographic`, without the plain ASCII and keycap characters.
fn is_pictographic(c: char) -> bool {
    #[rustfmt::skip] // a range a line would fill two screens
    const RANGES: &[(u32, u32)] = &[
        (0xa9, 0xa9), (0xae, 0xae), (0x203c, 0x203c), (0x2049, 0x2049), (0x2122, 0x2122),
        (0x2139, 0x2139), (0x2194, 0x2199), (0x21a9, 0x21aa), (0x231a, 0x231b), (0x2328, 0x2328),
        (0x2388, 0x2388), (0x23cf, 0x23cf), (0x23e9, 0x23f3), (0x23f8, 0x23fa), (0x24c2, 0x24c2),
        (0x25aa, 0x25ab), (0x25b6, 0x25b6), (0x25c0, 0x25c0), (0x25fb, 0x25fe), (0x2600, 0x2605),
        (0x2607, 0x2612), (0x2614, 0x2685), (0x2690, 0x2705), (0x2708, 0x2712), (0x2714, 0x2714),
        (0x2716, 0x2716), (0x271d, 0x271d), (0x2721, 0x2721), (0x2728, 0x2728), (0x2733, 0x2734),
        (0x2744, 0x2744), (0x2747, 0x2747), (0x274c, 0x274c), (0x274e, 0x274e), (0x2753, 0x2755),
        (0x2757, 0x2757), (0x2763, 0x2767), (0x2795, 0x2797), (0x27a1, 0x27a1), (0x27b0, 0x27b0),
        (0x27bf, 0x27bf), (0x2934, 0x2935), (0x2b05, 0x2b07), (0x2b1b, 0x2b1c), (0x2b50, 0x2b50),
        (0x2b55, 0x2b55), (0x3030, 0x3030), (0x303d, 0x303d), (0x3297, 0x3297), (0x3299, 0x3299),
        (0x1f000, 0x1f0ff), (0x1f10d, 0x1f10f), (0x1f12f, 0x1f12f), (0x1f16c, 0x1f171),
        (0x1f17e, 0x1f17f), (0x1f18e, 0x1f18e), (0x1f191, 0x1f19a), (0x1f1ad, 0x1f1e5),
        (0x1f201, 0x1f20f), (0x1f21a, 0x1f21a), (0x1f22f, 0x1f22f), (0x1f232, 0x1f23a),
        (0x1f23c, 0x1f23f), (0x1f249, 0x1f3fa), (0x1f400, 0x1f53d), (0x1f546, 0x1f64f),
        (0x1f680, 0x1f6ff), (0x1f774, 0x1f77f), (0x1f7d5, 0x1f7ff), (0x1f80c, 0x1f80f),
        (0x1f848, 0x1f84f), (0x1f85a, 0x1f85f), (0x1f888, 0x1f88f), (0x1f8ae, 0x1f8ff),
        (0x1f90c, 0x1f93a), (0x1f93c, 0x1f945), (0x1f947, 0x1fffd),
    ];
    let code = u32::from(c);
    let after = RANGES.partition_point(|(first, _)| *first <= code);
    after > 0 && code <= RANGES[after - 1].1
}

/// Hands on the words of a text, in order.
pub(super) fn words(text: &str, mut hand_on: impl FnMut(&str)) {
    let mut start = 0;
    while let Some(first) = at(text, start) {
        let mut last = first.class;
        let mut end = after_extends(text, first.end);
        let mut is_word = is_word_class(last);
        while let Some(joined) = join(text, last, end) {
            last = joined.class;
            is_word |= is_word_class(last);
            end = after_extends(text, joined.end);
        }
        if is_word {
            cut(&text[start..end], &mut hand_on);
        }
        start = end;
    }
}

/// A character in a text.
struct Character {
    class: Class,
    /// Where the next one begins.
    end: usize,
}

/// The character that begins at a place.
fn at(text: &str, place: usize) -> Option<Character> {
    let c = match text.as_bytes().get(place)? {
        byte if byte.is_ascii() => char::from(*byte),
        _ => text.get(place..)?.chars().next()?,
    };
    Some(Character { class: class(c), end: place + c.len_utf8() })
}

fn is_word_class(class: Class) -> bool {
    use Class::{Digit, Katakana, Letter, Pictograph, Run, Single};
    matches!(class, Letter | Digit | Katakana | Single | Run | Pictograph)
}

fn after_extends(text: &str, mut place: usize) -> usize {
    while let Some(next) = at(text, place).filter(|next| next.class == Class::Extend) {
        place = next.end;
    }
    place
}

/// The next character that joins the word, if one does: at `place`, or behind a joiner there.
fn join(text: &str, last: Class, place: usize) -> Option<Character> {
    use Class::{Digit, Katakana, Letter, MidBoth, MidLetter, MidNumber, Run, Underscore};
    let next = at(text, place)?;
    // A zero-width joiner makes one picture of two.
    if next.class == Class::Pictograph && text[..place].ends_with('\u{200d}') {
        return Some(next);
    }
    match (last, next.class) {
        (Letter | Digit, Letter | Digit)
        | (Katakana, Katakana)
        | (Run, Run)
        | (Letter | Digit | Katakana | Underscore, Underscore)
        | (Underscore, Letter | Digit | Katakana) => return Some(next),
        (Letter, MidLetter | MidBoth) | (Digit, MidNumber | MidBoth) => {}
        _ => return None,
    }
    let behind = after_extends(text, next.end);
    at(text, behind).filter(|behind| behind.class == last)
}

/// Hands on a word, in pieces where it is long.
fn cut(word: &str, hand_on: &mut impl FnMut(&str)) {
    let (mut start, mut length) = (0, 0);
    if word.len() > MAX_TOKEN_LENGTH {
        for (place, c) in word.char_indices() {
            if length + c.len_utf16() > MAX_TOKEN_LENGTH {
                hand_on(&word[start..place]);
                (start, length) = (place, 0);
            }
            length += c.len_utf16();
        }
    }
    hand_on(&word[start..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_where_lucene_splits_them() {
        assert_eq!(
            analyze("description:solid, 3.5oz 1,000"),
            ["description:solid", "3.5oz", "1,000"]
        );
        assert_eq!(
            analyze("Men's shirts with the t-shirt's U.S.A."),
            ["men", "shirt", "t", "shirt", "u.s.a"]
        );
        assert_eq!(analyze("a_b __ it's"), ["a_b"]);
        assert!(analyze("the of , ! ?").is_empty());
    }
}
