//! WebShop's own JSON files, as they are published.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{self, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// One record of `items_shuffle*.json`. Keys that nothing uses are dropped when it is read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RawItem {
    /// The product's id: at most 10 characters.
    pub asin: String,
    /// The title.
    #[serde(deserialize_with = "null_is_default")]
    pub name: String,
    /// The description.
    #[serde(default, deserialize_with = "null_is_default")]
    pub full_description: String,
    /// The bullet points; the files hold a list or a single text.
    #[serde(default, deserialize_with = "text_or_list")]
    pub small_description: Vec<String>,
    /// The price as printed: `$14.99`, `$19.99 - $27.99`, or empty for `$100.0`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub pricing: String,
    /// What can be chosen, in the order of the file.
    #[serde(default)]
    pub customization_options: RawOptions,
    /// The shop's department, such as `garden`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub category: String,
    /// The query that the product was collected under.
    #[serde(default, deserialize_with = "null_is_default")]
    pub query: String,
    /// The path in the shop's tree, parts separated by `›`.
    #[serde(default, deserialize_with = "null_is_default")]
    pub product_category: String,
    /// Addresses of pictures; nothing shows them.
    #[serde(default, deserialize_with = "null_is_default")]
    pub images: Vec<String>,
}

/// `customization_options`: option name → values, in file order. The files say "" for none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawOptions(pub Vec<(String, Option<Vec<RawOptionValue>>)>);

/// One value of an option.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RawOptionValue {
    /// The text on the button, before normalisation.
    #[serde(deserialize_with = "null_is_default")]
    pub value: String,
}

impl RawOptions {
    /// Options with plain texts as values.
    pub fn from_texts<'a>(options: impl IntoIterator<Item = (&'a str, Vec<String>)>) -> Self {
        let entry = |(name, values): (&str, Vec<String>)| {
            let values = values.into_iter().map(|value| RawOptionValue { value }).collect();
            (name.to_owned(), Some(values))
        };
        Self(options.into_iter().map(entry).collect())
    }
}

/// One record of `items_ins_v2*.json`, by asin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Annotation {
    /// What the product has.
    #[serde(default)]
    pub attributes: Vec<String>,
    /// A synthetic instruction, without options and price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction: Option<String>,
    /// The attributes that the instruction asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction_attributes: Option<Vec<String>>,
}

/// One record of `items_human_ins*.json`, which holds a list of them by asin.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HumanInstruction {
    /// What a person wrote.
    pub instruction: String,
    /// The attributes that it asks for.
    #[serde(default)]
    pub instruction_attributes: Vec<String>,
    /// The option values that it asks for.
    #[serde(default)]
    pub instruction_options: Vec<String>,
}

/// `items_ins_v2*.json`.
pub type Annotations = BTreeMap<String, Annotation>;
/// `items_human_ins*.json`.
pub type HumanInstructions = BTreeMap<String, Vec<HumanInstruction>>;
/// Price by asin, in dollars.
pub type Prices = BTreeMap<String, f64>;
/// The nouns of each product's title, by asin.
pub type NounTable = BTreeMap<String, Vec<String>>;

fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TextOrList {
    Text(String),
    List(Vec<Option<String>>),
}

fn text_or_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    Ok(match Option::deserialize(deserializer)? {
        Some(TextOrList::List(texts)) => texts.into_iter().map(Option::unwrap_or_default).collect(),
        Some(TextOrList::Text(text)) => vec![text],
        None => vec![String::new()],
    })
}

impl Serialize for RawOptions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, values) in &self.0 {
            map.serialize_entry(name, values)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for RawOptions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OptionsVisitor;
        impl<'de> Visitor<'de> for OptionsVisitor {
            type Value = RawOptions;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("options by name, or \"\" for none")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawOptions, E> {
                if text.is_empty() {
                    Ok(RawOptions::default())
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }

            fn visit_unit<E: de::Error>(self) -> Result<RawOptions, E> {
                Ok(RawOptions::default())
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawOptions, A::Error> {
                let mut options = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    options.push(entry);
                }
                Ok(RawOptions(options))
            }
        }
        deserializer.deserialize_any(OptionsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_oddities_are_read() {
        let item: RawItem = serde_json::from_str(
            r#"{"asin":"B1","name":"Mug","small_description":"Holds tea.","pricing":null,
                "customization_options":{"Size":null,"Color":[{"value":"Red","price":0}]},
                "average_rating":4.5}"#,
        )
        .unwrap();
        assert_eq!(item.small_description, ["Holds tea."]);
        assert_eq!(item.customization_options.0[0], ("Size".to_owned(), None));
        assert_eq!(item.customization_options.0[1].1.as_ref().unwrap()[0].value, "Red");
        let none: RawItem =
            serde_json::from_str(r#"{"asin":"B2","name":"Cup","customization_options":""}"#)
                .unwrap();
        assert!(none.customization_options.0.is_empty());
    }
}
