//! Which tokens lie in which block: a prefix tree whose nodes are blocks.

use std::collections::{BTreeMap, BTreeSet};

use crate::generate::pool::{BlockId, Pool};
use crate::ops::simd::LANES;

/// The keys and values of all sequences, within a budget.
///
/// Full blocks are nodes of a prefix tree and never change: whoever has the same tokens up to their
/// end holds the same block. Blocks being filled belong to one sequence; where it pauses, the last
/// of them becomes a leaf with fewer tokens. What nobody holds stays until the memory is needed, and
/// then goes leaf by leaf, least recently used first.
#[derive(Debug)]
pub(crate) struct BlockTree {
    pub(crate) pool: Pool,
    nodes: BTreeMap<BlockId, Node>,
    roots: BTreeMap<Vec<u32>, BlockId>,
    /// Leaves that nobody holds, by when they were used.
    evictable: BTreeSet<(u64, BlockId)>,
    clock: u64,
    /// Blocks that some sequence holds or fills.
    n_pinned: usize,
}

#[derive(Debug)]
struct Node {
    /// At most [`LANES`]; fewer in a leaf that a paused sequence left.
    tokens: Vec<u32>,
    parent: Option<BlockId>,
    children: BTreeMap<Vec<u32>, BlockId>,
    /// Sequences whose path goes through it.
    n_holders: usize,
    last_used: u64,
}

/// The blocks of one sequence that runs.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// Its blocks in order: first `n_shared` full ones in the tree, then its own.
    pub(crate) blocks: Vec<BlockId>,
    pub(crate) n_shared: usize,
    /// Positions for which every layer has keys and values.
    pub(crate) n_positions: usize,
}

/// What the tree has of a sequence's beginning.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// Full blocks from the first.
    pub(crate) path: Vec<BlockId>,
    /// What fits of a block after them.
    pub(crate) partial: Option<Partial>,
}

/// The beginning of a block, to be copied.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Partial {
    pub(crate) block: BlockId,
    pub(crate) n_positions: usize,
}

impl Found {
    /// Positions that need not be computed.
    pub(crate) fn n_positions(&self) -> usize {
        self.path.len() * LANES + self.partial.map_or(0, |partial| partial.n_positions)
    }
}

impl BlockTree {
    pub(crate) fn new(pool: Pool) -> Self {
        Self {
            pool,
            nodes: BTreeMap::new(),
            roots: BTreeMap::new(),
            evictable: BTreeSet::new(),
            clock: 0,
            n_pinned: 0,
        }
    }

    /// Blocks that cannot be evicted.
    pub(crate) fn n_pinned(&self) -> usize {
        self.n_pinned
    }

    /// How many of these blocks nobody holds yet.
    pub(crate) fn n_unheld(&self, path: &[BlockId]) -> usize {
        path.iter().filter(|block| self.nodes[*block].n_holders == 0).count()
    }

    /// Forgets everything; no sequence may hold a block.
    pub(crate) fn clear(&mut self) {
        self.pool.clear();
        self.nodes.clear();
        self.roots.clear();
        self.evictable.clear();
        (self.clock, self.n_pinned) = (0, 0);
    }

    /// The longest beginning of these tokens that the tree has.
    pub(crate) fn find(&self, tokens: &[u32]) -> Found {
        let mut found = Found::default();
        let mut rest = tokens;
        while let Some((head, behind)) = rest.split_at_checked(LANES) {
            let Some(child) = self.children(found.path.last()).get(head) else { break };
            found.path.push(*child);
            rest = behind;
        }
        for (key, block) in self.children(found.path.last()) {
            let n_positions = n_common(key, rest);
            if n_positions > found.partial.map_or(0, |best| best.n_positions) {
                found.partial = Some(Partial { block: *block, n_positions });
            }
        }
        found
    }

    /// Lets a sequence hold full blocks that follow its own.
    pub(crate) fn hold(&mut self, held: &mut Held, path: &[BlockId]) {
        for block in path.iter().skip(held.n_shared) {
            let Some(node) = self.nodes.get_mut(block) else { return };
            if node.n_holders == 0 {
                self.n_pinned += 1;
                self.evictable.remove(&(node.last_used, *block));
            }
            node.n_holders += 1;
            held.blocks.push(*block);
            held.n_shared += 1;
            held.n_positions += LANES;
        }
    }

    /// Gives a sequence the beginning of a block as one of its own; `resumes` takes the block of a
    /// paused sequence out of the tree instead of copying it.
    pub(crate) fn begin_with(&mut self, held: &mut Held, partial: Partial, resumes: bool) {
        let Partial { block: source, n_positions } = partial;
        let is_whole = |node: &Node| node.tokens.len() == n_positions && n_positions < LANES;
        let own = if resumes && self.nodes.get(&source).is_some_and(is_whole) {
            self.remove(source);
            source
        } else {
            // Where the source itself had to be evicted, its contents are in place already.
            let own = self.take();
            self.pool.copy(source, own);
            own
        };
        self.n_pinned += 1;
        held.blocks.push(own);
        held.n_positions += n_positions;
    }

    /// Gives a sequence blocks for this many positions more.
    pub(crate) fn extend(&mut self, held: &mut Held, n: usize) {
        while held.blocks.len() < (held.n_positions + n).div_ceil(LANES) {
            let block = self.take();
            self.n_pinned += 1;
            held.blocks.push(block);
        }
    }

    /// Says that every layer has been given this many more positions of a sequence. Blocks that
    /// they filled are shared from now on; where the tree has one already, that one is used.
    pub(crate) fn advance(&mut self, held: &mut Held, n: usize, tokens: &[u32]) {
        held.n_positions += n;
        while (held.n_shared + 1) * LANES <= held.n_positions {
            let at = held.n_shared;
            let own = held.blocks[at];
            let parent = at.checked_sub(1).map(|before| held.blocks[before]);
            let key = &tokens[at * LANES..(at + 1) * LANES];
            if let Some(known) = self.children(parent.as_ref()).get(key).copied() {
                self.pool.give(own);
                self.n_pinned -= 1;
                if let Some(node) = self.nodes.get_mut(&known) {
                    if node.n_holders == 0 {
                        self.n_pinned += 1;
                        self.evictable.remove(&(node.last_used, known));
                    }
                    node.n_holders += 1;
                }
                held.blocks[at] = known;
            } else {
                self.insert(own, parent, key, 1);
            }
            held.n_shared += 1;
        }
    }

    /// Lets go of a sequence's blocks. They stay until memory is needed.
    pub(crate) fn pause(&mut self, held: &Held, tokens: &[u32]) {
        self.clock += 1;
        let path = &held.blocks[..held.n_shared];
        for own in &held.blocks[held.n_shared..] {
            self.n_pinned -= 1;
            let key = &tokens[held.n_shared * LANES..held.n_positions];
            if key.is_empty() || self.children(path.last()).contains_key(key) {
                self.pool.give(*own);
            } else {
                self.insert(*own, path.last().copied(), key, 0);
                self.evictable.insert((self.clock, *own));
            }
        }
        for block in path.iter().rev() {
            let Some(node) = self.nodes.get_mut(block) else { continue };
            node.n_holders -= 1;
            if node.n_holders == 0 {
                self.n_pinned -= 1;
                node.last_used = self.clock;
                if node.children.is_empty() {
                    self.evictable.insert((self.clock, *block));
                }
            }
        }
    }

    fn children(&self, parent: Option<&BlockId>) -> &BTreeMap<Vec<u32>, BlockId> {
        parent.and_then(|parent| self.nodes.get(parent)).map_or(&self.roots, |node| &node.children)
    }

    fn children_mut(&mut self, parent: Option<BlockId>) -> &mut BTreeMap<Vec<u32>, BlockId> {
        match parent.and_then(|parent| self.nodes.get_mut(&parent)) {
            Some(node) => &mut node.children,
            None => &mut self.roots,
        }
    }

    fn insert(&mut self, block: BlockId, parent: Option<BlockId>, key: &[u32], n_holders: usize) {
        self.children_mut(parent).insert(key.to_vec(), block);
        let (tokens, children, last_used) = (key.to_vec(), BTreeMap::new(), self.clock);
        self.nodes.insert(block, Node { tokens, parent, children, n_holders, last_used });
    }

    /// Takes an unheld leaf out of the tree; its block is the caller's.
    fn remove(&mut self, block: BlockId) {
        let Some(node) = self.nodes.remove(&block) else { return };
        self.evictable.remove(&(node.last_used, block));
        self.children_mut(node.parent).remove(&node.tokens);
        if let Some(parent) = node.parent
            && let Some(above) = self.nodes.get(&parent)
            && above.n_holders == 0
            && above.children.is_empty()
        {
            self.evictable.insert((above.last_used, parent));
        }
    }

    /// A block, where need be the least recently used one. Admission has seen to it that one can
    /// be had.
    fn take(&mut self) -> BlockId {
        if !self.pool.has_room()
            && let Some((_, block)) = self.evictable.first().copied()
        {
            self.remove(block);
            return block;
        }
        self.pool.take()
    }
}

/// How many tokens two sequences have in common from the first.
pub(crate) fn n_common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
