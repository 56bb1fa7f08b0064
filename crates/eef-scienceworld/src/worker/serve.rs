//! A worker's beginning and end, and its pipe.

use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

#[cfg(feature = "java")]
use super::answers::answer_all;
use crate::protocol::{Answer, Hello, PROTOCOL_VERSION, Response, write_message};

/// Answers requests until the parent closes the pipe, then ends the process.
pub(super) fn serve(token: &str) -> ! {
    end_with_parent();
    // A worker that has lost a thread would leave its parent waiting for the deadline.
    std::panic::set_hook(Box::new(|_| std::process::abort()));
    if let Ok(output) = take_stdout() {
        let output = Output(Arc::new(Mutex::new(output)));
        let hello = Hello { protocol: PROTOCOL_VERSION, token: token.to_owned() };
        // The parent sees a closed pipe whatever went wrong here; there is nobody else to tell.
        let greeted = write_message(&mut *output.lock(), &hello);
        let _ = greeted.and_then(|()| answer_all(&output));
    }
    exit()
}

/// What can be said without a JVM.
#[cfg(not(feature = "java"))]
fn answer_all(output: &Output) -> io::Result<()> {
    use crate::protocol::{Request, read_message};
    let mut input = io::stdin().lock();
    while let Some(Request { id, .. }) = read_message(&mut input)? {
        let message =
            "this worker was built without eef-scienceworld's feature `java`: build it with";
        output.answer(id, Answer::Refused { message: message.to_owned() })?;
    }
    Ok(())
}

/// Where answers go, one at a time.
#[derive(Clone)]
pub(super) struct Output(Arc<Mutex<File>>);

impl Output {
    fn lock(&self) -> std::sync::MutexGuard<'_, File> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answer(&self, id: u64, answer: Answer) -> io::Result<()> {
        write_message(&mut *self.lock(), &Response { id, answer })
    }
}

/// Keeps the pipe to the parent for messages: what else is printed goes nowhere.
#[cfg(unix)]
fn take_stdout() -> io::Result<File> {
    let pipe = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3)?;
    let nowhere = File::options().write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdout(&nowhere)?;
    Ok(File::from(pipe))
}

/// Elsewhere the simulator's output is silenced in the JVM alone.
#[cfg(windows)]
fn take_stdout() -> io::Result<File> {
    use std::os::windows::io::AsHandle;
    Ok(File::from(io::stdout().as_handle().try_clone_to_owned()?))
}

/// A closed pipe ends a worker that reads; a signal also ends one that is stopped or computes.
#[cfg(target_os = "linux")]
fn end_with_parent() {
    // Where it is refused, the closed pipe remains.
    let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL));
}

#[cfg(not(target_os = "linux"))]
fn end_with_parent() {}

/// Ends the process without running exit handlers, which would race with threads in Java code.
pub(super) fn exit() -> ! {
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}
