//! Ctrl-C and SIGTERM: once to stop at a safe place, twice to stop at once.

use anyhow::Context;
use eef_core::Interrupt;

use crate::output;

/// Exit code of a run that was interrupted.
pub const EXIT_CODE: u8 = 130;

/// Watches for signals from now on.
pub fn watch() -> anyhow::Result<Interrupt> {
    let interrupt = Interrupt::default();
    let shared = interrupt.clone();
    ctrlc::set_handler(move || {
        if shared.is_requested() {
            // Everything that matters is written in transactions or renamed into place.
            std::process::exit(EXIT_CODE.into());
        }
        shared.request();
        output::say("stopping at the next safe place; the same command continues (again: at once)");
    })
    .context("cannot watch for Ctrl-C")?;
    Ok(interrupt)
}
