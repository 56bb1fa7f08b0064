//! Incidents as stored.

use eef_core::{Incident, IncidentKind, Observation};
use serde::{Deserialize, Serialize};

use crate::checksum::Hasher;

/// What a row keeps of an incident's kind.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum KindRecord {
    Diverged { at_action: usize, expected: String, found: String },
    EnvironmentError { message: String },
}

impl From<&IncidentKind> for KindRecord {
    fn from(kind: &IncidentKind) -> Self {
        match kind {
            IncidentKind::Diverged { at_action, expected, found } => Self::Diverged {
                at_action: *at_action,
                expected: expected.as_str().to_owned(),
                found: found.as_str().to_owned(),
            },
            IncidentKind::EnvironmentError { message } => {
                Self::EnvironmentError { message: message.clone() }
            }
        }
    }
}

impl From<KindRecord> for IncidentKind {
    fn from(record: KindRecord) -> Self {
        match record {
            KindRecord::Diverged { at_action, expected, found } => Self::Diverged {
                at_action,
                expected: Observation::new(expected),
                found: Observation::new(found),
            },
            KindRecord::EnvironmentError { message } => Self::EnvironmentError { message },
        }
    }
}

pub(crate) fn hash(incident: &Incident, hasher: &mut Hasher) {
    hasher.bytes(incident.job.as_bytes());
    hasher.text(&incident.task.to_string());
    match &incident.kind {
        IncidentKind::Diverged { at_action, expected, found } => {
            hasher.integer(*at_action as i64);
            hasher.text(expected.as_str());
            hasher.text(found.as_str());
        }
        IncidentKind::EnvironmentError { message } => hasher.text(message),
    }
}
