//! Tells the program which revision it is built from, where that can be known.
//!
//! Whether files were changed since that revision is not told: the answer would be that of the last
//! time this script ran, and it runs only when the revision changes.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    // Once a file is named, cargo no longer runs this script for every changed source.
    println!("cargo::rerun-if-changed=build.rs");
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // A packaged crate lies in no checkout of ours; git would find whichever it was unpacked in.
    let is_checkout = checkout.join(".git").exists();
    let revision =
        is_checkout.then(|| git(&checkout, &["rev-parse", "--verify", "HEAD"])).flatten();
    if revision.is_some() {
        for file in moved_with_head(&checkout) {
            println!("cargo::rerun-if-changed={}", file.display());
        }
    }
    let revision = revision.as_deref().unwrap_or("unknown");
    println!("cargo::rustc-env=EEF_GIT_REVISION={revision}");
}

/// The files of which one changes whenever HEAD comes to name another revision. Only those that
/// exist: a missing one would make every build a new one.
fn moved_with_head(checkout: &Path) -> Vec<PathBuf> {
    let branch = git(checkout, &["symbolic-ref", "--quiet", "HEAD"]);
    let names = ["HEAD", "logs/HEAD", "packed-refs"].into_iter().chain(branch.as_deref());
    let places = names.filter_map(|name| git(checkout, &["rev-parse", "--git-path", name]));
    places.map(|place| checkout.join(place)).filter(|place| place.exists()).collect()
}

/// What git prints, without the end of the line; nothing where git is missing or refuses.
fn git(checkout: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(checkout).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
