//! Two processes on one run directory. Without a harness, so that the program can be its own child.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use eef_store::{RunLock, StoreError};

const CHILD: &str = "EEF_LOCK_TEST_DIRECTORY";

fn main() -> Result<(), Box<dyn Error>> {
    match std::env::var_os(CHILD) {
        Some(directory) => hold(Path::new(&directory)),
        None => the_second_process_is_refused_until_the_first_dies(),
    }
}

/// The child: takes the lock, says so, and never lets go.
#[expect(clippy::print_stdout, reason = "its parent waits for the line")]
fn hold(directory: &Path) -> Result<(), Box<dyn Error>> {
    let _lock = RunLock::acquire(directory)?;
    println!("locked");
    loop {
        std::thread::park();
    }
}

fn the_second_process_is_refused_until_the_first_dies() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut child = Command::new(std::env::current_exe()?)
        .env(CHILD, folder.path())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut line = String::new();
    let output = child.stdout.take().ok_or("the child has no output")?;
    BufReader::new(output).read_line(&mut line)?;
    assert_eq!(line.trim(), "locked");
    match RunLock::acquire(folder.path()) {
        Err(error @ StoreError::Locked { pid: Some(pid), .. }) => {
            assert_eq!(pid, child.id());
            assert!(error.to_string().contains(&format!("in use by process {pid}")), "{error}");
        }
        other => panic!("{other:?}"),
    }
    // Killed, not asked: the operating system releases the lock.
    child.kill()?;
    child.wait()?;
    RunLock::acquire(folder.path())?;
    Ok(())
}
