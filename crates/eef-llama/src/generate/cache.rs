use crate::ops::Heads;
use crate::ops::simd::LANES;

/// Keys and values of one sequence, for every layer.
///
/// They lie in the host's memory and grow with the sequence. Keys are kept in blocks of
/// [`LANES`] positions, `[block][head][column][position]`, so that a query's scores for a block are
/// computed side by side; values are kept row by row, `[position][head][column]`.
#[derive(Debug, Default)]
pub(crate) struct SequenceCache {
    layers: Vec<LayerCache>,
    n_positions: usize,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct LayerCache {
    pub(crate) keys: Vec<f32>,
    pub(crate) values: Vec<f32>,
}

impl SequenceCache {
    pub(crate) fn new(n_layers: usize) -> Self {
        Self { layers: vec![LayerCache::default(); n_layers], n_positions: 0 }
    }

    /// Positions for which every layer has keys and values.
    pub(crate) fn n_positions(&self) -> usize {
        self.n_positions
    }

    /// Says that every layer has been given this many more positions.
    pub(crate) fn advance(&mut self, n: usize) {
        self.n_positions += n;
    }

    pub(crate) fn layer(&mut self, index: usize) -> &mut LayerCache {
        &mut self.layers[index]
    }

    /// The first `n` positions of this cache.
    pub(crate) fn prefix(&self, n: usize, heads: Heads) -> Self {
        let row = heads.n_key_value * heads.dim;
        let copy = |layer: &LayerCache| LayerCache {
            keys: layer.keys[..n.div_ceil(LANES) * LANES * row].to_vec(),
            values: layer.values[..n * row].to_vec(),
        };
        Self { layers: self.layers.iter().map(copy).collect(), n_positions: n }
    }
}

impl LayerCache {
    /// Appends the keys and values of rows `[n, qkv_width]`, the first being at `position`.
    pub(crate) fn append(&mut self, rows: &[f32], heads: Heads, position: usize) {
        let Heads { n_query, n_key_value, dim } = heads;
        let row_width = n_key_value * dim;
        let (key_at, value_at) = (n_query * dim, (n_query + n_key_value) * dim);
        for (offset, row) in rows.chunks_exact(heads.qkv_width()).enumerate() {
            let (block, lane) = ((position + offset) / LANES, (position + offset) % LANES);
            let start = block * LANES * row_width;
            if self.keys.len() == start {
                self.keys.resize(start + LANES * row_width, 0.0);
            }
            let keys = self.keys[start + lane..].iter_mut().step_by(LANES);
            for (kept, key) in keys.zip(&row[key_at..key_at + row_width]) {
                *kept = *key;
            }
            self.values.extend_from_slice(&row[value_at..value_at + row_width]);
        }
    }
}
