//! Rows of the table `trajectory` and its companion `tokens`.

use eef_core::{Origin, Outcome, Parent, Reward, TaskId, Trajectory, TrajectoryId};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::body::{self, Body};
use super::errors::failed;
use crate::checksum::{Hasher, end_code, end_of_code, split_code, split_of_code};
use crate::record::RECORD_VERSION;
use crate::{Checksum, StoreError};

/// The columns in the order in which `TrajectoryRow` reads, writes and hashes them.
pub(super) const COLUMNS: &str = "id, environment, split, task_index, expert, round, sample, \
     parent, n_replayed, n_actions, n_expert_actions, episode_end, reward, record_version, \
     n_shared, body_length, body, has_tokens, content_checksum, checksum";

/// A row as it lies in the file.
pub(super) struct TrajectoryRow {
    pub(super) id: [u8; 16],
    environment: String,
    split: i64,
    task_index: i64,
    expert: Option<String>,
    round: i64,
    sample: i64,
    pub(super) parent: Option<[u8; 16]>,
    n_replayed: i64,
    n_actions: i64,
    n_expert_actions: i64,
    episode_end: i64,
    reward: f64,
    record_version: u32,
    /// Leading steps taken from the stored parent; `None` where the body is complete.
    pub(super) n_shared: Option<i64>,
    body: Body,
    pub(super) has_tokens: bool,
    pub(super) content_checksum: Checksum,
    pub(super) checksum: Checksum,
}

impl TrajectoryRow {
    /// A trajectory's row and tokens; with the parent's help where that is stored.
    pub(super) fn encode(
        trajectory: &Trajectory,
        content_checksum: Checksum,
        parent: Option<&Trajectory>,
    ) -> Result<(Self, Option<TokensRow>), StoreError> {
        let invalid = |reason| StoreError::Invalid { id: trajectory.id, reason };
        let from = parent.map_or(0, |parent| body::n_shared(trajectory, parent));
        let tokens = body::encode_tokens(trajectory, from).map_err(invalid)?;
        let (expert, sample, parent_id) = match &trajectory.origin {
            Origin::Expert { name } => (Some(name.to_string()), 0, None),
            Origin::Rollout { sample, parent, .. } => {
                let parent_id = parent.map(|parent| *parent.trajectory.as_bytes());
                (None, i64::from(*sample), parent_id)
            }
        };
        let mut row = Self {
            id: *trajectory.id.as_bytes(),
            environment: trajectory.task.environment().to_owned(),
            split: split_code(trajectory.task.split()),
            task_index: i64::from(trajectory.task.index()),
            expert,
            round: i64::from(trajectory.origin.round()),
            sample,
            parent: parent_id,
            n_replayed: trajectory.n_replayed() as i64,
            n_actions: trajectory.n_actions() as i64,
            n_expert_actions: trajectory.n_expert_actions() as i64,
            episode_end: end_code(trajectory.outcome.end),
            reward: trajectory.outcome.reward.get() + 0.0,
            record_version: RECORD_VERSION,
            n_shared: parent.map(|_| from as i64),
            body: body::encode_texts(trajectory, parent, from).map_err(invalid)?,
            has_tokens: tokens.is_some(),
            content_checksum,
            checksum: content_checksum,
        };
        row.checksum = row.computed_checksum();
        let tokens = tokens.map(|tokens| TokensRow::new(row.id, tokens));
        Ok((row, tokens))
    }

    /// Reads the columns of `COLUMNS`.
    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            environment: row.get(1)?,
            split: row.get(2)?,
            task_index: row.get(3)?,
            expert: row.get(4)?,
            round: row.get(5)?,
            sample: row.get(6)?,
            parent: row.get(7)?,
            n_replayed: row.get(8)?,
            n_actions: row.get(9)?,
            n_expert_actions: row.get(10)?,
            episode_end: row.get(11)?,
            reward: row.get(12)?,
            record_version: row.get(13)?,
            n_shared: row.get(14)?,
            body: Body { length: row.get(15)?, compressed: row.get(16)? },
            has_tokens: row.get(17)?,
            content_checksum: Checksum::from_bytes(row.get(18)?),
            checksum: Checksum::from_bytes(row.get(19)?),
        })
    }

    pub(super) fn find(
        connection: &Connection,
        id: &TrajectoryId,
    ) -> Result<Option<Self>, StoreError> {
        let row = connection
            .prepare_cached(&format!("SELECT {COLUMNS} FROM trajectory WHERE id = ?1"))
            .and_then(|mut find| find.query_row([id.as_bytes()], Self::read).optional())
            .map_err(failed("reading a trajectory"))?;
        row.map(Self::verified).transpose()
    }

    pub(super) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached(&format!(
            "INSERT INTO trajectory ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, \
             ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)"
        ))?;
        insert.execute(params![
            self.id,
            self.environment,
            self.split,
            self.task_index,
            self.expert,
            self.round,
            self.sample,
            self.parent,
            self.n_replayed,
            self.n_actions,
            self.n_expert_actions,
            self.episode_end,
            self.reward,
            self.record_version,
            self.n_shared,
            self.body.length,
            self.body.compressed,
            self.has_tokens,
            self.content_checksum.as_bytes(),
            self.checksum.as_bytes(),
        ])?;
        Ok(())
    }

    /// The row, if it is what was written.
    pub(super) fn verified(self) -> Result<Self, StoreError> {
        verify(self.checksum, self.computed_checksum(), || self.location())?;
        Ok(self)
    }

    pub(super) fn location(&self) -> String {
        format!("table trajectory, row {}", TrajectoryId::from_bytes(self.id))
    }

    /// The trajectory, given what it shares and its tokens.
    pub(super) fn decode(
        &self,
        tokens: Option<&TokensRow>,
        parent: Option<&Trajectory>,
    ) -> Result<Trajectory, StoreError> {
        if self.record_version > RECORD_VERSION {
            return Err(StoreError::NewerFormat {
                location: self.location(),
                found: self.record_version,
                supported: RECORD_VERSION,
            });
        }
        let trajectory = self
            .assemble(tokens, parent)
            .map_err(|detail| StoreError::damaged(self.location(), detail))?;
        verify(self.content_checksum, Checksum::of(&trajectory), || self.location())?;
        Ok(trajectory)
    }

    fn assemble(
        &self,
        tokens: Option<&TokensRow>,
        parent: Option<&Trajectory>,
    ) -> Result<Trajectory, String> {
        let shared = match (self.n_shared, parent) {
            (None, _) => None,
            (Some(n), Some(parent)) => Some((parent, n as usize)),
            (Some(n), None) => return Err(format!("its parent, with {n} of its steps, is gone")),
        };
        let mut texts = body::decode_texts(&self.body, shared)?;
        match (self.has_tokens, tokens) {
            (true, Some(tokens)) => body::decode_tokens(&tokens.body, &mut texts.steps)?,
            (true, None) => return Err("its tokens are gone".to_owned()),
            (false, _) => {}
        }
        let split =
            split_of_code(self.split).ok_or_else(|| format!("unknown split {}", self.split))?;
        let end = end_of_code(self.episode_end)
            .ok_or_else(|| format!("unknown end of an episode {}", self.episode_end))?;
        let number = |value: i64| u32::try_from(value).map_err(|error| error.to_string());
        let origin = match &self.expert {
            Some(name) => Origin::Expert { name: name.as_str().into() },
            None => Origin::Rollout {
                round: number(self.round)?,
                sample: number(self.sample)?,
                parent: self.parent.map(|id| Parent {
                    trajectory: TrajectoryId::from_bytes(id),
                    n_actions: self.n_replayed as usize,
                }),
            },
        };
        Ok(Trajectory {
            id: TrajectoryId::from_bytes(self.id),
            task: TaskId::new(self.environment.as_str(), split, number(self.task_index)?),
            instruction: texts.instruction,
            first_observation: texts.first_observation,
            steps: texts.steps,
            origin,
            outcome: Outcome {
                end,
                reward: Reward::new(self.reward).map_err(|error| error.to_string())?,
            },
        })
    }

    fn computed_checksum(&self) -> Checksum {
        let mut hasher = Hasher::new("row of trajectory");
        hasher.bytes(&self.id);
        hasher.text(&self.environment);
        hasher.integer(self.split);
        hasher.integer(self.task_index);
        match &self.expert {
            None => hasher.none(),
            Some(expert) => hasher.text(expert),
        }
        hasher.integer(self.round);
        hasher.integer(self.sample);
        match &self.parent {
            None => hasher.none(),
            Some(parent) => hasher.bytes(parent),
        }
        hasher.integer(self.n_replayed);
        hasher.integer(self.n_actions);
        hasher.integer(self.n_expert_actions);
        hasher.integer(self.episode_end);
        hasher.real(self.reward);
        hasher.integer(i64::from(self.record_version));
        match self.n_shared {
            None => hasher.none(),
            Some(n_shared) => hasher.integer(n_shared),
        }
        hasher.integer(self.body.length);
        hasher.bytes(&self.body.compressed);
        hasher.integer(i64::from(self.has_tokens));
        hasher.bytes(self.content_checksum.as_bytes());
        hasher.finish()
    }
}

/// A row of the table `tokens`.
pub(super) struct TokensRow {
    pub(super) id: [u8; 16],
    body: Body,
    pub(super) checksum: Checksum,
}

impl TokensRow {
    pub(super) const COLUMNS: &str = "trajectory, body_length, body, checksum";

    fn new(id: [u8; 16], body: Body) -> Self {
        let mut row = Self { id, body, checksum: Checksum::from_bytes([0; 16]) };
        row.checksum = row.computed_checksum();
        row
    }

    pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            body: Body { length: row.get(1)?, compressed: row.get(2)? },
            checksum: Checksum::from_bytes(row.get(3)?),
        })
    }

    pub(super) fn find(connection: &Connection, id: &[u8; 16]) -> Result<Option<Self>, StoreError> {
        let columns = Self::COLUMNS;
        let row = connection
            .prepare_cached(&format!("SELECT {columns} FROM tokens WHERE trajectory = ?1"))
            .and_then(|mut find| find.query_row([id], Self::read).optional())
            .map_err(failed("reading tokens"))?;
        row.map(Self::verified).transpose()
    }

    pub(super) fn insert(&self, connection: &Connection) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached("INSERT INTO tokens VALUES (?1, ?2, ?3, ?4)")?;
        let (length, bytes) = (self.body.length, &self.body.compressed);
        insert.execute(params![self.id, length, bytes, self.checksum.as_bytes()])?;
        Ok(())
    }

    pub(super) fn verified(self) -> Result<Self, StoreError> {
        verify(self.checksum, self.computed_checksum(), || {
            format!("table tokens, row {}", TrajectoryId::from_bytes(self.id))
        })?;
        Ok(self)
    }

    fn computed_checksum(&self) -> Checksum {
        let mut hasher = Hasher::new("row of tokens");
        hasher.bytes(&self.id);
        hasher.integer(self.body.length);
        hasher.bytes(&self.body.compressed);
        hasher.finish()
    }
}

/// Compares a stored checksum with the one computed from what was read.
pub(super) fn verify(
    stored: Checksum,
    computed: Checksum,
    location: impl Fn() -> String,
) -> Result<(), StoreError> {
    if stored == computed {
        return Ok(());
    }
    let detail = format!("its checksum is {stored}, its content has {computed}");
    Err(StoreError::damaged(location(), detail))
}
