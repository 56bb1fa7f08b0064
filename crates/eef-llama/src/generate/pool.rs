use burn::tensor::{DType, Device};

use crate::generate::device::DeviceMemory;
use crate::ops::Heads;
use crate::ops::simd::LANES;

/// Names a block of a [`Pool`].
pub(crate) type BlockId = usize;

/// Rows of one sequence within a step: the first stands at `position` of the sequence whose keys
/// and values lie in `blocks`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Span<'a> {
    pub(crate) blocks: &'a [BlockId],
    pub(crate) position: usize,
    pub(crate) n_rows: usize,
}

impl Span<'_> {
    pub(crate) fn positions(&self) -> std::ops::Range<usize> {
        self.position..self.position + self.n_rows
    }
}

/// Memory for keys and values, in blocks of [`LANES`] positions: which blocks are free, and where
/// their contents lie.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) memory: Memory,
    free: Vec<BlockId>,
    n_taken: usize,
    max_blocks: usize,
    block_bytes: usize,
}

/// Where the contents of blocks lie.
#[derive(Debug)]
pub(crate) enum Memory {
    Host(HostMemory),
    Device(DeviceMemory),
}

impl Pool {
    /// No blocks yet, and at most as many as fit into `max_bytes`: on the host, or on a device in
    /// a precision of its own.
    pub(crate) fn new(
        n_layers: usize,
        heads: Heads,
        device: Option<(&Device, DType)>,
        max_bytes: usize,
    ) -> Self {
        let row_width = heads.n_key_value * heads.dim;
        let memory = match device {
            None => Memory::Host(HostMemory { blocks: Vec::new(), row_width, n_layers }),
            Some((device, dtype)) => {
                Memory::Device(DeviceMemory::new(n_layers, row_width, dtype, device))
            }
        };
        let value_bytes = device.map_or(size_of::<f32>(), |(_, dtype)| dtype.size());
        let block_bytes = block_values(n_layers, heads) * value_bytes;
        let max_blocks = max_bytes / block_bytes;
        Self { memory, free: Vec::new(), n_taken: 0, max_blocks, block_bytes }
    }

    /// Bytes of one block.
    pub(crate) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// Most blocks that the budget has room for.
    pub(crate) fn max_blocks(&self) -> usize {
        self.max_blocks
    }

    /// Bytes of the blocks in memory, free ones too.
    pub(crate) fn n_bytes(&self) -> usize {
        let n_blocks = match &self.memory {
            Memory::Host(memory) => memory.blocks.len(),
            Memory::Device(memory) => memory.n_blocks(),
        };
        n_blocks * self.block_bytes
    }

    /// Whether a block can be taken without going beyond the budget.
    pub(crate) fn has_room(&self) -> bool {
        !self.free.is_empty() || self.n_taken < self.max_blocks
    }

    /// A block whose contents are whatever they were.
    pub(crate) fn take(&mut self) -> BlockId {
        self.free.pop().unwrap_or_else(|| {
            self.n_taken += 1;
            match &mut self.memory {
                Memory::Host(memory) => memory.grow(),
                // Growing moves everything: it is done by doubling, up to the budget.
                Memory::Device(memory) if memory.n_blocks() < self.n_taken => {
                    let doubled = (2 * memory.n_blocks()).max(FEWEST_DEVICE_BLOCKS);
                    memory.grow(doubled.min(self.max_blocks).max(self.n_taken));
                }
                Memory::Device(_) => {}
            }
            self.n_taken - 1
        })
    }

    /// Gives a block back.
    pub(crate) fn give(&mut self, block: BlockId) {
        self.free.push(block);
    }

    /// Takes all blocks back. On a device their memory is kept for others: it would only be asked
    /// for again, piece by piece.
    pub(crate) fn clear(&mut self) {
        (self.free, self.n_taken) = (Vec::new(), 0);
        match &mut self.memory {
            Memory::Host(memory) => memory.blocks = Vec::new(),
            Memory::Device(_) => {}
        }
    }

    pub(crate) fn copy(&mut self, from: BlockId, to: BlockId) {
        match &mut self.memory {
            Memory::Host(memory) => memory.copy(from, to),
            // Where the source itself was taken, its contents are in place already.
            Memory::Device(memory) if from != to => memory.copy(from, to),
            Memory::Device(_) => {}
        }
    }
}

/// Blocks that a device makes room for at first.
const FEWEST_DEVICE_BLOCKS: usize = 64;

/// Numbers that a block holds.
pub(crate) fn block_values(n_layers: usize, heads: Heads) -> usize {
    n_layers * 2 * LANES * heads.n_key_value * heads.dim
}

/// Blocks in the host's memory, where our own kernels read them.
///
/// A block holds its positions for every layer, one layer after the other. Within a layer come the
/// keys, `[head][column][position]`, so that a query's scores for a block are computed side by
/// side, and then the values, `[position][head][column]`.
#[derive(Debug)]
pub(crate) struct HostMemory {
    blocks: Vec<Vec<f32>>,
    /// `n_key_value * dim`
    row_width: usize,
    n_layers: usize,
}

impl HostMemory {
    fn grow(&mut self) {
        self.blocks.push(vec![0.0; self.n_layers * self.layer_width()]);
    }

    fn copy(&mut self, from: BlockId, to: BlockId) {
        if let Ok([from, to]) = self.blocks.get_disjoint_mut([from, to]) {
            to.copy_from_slice(from);
        }
    }

    /// Keys and values of one layer.
    pub(crate) fn layer(&self, block: BlockId, layer: usize) -> (&[f32], &[f32]) {
        let width = self.layer_width();
        self.blocks[block][layer * width..(layer + 1) * width].split_at(width / 2)
    }

    /// Keeps the keys and values of a span's rows, `[n_rows, qkv_width]`.
    pub(crate) fn write(&mut self, span: Span<'_>, layer: usize, rows: &[f32], heads: Heads) {
        let (width, row_width) = (self.layer_width(), self.row_width);
        let key_at = heads.n_query * heads.dim;
        for (position, row) in span.positions().zip(rows.chunks_exact(heads.qkv_width())) {
            let (block, lane) = (position / LANES, position % LANES);
            let kept = &mut self.blocks[span.blocks[block]][layer * width..(layer + 1) * width];
            let (keys, values) = kept.split_at_mut(width / 2);
            let (new_keys, new_values) = row[key_at..].split_at(row_width);
            for (kept, key) in keys[lane..].iter_mut().step_by(LANES).zip(new_keys) {
                *kept = *key;
            }
            values[lane * row_width..(lane + 1) * row_width].copy_from_slice(new_values);
        }
    }

    /// Numbers of one layer of a block.
    fn layer_width(&self) -> usize {
        2 * LANES * self.row_width
    }
}
