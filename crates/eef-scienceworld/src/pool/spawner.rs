//! A thread that lives as long as its pool and starts the pool's processes.

use std::io;
use std::process::{Child, Command};
use std::sync::{Mutex, PoisonError, mpsc};

/// Starts processes from one thread.
///
/// On Linux a worker asks to be killed when its parent dies, and by that the system means the thread
/// that started it: threads of a caller's own may end long before the pool.
#[derive(Debug)]
pub(super) struct Spawner(Mutex<mpsc::Sender<Job>>);

type Job = (Command, mpsc::Sender<io::Result<Child>>);

impl Spawner {
    pub(super) fn new() -> io::Result<Self> {
        let (sender, jobs) = mpsc::channel::<Job>();
        std::thread::Builder::new().name("scienceworld spawner".to_owned()).spawn(move || {
            while let Ok((mut command, reply)) = jobs.recv() {
                // Nobody waits any more: the child's pipes close, and it ends.
                let _ = reply.send(command.spawn());
            }
        })?;
        Ok(Self(Mutex::new(sender)))
    }

    pub(super) fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, child) = mpsc::channel();
        let gone = || io::Error::other("the thread that starts workers has ended");
        let sender = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        sender.send((command, reply)).map_err(|_| gone())?;
        child.recv().map_err(|_| gone())?
    }
}
