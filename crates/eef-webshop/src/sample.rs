//! A tiny shop for examples and tests.

use std::sync::Arc;

use eef_core::{Seed, Split};

use crate::catalog::Catalog;
use crate::error::WebShopError;
use crate::goal::{human_goals, synthetic_goals};
use crate::raw::{NounTable, Prices};
use crate::shop::WebShop;

impl WebShop {
    /// Ten products of our own and a few goals: task 0 of the test split wants a red handmade mug.
    ///
    /// # Errors
    /// None: the sample is part of the crate and tested.
    pub fn sample() -> Result<Arc<Self>, WebShopError> {
        let broken = |error: &serde_json::Error| {
            WebShopError::syntax("sample".as_ref(), "the sample in the crate", error)
        };
        macro_rules! json {
            ($file:literal) => {
                serde_json::from_str(include_str!(concat!("../sample/", $file)))
                    .map_err(|error| broken(&error))?
            };
        }
        let items: Vec<_> = json!("items.json");
        let annotations = json!("instructions.json");
        let seed = Seed::new(0);
        let (catalog, _) =
            Catalog::new(&items, &annotations, &NounTable::new(), &Prices::new(), seed);
        let test = human_goals(&catalog, &json!("human_goals.json"), seed);
        let train = synthetic_goals(&catalog, &annotations, 2, seed);
        let goals = test
            .into_iter()
            .map(|goal| (Split::Test, goal))
            .chain(train.into_iter().map(|goal| (Split::Train, goal)));
        Self::new("webshop-sample", catalog, goals).map(Arc::new)
    }
}
