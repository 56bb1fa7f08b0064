//! Porter's stemmer of 1980 with the two later changes that Lucene has (`bli`, `logi`).

/// The stem of a lower-case word. Words of one or two characters are their own stems.
pub(crate) fn stem(word: &str) -> String {
    let mut word: Vec<char> = word.chars().collect();
    if word.len() > 2 {
        step_1a(&mut word);
        step_1b(&mut word);
        step_1c(&mut word);
        replace_first(&mut word, STEP_2, 0);
        replace_first(&mut word, STEP_3, 0);
        step_4(&mut word);
        step_5(&mut word);
    }
    word.into_iter().collect()
}

const STEP_2: &[(&str, &str)] = &[
    ("ational", "ate"),
    ("tional", "tion"),
    ("enci", "ence"),
    ("anci", "ance"),
    ("izer", "ize"),
    ("bli", "ble"),
    ("alli", "al"),
    ("entli", "ent"),
    ("eli", "e"),
    ("ousli", "ous"),
    ("ization", "ize"),
    ("ation", "ate"),
    ("ator", "ate"),
    ("alism", "al"),
    ("iveness", "ive"),
    ("fulness", "ful"),
    ("ousness", "ous"),
    ("aliti", "al"),
    ("iviti", "ive"),
    ("biliti", "ble"),
    ("logi", "log"),
];

const STEP_3: &[(&str, &str)] = &[
    ("icate", "ic"),
    ("ative", ""),
    ("alize", "al"),
    ("iciti", "ic"),
    ("ical", "ic"),
    ("ful", ""),
    ("ness", ""),
];

const STEP_4: &[&str] = &[
    "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou",
    "ism", "ate", "iti", "ous", "ive", "ize",
];

fn is_consonant(word: &[char], i: usize) -> bool {
    match word[i] {
        'a' | 'e' | 'i' | 'o' | 'u' => false,
        'y' => i == 0 || !is_consonant(word, i - 1),
        _ => true,
    }
}

/// The number of vowel-consonant sequences: the `m` of `[C](VC)^m[V]`.
fn measure(stem: &[char]) -> usize {
    let kinds: Vec<bool> = (0..stem.len()).map(|i| is_consonant(stem, i)).collect();
    kinds.windows(2).filter(|pair| !pair[0] && pair[1]).count()
}

fn has_vowel(stem: &[char]) -> bool {
    (0..stem.len()).any(|i| !is_consonant(stem, i))
}

fn ends_in_double_consonant(word: &[char]) -> bool {
    let n = word.len();
    n >= 2 && word[n - 1] == word[n - 2] && is_consonant(word, n - 1)
}

/// Consonant, vowel, consonant at the end, the last one not w, x or y.
fn ends_in_cvc(word: &[char]) -> bool {
    let n = word.len();
    n >= 3
        && is_consonant(word, n - 1)
        && !is_consonant(word, n - 2)
        && is_consonant(word, n - 3)
        && !matches!(word[n - 1], 'w' | 'x' | 'y')
}

/// The length of the stem before an ending, which must leave at least one character.
fn stem_length(word: &[char], ending: &str) -> Option<usize> {
    let n = word.len().checked_sub(ending.chars().count()).filter(|n| *n > 0)?;
    word[n..].iter().copied().eq(ending.chars()).then_some(n)
}

fn replace_end(word: &mut Vec<char>, n: usize, ending: &str) {
    word.truncate(n);
    word.extend(ending.chars());
}

fn step_1a(word: &mut Vec<char>) {
    for (ending, replacement) in [("sses", "ss"), ("ies", "i"), ("ss", "ss"), ("s", "")] {
        if let Some(n) = stem_length(word, ending) {
            return replace_end(word, n, replacement);
        }
    }
}

fn step_1b(word: &mut Vec<char>) {
    if let Some(n) = stem_length(word, "eed") {
        if measure(&word[..n]) > 0 {
            word.pop();
        }
        return;
    }
    let Some(n) = stem_length(word, "ed")
        .or_else(|| stem_length(word, "ing"))
        .filter(|n| has_vowel(&word[..*n]))
    else {
        return;
    };
    word.truncate(n);
    if ["at", "bl", "iz"].iter().any(|ending| stem_length(word, ending).is_some()) {
        word.push('e');
    } else if ends_in_double_consonant(word) {
        if !matches!(word[n - 1], 'l' | 's' | 'z') {
            word.pop();
        }
    } else if measure(word) == 1 && ends_in_cvc(word) {
        word.push('e');
    }
}

fn step_1c(word: &mut [char]) {
    if let Some(n) = stem_length(word, "y").filter(|n| has_vowel(&word[..*n])) {
        word[n] = 'i';
    }
}

/// Replaces the ending that matches, where its stem measures more than `least`.
fn replace_first(word: &mut Vec<char>, endings: &[(&str, &str)], least: usize) {
    for (ending, replacement) in endings {
        if let Some(n) = stem_length(word, ending) {
            if measure(&word[..n]) > least {
                replace_end(word, n, replacement);
            }
            return;
        }
    }
}

fn step_4(word: &mut Vec<char>) {
    for ending in STEP_4 {
        let Some(n) = stem_length(word, ending) else {
            continue;
        };
        if *ending == "ion" && !matches!(word[n - 1], 's' | 't') {
            return;
        }
        if measure(&word[..n]) > 1 {
            word.truncate(n);
        }
        return;
    }
}

fn step_5(word: &mut Vec<char>) {
    if let Some(n) = stem_length(word, "e") {
        let m = measure(&word[..n]);
        if m > 1 || (m == 1 && !ends_in_cvc(&word[..n])) {
            word.pop();
        }
    }
    if word.ends_with(&['l']) && ends_in_double_consonant(word) && measure(word) > 1 {
        word.pop();
    }
}

#[cfg(test)]
mod tests {
    use super::stem;

    #[test]
    fn the_examples_of_porters_paper() {
        let cases = [
            ("caresses", "caress"),
            ("ponies", "poni"),
            ("cats", "cat"),
            ("feed", "feed"),
            ("agreed", "agre"),
            ("plastered", "plaster"),
            ("motoring", "motor"),
            ("sing", "sing"),
            ("conflated", "conflat"),
            ("hopping", "hop"),
            ("falling", "fall"),
            ("filing", "file"),
            ("happy", "happi"),
            ("sky", "sky"),
            ("relational", "relat"),
            ("rational", "ration"),
            ("digitizer", "digit"),
            ("operator", "oper"),
            ("hopefulness", "hope"),
            ("electrical", "electr"),
            ("goodness", "good"),
            ("replacement", "replac"),
            ("adoption", "adopt"),
            ("controller", "control"),
            ("roll", "roll"),
            ("rate", "rate"),
            ("cease", "ceas"),
            ("spray", "sprai"),
            ("possibly", "possibl"),
            ("analogy", "analog"),
            ("as", "as"),
        ];
        for (word, expected) in cases {
            assert_eq!(stem(word), expected, "{word}");
        }
    }
}
