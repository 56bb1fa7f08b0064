//! Transcripts in other words, for base models to read.
//!
//! The simulator has one house, and few names for what is in it: a small model learns them by heart
//! and says them whatever stands in front of it. Where each transcript has names of its own, only
//! what has been read there helps, and copying is learned. What is renamed is no episode any more.

use std::collections::{BTreeMap, BTreeSet};

use eef_core::{Action, Observation, Rng, Seed, Trajectory};

use crate::teacher::ROOMS;

/// Colours of the boxes to which things are moved.
const COLOURS: [&str; 6] = ["red", "green", "blue", "orange", "purple", "yellow"];

/// Words in the names of things that say what kind of thing it is, or where.
const KEPT: [&str; 26] = [
    "a",
    "adult",
    "and",
    "animal",
    "baby",
    "box",
    "containing",
    "door",
    "egg",
    "flower",
    "in",
    "inventory",
    "juvenile",
    "living",
    "on",
    "plant",
    "pot",
    "seed",
    "seedling",
    "soil",
    "stage",
    "the",
    "thing",
    "to",
    "tree",
    "with",
];

/// Verbs whose objects are things to be named otherwise.
const VERBS: [&str; 3] = ["focus on ", "pick up ", "move "];

/// Renames what transcripts name.
#[derive(Clone, Debug)]
pub struct Renaming {
    things: BTreeSet<String>,
}

impl Renaming {
    /// For transcripts in which these actions are done: what they focus on and carry gets names.
    pub fn of_actions<'a>(actions: impl IntoIterator<Item = &'a str>) -> Self {
        let mut things = BTreeSet::new();
        for action in actions {
            let Some(object) = VERBS.iter().find_map(|verb| action.strip_prefix(verb)) else {
                continue;
            };
            // Where something is moved to is a box, which keeps its name.
            let object = object.split(" to ").next().unwrap_or(object);
            let words = object.split(|c: char| !c.is_ascii_alphabetic());
            let is_name =
                |word: &&str| word.len() > 1 && !KEPT.contains(word) && !COLOURS.contains(word);
            things.extend(words.filter(is_name).map(str::to_owned));
        }
        Self { things }
    }

    /// The transcript with rooms and colours exchanged and things under made-up names, as a seed
    /// says. One thing has one name throughout.
    pub fn rename(&self, transcript: &Trajectory, seed: Seed) -> Trajectory {
        let names = self.names(&mut seed.rng());
        let say = |text: &str| names.replace(text);
        let mut renamed = transcript.clone();
        renamed.instruction = say(&transcript.instruction);
        renamed.first_observation = Observation::new(say(transcript.first_observation.as_str()));
        for step in &mut renamed.steps {
            step.reply = say(&step.reply);
            step.action = Action::new(say(step.action.as_str()));
            step.observation = Observation::new(say(step.observation.as_str()));
        }
        renamed
    }

    fn names(&self, rng: &mut Rng) -> Names {
        let mut phrases = BTreeMap::new();
        for (from, to) in exchange(&ROOMS, rng) {
            phrases.insert(from.to_owned(), to.to_owned());
        }
        for (from, to) in exchange(&COLOURS, rng) {
            phrases.insert(format!("{from} box"), format!("{to} box"));
        }
        let mut taken = BTreeSet::new();
        for thing in &self.things {
            let mut name = made_up(rng);
            while !taken.insert(name.clone()) {
                name = made_up(rng);
            }
            phrases.insert(thing.clone(), name);
        }
        Names(phrases)
    }
}

/// Each of some names with another's, or its own.
fn exchange<'a>(names: &[&'a str], rng: &mut Rng) -> Vec<(&'a str, &'a str)> {
    let mut others = names.to_vec();
    rng.shuffle(&mut others);
    names.iter().copied().zip(others).collect()
}

/// A word of two or three syllables.
fn made_up(rng: &mut Rng) -> String {
    const SYLLABLES: [&str; 24] = [
        "ba", "bel", "cor", "da", "den", "fi", "go", "ha", "jun", "ka", "lo", "mar", "mi", "nel",
        "no", "pa", "ri", "sol", "ta", "tem", "ul", "va", "wen", "zo",
    ];
    let n_syllables = 2 + rng.below(2);
    (0..n_syllables).map(|_| SYLLABLES[rng.below(SYLLABLES.len())]).collect()
}

/// What is said in place of names of one word or two.
struct Names(BTreeMap<String, String>);

impl Names {
    /// Replaces whole words, names of two words first.
    fn replace(&self, text: &str) -> String {
        let mut replaced = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
            let (before, from) = rest.split_at(start);
            replaced.push_str(before);
            let first = word(from);
            let two = from[first..].strip_prefix(' ').map(|after| first + 1 + word(after));
            let lengths = two.into_iter().chain([first]);
            let mut found = lengths.filter_map(|n| Some((n, self.0.get(&from[..n])?)));
            let (n_read, name) =
                found.next().map_or((first, &from[..first]), |(n, name)| (n, name));
            replaced.push_str(name);
            rest = &from[n_read..];
        }
        replaced.push_str(rest);
        replaced
    }
}

/// Bytes of the word at the start of a text.
fn word(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACTIONS: [&str; 4] = [
        "focus on egg blue jay egg",
        "pick up adult cherry tree",
        "move flower pot 4 containing peach tree and soil in inventory to green box",
        "open door to kitchen",
    ];

    #[test]
    fn things_are_what_is_focused_on_and_carried() {
        let things = Renaming::of_actions(ACTIONS).things;
        assert_eq!(things.into_iter().collect::<Vec<_>>(), ["cherry", "jay", "peach"]);
    }

    #[test]
    fn whole_words_are_replaced_and_longer_names_first() {
        let pairs = [("living room", "foundry"), ("foundry", "kitchen"), ("jay", "kasol")];
        let pairs = pairs.map(|(from, to)| (from.to_owned(), to.to_owned()));
        let names = Names(pairs.into_iter().collect());
        let text = "A living thing in the living room.\n\tjays: a jay, door to foundry (open)";
        let expected = "A living thing in the foundry.\n\tjays: a kasol, door to kitchen (open)";
        assert_eq!(names.replace(text), expected);
        assert_eq!(names.replace(""), "");
        assert_eq!(names.replace("é 12 living"), "é 12 living");
    }

    #[test]
    fn names_depend_on_the_seed_and_are_never_shared() {
        let renaming = Renaming::of_actions(ACTIONS);
        let names = |seed| renaming.names(&mut Seed::new(seed).rng()).0;
        assert_eq!(names(1), names(1));
        assert_ne!(names(1), names(2));
        for seed in 0..50 {
            let names = names(seed);
            let others: BTreeSet<_> = names.values().collect();
            assert_eq!(others.len(), names.len(), "{names:?}");
            assert!(names["green box"].ends_with(" box"));
            assert!(ROOMS.contains(&names["kitchen"].as_str()));
        }
    }
}
