//! AgentLite's calls: `search[{"product": "mug"}]`.

use std::fmt;

use serde_json::Value;

use crate::python::json;
use crate::variant::Fidelity;

/// What a policy said, read as an AgentLite call.
///
/// Invariant (tested): printing and parsing again gives the same action, so that the printed text
/// names the action in a [`StateKey`](eef_core::StateKey).
///
/// ```
/// use eef_webshop::AgentAction;
///
/// let action = AgentAction::parse("  search[{\"product\":\"red mug\"}].");
/// assert_eq!(action, AgentAction::search("red mug"));
/// assert_eq!(action.to_string(), r#"search[{"product": "red mug"}]"#);
/// assert_eq!(AgentAction::parse("buy it"), AgentAction::Invalid("buy it".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AgentAction {
    /// Look for products.
    Search {
        /// The query.
        product: String,
    },
    /// Press what stands in square brackets.
    Click {
        /// The text between the brackets.
        button: String,
    },
    /// Say something to oneself; `Plan` is its other name.
    Think {
        /// What.
        response: String,
    },
    /// End without buying.
    Finish {
        /// A last word.
        response: String,
    },
    /// A reply that is none of these, without the white space around it.
    Invalid(String),
}

impl AgentAction {
    /// A search.
    pub fn search(product: impl Into<String>) -> Self {
        Self::Search { product: product.into() }
    }

    /// A click.
    pub fn click(button: impl Into<String>) -> Self {
        Self::Click { button: button.into() }
    }

    /// A thought.
    pub fn think(response: impl Into<String>) -> Self {
        Self::Think { response: response.into() }
    }

    /// The end of an episode.
    pub fn finish(response: impl Into<String>) -> Self {
        Self::Finish { response: response.into() }
    }

    /// Reads a reply as AgentLite does: its first line, without white space, full stops and then
    /// colons at the ends, as `name[json]`.
    ///
    /// AgentLite raises an error where the JSON has other keys than the action's own; here such a
    /// reply is [`AgentAction::Invalid`], as is a value that is no text.
    pub fn parse(reply: &str) -> Self {
        let reply = reply.trim();
        Self::parse_call(reply).unwrap_or_else(|| Self::Invalid(reply.to_owned()))
    }

    fn parse_call(reply: &str) -> Option<Self> {
        let line = reply.trim_matches('.').trim_matches(':').split('\n').next()?;
        let (name, rest) = line.split_once('[')?;
        let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
        let arguments = rest.strip_suffix(']').filter(|_| is_name)?;
        let Value::Object(arguments) = serde_json::from_str(arguments).ok()? else {
            return None;
        };
        if arguments.len() != 1 {
            return None;
        }
        let argument = |key: &str| arguments.get(key)?.as_str().map(str::to_owned);
        match name {
            "search" => Some(Self::Search { product: argument("product")? }),
            "click" => Some(Self::Click { button: argument("button")? }),
            "Think" | "Plan" => Some(Self::Think { response: argument("response")? }),
            "Finish" => Some(Self::Finish { response: argument("response")? }),
            _ => None,
        }
    }
}

impl fmt::Display for AgentAction {
    /// Prints the normal form, with the JSON as Python writes it: a space after the colon, other
    /// than ASCII characters as `\u` escapes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, key, text) = match self {
            Self::Search { product } => ("search", "product", product),
            Self::Click { button } => ("click", "button", button),
            Self::Think { response } => ("Think", "response", response),
            Self::Finish { response } => ("Finish", "response", response),
            Self::Invalid(reply) => return f.write_str(reply),
        };
        write!(f, "{name}[{{\"{key}\": {}}}]", json(text))
    }
}

/// What a policy said, read as AgentBoard does.
///
/// Invariant (tested): printing and parsing again gives the same action.
///
/// ```
/// use eef_webshop::{BoardAction, Fidelity};
///
/// let action = BoardAction::parse("Action: search[red mug]", Fidelity::Sane);
/// assert_eq!(action.to_string(), "search[red mug]");
/// let action = BoardAction::parse("click[Buy Now", Fidelity::Original);
/// assert_eq!(action.to_string(), "click[Buy No]");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum BoardAction {
    /// Look for products.
    Search {
        /// The query.
        query: String,
    },
    /// Press what stands in square brackets.
    Click {
        /// The text between the brackets.
        button: String,
    },
    /// A reply that is neither.
    Invalid(String),
}

impl BoardAction {
    /// Reads a reply from the first `search[` or `click[` on. AgentBoard leaves out the last
    /// character whatever it is; without its accidents, white space at the end and one `]`.
    pub fn parse(reply: &str, fidelity: Fidelity) -> Self {
        let [search, click] = ["search[", "click["].map(|call| (reply.find(call), call));
        let first = [search, click].into_iter().filter_map(|(at, call)| Some((at?, call))).min();
        let Some((at, call)) = first else { return Self::Invalid(reply.to_owned()) };
        let rest = &reply[at + call.len()..];
        let argument = match fidelity {
            Fidelity::Original => {
                let mut characters = rest.chars();
                characters.next_back();
                characters.as_str()
            }
            Fidelity::Sane => {
                let rest = rest.trim_end();
                rest.strip_suffix(']').unwrap_or(rest)
            }
        };
        match call {
            "search[" => Self::Search { query: argument.to_owned() },
            _ => Self::Click { button: argument.to_owned() },
        }
    }
}

impl fmt::Display for BoardAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Search { query } => write!(f, "search[{query}]"),
            Self::Click { button } => write!(f, "click[{button}]"),
            Self::Invalid(reply) => f.write_str(reply),
        }
    }
}

/// What a policy said, read as WebShop's own text modes do.
///
/// Invariant (tested): printing and parsing again gives the same action.
///
/// ```
/// use eef_webshop::TextAction;
///
/// assert_eq!(TextAction::parse("click[Buy Now]").to_string(), "click[buy now]");
/// assert_eq!(TextAction::parse("search[]"), TextAction::Invalid("search[]".to_owned()));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextAction {
    /// Look for products.
    Search {
        /// The query, in lower case.
        query: String,
    },
    /// Press what stands in square brackets.
    Click {
        /// Its text in lower case.
        button: String,
    },
    /// A reply that is neither.
    Invalid(String),
}

impl TextAction {
    /// Reads the first line of a reply as `name[argument]`: the argument is what stands between the
    /// last opening bracket that has one and the last closing one.
    pub fn parse(reply: &str) -> Self {
        let line = reply.split('\n').next().unwrap_or_default();
        let call = line.rmatch_indices('[').find_map(|(at, _)| {
            let rest = &line[at + 1..];
            let end = rest.rfind(']').filter(|end| *end > 0 && at > 0)?;
            Some((&line[..at], rest[..end].to_lowercase()))
        });
        match call {
            Some(("search", query)) => Self::Search { query },
            Some(("click", button)) => Self::Click { button },
            _ => Self::Invalid(reply.to_owned()),
        }
    }
}

impl fmt::Display for TextAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Search { query } => write!(f, "search[{query}]"),
            Self::Click { button } => write!(f, "click[{button}]"),
            Self::Invalid(reply) => f.write_str(reply),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn replies_that_are_no_call_are_kept_as_said() {
        for reply in [
            "hello",
            "Search[shoes]",
            "search[\"product\": \"x\"]",
            "search[{product: x}]",
            "search[{\"query\": \"x\"}]",
            "search[{\"product\": 5}]",
            "buy[{\"button\": \"x\"}]",
            "click[{\"button\": \"x\"}] please",
        ] {
            assert_eq!(AgentAction::parse(reply), AgentAction::Invalid(reply.to_owned()));
        }
    }

    #[test]
    fn only_the_first_line_counts() {
        let reply = "search[{\"product\": \"a\"}]\nclick[{\"button\": \"b\"}]";
        assert_eq!(AgentAction::parse(reply), AgentAction::search("a"));
    }

    proptest! {
        #[test]
        fn printing_and_parsing_is_the_identity(text in any::<String>(), kind in 0..4) {
            let action = match kind {
                0 => AgentAction::search(text),
                1 => AgentAction::click(text),
                2 => AgentAction::think(text),
                _ => AgentAction::finish(text),
            };
            prop_assert_eq!(AgentAction::parse(&action.to_string()), action);
        }

        #[test]
        fn the_normal_form_of_any_reply_is_its_own_normal_form(reply in any::<String>()) {
            let action = AgentAction::parse(&reply);
            prop_assert_eq!(AgentAction::parse(&action.to_string()), action);
        }
    }
}
