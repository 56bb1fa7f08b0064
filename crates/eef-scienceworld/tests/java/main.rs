//! Tests with the real simulator: they need Java and the jar that `EEF_SCIENCEWORLD_JAR` names,
//! and some the recordings in the folder that `EEF_SHARED` names. Without these they say so and
//! pass, unless `EEF_REQUIRE` asks for `jar` or `shared`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a skipped test and the counts are told to people")]

mod episodes;
mod recording;
mod reference;
#[path = "../support/mod.rs"]
mod support;

use support::{jar, options, pool, shared};
