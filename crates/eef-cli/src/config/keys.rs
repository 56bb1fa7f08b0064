//! The nearest known name for a misspelt one.

/// Turns serde's complaint about a field into one that names the nearest known field; other
/// complaints stay as they are.
pub(super) fn explain(message: &str) -> String {
    let is_unknown = message.contains("unknown field") || message.contains("unknown variant");
    let mut names = message.split('`').skip(1).step_by(2);
    let (true, Some(found)) = (is_unknown, names.next()) else {
        return message.trim().replace('\n', " ");
    };
    let known: Vec<&str> = names.collect();
    let kind = if message.contains("unknown field") { "key" } else { "value" };
    match nearest(found, &known) {
        Some(near) => format!("unknown {kind} `{found}`; did you mean `{near}`?"),
        None => format!("unknown {kind} `{found}`; known are {}", known.join(", ")),
    }
}

/// The known name that is most like the one found, if any is like it at all.
pub fn nearest<'k>(found: &str, known: &[&'k str]) -> Option<&'k str> {
    let likeness = |name: &str| {
        let inside = name.len() >= 4 && (name.contains(found) || found.contains(name));
        strsim::jaro_winkler(found, name) + if inside { 0.2 } else { 0.0 }
    };
    known
        .iter()
        .map(|name| (likeness(name), *name))
        .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(a.1)))
        .filter(|(likeness, _)| *likeness > 0.75)
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_suggested_and_a_stranger_gets_the_list() {
        let known = ["n_epochs", "learning_rate", "batch_size"];
        assert_eq!(nearest("lerning_rate", &known), Some("learning_rate"));
        assert_eq!(nearest("epochs", &known), Some("n_epochs"));
        assert_eq!(nearest("zzz", &known), None);
    }
}
