//! `pretrain`: what may be replaced, and what stays.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod common;

use std::path::Path;
use std::process::Output;

use common::{eef, fixtures};

/// A model that is made in a moment.
fn pretrain(folder: &Path, more: &[&str]) -> Output {
    let mut command = eef("pretrain");
    let settings = [
        "pretrain.n_transcripts=16",
        "pretrain.batch_size=8",
        "pretrain.hidden_size=64",
        "pretrain.intermediate_size=64",
        "pretrain.n_layers=1",
        "pretrain.n_heads=2",
        "pretrain.n_kv_heads=1",
    ];
    for setting in settings {
        command.args(["--set", setting]);
    }
    command.args(more).env_remove("EEF_FIXTURES").current_dir(folder).output().unwrap()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_directory_with_other_files_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("mymodels");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("thesis.txt"), "years of work").unwrap();
    for more in [&["--out", "mymodels"][..], &["--out", "mymodels", "--force"]] {
        let output = pretrain(folder.path(), more);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            text(&output.stderr),
            "error: mymodels is not replaced: it holds other files (thesis.txt); choose another \
             --out\n"
        );
        assert_eq!(names(folder.path()), ["mymodels"]);
        assert_eq!(std::fs::read(out.join("thesis.txt")).unwrap(), b"years of work");
    }
}

#[test]
fn a_model_that_this_verb_wrote_is_replaced_by_force_only() {
    if fixtures().is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let weights = || std::fs::read(folder.path().join("base/model.safetensors")).unwrap();
    let output = pretrain(folder.path(), &["--out", "base"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let first = weights();
    assert_eq!(names(folder.path()), ["base"]);

    let output = pretrain(folder.path(), &["--out", "base", "--set", "seed=2"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text(&output.stderr), "error: base is a model already: --force replaces it\n");
    assert!(weights() == first);

    let output = pretrain(folder.path(), &["--out", "base", "--set", "seed=2", "--force"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(weights() != first, "another seed draws other weights");
    assert_eq!(names(folder.path()), ["base"]);
}
