//! Requests in, answers out.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc;

use super::jvm::Jvm;
use super::seat;
use super::serve::{Output, exit};
use crate::protocol::{Answer, Call, Request, SeatCall, SeatId, read_message};

/// Deep enough for the simulator's recursions; only what is used becomes resident.
const STACK_SIZE: usize = 16 << 20;

/// Answers requests until the parent closes the pipe.
pub(super) fn answer_all(output: &Output) -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut seats: BTreeMap<SeatId, mpsc::Sender<(u64, SeatCall)>> = BTreeMap::new();
    let mut jvm = None;
    while let Some(Request { id, call }) = read_message(&mut input)? {
        match call {
            Call::Start { jar, max_heap_mib } => {
                let answer = match Jvm::start(&jar, max_heap_mib) {
                    Ok(started) => {
                        let java = started.version.clone();
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

fn open_seat(jvm: &Jvm, output: &Output) -> io::Result<mpsc::Sender<(u64, SeatCall)>> {
    let (sender, calls) = mpsc::channel::<(u64, SeatCall)>();
    let (jvm, output) = (jvm.clone(), output.clone());
    std::thread::Builder::new().stack_size(STACK_SIZE).spawn(move || {
        let answer = |id, answer| {
            // Without a reader there is nothing left to do.
            if output.answer(id, answer).is_err() {
                exit();
            }
        };
        seat::run(&jvm, &calls, &answer);
    })?;
    Ok(sender)
}
