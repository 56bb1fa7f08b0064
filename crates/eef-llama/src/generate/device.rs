//! Keys, values and attention where Burn's tensors compute: in a step positions and indices go up, and
//! logits come down.

use std::collections::BTreeMap;

use burn::tensor::activation::softmax;
use burn::tensor::{Bool, DType, Device, IndexingUpdateOp, Int, Tensor, TensorData};

use crate::generate::pool::{BlockId, Span};
use crate::ops::simd::LANES;
use crate::ops::{Heads, Rotary, first_seen};

/// Fewest positions to which the keys of a group are padded. Groups go by powers of two: shapes that
/// repeat are tuned once, and padding is never more than what it pads.
const FEWEST_KEYS: usize = 64;

/// Most keys that a group gathers, over all its spans: what attention needs beside the memory of keys
/// and values is bounded by it.
const MOST_KEYS: usize = 1 << 16;

/// Keys and values of every block and layer.
#[derive(Debug)]
pub(crate) struct DeviceMemory {
    /// Keys and values of each layer: `[n_blocks * LANES, n_key_value * dim]`, rotated.
    layers: Vec<[Tensor<2>; 2]>,
    n_blocks: usize,
}

impl DeviceMemory {
    pub(crate) fn new(n_layers: usize, row_width: usize, dtype: DType, device: &Device) -> Self {
        let empty = || Tensor::zeros([0, row_width], (device, dtype));
        Self { layers: (0..n_layers).map(|_| [empty(), empty()]).collect(), n_blocks: 0 }
    }

    /// Blocks that there is memory for.
    pub(crate) fn n_blocks(&self) -> usize {
        self.n_blocks
    }

    /// Makes room for this many blocks. One tensor after the other moves, so that memory is that of
    /// the blocks and one layer's.
    pub(crate) fn grow(&mut self, n_blocks: usize) {
        let n_more = n_blocks.saturating_sub(self.n_blocks) * LANES;
        for tensor in self.layers.iter_mut().flatten() {
            let [_, width] = tensor.dims();
            let more = Tensor::zeros([n_more, width], (&tensor.device(), tensor.dtype()));
            tensor.inplace(|tensor| match tensor.dims() {
                [0, _] => more,
                _ => Tensor::cat(vec![tensor, more], 0),
            });
        }
        self.n_blocks = self.n_blocks.max(n_blocks);
    }

    pub(crate) fn copy(&mut self, from: BlockId, to: BlockId) {
        for tensor in self.layers.iter_mut().flatten() {
            let device = tensor.device();
            let rows =
                |block: BlockId| indices((block * LANES..(block + 1) * LANES).collect(), &device);
            // Gathered, not sliced: a slice may be a view, and a tensor that is viewed is copied
            // whole when it is written.
            let copied = tensor.clone().select(0, rows(from));
            let to = rows(to);
            tensor.inplace(|tensor| tensor.select_assign(0, to, copied, IndexingUpdateOp::Assign));
        }
    }
}

/// What attention needs in a step besides the projections, the same in every layer.
pub(crate) struct DeviceStep {
    heads: Heads,
    /// Rows of the cache that the step's rows are written to: `[n]`.
    written: Tensor<1, Int>,
    /// `[n, 1, dim / 2]`
    cos: Tensor<3>,
    sin: Tensor<3>,
    groups: Vec<Group>,
    /// Where each row of the step lies among the rows of all groups: `[n]`.
    places: Tensor<1, Int>,
}

/// Spans of about as many rows and keys each, padded to the most of them.
struct Group {
    n_spans: usize,
    /// Rows of each span, the padding too.
    n_rows: usize,
    /// Keys of each span, the padding too.
    n_keys: usize,
    /// Rows of the step: `[n_spans * n_rows]`.
    rows: Tensor<1, Int>,
    /// Rows of the cache: `[n_spans * n_keys]`.
    keys: Tensor<1, Int>,
    /// Keys that a row does not see: `[n_spans, 1, n_rows, 1, n_keys]`.
    hidden: Tensor<5, Bool>,
}

impl DeviceStep {
    pub(crate) fn new(
        spans: &[Span<'_>],
        heads: Heads,
        window: Option<usize>,
        rotary: &Rotary,
        device: &Device,
    ) -> Self {
        let positions = || spans.iter().flat_map(Span::positions);
        let written = spans.iter().flat_map(|span| span.positions().map(|p| cache_row(span, p)));
        let written = indices(written.collect(), device);
        let table = |values: &[f32]| {
            let rows =
                positions().flat_map(|position| &values[position * rotary.half..][..rotary.half]);
            let rows: Vec<f32> = rows.copied().collect();
            let sides = [rows.len() / rotary.half, 1, rotary.half];
            Tensor::from_data(TensorData::new(rows, sides), (device, DType::F32))
        };
        let mut by_size = BTreeMap::<(usize, usize), Vec<(usize, Span<'_>)>>::new();
        let mut first_row = 0;
        for span in spans {
            let n_keys = span.positions().end - first_key(span, window);
            let n_keys = n_keys.next_power_of_two().max(FEWEST_KEYS);
            let size = (span.n_rows.next_power_of_two(), n_keys);
            by_size.entry(size).or_default().push((first_row, *span));
            first_row += span.n_rows;
        }
        let groups = by_size.iter().flat_map(|(size, spans)| {
            spans.chunks((MOST_KEYS / size.1).max(1)).map(|spans| (*size, spans))
        });
        let groups: Vec<_> = groups.collect();
        let (mut places, mut n_before) = (vec![0; first_row], 0);
        for ((n_rows, _), spans) in &groups {
            for (index, (first_row, span)) in spans.iter().enumerate() {
                for row in 0..span.n_rows {
                    places[first_row + row] = n_before + index * n_rows + row;
                }
            }
            n_before += n_rows * spans.len();
        }
        let groups = groups.into_iter();
        Self {
            heads,
            written,
            cos: table(&rotary.cos),
            sin: table(&rotary.sin),
            groups: groups.map(|(size, spans)| Group::new(size, spans, window, device)).collect(),
            places: indices(places, device),
        }
    }

    /// Attention of one layer: `[n, qkv_width]` to `[n, n_query * dim]`, both `f32`. Products are
    /// computed in the memory's precision, everything between them in `f32`.
    pub(crate) fn attend(
        &self,
        memory: &mut DeviceMemory,
        layer: usize,
        qkv: Tensor<2>,
    ) -> Tensor<2> {
        let Heads { n_query, n_key_value, dim } = self.heads;
        let n = qkv.dims()[0];
        let [keys, values] = &mut memory.layers[layer];
        let dtype = keys.dtype();
        let rows = qkv.reshape([n, n_query + 2 * n_key_value, dim]);
        let queries = self.rotate(rows.clone().narrow(1, 0, n_query)).cast(dtype);
        let new_keys = self.rotate(rows.clone().narrow(1, n_query, n_key_value));
        let new_values = rows.narrow(1, n_query + n_key_value, n_key_value);
        for (memory, new) in [(&mut *keys, new_keys), (&mut *values, new_values)] {
            let new = new.reshape([n, n_key_value * dim]).cast(dtype);
            let written = self.written.clone();
            memory
                .inplace(|memory| memory.select_assign(0, written, new, IndexingUpdateOp::Assign));
        }
        let groups = self.groups.iter();
        let outputs = groups.map(|group| group.attend(self.heads, queries.clone(), keys, values));
        let outputs: Vec<Tensor<2>> = outputs.collect();
        Tensor::cat(outputs, 0).select(0, self.places.clone())
    }

    /// Rotates the two halves of each head: `[n, heads, dim]`.
    fn rotate(&self, x: Tensor<3>) -> Tensor<3> {
        let half = x.dims()[2] / 2;
        let (first, second) = (x.clone().narrow(2, 0, half), x.narrow(2, half, half));
        let (cos, sin) = (self.cos.clone(), self.sin.clone());
        let rotated_first = first.clone() * cos.clone() - second.clone() * sin.clone();
        Tensor::cat(vec![rotated_first, second * cos + first * sin], 2)
    }
}

impl Group {
    /// Spans and the first row of each within the step, of at most so many rows and keys each.
    fn new(
        (n_rows, n_keys): (usize, usize),
        spans: &[(usize, Span<'_>)],
        window: Option<usize>,
        device: &Device,
    ) -> Self {
        let n_spans = spans.len();
        let (mut rows, mut keys) = (Vec::new(), Vec::new());
        // The last and the first key that each row sees, counted from its span's first.
        let (mut last, mut first) = (Vec::new(), Vec::new());
        for (first_row, span) in spans {
            let begin = first_key(span, window);
            // Padding repeats the last row, so that its sums are finite; nobody reads them.
            for row in (0..n_rows).map(|row| row.min(span.n_rows - 1)) {
                let position = span.position + row;
                rows.push(first_row + row);
                last.push((position - begin) as i32);
                first.push((first_seen(position, window).max(begin) - begin) as i32);
            }
            let end = span.positions().end;
            let positions = begin..begin + n_keys;
            keys.extend(positions.map(|position| cache_row(span, position.min(end - 1))));
        }
        let column = |values: Vec<i32>| {
            let data = TensorData::new(values, [n_spans, 1, n_rows, 1, 1]);
            Tensor::<5, Int>::from_data(data, device)
        };
        let positions = Tensor::<1, Int>::arange(0..n_keys as i64, device);
        let positions = positions.reshape([1, 1, 1, 1, n_keys]);
        let mut hidden = positions.clone().greater(column(last));
        if window.is_some() {
            hidden = hidden.bool_or(positions.lower(column(first)));
        }
        let (rows, keys) = (indices(rows, device), indices(keys, device));
        Self { n_spans, n_rows, n_keys, rows, keys, hidden }
    }

    /// `queries` `[n, n_query, dim]` of the step, rotated; gives `[n_spans * n_rows, n_query * dim]`.
    fn attend(
        &self,
        heads: Heads,
        queries: Tensor<3>,
        keys: &Tensor<2>,
        values: &Tensor<2>,
    ) -> Tensor<2> {
        let Heads { n_query, n_key_value, dim } = heads;
        let (b, t, l, group) = (self.n_spans, self.n_rows, self.n_keys, heads.group());
        let dtype = keys.dtype();
        // The query heads of one key and value head are rows of one product: nothing is broadcast.
        let queries = queries.select(0, self.rows.clone());
        let queries = queries.reshape([b, t, n_key_value, group, dim]).swap_dims(1, 2);
        let queries = queries.reshape([b, n_key_value, t * group, dim]);
        let seen = |memory: &Tensor<2>| {
            let rows = memory.clone().select(0, self.keys.clone());
            rows.reshape([b, l, n_key_value, dim]).swap_dims(1, 2)
        };
        let scores = queries.matmul(seen(keys).swap_dims(2, 3)).cast(DType::F32);
        let scores = scores.reshape([b, n_key_value, t, group, l]) / (dim as f64).sqrt();
        let hidden = self.hidden.clone().expand([b, n_key_value, t, group, l]);
        let weights = softmax(scores.mask_fill(hidden, f32::NEG_INFINITY), 4).cast(dtype);
        let output = weights.reshape([b, n_key_value, t * group, l]).matmul(seen(values));
        let output = output.reshape([b, n_key_value, t, group, dim]).swap_dims(1, 2);
        output.reshape([b * t, n_query * dim]).cast(DType::F32)
    }
}

/// The first position that any row of a span sees.
fn first_key(span: &Span<'_>, window: Option<usize>) -> usize {
    first_seen(span.position, window)
}

/// Where a position of a span's sequence lies in the memory.
fn cache_row(span: &Span<'_>, position: usize) -> usize {
    span.blocks[position / LANES] * LANES + position % LANES
}

fn indices(values: Vec<usize>, device: &Device) -> Tensor<1, Int> {
    let values: Vec<i32> = values.into_iter().map(|value| value as i32).collect();
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), device)
}
