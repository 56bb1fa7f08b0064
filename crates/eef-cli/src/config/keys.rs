//! What serde says about a configuration, in plain words.

/// Turns serde's complaint into one line for people: a misspelt name with the nearest known one, a
/// value of the wrong kind with the kind that is expected. Other complaints stay as they are.
pub(super) fn explain(message: &str) -> String {
    let line = message.trim().replace('\n', " ");
    unknown_name(&line).or_else(|| wrong_kind(&line)).unwrap_or(line)
}

/// Such as ``unknown field `epoch`, expected one of `n_epochs`, `batch_size` ``.
fn unknown_name(message: &str) -> Option<String> {
    let kind = match message {
        text if text.starts_with("unknown field") => "key",
        text if text.starts_with("unknown variant") => "value",
        _ => return None,
    };
    let mut names = message.split('`').skip(1).step_by(2);
    let found = names.next()?;
    let known: Vec<&str> = names.collect();
    Some(match nearest(found, &known) {
        Some(near) => format!("unknown {kind} `{found}`; did you mean `{near}`?"),
        None => format!("unknown {kind} `{found}`; known are {}", known.join(", ")),
    })
}

/// Such as `invalid type: string "fast", expected f64`.
fn wrong_kind(message: &str) -> Option<String> {
    if let Some(rest) = message.strip_prefix("missing field ") {
        return Some(format!("the key {rest} is missing"));
    }
    let rest = message
        .strip_prefix("invalid type: ")
        .or_else(|| message.strip_prefix("invalid value: "))?;
    let (found, expected) = rest.rsplit_once(", expected ")?;
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "f32" | "f64" => "a number",
        "a string" => "a text",
        "a sequence" => "a list, such as [0.2, 0.5] or [\"a\", \"b\"]",
        "a boolean" => "true or false",
        text if text.starts_with("struct ") => "a section, whose keys are set one by one",
        text => text,
    };
    let found = match found.split_once(' ') {
        Some(("string", text)) => format!("the text `{}`", text.trim_matches('"')),
        Some(("integer" | "boolean", value)) => value.trim_matches('`').to_owned(),
        Some(("floating", value)) => {
            value.trim_start_matches("point ").trim_matches('`').to_owned()
        }
        _ if found == "map" => "a section".to_owned(),
        _ if found == "sequence" => "a list".to_owned(),
        _ => found.to_owned(),
    };
    Some(format!("expected {expected}; found {found}"))
}

/// The known name that is most like the one found, if any is near: a slip of the keys away, or one
/// that contains the other. A letter or two are like everything, so they are like nothing.
pub fn nearest<'k>(found: &str, known: &[&'k str]) -> Option<&'k str> {
    if found.chars().count() < 3 {
        return None;
    }
    let distance = |name: &str| {
        let inside = |a: &str, b: &str| b.len() >= 4 && a.contains(b);
        let n_slips = strsim::osa_distance(found, name);
        let is_near =
            n_slips <= name.len().max(3) / 3 || inside(name, found) || inside(found, name);
        is_near.then_some(n_slips)
    };
    known
        .iter()
        .filter_map(|name| Some((distance(name)?, *name)))
        .min_by_key(|(n_slips, _)| *n_slips)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_stranger_gets_the_list() {
        let known = ["n_epochs", "learning_rate", "batch_size", "explore", "seed", "name"];
        assert_eq!(nearest("lerning_rate", &known), Some("learning_rate"));
        assert_eq!(nearest("epochs", &known), Some("n_epochs"));
        assert_eq!(nearest("sead", &known), Some("seed"));
        assert_eq!(nearest("rate", &known), Some("learning_rate"));
        for stranger in ["zzz", "x", "n", "e", "na", "temperature", "momentum"] {
            assert_eq!(nearest(stranger, &known), None, "{stranger}");
        }
    }

    #[test]
    fn complaints_are_in_plain_words() {
        let explained = [
            (
                "invalid type: string \"fast\", expected f64",
                "expected a number; found the text `fast`",
            ),
            (
                "invalid value: integer `-1`, expected usize",
                "expected a whole number from 0; found -1",
            ),
            (
                "invalid type: floating point `1.5`, expected u32",
                "expected a whole number from 0; found 1.5",
            ),
            (
                "invalid type: integer `5`, expected struct TrainConfig",
                "expected a section, whose keys are set one by one; found 5",
            ),
            ("invalid type: map, expected a string", "expected a text; found a section"),
            ("missing field `name`", "the key `name` is missing"),
            ("something\nelse", "something else"),
        ];
        for (message, expected) in explained {
            assert_eq!(explain(message), expected);
        }
    }
}
