use crate::ops::Heads;
use crate::ops::simd::LANES;

/// Names a block of a [`Pool`].
pub(crate) type BlockId = usize;

/// Memory for keys and values, in blocks of [`LANES`] positions.
///
/// A block holds its positions for every layer, one layer after the other. Within a layer come the
/// keys, `[head][column][position]`, so that a query's scores for a block are computed side by
/// side, and then the values, `[position][head][column]`.
#[derive(Debug)]
pub(crate) struct Pool {
    blocks: Vec<Vec<f32>>,
    free: Vec<BlockId>,
    /// `n_key_value * dim`
    row_width: usize,
    n_layers: usize,
}

impl Pool {
    pub(crate) fn new(n_layers: usize, heads: Heads) -> Self {
        let row_width = heads.n_key_value * heads.dim;
        Self { blocks: Vec::new(), free: Vec::new(), row_width, n_layers }
    }

    /// Bytes of one block.
    pub(crate) fn block_bytes(&self) -> usize {
        self.n_layers * self.layer_width() * size_of::<f32>()
    }

    /// Blocks in memory, free ones too.
    pub(crate) fn n_allocated(&self) -> usize {
        self.blocks.len()
    }

    pub(crate) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// A block whose contents are whatever they were.
    pub(crate) fn take(&mut self) -> BlockId {
        self.free.pop().unwrap_or_else(|| {
            self.blocks.push(vec![0.0; self.n_layers * self.layer_width()]);
            self.blocks.len() - 1
        })
    }

    /// Gives a block back.
    pub(crate) fn give(&mut self, block: BlockId) {
        self.free.push(block);
    }

    /// Gives all memory back.
    pub(crate) fn clear(&mut self) {
        self.blocks = Vec::new();
        self.free = Vec::new();
    }

    pub(crate) fn copy(&mut self, from: BlockId, to: BlockId) {
        if let Ok([from, to]) = self.blocks.get_disjoint_mut([from, to]) {
            to.copy_from_slice(from);
        }
    }

    /// Keys and values of one layer.
    pub(crate) fn layer(&self, block: BlockId, layer: usize) -> (&[f32], &[f32]) {
        let width = self.layer_width();
        self.blocks[block][layer * width..(layer + 1) * width].split_at(width / 2)
    }

    /// Keeps the keys and values of rows `[n, qkv_width]`; the first is at `position` of the
    /// sequence that lies in `blocks`.
    pub(crate) fn write(
        &mut self,
        blocks: &[BlockId],
        layer: usize,
        position: usize,
        rows: &[f32],
        heads: Heads,
    ) {
        let (width, row_width) = (self.layer_width(), self.row_width);
        let key_at = heads.n_query * heads.dim;
        for (offset, row) in rows.chunks_exact(heads.qkv_width()).enumerate() {
            let (block, lane) = ((position + offset) / LANES, (position + offset) % LANES);
            let kept = &mut self.blocks[blocks[block]][layer * width..(layer + 1) * width];
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
