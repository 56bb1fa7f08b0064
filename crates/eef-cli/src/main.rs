//! Tunes LLM agents by exploring expert failures.
fn main() {}
