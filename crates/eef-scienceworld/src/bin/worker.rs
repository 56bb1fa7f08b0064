//! A worker for programs that do not want to be their own.
#![allow(clippy::print_stderr, reason = "told to whoever starts it by hand")]

fn main() -> std::process::ExitCode {
    eef_scienceworld::worker_main_if_requested();
    eprintln!("eef-scienceworld-worker is started by a program that uses eef-scienceworld");
    std::process::ExitCode::FAILURE
}
