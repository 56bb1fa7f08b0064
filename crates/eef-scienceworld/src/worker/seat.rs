//! The thread of one simulator.

use std::sync::mpsc;

use jni::errors::{Error, Result};
use jni::objects::JObject;
use jni::{Env, jni_str};

use super::interface::{Failure, Interface, failure, message, open};
use super::jvm::Jvm;
use crate::protocol::{Answer, SeatCall};

/// References that a call may make without another allocation.
const FRAME_CAPACITY: usize = 32;

/// Exceptions that say nothing of the call: in a new worker it may well succeed.
const OF_THE_MACHINE: [&str; 3] =
    ["java.lang.OutOfMemoryError", "java.lang.StackOverflowError", "java.lang.InternalError"];

/// Answers the calls of one simulator until nobody can make another.
pub(super) fn run(
    jvm: &Jvm,
    calls: &mpsc::Receiver<(u64, SeatCall)>,
    answer: &dyn Fn(u64, Answer),
) {
    let ended: Result<()> = jvm.vm.attach_current_thread_for_scope(|env| {
        let interface = match open(env, &jvm.jar) {
            Ok(interface) => interface,
            Err(error) => {
                let message = format!("the simulator cannot be loaded: {}", message(env, &error));
                while let Ok((id, _)) = calls.recv() {
                    answer(id, Answer::Broken { message: message.clone() });
                }
                return Ok(());
            }
        };
        while let Ok((id, call)) = calls.recv() {
            let found = env.with_local_frame(FRAME_CAPACITY, |env| -> Result<Answer> {
                Ok(answer_of(env, &interface, &call))
            });
            let broken = |error: Error| Answer::Broken { message: error.to_string() };
            answer(id, found.unwrap_or_else(broken));
        }
        Ok(())
    });
    if let Err(error) = ended {
        let message = format!("the simulator's thread cannot use the JVM: {error}");
        while let Ok((id, _)) = calls.recv() {
            answer(id, Answer::Broken { message: message.clone() });
        }
    }
}

fn answer_of(env: &mut Env<'_>, interface: &JObject<'_>, call: &SeatCall) -> Answer {
    match perform(env, &Interface(interface), call) {
        Ok(answer) => answer,
        Err(error) => {
            let Failure { exception, message } = failure(env, &error);
            match exception {
                Some(exception) if !OF_THE_MACHINE.contains(&&*exception) => {
                    Answer::Refused { message: format!("the simulator failed: {message}") }
                }
                _ => Answer::Broken { message },
            }
        }
    }
}

fn perform(env: &mut Env<'_>, simulator: &Interface<'_, '_>, call: &SeatCall) -> Result<Answer> {
    Ok(match call {
        SeatCall::Load { task, variation, simplification, gold } => {
            match simulator.load(env, (task, *variation), simplification, *gold)? {
                Ok((description, state)) => Answer::Loaded { description, state },
                Err(message) => Answer::Refused { message },
            }
        }
        SeatCall::Step { action } => Answer::Stepped(simulator.step(env, action)?),
        SeatCall::Inventory => Answer::Text(simulator.text(env, jni_str!("freeActionInventory"))?),
        SeatCall::GoalProgress => {
            Answer::Text(simulator.text(env, jni_str!("getGoalProgressStr"))?)
        }
        SeatCall::ValidActions => {
            Answer::Texts(simulator.texts(env, jni_str!("getValidActionObjectCombinations"))?)
        }
        SeatCall::GoldActions => {
            Answer::Texts(simulator.texts(env, jni_str!("getGoldActionSequence"))?)
        }
        SeatCall::Tasks => {
            let mut tasks = Vec::new();
            for name in simulator.texts(env, jni_str!("getTaskNames"))? {
                let n_variations = simulator.n_variations(env, &name)?;
                tasks.push((name, n_variations));
            }
            Answer::Tasks(tasks)
        }
        SeatCall::Splits => Answer::Splits([
            simulator.numbers(env, jni_str!("getVariationsTrain"))?,
            simulator.numbers(env, jni_str!("getVariationsDev"))?,
            simulator.numbers(env, jni_str!("getVariationsTest"))?,
        ]),
    })
}
