//! The child's side: a process that hosts a JVM and answers its parent.

#[cfg(feature = "java")]
mod answers;
#[cfg(feature = "java")]
mod interface;
#[cfg(feature = "java")]
mod jvm;
#[cfg(feature = "java")]
mod seat;
mod serve;

use std::fs;
use std::path::Path;

use crate::protocol::{TOKEN_FILE, TOKEN_VARIABLE};

/// Becomes a worker and never returns, where this process was started as one; otherwise returns at
/// once. The first line of the `main` of a program whose pool uses
/// [`WorkerCommand::CurrentExe`](crate::WorkerCommand::CurrentExe): before it reads arguments,
/// writes, or starts a thread.
///
/// ```no_run
/// // fn main() {
/// eef_scienceworld::worker_main_if_requested();
/// println!("here the program begins");
/// // }
/// ```
pub fn worker_main_if_requested() {
    let Some(token) = std::env::var_os(TOKEN_VARIABLE) else { return };
    // The variable is inherited by whatever a worker's program starts; the token is taken once.
    let directory = Path::new(&token);
    if fs::remove_file(directory.join(TOKEN_FILE)).is_ok() {
        serve::serve(&token.to_string_lossy());
    }
}

/// Whether this process was started as a worker, or by one.
pub(crate) fn is_inside_worker() -> bool {
    std::env::var_os(TOKEN_VARIABLE).is_some()
}
