//! The WebShop environment in Rust: an agent is told what to buy, searches, clicks and buys.
//!
//! A [`WebShop`] holds a [`Catalog`], its [`SearchIndex`] and the [`Goal`]s of each split, and is
//! shared by any number of [`Shopper`]s, each one an [`Env`](eef_core::Env). Texts are those of
//! AgentLite, which the paper's trajectories show; rewards are those of the original.
//!
//! The decision behind it: what is searched, shown and earned is exact, tested against recordings
//! of the original programs; what the original's web server does by accident is kept apart, in
//! [`Fidelity::Original`]. Nothing here is random: prices and price limits are drawn once, when
//! data is prepared ([`PreparedData`]), and stay. A visit's state is a small value, so that a
//! [`Snapshot`] costs the same wherever it is taken.
//!
//! ```
//! use eef_core::{Env, Split, TaskId};
//! use eef_webshop::{AgentAction, WebShop};
//!
//! let shop = WebShop::sample()?;
//! let mut shopper = shop.shopper();
//! let opening = shopper.reset(&TaskId::new(shop.name(), Split::Test, 0))?;
//! assert!(opening.instruction.starts_with("i want a handmade stoneware mug in red"));
//!
//! let results = shopper.step(r#"search[{"product": "stoneware coffee mug"}]"#)?;
//! assert!(results.observation.as_str().contains("[B0MUG00004] \nOld Mill Stoneware Coffee Mug"));
//! shopper.step(&AgentAction::click("B0MUG00004").to_string())?;
//! shopper.step(&AgentAction::click("red").to_string())?;
//! let end = shopper.step(&AgentAction::click("Buy Now").to_string())?;
//! assert!(end.terminated && end.reward.is_positive());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod action;
mod browser;
pub mod browsing;
mod bytes;
mod catalog;
mod error;
mod goal;
pub mod page;
mod prepared;
mod price;
mod progress;
mod python;
mod python_random;
mod quirks;
mod random_walk;
pub mod raw;
mod reward;
mod sample;
mod search;
mod session;
mod shop;
pub mod synthetic;
pub mod teacher;
mod variant;
pub mod verify;
mod visit;

pub use action::{AgentAction, BoardAction, TextAction};
pub use browser::AvailableActions;
pub use catalog::{Catalog, Listing, LoadReport, Product, ProductOption, Reason, Skipped};
pub use error::WebShopError;
pub use goal::{Goal, GoalOptions, NO_PRICE_LIMIT, human_goals, synthetic_goals, with_price_limit};
pub use prepared::{
    FORMAT_VERSION, Parts, PrepareProgress, PrepareReport, PrepareRequest, PreparedData,
    ProductSource, SplitRule, prepare,
};
pub use random_walk::RandomWalk;
pub use reward::{RewardDetail, normalize_color, reward, token_set_ratio};
pub use search::{Hit, MAX_HITS, SearchIndex, analyze, indexed_text};
pub use session::{Purchase, Session};
pub use shop::{ShopEnvironment, Shopper, Snapshot, WebShop};
pub use variant::{Fidelity, TextMode, Variant};

/// The README's example, tested.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
