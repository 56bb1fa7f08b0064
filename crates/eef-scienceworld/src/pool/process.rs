//! One worker process, from its parent's side.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use tempfile::TempDir;

use super::spawner::Spawner;
use crate::error::ScienceWorldError;
use crate::protocol::{
    Answer, Call, Hello, PROTOCOL_VERSION, Request, Response, TOKEN_VARIABLE, read_message,
    write_message,
};

/// How long a program may take to say that it is a worker.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a worker's standard error that are kept for messages.
const STDERR_TAIL: usize = 600;

/// A program to be started as a worker.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) path: PathBuf,
    pub(super) java_home: Option<PathBuf>,
}

/// Why a call has no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// It did not come in time; the worker has been killed.
    Late,
    /// The worker is dead; says how it died.
    Dead(String),
}

/// A worker process. It is killed and waited for when this is dropped; its directory goes with it.
#[derive(Debug)]
pub(super) struct Process {
    shared: Arc<Shared>,
    requests: mpsc::Sender<Request>,
    pid: u32,
    /// Removed after the process is dead: fields are dropped after `drop`.
    directory: TempDir,
}

#[derive(Debug)]
struct Shared {
    child: Mutex<Child>,
    calls: Mutex<Calls>,
    stderr: Mutex<VecDeque<u8>>,
}

#[derive(Debug, Default)]
struct Calls {
    next_id: u64,
    waiting: BTreeMap<u64, mpsc::Sender<Answer>>,
    /// How it died, once it has.
    death: Option<String>,
}

impl Process {
    /// Starts a program in its directory and waits until it says that it is a worker.
    pub(super) fn start(
        program: &Program,
        directory: TempDir,
        spawner: &Spawner,
        timeout: Duration,
    ) -> Result<Self, ScienceWorldError> {
        let mut command = Command::new(&program.path);
        command
            .current_dir(directory.path())
            .env(TOKEN_VARIABLE, directory.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        if let Some(home) = &program.java_home {
            command.env("JAVA_HOME", home);
        }
        #[cfg(unix)]
        {
            use std::os::unix::process::CommandExt;
            // An interrupt from the keyboard is for the program, which may want to finish.
            command.process_group(0);
        }
        let spawn = |source| ScienceWorldError::Spawn { program: program.path.clone(), source };
        let mut child = spawner.spawn(command).map_err(spawn)?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let pid = child.id();
        let shared = Arc::new(Shared {
            child: Mutex::new(child),
            calls: Mutex::default(),
            stderr: Mutex::default(),
        });
        let (requests, queue) = mpsc::channel();
        let process = Self { shared: Arc::clone(&shared), requests, pid, directory };
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            let source = std::io::Error::other("its pipes were not made");
            return Err(ScienceWorldError::Spawn { program: program.path.clone(), source });
        };
        let (sender, hello) = mpsc::channel();
        let reader = Arc::clone(&shared);
        let stderr_of = Arc::clone(&shared);
        thread("reader", move || reader.read_stdout(stdout, &sender)).map_err(spawn)?;
        thread("errors", move || stderr_of.read_stderr(stderr)).map_err(spawn)?;
        // Writing blocks on a worker that does not read; callers wait for answers alone.
        thread("writer", move || write_stdin(stdin, &queue)).map_err(spawn)?;
        process.shake_hands(program, &hello, timeout.min(HANDSHAKE_TIMEOUT))?;
        Ok(process)
    }

    fn shake_hands(
        &self,
        program: &Program,
        hello: &mpsc::Receiver<std::io::Result<Option<Hello>>>,
        timeout: Duration,
    ) -> Result<(), ScienceWorldError> {
        let message = match hello.recv_timeout(timeout) {
            Ok(Ok(Some(hello))) if hello.protocol != PROTOCOL_VERSION => {
                return Err(ScienceWorldError::Protocol {
                    program: program.path.clone(),
                    expected: PROTOCOL_VERSION,
                    found: hello.protocol,
                });
            }
            Ok(Ok(Some(hello))) if hello.token == self.directory.path().to_string_lossy() => {
                return Ok(());
            }
            Ok(Ok(Some(_))) => "it answered with another worker's token".to_owned(),
            Ok(Ok(None)) | Err(mpsc::RecvTimeoutError::Disconnected) => {
                self.shared.wait_a_little();
                self.kill();
                format!("it ended: {}", self.shared.death())
            }
            Ok(Err(_)) => "it wrote something else".to_owned(),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                format!("nothing came within {:.1} s", timeout.as_secs_f64())
            }
        };
        Err(ScienceWorldError::NoWorker { program: program.path.clone(), message })
    }

    /// Asks, and waits for the answer at most so long.
    pub(super) fn ask(&self, call: Call, timeout: Duration) -> Result<Answer, NoAnswer> {
        let (sender, answer) = mpsc::channel();
        let id = {
            let mut calls = self.shared.calls();
            if let Some(death) = &calls.death {
                return Err(NoAnswer::Dead(death.clone()));
            }
            calls.next_id += 1;
            let id = calls.next_id;
            calls.waiting.insert(id, sender);
            id
        };
        // Fails only where the worker is dead, which the wait below finds too.
        let _ = self.requests.send(Request { id, call });
        match answer.recv_timeout(timeout) {
            Ok(answer) => Ok(answer),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(NoAnswer::Dead(self.shared.death())),
            Err(mpsc::RecvTimeoutError::Timeout) => {
                self.kill();
                Err(NoAnswer::Late)
            }
        }
    }

    /// Kills the process, a stopped one too; whoever waits for an answer learns of it.
    pub(super) fn kill(&self) {
        self.shared.end();
    }

    pub(super) fn is_alive(&self) -> bool {
        self.shared.calls().death.is_none()
    }

    pub(super) fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shared {
    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn death(&self) -> String {
        self.calls().death.clone().unwrap_or_else(|| "the worker ended".to_owned())
    }

    /// Kills the process if it lives, waits for it, and tells whoever waits.
    fn end(&self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        if self.calls().death.is_some() {
            return;
        }
        // What has ended by itself says why; killing it then does nothing.
        let ended = child.try_wait().ok().flatten();
        let how = match ended {
            Some(status) => format!("the worker ended: {status}"),
            None => "the worker was killed".to_owned(),
        };
        let _ = child.kill();
        let status = child.wait();
        let how = match (ended, status) {
            (None, Ok(status)) if !is_our_kill(status) => format!("the worker ended: {status}"),
            _ => how,
        };
        let said = self.last_words();
        let said = if said.is_empty() { said } else { format!(" ({said})") };
        let mut calls = self.calls();
        calls.death = Some(how + &said);
        calls.waiting.clear();
    }

    /// The last lines of its standard error, as one.
    fn last_words(&self) -> String {
        let stderr = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes: Vec<u8> = stderr.iter().copied().collect();
        String::from_utf8_lossy(&bytes).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn read_stdout(
        &self,
        stdout: ChildStdout,
        hello: &mpsc::Sender<std::io::Result<Option<Hello>>>,
    ) {
        let mut stdout = BufReader::new(stdout);
        let first = read_message(&mut stdout);
        let is_worker = matches!(first, Ok(Some(_)));
        // The receiver may have given up.
        let _ = hello.send(first);
        if is_worker {
            while let Ok(Some(Response { id, answer })) = read_message(&mut stdout) {
                let waiting = self.calls().waiting.remove(&id);
                if let Some(sender) = waiting {
                    let _ = sender.send(answer);
                }
            }
            // A worker whose pipe is closed or garbled cannot be used, dead or alive.
            self.wait_a_little();
            self.end();
        }
    }

    /// A pipe closes a moment before its process ends, and how it ended is worth knowing.
    fn wait_a_little(&self) {
        for _ in 0..50 {
            let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            drop(child);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn read_stderr(&self, mut from: impl Read) {
        let mut buffer = [0; 512];
        while let Ok(n_read @ 1..) = from.read(&mut buffer) {
            let mut tail = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
            tail.extend(&buffer[..n_read]);
            let excess = tail.len().saturating_sub(STDERR_TAIL);
            tail.drain(..excess);
        }
    }
}

/// Whether a process ended by the signal that we end processes with.
#[cfg(unix)]
fn is_our_kill(status: std::process::ExitStatus) -> bool {
    use std::os::unix::process::ExitStatusExt;
    status.signal() == Some(rustix::process::Signal::KILL.as_raw())
}

#[cfg(not(unix))]
fn is_our_kill(_: std::process::ExitStatus) -> bool {
    true
}

fn write_stdin(mut stdin: ChildStdin, requests: &mpsc::Receiver<Request>) {
    while let Ok(request) = requests.recv() {
        if write_message(&mut stdin, &request).is_err() {
            return;
        }
    }
}

fn thread(name: &str, work: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
    std::thread::Builder::new().name(format!("scienceworld {name}")).spawn(work).map(drop)
}
