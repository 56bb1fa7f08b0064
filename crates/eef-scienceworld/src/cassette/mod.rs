//! Episodes on file: the simulator's answers by the actions that led to them.
//!
//! A cassette is a tree. A root is the start of a game; below each state lie the actions that were
//! tried there. Since the simulator answers alike every time, what was recorded once needs no Java
//! again: tests, and prefixes that are replayed.

mod file;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::error::ScienceWorldError;
use crate::pool::Game;
use crate::protocol::State;
use file::Line;

/// What happens where a cassette does not hold what is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CassetteMode {
    /// The simulator is asked, and its answer added to the file.
    Record,
    /// The simulator is asked, and the file stays as it is.
    Replay,
    /// An error: [`ScienceWorldError::NotRecorded`].
    RefuseOnMiss,
}

/// A recorded state's number in its cassette.
pub(crate) type NodeId = u32;

/// Recorded episodes. Cheap to clone; all clones record into one file.
#[derive(Clone, Debug)]
pub struct Cassette(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    mode: CassetteMode,
    tape: Mutex<Tape>,
}

#[derive(Debug, Default)]
struct Tape {
    /// The task's description and the first state of each game.
    starts: BTreeMap<Game, (String, NodeId)>,
    nodes: Vec<Node>,
    /// Open for appending where the cassette records.
    file: Option<File>,
}

#[derive(Debug)]
struct Node {
    state: State,
    after: BTreeMap<String, NodeId>,
}

impl Cassette {
    /// Opens a file. To record, it is made if there is none, and locked for this process.
    ///
    /// A last line that was cut off while it was written is left out, and when recording taken
    /// away.
    ///
    /// # Errors
    /// [`ScienceWorldError::Read`], [`ScienceWorldError::Cassette`] for a line that is damaged or
    /// of another jar or other flags, [`ScienceWorldError::CassetteBusy`].
    pub fn open(path: &Path, mode: CassetteMode) -> Result<Self, ScienceWorldError> {
        let mut tape = Tape::default();
        tape.file = file::open(path, mode == CassetteMode::Record, |line| tape.add(line))?;
        Ok(Self(Arc::new(Inner { path: path.to_owned(), mode, tape: Mutex::new(tape) })))
    }

    /// What happens where it does not hold what is asked.
    pub fn mode(&self) -> CassetteMode {
        self.0.mode
    }

    /// How many states it holds.
    pub fn n_states(&self) -> usize {
        self.tape().nodes.len()
    }

    /// The games of which it holds the start, in their order.
    pub fn games(&self) -> Vec<Game> {
        self.tape().starts.keys().cloned().collect()
    }

    /// The actions recorded after others, in their order; none where those were not recorded.
    pub fn actions(&self, game: &Game, actions: &[&str]) -> Vec<String> {
        let tape = self.tape();
        let mut node = tape.starts.get(game).map(|(_, node)| *node);
        for action in actions {
            node = node.and_then(|node| tape.node(node)?.after.get(*action).copied());
        }
        let found = node.and_then(|node| tape.node(node));
        found.map(|node| node.after.keys().cloned().collect()).unwrap_or_default()
    }

    /// Whether the simulator may be asked.
    pub(crate) fn allows_simulator(&self) -> bool {
        self.0.mode != CassetteMode::RefuseOnMiss
    }

    pub(crate) fn not_recorded(&self, what: String) -> ScienceWorldError {
        ScienceWorldError::NotRecorded { path: self.0.path.clone(), what }
    }

    pub(crate) fn start(&self, game: &Game) -> Option<(String, State, NodeId)> {
        let tape = self.tape();
        let (description, id) = tape.starts.get(game)?;
        Some((description.clone(), tape.node(*id)?.state.clone(), *id))
    }

    pub(crate) fn step(&self, after: NodeId, action: &str) -> Option<(State, NodeId)> {
        let tape = self.tape();
        let id = *tape.node(after)?.after.get(action)?;
        Some((tape.node(id)?.state.clone(), id))
    }

    /// Adds what the simulator showed at a start, if this cassette records.
    pub(crate) fn record_start(
        &self,
        game: &Game,
        description: &str,
        state: &State,
    ) -> Result<Option<NodeId>, ScienceWorldError> {
        let found = || self.start(game).map(|(text, state, id)| ((text, state), id));
        self.record(
            found,
            (description.to_owned(), state.clone()),
            || (format!("{game}"), "the start".to_owned()),
            || Line::Start {
                start: game.clone(),
                description: description.to_owned(),
                state: state.clone(),
            },
        )
    }

    /// Adds what the simulator showed after an action, if this cassette records.
    pub(crate) fn record_step(
        &self,
        after: NodeId,
        action: &str,
        state: &State,
    ) -> Result<Option<NodeId>, ScienceWorldError> {
        self.record(
            || self.step(after, action),
            state.clone(),
            || (format!("state {after}"), action.to_owned()),
            || Line::Step { after, action: action.to_owned(), state: state.clone() },
        )
    }

    fn record<T: PartialEq + std::fmt::Debug>(
        &self,
        find: impl Fn() -> Option<(T, NodeId)>,
        shown: T,
        place: impl Fn() -> (String, String),
        line: impl Fn() -> Line,
    ) -> Result<Option<NodeId>, ScienceWorldError> {
        // Another episode may have recorded it meanwhile; then both must have seen the same.
        if let Some((recorded, id)) = find() {
            if recorded == shown {
                return Ok(Some(id));
            }
            let (game, at) = place();
            let [expected, found] = [recorded, shown].map(|shown| format!("{shown:?}"));
            return Err(ScienceWorldError::Diverged { game, at, expected, found });
        }
        if self.0.mode != CassetteMode::Record {
            return Ok(None);
        }
        let mut tape = self.tape();
        let line = line();
        if let Some(file) = &mut tape.file {
            let failed = |source| ScienceWorldError::Write { path: self.0.path.clone(), source };
            let mut bytes = serde_json::to_vec(&line).map_err(|error| failed(error.into()))?;
            bytes.push(b'\n');
            file.write_all(&bytes).map_err(failed)?;
        }
        let id = tape.nodes.len() as NodeId;
        // It was not there a moment ago: only a race between two episodes can be refused here.
        tape.add(line).map_err(|message| ScienceWorldError::Cassette {
            path: self.0.path.clone(),
            line: id as usize + 2,
            message,
        })?;
        Ok(Some(id))
    }

    fn tape(&self) -> MutexGuard<'_, Tape> {
        self.0.tape.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tape {
    fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(id as usize)
    }

    /// Adds a line's state; what is wrong with it otherwise.
    fn add(&mut self, line: Line) -> Result<(), String> {
        let id = self.nodes.len() as NodeId;
        let state = match line {
            Line::Start { start, description, state } => {
                if self.starts.contains_key(&start) {
                    return Err(format!("{start} starts a second time"));
                }
                self.starts.insert(start, (description, id));
                state
            }
            Line::Step { after, action, state } => {
                let Some(before) = self.nodes.get_mut(after as usize) else {
                    return Err(format!("comes after state {after}, of {id} before it"));
                };
                if before.after.contains_key(&action) {
                    return Err(format!("`{action}` comes a second time after state {after}"));
                }
                before.after.insert(action, id);
                state
            }
        };
        self.nodes.push(Node { state, after: BTreeMap::new() });
        Ok(())
    }
}
