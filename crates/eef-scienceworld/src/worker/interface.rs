//! Calls of the simulator's own interface, `scienceworld.runtime.pythonapi.PythonInterface`.

use jni::errors::{Error, Result};
use jni::objects::{JClass, JObject, JString, JValue};
use jni::strings::JNIStr;
use jni::{Env, jni_sig, jni_str};

use crate::protocol::State;

/// An action that tells what is to be seen and is no move.
const LOOK: &str = "look around";

/// One simulator.
pub(super) struct Interface<'a, 'local>(pub(super) &'a JObject<'local>);

/// Loads the simulator through a class loader of its own.
///
/// Random numbers, ids and simplifications are global to a class loader, so simulators that share
/// one disturb each other.
pub(super) fn open<'local>(env: &mut Env<'local>, jar: &str) -> Result<JObject<'local>> {
    let path = env.new_string(jar)?;
    let file = env.new_object(
        jni_str!("java/io/File"),
        jni_sig!("(Ljava/lang/String;)V"),
        &[JValue::Object(&path)],
    )?;
    let uri = env.call_method(&file, jni_str!("toURI"), jni_sig!("()Ljava/net/URI;"), &[])?.l()?;
    let url = env.call_method(&uri, jni_str!("toURL"), jni_sig!("()Ljava/net/URL;"), &[])?.l()?;
    let urls = env.new_object_array(1, jni_str!("java/net/URL"), &url)?;
    let loader = env.new_object(
        jni_str!("java/net/URLClassLoader"),
        jni_sig!("([Ljava/net/URL;Ljava/lang/ClassLoader;)V"),
        &[JValue::Object(&urls), JValue::Object(&JObject::null())],
    )?;
    let name = env.new_string("scienceworld.runtime.pythonapi.PythonInterface")?;
    let class = env
        .call_method(
            &loader,
            jni_str!("loadClass"),
            jni_sig!("(Ljava/lang/String;)Ljava/lang/Class;"),
            &[JValue::Object(&name)],
        )?
        .l()?;
    let class = env.cast_local::<JClass>(class)?;
    env.new_object(&class, jni_sig!("()V"), &[])
}

impl Interface<'_, '_> {
    /// Starts an episode and looks around; the task's description and what is seen, or the
    /// simulator's own error text.
    pub(super) fn load(
        &self,
        env: &mut Env<'_>,
        (task, variation): (&str, u32),
        simplification: &str,
        gold: bool,
    ) -> Result<std::result::Result<(String, State), String>> {
        let (task, simplification) = (env.new_string(task)?, env.new_string(simplification)?);
        let error = env
            .call_method(
                self.0,
                jni_str!("load"),
                jni_sig!("(Ljava/lang/String;ILjava/lang/String;Z)Ljava/lang/String;"),
                &[
                    JValue::Object(&task),
                    JValue::Int(variation.cast_signed()),
                    JValue::Object(&simplification),
                    JValue::Bool(gold),
                ],
            )?
            .l()?;
        let error = text(env, error)?;
        if !error.is_empty() {
            return Ok(Err(error));
        }
        let description = self.text(env, jni_str!("freeActionTaskDesc"))?;
        let state = self.step(env, LOOK)?;
        // An unknown simplification shows only now.
        if state.observation.starts_with("ERROR:") {
            return Ok(Err(state.observation));
        }
        Ok(Ok((description, state)))
    }

    /// Executes an action.
    pub(super) fn step(&self, env: &mut Env<'_>, action: &str) -> Result<State> {
        let action = env.new_string(action)?;
        let observation = env
            .call_method(
                self.0,
                jni_str!("step"),
                jni_sig!("(Ljava/lang/String;)Ljava/lang/String;"),
                &[JValue::Object(&action)],
            )?
            .l()?;
        let observation = text(env, observation)?;
        let score = env.call_method(self.0, jni_str!("getScore"), jni_sig!("()D"), &[])?.d()?;
        let completed =
            env.call_method(self.0, jni_str!("getCompleted"), jni_sig!("()Z"), &[])?.z()?;
        let moves = env
            .call_method(self.0, jni_str!("getNumMoves"), jni_sig!("()Ljava/lang/Integer;"), &[])?
            .l()?;
        let moves = self::integer(env, &moves)?;
        Ok(State { observation, score, completed, moves })
    }

    /// A text that the simulator gives without arguments.
    pub(super) fn text(&self, env: &mut Env<'_>, method: &JNIStr) -> Result<String> {
        let found = env.call_method(self.0, method, jni_sig!("()Ljava/lang/String;"), &[])?.l()?;
        text(env, found)
    }

    /// A list of texts.
    pub(super) fn texts(&self, env: &mut Env<'_>, method: &JNIStr) -> Result<Vec<String>> {
        self.list(env, method, text)
    }

    /// A list of numbers.
    pub(super) fn numbers(&self, env: &mut Env<'_>, method: &JNIStr) -> Result<Vec<u32>> {
        self.list(env, method, |env, element| integer(env, &element))
    }

    /// How many variations a task has.
    pub(super) fn n_variations(&self, env: &mut Env<'_>, task: &str) -> Result<u32> {
        let task = env.new_string(task)?;
        let found = env.call_method(
            self.0,
            jni_str!("getTaskMaxVariations"),
            jni_sig!("(Ljava/lang/String;)I"),
            &[JValue::Object(&task)],
        )?;
        Ok(found.i()?.cast_unsigned())
    }

    fn list<T>(
        &self,
        env: &mut Env<'_>,
        method: &JNIStr,
        read: impl Fn(&mut Env<'_>, JObject<'_>) -> Result<T>,
    ) -> Result<Vec<T>> {
        let list = env.call_method(self.0, method, jni_sig!("()Ljava/util/List;"), &[])?.l()?;
        let array = env
            .call_method(&list, jni_str!("toArray"), jni_sig!("()[Ljava/lang/Object;"), &[])?
            .l()?;
        let array = env.cast_local::<jni::objects::JObjectArray>(array)?;
        let length = array.len(env)?;
        let mut found = Vec::with_capacity(length);
        for index in 0..length {
            // A frame each, or the references of long lists pile up.
            let element = env.with_local_frame(4, |env| -> Result<T> {
                let element = array.get_element(env, index)?;
                read(env, element)
            })?;
            found.push(element);
        }
        Ok(found)
    }
}

fn text(env: &mut Env<'_>, found: JObject<'_>) -> Result<String> {
    env.as_cast::<JString>(&found)?.try_to_string(env)
}

fn integer(env: &mut Env<'_>, found: &JObject<'_>) -> Result<u32> {
    let value = env.call_method(found, jni_str!("intValue"), jni_sig!("()I"), &[])?.i()?;
    Ok(value.cast_unsigned())
}

/// Why a call failed.
pub(super) struct Failure {
    /// The class of the Java exception, if it was one.
    pub(super) exception: Option<String>,
    /// What is said of it.
    pub(super) message: String,
}

/// What a failed call says; the Java exception that caused it is then forgotten.
pub(super) fn failure(env: &Env<'_>, error: &Error) -> Failure {
    match env.exception_catch() {
        Err(Error::CaughtJavaException { name, msg, .. }) => {
            Failure { message: format!("{name}: {msg}"), exception: Some(name) }
        }
        Err(caught) => Failure { exception: None, message: caught.to_string() },
        Ok(()) => Failure { exception: None, message: error.to_string() },
    }
}

/// [`failure`] as a text alone.
pub(super) fn message(env: &Env<'_>, error: &Error) -> String {
    failure(env, error).message
}
