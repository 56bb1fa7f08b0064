//! Requests in, answers out.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use crate::protocol::{
    Answer, Call, Hello, PROTOCOL_VERSION, Request, Response, SeatCall, SeatId, read_message,
    write_message,
};

/// Deep enough for the simulator's recursions; only what is used becomes resident.
const STACK_SIZE: usize = 16 << 20;

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

fn answer_all(output: &Output) -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut seats: BTreeMap<SeatId, mpsc::Sender<(u64, SeatCall)>> = BTreeMap::new();
    let mut jvm = None;
    while let Some(Request { id, call }) = read_message(&mut input)? {
        match call {
            Call::Start { jar, max_heap_mib } => {
                let answer = match start(&jar, max_heap_mib) {
                    Ok((started, java)) => {
                        jvm = Some(started);
                        Answer::Started { java }
                    }
                    Err(message) => Answer::Refused { message },
                };
                output.answer(id, answer)?;
            }
            Call::Seat { seat, call } => {
                let Some(jvm) = &jvm else {
                    let message = "the worker was asked before its JVM was started".to_owned();
                    output.answer(id, Answer::Broken { message })?;
                    continue;
                };
                let sender = match seats.get(&seat) {
                    Some(sender) => sender,
                    None => seats.entry(seat).or_insert(open_seat(jvm, output)?),
                };
                if sender.send((id, call)).is_err() {
                    let message = "the simulator's thread has ended".to_owned();
                    output.answer(id, Answer::Broken { message })?;
                }
            }
        }
    }
    Ok(())
}

fn open_seat(jvm: &Started, output: &Output) -> io::Result<mpsc::Sender<(u64, SeatCall)>> {
    let (sender, calls) = mpsc::channel::<(u64, SeatCall)>();
    let (jvm, output) = (jvm.clone(), output.clone());
    std::thread::Builder::new().stack_size(STACK_SIZE).spawn(move || {
        let answer = |id, answer| {
            // Without a reader there is nothing left to do.
            if output.answer(id, answer).is_err() {
                exit();
            }
        };
        run_seat(&jvm, &calls, &answer);
    })?;
    Ok(sender)
}

#[cfg(feature = "java")]
type Started = super::jvm::Jvm;

#[cfg(feature = "java")]
fn start(jar: &str, max_heap_mib: u32) -> Result<(Started, String), String> {
    let jvm = super::jvm::Jvm::start(jar, max_heap_mib)?;
    let java = jvm.version.clone();
    Ok((jvm, java))
}

#[cfg(feature = "java")]
fn run_seat(jvm: &Started, calls: &mpsc::Receiver<(u64, SeatCall)>, answer: &dyn Fn(u64, Answer)) {
    super::seat::run(jvm, calls, answer);
}

/// Stands in for a JVM where there can be none.
#[cfg(not(feature = "java"))]
#[derive(Clone)]
enum Started {}

#[cfg(not(feature = "java"))]
fn start(_: &str, _: u32) -> Result<(Started, String), String> {
    Err("this worker was built without eef-scienceworld's feature `java`: build it with".to_owned())
}

#[cfg(not(feature = "java"))]
fn run_seat(jvm: &Started, _: &mpsc::Receiver<(u64, SeatCall)>, _: &dyn Fn(u64, Answer)) {
    match *jvm {}
}

/// Where answers go, one at a time.
#[derive(Clone)]
struct Output(Arc<Mutex<File>>);

impl Output {
    fn lock(&self) -> std::sync::MutexGuard<'_, File> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, id: u64, answer: Answer) -> io::Result<()> {
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
fn exit() -> ! {
    #[cfg(unix)]
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    std::process::abort()
}
