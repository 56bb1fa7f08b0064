//! What every verb starts with: configuration, progress, interruption.

use eef_core::{Control, Interrupt};

use crate::arguments::Global;
use crate::config::{self, Config, Source};
use crate::progress::Renderer;

/// What every verb starts with.
pub struct Context {
    /// As given.
    pub global: Global,
    /// Shows progress.
    pub progress: Renderer,
    /// Set by Ctrl-C.
    pub interrupt: Interrupt,
}

impl Context {
    /// The configuration, with what the command line overrides.
    pub fn config(&self) -> anyhow::Result<Config> {
        let source = self.global.config.clone().map_or(Source::Embedded, Source::File);
        let mut config = config::load(&source, &self.global.overrides)?;
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
