//! Ctrl-C and SIGTERM: once to stop at a safe place, twice to stop at once.

use anyhow::Context;
use eef_core::Interrupt;

use crate::output;

/// Exit code of a run that was interrupted.
pub const EXIT_CODE: u8 = 130;

const STOPPING: &str = "stopping at the next safe place (Ctrl-C again: at once)";

/// Watches for signals from now on, and says so as progress is shown: in words or in JSON.
pub fn watch(json: bool) -> anyhow::Result<Interrupt> {
    let interrupt = Interrupt::default();
    let shared = interrupt.clone();
    ctrlc::set_handler(move || {
        if shared.is_requested() {
            // Everything that matters is written in transactions or renamed into place.
            std::process::exit(EXIT_CODE.into());
        }
        shared.request();
        let event = || serde_json::json!({ "event": "stopping", "message": STOPPING }).to_string();
        output::say(&if json { event() } else { STOPPING.to_owned() });
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(interrupt)
}
