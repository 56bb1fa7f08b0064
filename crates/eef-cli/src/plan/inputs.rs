//! The inputs of a run as far as they are there.

use std::path::Path;
use std::sync::Arc;

use eef_chat::Encoder;
use eef_core::Trajectory;
use eef_llama::LlamaConfig;
use serde::Serialize;

use crate::config::Config;
use crate::wiring::World;
use crate::{paths, wiring};

/// An input that a run cannot begin without.
#[derive(Debug, Serialize)]
pub(super) struct Missing {
    what: String,
    path: String,
    /// Why it cannot be used, where it is there.
    error: Option<String>,
    how: String,
}

/// What was found, and what was not.
#[derive(Default)]
pub(super) struct Inputs {
    pub(super) world: Option<World>,
    /// The trajectories of all expert files; nothing where one is missing.
    pub(super) experts: Option<Vec<Arc<Trajectory>>>,
    /// Teachers that are asked when the run begins.
    pub(super) teachers: Vec<String>,
    pub(super) model: Option<(LlamaConfig, Encoder)>,
    /// The shape that is reckoned with where there is no model.
    preset: Option<LlamaConfig>,
    pub(super) missing: Vec<Missing>,
}

impl Inputs {
    /// Opens what the configuration names.
    pub(super) fn read(config: &Config) -> anyhow::Result<Self> {
        let mut inputs = Self::default();
        let (data, plan) = (&config.data, &config.plan);
        if let Err(error) = eef_llama::device(&config.machine.device) {
            let how = "--device cpu, or a program and a machine with that device";
            inputs.lack("device", &config.machine.device, Some(error.to_string()), how);
        }
        let how = paths::source(&data.directory, &plan.data_source);
        inputs.world = inputs.open("data", &data.directory, &how, |_| World::open(config))?;
        inputs.read_experts(config)?;
        let (base, how) = (&config.model.base, &plan.model_source);
        inputs.model = inputs.open("base model", base, how, wiring::open_model)?;
        if !plan.model_preset.is_empty() {
            inputs.preset = Some(LlamaConfig::preset(&plan.model_preset)?);
        }
        Ok(inputs)
    }

    /// The model's shape, or that of the preset.
    pub(super) fn shape(&self) -> Option<&LlamaConfig> {
        self.model.as_ref().map(|(shape, _)| shape).or(self.preset.as_ref())
    }

    fn read_experts(&mut self, config: &Config) -> anyhow::Result<()> {
        let mut all = Some(Vec::new());
        for source in &config.data.experts {
            if wiring::is_teacher(source) {
                self.teachers.push(source.clone());
                continue;
            }
            let world = self.world.take();
            let how = paths::source(source, &config.plan.data_source);
            let read = self.open("expert trajectories", source, &how, |path| {
                let experts = eef_store::read_jsonl(path)?;
                if let Some(world) = &world {
                    wiring::check_experts(world, &experts)?;
                }
                Ok(experts)
            })?;
            self.world = world;
            all = all.zip(read).map(|(mut all, read)| {
                all.extend(read.into_iter().map(Arc::new));
                all
            });
        }
        self.experts = all;
        Ok(())
    }

    /// What a function makes of an input, or nothing and a line in the list of what is missing.
    fn open<T>(
        &mut self,
        what: &str,
        path: &str,
        how: &str,
        open: impl FnOnce(&Path) -> anyhow::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        let found = paths::find(path)?;
        if !found.exists() {
            self.lack(what, path, None, how);
            return Ok(None);
        }
        match open(&found) {
            Ok(opened) => Ok(Some(opened)),
            Err(error) => {
                self.lack(what, path, Some(sentence(&error)), how);
                Ok(None)
            }
        }
    }

    fn lack(&mut self, what: &str, path: &str, error: Option<String>, how: &str) {
        let [what, path, how] = [what, path, how].map(str::to_owned);
        self.missing.push(Missing { what, path, error, how });
    }
}

/// An error with the causes that say something new.
fn sentence(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |said, cause| match said {
        said if said.is_empty() => cause,
        said if said.contains(&cause) => said,
        said => format!("{said}: {cause}"),
    })
}

impl Missing {
    /// Lines for people.
    pub(super) fn render(&self) -> String {
        let Self { what, path, error, how } = self;
        let error = error.as_ref().map_or_else(String::new, |error| {
            format!("  cannot be used: {}\n", error.trim().replace('\n', "\n  "))
        });
        format!("missing: {what} {path}\n{error}  to get it: {how}\n")
    }
}
