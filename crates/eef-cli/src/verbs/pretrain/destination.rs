//! Where a pre-trained model goes: what may be replaced there, and how.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// All that a trained model's directory holds; a model of others has other files.
const FILES: [&str; 5] =
    ["config.json", "model.safetensors", "tokenizer.json", "eef_chat.json", "eef_training.json"];

/// How the names begin of what a training keeps in its scratch directory.
const SCRATCH: [&str; 5] = ["checkpoints", "init", "metrics", "model", "tensorboard"];

/// A directory to write a model to.
#[derive(Debug)]
pub struct Destination {
    out: PathBuf,
    force: bool,
}

/// What lies at a path.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    EmptyDirectory,
    Model,
    /// Something that is not to be touched: what shows it, as a clause.
    Other(String),
}

impl Destination {
    /// Checks, before anything is computed, that the model may be written there: nothing is there,
    /// or an empty directory, or with `force` a model that this program wrote.
    pub fn new(out: PathBuf, force: bool) -> anyhow::Result<Self> {
        if out.file_name().is_none() {
            bail!("--out {} has no name of its own: name the directory to make", out.display());
        }
        let destination = Self { out, force };
        destination.check()?;
        let replaced = destination.replaced();
        if let Found::Other(what) = found(&replaced)? {
            bail!(
                "{} is where the old model is kept until the new one is in place, and {what}: \
                 move it away, or choose another --out",
                replaced.display()
            );
        }
        destination.check_scratch()?;
        Ok(destination)
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.out
    }

    /// A directory beside it, for what an interrupted training continues from.
    pub fn scratch(&self) -> PathBuf {
        self.beside(".pretraining")
    }

    /// Puts a finished model in place. The old one, if any, is deleted only after that.
    pub fn put(&self, model: &Path) -> anyhow::Result<()> {
        let (out, replaced) = (&self.out, self.replaced());
        // What came while the model was trained is not to be touched either.
        let old = self.check().with_context(|| {
            format!("the model is finished, but cannot be moved from {}", model.display())
        })?;
        match old {
            Found::EmptyDirectory => fs::remove_dir(out)
                .with_context(|| format!("cannot remove the empty directory {}", out.display()))?,
            Found::Model => {
                remove_model(&replaced)?;
                fs::rename(out, &replaced)
                    .with_context(|| format!("cannot move {} aside", out.display()))?;
            }
            Found::Nothing | Found::Other(_) => {}
        }
        fs::rename(model, out).with_context(|| {
            format!("cannot move the model from {} to {}", model.display(), out.display())
        })?;
        remove_model(&replaced)
    }

    /// What is there, if it may be replaced.
    fn check(&self) -> anyhow::Result<Found> {
        let out = self.out.display();
        match found(&self.out)? {
            Found::Other(what) => bail!("{out} is not replaced: {what}; choose another --out"),
            Found::Model if !self.force => bail!("{out} is a model already: --force replaces it"),
            free => Ok(free),
        }
    }

    /// The scratch directory is deleted in the end: nobody else's files may be in it.
    fn check_scratch(&self) -> anyhow::Result<()> {
        let scratch = self.scratch();
        let other = names(&scratch)?
            .into_iter()
            .find(|name| SCRATCH.iter().all(|beginning| !name.starts_with(beginning)));
        if let Some(other) = other {
            bail!(
                "{} is where an unfinished training is kept, and holds other files ({other}): \
                 move it away, or choose another --out",
                scratch.display()
            );
        }
        Ok(())
    }

    fn replaced(&self) -> PathBuf {
        self.beside(".replaced")
    }

    /// The path with an ending added: one that replaced an ending would make `v1.5` and `v1.6` one.
    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = self.out.file_name().map_or_else(OsString::new, OsString::from);
        name.push(ending);
        self.out.with_file_name(name)
    }
}

fn found(path: &Path) -> anyhow::Result<Found> {
    let kind = match fs::symlink_metadata(path) {
        Ok(kind) => kind,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot look at {}", path.display()));
        }
    };
    if !kind.is_dir() {
        return Ok(Found::Other("it is no directory".to_owned()));
    }
    let names = names(path)?;
    if names.is_empty() {
        return Ok(Found::EmptyDirectory);
    }
    if let Some(other) = names.iter().find(|name| !FILES.contains(&name.as_str())) {
        return Ok(Found::Other(format!("it holds other files ({other})")));
    }
    match FILES.iter().find(|file| !path.join(file).is_file()) {
        Some(missing) => {
            Ok(Found::Other(format!("it lacks {missing}, which every model of this program has")))
        }
        None => Ok(Found::Model),
    }
}

/// What a directory holds, in order; nothing where there is none.
fn names(directory: &Path) -> anyhow::Result<Vec<String>> {
    let look = || format!("cannot look into {}", directory.display());
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(look)?,
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.with_context(look)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Deletes a directory if it is a model of this program or empty, and nothing else.
fn remove_model(path: &Path) -> anyhow::Result<()> {
    match found(path)? {
        Found::Nothing => Ok(()),
        Found::EmptyDirectory | Found::Model => {
            fs::remove_dir_all(path).with_context(|| format!("cannot remove {}", path.display()))
        }
        Found::Other(what) => bail!("{} is left where it is: {what}", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(path: &Path, weights: &str) {
        fs::create_dir_all(path).unwrap();
        for file in FILES {
            fs::write(path.join(file), weights).unwrap();
        }
    }

    #[test]
    fn a_directory_with_other_files_is_never_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("mymodels");
        let other = |out: &Path| Destination::new(out.to_owned(), true).unwrap_err().to_string();
        fs::create_dir(&out).unwrap();
        fs::write(out.join("thesis.txt"), "years of work").unwrap();
        assert!(other(&out).contains("holds other files (thesis.txt)"), "{}", other(&out));
        // Nor where a model of ours lies among them, nor a model of others.
        model(&out, "ours");
        assert!(other(&out).contains("choose another --out"));
        fs::remove_file(out.join("thesis.txt")).unwrap();
        fs::remove_file(out.join("eef_training.json")).unwrap();
        assert!(other(&out).contains("it lacks eef_training.json"), "{}", other(&out));
        let scratch = folder.path().join("new.pretraining");
        fs::create_dir(&scratch).unwrap();
        fs::write(scratch.join("metrics.jsonl"), "").unwrap();
        let new = folder.path().join("new");
        assert!(Destination::new(new.clone(), false).is_ok());
        fs::write(scratch.join("thesis.txt"), "years of work").unwrap();
        assert!(other(&new).contains("holds other files (thesis.txt)"), "{}", other(&new));
        let file = folder.path().join("file");
        fs::write(&file, "text").unwrap();
        assert!(other(&file).contains("it is no directory"), "{}", other(&file));
        for unnamed in ["..", "/", "mymodels/.."] {
            assert!(other(Path::new(unnamed)).contains("has no name of its own"), "{unnamed}");
        }
        assert_eq!(names(folder.path()).unwrap(), ["file", "mymodels", "new.pretraining"]);
    }

    #[test]
    fn a_model_of_ours_is_replaced_by_force_only() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("v1.5");
        model(&out, "old");
        let refused = Destination::new(out.clone(), false).unwrap_err().to_string();
        assert!(refused.ends_with("is a model already: --force replaces it"), "{refused}");
        let destination = Destination::new(out.clone(), true).unwrap();
        assert_eq!(destination.scratch(), folder.path().join("v1.5.pretraining"));
        let fresh = folder.path().join("fresh");
        model(&fresh, "new");
        destination.put(&fresh).unwrap();
        assert_eq!(fs::read(out.join("model.safetensors")).unwrap(), b"new");
        assert_eq!(names(folder.path()).unwrap(), ["v1.5"]);
    }

    #[test]
    fn what_comes_while_the_model_is_trained_stays() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        fs::create_dir(&out).unwrap();
        let destination = Destination::new(out.clone(), true).unwrap();
        let fresh = folder.path().join("fresh");
        model(&fresh, "new");
        fs::write(out.join("notes.txt"), "mine").unwrap();
        let refused = format!("{:#}", destination.put(&fresh).unwrap_err());
        assert!(refused.contains("cannot be moved from"), "{refused}");
        assert!(refused.contains("holds other files (notes.txt)"), "{refused}");
        assert_eq!(names(folder.path()).unwrap(), ["fresh", "out"]);
        fs::remove_file(out.join("notes.txt")).unwrap();
        destination.put(&fresh).unwrap();
        assert_eq!(names(folder.path()).unwrap(), ["out"]);
    }

    #[test]
    fn what_a_kill_left_of_the_last_replacement_goes_with_the_next() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        model(&folder.path().join("out.replaced"), "oldest");
        let fresh = folder.path().join("fresh");
        model(&fresh, "new");
        Destination::new(out.clone(), false).unwrap().put(&fresh).unwrap();
        assert_eq!(names(folder.path()).unwrap(), ["out"]);
        fs::create_dir(folder.path().join("out.replaced")).unwrap();
        fs::write(folder.path().join("out.replaced/mine.txt"), "mine").unwrap();
        let refused = Destination::new(out, true).unwrap_err().to_string();
        assert!(refused.contains("it holds other files (mine.txt): move it away"), "{refused}");
    }
}
