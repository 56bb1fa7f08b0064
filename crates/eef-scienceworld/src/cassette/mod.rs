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

    /// Adds what the simulator showed at a start, if this cassette records; where it stands.
    pub(crate) fn record_start(
        &self,
        game: &Game,
        description: &str,
        state: &State,
    ) -> Result<Option<NodeId>, ScienceWorldError> {
        let (start, description) = (game.clone(), description.to_owned());
        self.record(Line::Start { start, description, state: state.clone() })
    }

    /// Adds what the simulator showed after an action, if this cassette records; where it stands.
    pub(crate) fn record_step(
        &self,
        after: NodeId,
        action: &str,
        state: &State,
    ) -> Result<Option<NodeId>, ScienceWorldError> {
        self.record(Line::Step { after, action: action.to_owned(), state: state.clone() })
    }

    fn record(&self, line: Line) -> Result<Option<NodeId>, ScienceWorldError> {
        let path = || self.0.path.clone();
        let mut tape = self.tape();
        // Another episode may have recorded it meanwhile; then both must have seen the same.
        if let Some((id, expected)) = tape.recorded(&line) {
            let found = line.shown();
            if expected == found {
                return Ok(Some(id));
            }
            let (game, at) = line.place();
            return Err(ScienceWorldError::Diverged { game, at, expected, found });
        }
        if self.0.mode != CassetteMode::Record {
            return Ok(None);
        }
        let failed = |source| ScienceWorldError::Write { path: path(), source };
        let mut bytes = serde_json::to_vec(&line).map_err(|error| failed(error.into()))?;
        bytes.push(b'\n');
        if let Some(file) = &mut tape.file {
            file.write_all(&bytes).map_err(failed)?;
        }
        let id = tape.nodes.len() as NodeId;
        let number = id as usize + 2;
        tape.add(line).map_err(|message| ScienceWorldError::Cassette {
            path: path(),
            line: number,
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

    /// What is recorded where a line belongs, if anything is.
    fn recorded(&self, line: &Line) -> Option<(NodeId, String)> {
        match line {
            Line::Start { start, .. } => {
                let (description, id) = self.starts.get(start)?;
                Some((*id, file::shown(Some(description), &self.node(*id)?.state)))
            }
            Line::Step { after, action, .. } => {
                let id = *self.node(*after)?.after.get(action)?;
                Some((id, file::shown(None, &self.node(id)?.state)))
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn episodes_that_record_the_same_at_once_share_a_state_and_others_diverge() {
        let folder = tempfile::tempdir().unwrap();
        let cassette = Cassette::open(&folder.path().join("tape"), CassetteMode::Record).unwrap();
        let game = Game { task: "boil".to_owned(), variation: 0, simplification: String::new() };
        let state = |text: &str| State {
            observation: text.to_owned(),
            score: 0.0,
            completed: false,
            moves: 0,
        };
        let record = || {
            let start = cassette.record_start(&game, "boil", &state("a room")).unwrap().unwrap();
            cassette.record_step(start, "wait", &state("later")).unwrap().unwrap()
        };
        let recorded: Vec<NodeId> = std::thread::scope(|scope| {
            let episodes: Vec<_> = (0..8).map(|_| scope.spawn(record)).collect();
            episodes.into_iter().map(|episode| episode.join().unwrap()).collect()
        });
        assert_eq!(recorded, [1; 8]);
        assert_eq!(cassette.n_states(), 2);
        let diverged = [
            cassette.record_start(&game, "melt", &state("a room")),
            cassette.record_start(&game, "boil", &state("a hall")),
            cassette.record_step(0, "wait", &state("never")),
        ];
        for diverged in diverged {
            assert!(matches!(diverged, Err(ScienceWorldError::Diverged { .. })), "{diverged:?}");
        }
        let path = cassette.0.path.clone();
        drop(cassette);
        assert_eq!(Cassette::open(&path, CassetteMode::Replay).unwrap().n_states(), 2);
    }
}
