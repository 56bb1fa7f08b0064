//! Finding and starting a JVM in this process.

use std::fs;
use std::path::{Path, PathBuf};

use jni::errors::{JniError, StartJvmError};
use jni::objects::{JString, JValue};
use jni::{Env, InitArgsBuilder, JNIVersion, JavaVM, jni_sig, jni_str};

use super::interface::message;

/// The simulator's classes are for Java 8.
const MIN_JAVA: u32 = 8;

/// How deep below a Java's folder its library may lie (`jre/lib/amd64/server`).
const MAX_DEPTH: u32 = 5;

const HOW_TO_GET_JAVA: &str = "install a Java runtime (OpenJDK 8 or later, for example the package \
                               openjdk-17-jre-headless) or set JAVA_HOME to the folder of one";

/// A JVM that answers alike every time.
#[derive(Clone, Debug)]
pub(super) struct Jvm {
    pub(super) vm: JavaVM,
    pub(super) version: String,
    /// The simulator's jar.
    pub(super) jar: String,
}

impl Jvm {
    /// Starts the JVM; the error is one line for people.
    pub(super) fn start(jar: &str, max_heap_mib: u32) -> Result<Self, String> {
        let library = find_library()?;
        let options = options(max_heap_mib);
        let mut builder = InitArgsBuilder::new().version(JNIVersion::V1_8);
        for option in &options {
            builder = builder.option(option);
        }
        let arguments = builder.build().map_err(|error| format!("options of Java: {error}"))?;
        let vm = JavaVM::with_libjvm(arguments, || Ok(&library))
            .map_err(|error| not_started(&library, &options, &error))?;
        let version = vm
            .attach_current_thread_for_scope(|env| -> jni::errors::Result<_> { Ok(check(env)) })
            .map_err(|error| format!("{}: {error}", library.display()))??;
        Ok(Self { vm, version, jar: jar.to_owned() })
    }
}

fn options(max_heap_mib: u32) -> Vec<String> {
    let mut options = vec![format!("-Xmx{max_heap_mib}m")];
    // The order of sets hangs on identity hash codes; a constant one makes episodes repeatable.
    options.extend(crate::DETERMINISM_FLAGS.map(str::to_owned));
    options.extend(
        [
            // Many small workers: one thread of collection each is quickest.
            "-XX:+UseSerialGC",
            // A killed worker would leave its file of counters behind.
            "-XX:-UsePerfData",
            // The parent learns of a crash; a core of some hundred megabytes helps nobody.
            "-XX:-CreateCoredumpOnCrash",
            // Signals are the host's.
            "-Xrs",
        ]
        .map(str::to_owned),
    );
    options
}

fn not_started(library: &Path, options: &[String], error: &StartJvmError) -> String {
    let library = library.display();
    match error {
        StartJvmError::LoadError(_, error) => format!(
            "{library} cannot be loaded ({error}): it must be a Java for this machine's \
             architecture ({}); {HOW_TO_GET_JAVA}",
            std::env::consts::ARCH
        ),
        StartJvmError::Create(jni::errors::Error::JniCall(JniError::WrongVersion)) => {
            format!("the Java of {library} is older than {MIN_JAVA}: {HOW_TO_GET_JAVA}")
        }
        error => format!(
            "the Java of {library} did not start with {} ({error}): it must be a HotSpot JVM \
             (OpenJDK), and the memory that -Xmx names must be free",
            options.join(" ")
        ),
    }
}

/// Checks the JVM and silences the simulator; the version, or a line for people.
fn check(env: &mut Env<'_>) -> Result<String, String> {
    let version = property(env, "java.version").map_err(|error| message(env, &error))?;
    let specification =
        property(env, "java.specification.version").map_err(|error| message(env, &error))?;
    if major(&specification) < MIN_JAVA {
        return Err(format!("Java {version} is older than {MIN_JAVA}: {HOW_TO_GET_JAVA}"));
    }
    let hash = hash_of_new_object(env).map_err(|error| message(env, &error))?;
    if hash != 1 {
        return Err(format!(
            "Java {version} gives an object the identity hash code {hash} in spite of \
             -XX:hashCode=2, so episodes would not repeat: use a HotSpot JVM (OpenJDK)"
        ));
    }
    silence(env).map_err(|error| message(env, &error))?;
    Ok(version)
}

/// `1.8` is Java 8, `17` Java 17.
fn major(specification: &str) -> u32 {
    let specification = specification.strip_prefix("1.").unwrap_or(specification);
    specification.split('.').next().and_then(|major| major.parse().ok()).unwrap_or(0)
}

fn property(env: &mut Env<'_>, name: &str) -> jni::errors::Result<String> {
    let name = env.new_string(name)?;
    let value = env
        .call_static_method(
            jni_str!("java/lang/System"),
            jni_str!("getProperty"),
            jni_sig!("(Ljava/lang/String;)Ljava/lang/String;"),
            &[JValue::Object(&name)],
        )?
        .l()?;
    env.cast_local::<JString>(value)?.try_to_string(env)
}

fn hash_of_new_object(env: &mut Env<'_>) -> jni::errors::Result<i32> {
    let object = env.new_object(jni_str!("java/lang/Object"), jni_sig!("()V"), &[])?;
    env.call_static_method(
        jni_str!("java/lang/System"),
        jni_str!("identityHashCode"),
        jni_sig!("(Ljava/lang/Object;)I"),
        &[JValue::Object(&object)],
    )?
    .i()
}

/// The simulator prints at every step; formatting that costs time even where nobody reads it.
fn silence(env: &mut Env<'_>) -> jni::errors::Result<()> {
    let path = env.new_string(if cfg!(windows) { "NUL" } else { "/dev/null" })?;
    let stream = env.new_object(
        jni_str!("java/io/FileOutputStream"),
        jni_sig!("(Ljava/lang/String;)V"),
        &[JValue::Object(&path)],
    )?;
    let printer = env.new_object(
        jni_str!("java/io/PrintStream"),
        jni_sig!("(Ljava/io/OutputStream;)V"),
        &[JValue::Object(&stream)],
    )?;
    for setter in [jni_str!("setOut"), jni_str!("setErr")] {
        env.call_static_method(
            jni_str!("java/lang/System"),
            setter,
            jni_sig!("(Ljava/io/PrintStream;)V"),
            &[JValue::Object(&printer)],
        )?;
    }
    Ok(())
}

/// The JVM's library: below `JAVA_HOME`, then beside the `java` on the path, then where
/// java-locator looks.
fn find_library() -> Result<PathBuf, String> {
    if let Some(home) = std::env::var_os("JAVA_HOME").filter(|home| !home.is_empty()) {
        let home = PathBuf::from(home);
        return search(&home, 0).ok_or_else(|| {
            format!(
                "JAVA_HOME is {}, which holds no {}: {HOW_TO_GET_JAVA}",
                home.display(),
                java_locator::get_jvm_dyn_lib_file_name()
            )
        });
    }
    let name = if cfg!(windows) { "java.exe" } else { "java" };
    let path = std::env::var_os("PATH").unwrap_or_default();
    // What is on the path is often a link into the Java's folder.
    let programs =
        std::env::split_paths(&path).filter_map(|folder| fs::canonicalize(folder.join(name)).ok());
    for program in programs {
        // The folder above `bin`.
        if let Some(library) = program.ancestors().nth(2).and_then(|home| search(home, 0)) {
            return Ok(library);
        }
    }
    let folder = java_locator::locate_jvm_dyn_library()
        .map_err(|_| format!("no Java was found: {HOW_TO_GET_JAVA}"))?;
    Ok(Path::new(&folder).join(java_locator::get_jvm_dyn_lib_file_name()))
}

/// The library below a folder; the one of the server VM where there are several.
fn search(folder: &Path, depth: u32) -> Option<PathBuf> {
    let name = java_locator::get_jvm_dyn_lib_file_name();
    let file = folder.join(name);
    if file.is_file() {
        return Some(file);
    }
    if depth == MAX_DEPTH {
        return None;
    }
    let mut folders: Vec<PathBuf> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.is_dir())
        .collect();
    folders.sort_by_key(|path| (!path.ends_with("server"), path.clone()));
    folders.iter().find_map(|folder| search(folder, depth + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_counting_java_are_read() {
        assert_eq!(["1.7", "1.8", "11", "17.0", "x"].map(major), [7, 8, 11, 17, 0]);
    }

    #[test]
    fn the_server_library_is_preferred() {
        let home = tempfile::tempdir().unwrap();
        let name = java_locator::get_jvm_dyn_lib_file_name();
        assert_eq!(search(home.path(), 0), None);
        for kind in ["client", "server"] {
            let folder = home.path().join("lib").join(kind);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(search(home.path(), 0), Some(home.path().join("lib/server").join(name)));
    }
}
