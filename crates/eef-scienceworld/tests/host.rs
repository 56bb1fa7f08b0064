//! Programs that are their own workers: this test is such a program, and starts itself as others.
//!
//! It has no harness, because a worker of [`WorkerCommand::CurrentExe`] would run the tests again.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that tells of itself")]

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use eef_scienceworld::{Game, Jar, PoolOptions, ScienceWorldError, WorkerCommand, WorkerPool};

/// The variable that says what this program is to be.
const ROLE: &str = "EEF_TEST_ROLE";

fn main() {
    let role = std::env::var(ROLE).unwrap_or_default();
    if role != "forgets" {
        eef_scienceworld::worker_main_if_requested();
    }
    match &*role {
        "" => tests(),
        "plays" => play(),
        "forgets" => forget(),
        other => panic!("no role {other}"),
    }
}

fn jar() -> Option<Jar> {
    let Some(path) = std::env::var_os("EEF_SCIENCEWORLD_JAR").map(PathBuf::from) else {
        let required = std::env::var("EEF_REQUIRE").unwrap_or_default();
        let asks = required.split(',').any(|word| ["jar", "java"].contains(&word.trim()));
        assert!(!asks, "EEF_SCIENCEWORLD_JAR names no jar, but EEF_REQUIRE asks");
        return None;
    };
    Some(Jar::open(&path).unwrap())
}

fn options() -> PoolOptions {
    PoolOptions {
        n_workers: 2,
        max_heap_mib: 256,
        temporary_directory: std::env::var_os("EEF_TEST_TEMPORARY").map(PathBuf::from),
        ..PoolOptions::default()
    }
}

fn game(variation: u32) -> Game {
    Game { task: "find-plant".to_owned(), variation, simplification: String::new() }
}

/// Starts two workers, says which, and lives until it is killed.
fn play() {
    let pool = WorkerPool::new(jar().unwrap(), options()).unwrap();
    let mut simulators = [pool.simulator(), pool.simulator()];
    // Each from a thread that ends: workers must outlive it.
    for (variation, simulator) in simulators.iter_mut().enumerate() {
        std::thread::scope(|scope| {
            scope.spawn(|| simulator.load(game(variation as u32)).map(drop).unwrap());
        });
    }
    std::thread::sleep(Duration::from_millis(200));
    for simulator in &mut simulators {
        assert!(!simulator.step("look around").unwrap().observation.is_empty());
    }
    let pids: Vec<String> =
        pool.workers().iter().map(|worker| worker.pid.unwrap().to_string()).collect();
    assert!(pool.workers().iter().all(|worker| worker.n_restarts == 0));
    println!("{}", pids.join(" "));
    std::thread::sleep(Duration::from_mins(2));
}

/// A program without the line: its children come here too.
fn forget() {
    match WorkerPool::new(jar().unwrap(), options()).map(|pool| pool.check()) {
        // A child of this program: it must not have children of its own.
        Err(ScienceWorldError::InsideWorker) => std::process::exit(3),
        Ok(Err(error)) => println!("{error}"),
        other => panic!("{other:?}"),
    }
}

fn as_role(role: &str, temporary: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(ROLE, role).env("EEF_TEST_TEMPORARY", temporary).stdout(Stdio::piped());
    command
}

fn tests() {
    let Some(jar) = jar() else {
        eprintln!("skipped: EEF_SCIENCEWORLD_JAR names no jar");
        return;
    };
    a_program_without_the_line_is_told_which_line(&jar);
    what_is_wrong_with_java_is_said_with_the_way_out(&jar);
    a_killed_program_leaves_no_worker_and_no_directory(&jar);
    eprintln!("host: 3 tests passed");
}

fn a_program_without_the_line_is_told_which_line(jar: &Jar) {
    let temporary = tempfile::tempdir().unwrap();
    let output = as_role("forgets", temporary.path()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("`eef_scienceworld::worker_main_if_requested();`"), "{text}");
    assert!(text.contains("exit status: 3"), "the child began workers of its own: {text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    // Other programs that are none; one of them has to be waited for.
    for (program, begins) in [("/bin/echo", "it "), ("/bin/cat", "nothing came within")] {
        let command = WorkerCommand::Path(program.into());
        let pool = WorkerPool::new(jar.clone(), PoolOptions { command, ..options() }).unwrap();
        let begun = Instant::now();
        let error = pool.check().unwrap_err();
        let ScienceWorldError::NoWorker { message, .. } = &error else { panic!("{error}") };
        assert!(message.starts_with(begins), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(15));
    }
}

fn what_is_wrong_with_java_is_said_with_the_way_out(jar: &Jar) {
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("lib/server/libjvm.so");
    let check = || {
        let java_home = Some(folder.path().to_owned());
        let pool = WorkerPool::new(jar.clone(), PoolOptions { java_home, ..options() }).unwrap();
        let error = pool.check().unwrap_err();
        assert!(matches!(error, ScienceWorldError::Java { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("JAVA_HOME") && text.lines().count() == 1, "{text}");
        text
    };
    assert!(check().contains("holds no libjvm.so"));
    std::fs::create_dir_all(library.parent().unwrap()).unwrap();
    std::fs::write(&library, "not a library").unwrap();
    assert!(check().contains("architecture"));
}

fn a_killed_program_leaves_no_worker_and_no_directory(jar: &Jar) {
    let temporary = tempfile::tempdir().unwrap();
    let mut host = as_role("plays", temporary.path()).spawn().unwrap();
    let workers = workers_of(&mut host);
    assert_eq!(workers.len(), 2);
    // One of them cannot even notice that its pipe is closed.
    let pid = rustix::process::Pid::from_raw(workers[0].cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::STOP).unwrap();
    host.kill().unwrap();
    host.wait().unwrap();
    for worker in workers {
        let begun = Instant::now();
        while is_running(worker) {
            assert!(begun.elapsed() < Duration::from_secs(10), "worker {worker} lives on");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
    // The directory is the next program's to remove.
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 1);
    let temporary_directory = Some(temporary.path().to_owned());
    let pool = WorkerPool::new(jar.clone(), PoolOptions { temporary_directory, ..options() });
    let pool = pool.unwrap();
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 1);
    drop(pool);
    assert_eq!(std::fs::read_dir(temporary.path()).unwrap().count(), 0);
}

/// The processes that a playing host names.
fn workers_of(host: &mut Child) -> Vec<u32> {
    let mut line = String::new();
    let mut stdout = BufReader::new(host.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    if line.is_empty() {
        stdout.read_to_string(&mut line).unwrap();
        panic!("the host ended: {:?}", host.wait());
    }
    line.split_whitespace().map(|pid| pid.parse().unwrap()).collect()
}

/// Whether a process runs; one that has ended and waits to be asked about does not.
fn is_running(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // After the name in parentheses comes the state.
    let state = stat.rsplit(") ").next().and_then(|rest| rest.chars().next());
    !matches!(state, None | Some('Z' | 'X'))
}
