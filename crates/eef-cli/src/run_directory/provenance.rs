//! With what a run was made.

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::wiring;

/// The revision of the checkout that this program was built in (see `build.rs`).
const REVISION: &str = env!("EEF_GIT_REVISION");

/// With what a run was begun; written beside its configuration. What an older program did not
/// write is left empty when its file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The program and its version.
    pub program: String,
    /// The revision that it was built from.
    pub git_revision: Option<String>,
    /// The run's seed.
    pub seed: u64,
    /// What computes.
    pub device: String,
    /// The processor's features by which kernels choose their instructions.
    pub cpu_features: Option<Vec<String>>,
    /// Worker threads.
    pub n_workers: Option<usize>,
    /// The operating system.
    pub operating_system: String,
    /// The processor's architecture.
    pub architecture: String,
    /// Cores of the machine.
    pub n_cores: usize,
}

impl Provenance {
    /// What a run of this configuration is made with now.
    pub fn of(config: &Config) -> Self {
        let features = eef_llama::cpu_features();
        Self {
            program: format!("eef-cli {}", env!("CARGO_PKG_VERSION")),
            git_revision: Some(REVISION.to_owned()).filter(|revision| revision != "unknown"),
            seed: config.seed,
            device: config.machine.device.clone(),
            cpu_features: Some(features.into_iter().map(str::to_owned).collect()),
            n_workers: Some(wiring::n_workers(config)),
            operating_system: std::env::consts::OS.to_owned(),
            architecture: std::env::consts::ARCH.to_owned(),
            n_cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }

    /// As names and values for people.
    pub fn lines(&self) -> Vec<(String, String)> {
        let revision =
            self.git_revision.as_ref().map_or(String::new(), |text| format!(" ({text})"));
        let features = self.cpu_features.as_ref().map_or(String::new(), |all| all.join(" "));
        let Self { program, operating_system, architecture, n_cores, device, .. } = self;
        vec![
            ("program".to_owned(), format!("{program}{revision}")),
            (
                "machine".to_owned(),
                format!("{n_cores} cores, {architecture} {operating_system}, {features}; {device}"),
            ),
        ]
    }

    /// What differs between this and `now` that decides about bytes, in a line. What one of them
    /// does not know is no difference.
    pub fn difference(&self, now: &Self) -> Option<String> {
        let joined = |of: &Self| of.cpu_features.as_ref().map(|features| features.join(" "));
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let parts = [
            ("the program", given(&self.program), given(&now.program)),
            ("its revision", self.git_revision.clone(), now.git_revision.clone()),
            ("the architecture", given(&self.architecture), given(&now.architecture)),
            ("the processor's features", joined(self), joined(now)),
        ];
        let differences: Vec<String> = parts
            .into_iter()
            .filter_map(|(what, then, now)| match (then, now) {
                (Some(then), Some(now)) if then != now => Some(format!("{what}: {then} / {now}")),
                _ => None,
            })
            .collect();
        (!differences.is_empty()).then(|| differences.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun() -> Provenance {
        Provenance {
            program: "eef-cli 0.1.0".to_owned(),
            git_revision: Some("aaaa".to_owned()),
            cpu_features: Some(vec!["avx2".to_owned(), "fma".to_owned()]),
            architecture: "x86_64".to_owned(),
            n_workers: Some(2),
            ..Provenance::default()
        }
    }

    #[test]
    fn what_decides_about_bytes_is_compared_and_the_rest_is_not() {
        assert_eq!(begun().difference(&begun()), None);
        let more_workers = Provenance { n_workers: Some(9), n_cores: 64, ..begun() };
        assert_eq!(begun().difference(&more_workers), None);
        let wider = Provenance {
            git_revision: Some("bbbb".to_owned()),
            cpu_features: Some(vec!["avx2".to_owned()]),
            ..begun()
        };
        assert_eq!(
            begun().difference(&wider).unwrap(),
            "its revision: aaaa / bbbb; the processor's features: avx2 fma / avx2"
        );
    }

    #[test]
    fn what_an_older_program_did_not_write_is_no_difference() {
        let old = r#"{"program": "eef-cli 0.1.0", "git_revision": null, "seed": 1}"#;
        let old: Provenance = serde_json::from_str(old).unwrap();
        assert_eq!(old.difference(&begun()), None);
        assert!(
            begun().difference(&Provenance { program: "eef-cli 0.2.0".into(), ..old }).is_some()
        );
    }
}
