use std::ops::Range;
use std::sync::Arc;

use burn::backend::Flex;
use burn::backend::flex::{FlexTensor, Layout};
use burn::backend::ops::FloatTensorOps;
use burn::tensor::activation::softmax;
use burn::tensor::{DType, Device, Int, Shape, Tensor, TensorData};

use crate::ops::Rotary;
use crate::ops::kernel::{Kernel, apply, contiguous, tensor, values};
use crate::ops::rotary::Direction;
use crate::ops::simd::{dot, exp, exponentials, maximum, vectorised};

/// Rows of queries worked on at once: their scores stay in the cache, and keys behind the last of
/// them are never touched.
const BLOCK: usize = 64;

/// How many heads there are, and how wide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heads {
    pub(crate) n_query: usize,
    pub(crate) n_key_value: usize,
    pub(crate) dim: usize,
}

impl Heads {
    /// Columns of the joint query, key and value projection.
    pub(crate) fn qkv_width(self) -> usize {
        (self.n_query + 2 * self.n_key_value) * self.dim
    }

    /// Query heads for each key and value head.
    pub(crate) fn group(self) -> usize {
        self.n_query / self.n_key_value
    }
}

/// Rotates queries and keys by their positions, then lets each row attend to itself and to the
/// rows before it in its own sequence; with a window, to the last so many of these rows.
///
/// # Shapes
///
/// - `qkv`: `[n, (n_query + 2 * n_key_value) * dim]`: queries, then keys, then values
/// - output: `[n, n_query * dim]`
pub(crate) fn packed_attention(
    qkv: Tensor<2>,
    heads: Heads,
    window: Option<usize>,
    rotary: &Rotary,
    lengths: &[usize],
) -> Tensor<2> {
    let kernel = PackedAttention { heads, window, rotary: rotary.clone(), lengths: lengths.into() };
    apply(kernel, [qkv.into_dispatch()])
        .unwrap_or_else(|[qkv]| plain(Tensor::from_dispatch(qkv), heads, window, rotary, lengths))
}

/// The first position that a row sees.
pub(crate) fn first_seen(position: usize, window: Option<usize>) -> usize {
    window.map_or(0, |window| (position + 1).saturating_sub(window))
}

/// The composition of Burn's operations: sequences are padded to the longest of them. Padding
/// stands behind the real rows, so the causal mask already hides it from them.
fn plain(
    qkv: Tensor<2>,
    heads: Heads,
    window: Option<usize>,
    rotary: &Rotary,
    lengths: &[usize],
) -> Tensor<2> {
    let Heads { n_query, n_key_value, dim } = heads;
    let (b, t) = (lengths.len(), lengths.iter().copied().max().unwrap_or(0));
    let device = qkv.device();
    let (mut padded_from, mut packed_from, mut start) = (vec![0; b * t], Vec::new(), 0);
    for (sequence, length) in lengths.iter().enumerate() {
        for position in 0..*length {
            padded_from[sequence * t + position] = (start + position) as i32;
            packed_from.push((sequence * t + position) as i32);
        }
        start += length;
    }
    // [n, width] -> [b, t, heads, dim] -> [b, heads, t, dim]
    let rows = qkv.select(0, ids(padded_from, &device));
    let rows = rows.reshape([b, t, n_query + 2 * n_key_value, dim]).swap_dims(1, 2);
    let q = rotate(rows.clone().narrow(1, 0, n_query), rotary);
    let k = rotate(rows.clone().narrow(1, n_query, n_key_value), rotary);
    let v = rows.narrow(1, n_query + n_key_value, n_key_value);
    // A key and value head is broadcast over its group of query heads.
    let q = q.reshape([b, n_key_value, heads.group(), t, dim]);
    let k = k.reshape([b, n_key_value, 1, t, dim]);
    let v = v.reshape([b, n_key_value, 1, t, dim]);
    let scores = q.matmul(k.swap_dims(3, 4)) / (dim as f64).sqrt();
    let ones = Tensor::<2>::ones([t, t], &device);
    let mut hidden = ones.clone().triu(1);
    if let Some(window) = window.filter(|window| *window < t) {
        hidden = hidden + ones.tril(-(window as i64));
    }
    let scores = scores.mask_fill(hidden.bool().unsqueeze(), f32::NEG_INFINITY);
    let out: Tensor<5> = softmax(scores, 4).matmul(v); // [b, n_key_value, group, t, dim]
    let out = out.reshape([b, n_query, t, dim]).swap_dims(1, 2);
    out.reshape([b * t, n_query * dim]).select(0, ids(packed_from, &device))
}

/// Rotates pairs of columns by angles that depend on the row: `[b, heads, t, dim]`.
fn rotate(x: Tensor<4>, rotary: &Rotary) -> Tensor<4> {
    let [_, _, t, dim] = x.dims();
    let half = dim / 2;
    let table = |values: &[f32]| {
        let data = TensorData::new(values[..t * half].to_vec(), [1, 1, t, half]);
        Tensor::<4>::from_data(data, &x.device())
    };
    let (cos, sin) = (table(&rotary.cos), table(&rotary.sin));
    let (first, second) = (x.clone().narrow(3, 0, half), x.clone().narrow(3, half, half));
    let rotated_first = first.clone() * cos.clone() - second.clone() * sin.clone();
    let rotated_second = second * cos + first * sin;
    Tensor::cat(vec![rotated_first, rotated_second], 3)
}

fn ids(ids: Vec<i32>, device: &Device) -> Tensor<1, Int> {
    let n = ids.len();
    Tensor::from_data(TensorData::new(ids, [n]), device)
}

/// Attention in blocks of rows. Scores are not kept for the backward pass: the logarithm of each
/// row's sum of exponentials is enough to compute them again.
#[derive(Clone, Debug)]
struct PackedAttention {
    heads: Heads,
    window: Option<usize>,
    rotary: Rotary,
    lengths: Arc<[usize]>,
}

/// Some query rows of one sequence, and the keys that they see.
#[derive(Clone, Copy)]
struct Block {
    /// The sequence's first row.
    start: usize,
    /// The block's first query row, counted from `start`.
    first: usize,
    n_queries: usize,
    /// The first key that any of them sees, counted from `start`.
    first_key: usize,
    window: Option<usize>,
}

impl Block {
    fn n_keys(self) -> usize {
        self.first + self.n_queries - self.first_key
    }

    /// Which of the block's keys a query of it sees.
    #[inline]
    fn seen(self, query: usize) -> Range<usize> {
        let position = self.first + query;
        first_seen(position, self.window) - self.first_key..position + 1 - self.first_key
    }
}

#[derive(Clone, Debug)]
struct Saved {
    /// Projections after rotation, queries scaled.
    rotated: FlexTensor,
    output: FlexTensor,
    /// `[n, n_query]`: logarithms of the sums of exponentials.
    normalisers: Vec<f32>,
}

impl Kernel<1> for PackedAttention {
    type Saved = Saved;

    fn forward(&self, [qkv]: [FlexTensor; 1]) -> (FlexTensor, Saved) {
        let Heads { n_query, dim, .. } = self.heads;
        let n = qkv.layout().shape()[0];
        let mut rotated = qkv;
        self.rotate(rotated.storage_mut::<f32>(), Direction::Forward);
        let (mut output, mut normalisers) = (vec![0.0; n * n_query * dim], vec![0.0; n * n_query]);
        for block in self.blocks() {
            let mut scores = self.scores(&rotated, block);
            let rows = (block.start + block.first) * n_query;
            let kept = &mut normalisers[rows..rows + block.n_queries * n_query];
            softmax_causal(scores.storage_mut::<f32>(), block, n_query, kept);
            let attended = contiguous(Flex::float_matmul(scores, self.value(&rotated, block)));
            let rows = &mut output[rows * dim..(rows + block.n_queries * n_query) * dim];
            heads_to_rows(values(&attended), rows, block.n_queries, n_query * dim, dim);
        }
        let output = tensor(output, &[n, n_query * dim]);
        (output.clone(), Saved { rotated, output, normalisers })
    }

    fn backward(&self, saved: Saved, gradient: FlexTensor) -> [FlexTensor; 1] {
        let Heads { n_query, n_key_value, dim } = self.heads;
        let width = self.heads.qkv_width();
        let Saved { rotated, output, normalisers } = saved;
        let n = normalisers.len() / n_query;
        // What the softmax's derivative subtracts: the product of output and gradient, by head.
        let mut products = vec![0.0; normalisers.len()];
        row_products(values(&output), values(&gradient), dim, &mut products);

        let mut result = vec![0.0; n * width];
        for block in self.blocks() {
            let rows = (block.start + block.first) * n_query;
            let rows = rows..rows + block.n_queries * n_query;
            let mut weights = self.scores(&rotated, block);
            // [n_key_value, group, n_queries, dim]
            let outer = self.query_view(&gradient, n_query * dim, block);
            let value = self.value(&rotated, block).transpose(2, 3);
            let mut inner = contiguous(Flex::float_matmul(outer.clone(), value));
            softmax_causal_backward(
                weights.storage_mut::<f32>(),
                inner.storage_mut::<f32>(),
                block,
                n_query,
                &normalisers[rows.clone()],
                &products[rows],
            );
            let query = self.query_view(&rotated, width, block);
            let key = self.key(&rotated, block);
            let for_value = Flex::float_matmul(weights.transpose(2, 3), outer);
            let for_key = Flex::float_matmul(inner.clone().transpose(2, 3), query);
            let for_query = Flex::float_matmul(inner, key);

            let first = (block.start + block.first) * width;
            let rows = &mut result[first..first + block.n_queries * width];
            let for_query = contiguous(for_query);
            heads_to_rows(values(&for_query), rows, block.n_queries, width, dim);
            let group = self.heads.group();
            let first = (block.start + block.first_key) * width;
            let rows = &mut result[first..first + block.n_keys() * width];
            for (gradient, column) in [(for_key, n_query), (for_value, n_query + n_key_value)] {
                let gradient = contiguous(gradient);
                add_groups(values(&gradient), rows, column * dim, group, width, dim);
            }
        }
        self.rotate(&mut result, Direction::Backward);
        [tensor(result, &[n, width])]
    }
}

impl PackedAttention {
    fn rotate(&self, qkv: &mut [f32], direction: Direction) {
        let mut rest = qkv;
        for length in &*self.lengths {
            let (rows, behind) = rest.split_at_mut(length * self.heads.qkv_width());
            self.rotary.apply(rows, self.heads, 0..*length, direction);
            rest = behind;
        }
    }

    fn blocks(&self) -> impl Iterator<Item = Block> {
        let starts = self.lengths.iter().scan(0, |next, length| {
            let start = *next;
            *next += length;
            Some((start, *length))
        });
        starts.flat_map(move |(start, length)| {
            // Blocks of even size: a last block of two rows would be as dear as a full one.
            let n_blocks = length.div_ceil(BLOCK);
            (0..n_blocks).map(move |index| {
                let (first, end) = (index * length / n_blocks, (index + 1) * length / n_blocks);
                let (window, first_key) = (self.window, first_seen(first, self.window));
                Block { start, first, n_queries: end - first, first_key, window }
            })
        })
    }

    /// `[n_key_value, group, n_queries, n_keys]`
    fn scores(&self, rotated: &FlexTensor, block: Block) -> FlexTensor {
        let query = self.query_view(rotated, self.heads.qkv_width(), block);
        let key = self.key(rotated, block).transpose(2, 3);
        contiguous(Flex::float_matmul(query, key))
    }

    /// The heads of a block's query rows, from rows of `width` columns of which the first are
    /// heads: `[n_key_value, group, n_queries, dim]`.
    fn query_view(&self, rows: &FlexTensor, width: usize, block: Block) -> FlexTensor {
        let Heads { n_key_value, dim, .. } = self.heads;
        let group = self.heads.group();
        let offset = (block.start + block.first) * width;
        let sides = [n_key_value, group, block.n_queries, dim];
        view(rows, sides, [group * dim, dim, width, 1], offset)
    }

    /// `[n_key_value, 1, n_keys, dim]`, broadcast over each group.
    fn key(&self, rotated: &FlexTensor, block: Block) -> FlexTensor {
        self.key_value_view(rotated, self.heads.n_query, block)
    }

    fn value(&self, rotated: &FlexTensor, block: Block) -> FlexTensor {
        self.key_value_view(rotated, self.heads.n_query + self.heads.n_key_value, block)
    }

    fn key_value_view(&self, rotated: &FlexTensor, head: usize, block: Block) -> FlexTensor {
        let (width, dim) = (self.heads.qkv_width(), self.heads.dim);
        let offset = (block.start + block.first_key) * width + head * dim;
        let sides = [self.heads.n_key_value, 1, block.n_keys(), dim];
        view(rotated, sides, [dim, dim, width, 1], offset)
    }
}

/// Another look at the same values; nothing is copied.
fn view(rows: &FlexTensor, sides: [usize; 4], strides: [usize; 4], offset: usize) -> FlexTensor {
    let strides = strides.iter().map(|stride| *stride as isize).collect();
    let layout = Layout::new(Shape::from(sides.to_vec()), strides, offset);
    FlexTensor::from_arc(rows.data_arc(), layout, DType::F32)
}

vectorised! {
    /// Scores `[n_query, n_queries, n_keys]` to weights, in place; those of keys that a row does not
    /// see become zero. `normalisers` is `[n_queries, n_query]`.
    fn softmax_causal(scores: &mut [f32], block: Block, n_query: usize, normalisers: &mut [f32]) {
        for (index, row) in scores.chunks_exact_mut(block.n_keys()).enumerate() {
            let (head, query) = (index / block.n_queries, index % block.n_queries);
            let Range { start, end } = block.seen(query);
            row[..start].fill(0.0);
            let (seen, hidden) = row[start..].split_at_mut(end - start);
            let largest = maximum(seen);
            let sum = exponentials(seen, largest);
            let factor = 1.0 / sum;
            for weight in seen {
                *weight *= factor;
            }
            hidden.fill(0.0);
            normalisers[query * n_query + head] = largest + sum.ln();
        }
    }

    /// Scores to weights again, and the weights' gradients to the scores', both in place.
    fn softmax_causal_backward(
        scores: &mut [f32], gradients: &mut [f32], block: Block, n_query: usize,
        normalisers: &[f32], products: &[f32],
    ) {
        let n_keys = block.n_keys();
        let rows = scores.chunks_exact_mut(n_keys).zip(gradients.chunks_exact_mut(n_keys));
        for (index, (scores, gradients)) in rows.enumerate() {
            let (head, query) = (index / block.n_queries, index % block.n_queries);
            let normaliser = normalisers[query * n_query + head];
            let product = products[query * n_query + head];
            let Range { start, end } = block.seen(query);
            scores[..start].fill(0.0);
            gradients[..start].fill(0.0);
            let (seen, hidden) = scores[start..].split_at_mut(end - start);
            let (gradients, hidden_gradients) = gradients[start..].split_at_mut(end - start);
            for (score, gradient) in seen.iter_mut().zip(gradients) {
                *score = exp(*score - normaliser);
                *gradient = *score * (*gradient - product);
            }
            hidden.fill(0.0);
            hidden_gradients.fill(0.0);
        }
    }

    /// The product of each stretch of `dim` columns of one with that of the other.
    fn row_products(a: &[f32], b: &[f32], dim: usize, products: &mut [f32]) {
        let heads = a.chunks_exact(dim).zip(b.chunks_exact(dim));
        for ((a, b), product) in heads.zip(products) {
            *product = dot(a, b);
        }
    }

    /// Heads `[n_query, n, dim]` into the first columns of rows of `width` columns.
    fn heads_to_rows(heads: &[f32], rows: &mut [f32], n: usize, width: usize, dim: usize) {
        for (index, values) in heads.chunks_exact(dim).enumerate() {
            let (head, row) = (index / n, index % n);
            let at = row * width + head * dim;
            rows[at..at + dim].copy_from_slice(values);
        }
    }

    /// Adds the gradients of each group of query heads, `[n_key_value, group, n, dim]`, to the
    /// columns of their key or value head.
    fn add_groups(
        gradients: &[f32], rows: &mut [f32], column: usize, group: usize, width: usize,
        dim: usize,
    ) {
        let n = rows.len() / width;
        for (index, values) in gradients.chunks_exact(dim).enumerate() {
            let (head, row) = (index / (n * group), index % n);
            let at = row * width + column + head * dim;
            for (sum, value) in rows[at..at + dim].iter_mut().zip(values) {
                *sum += value;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_same_with_gradients, random};

    #[test]
    fn the_kernel_is_the_composition() {
        let cases: [(Heads, &[usize]); 5] = [
            (Heads { n_query: 1, n_key_value: 1, dim: 2 }, &[1]),
            (Heads { n_query: 2, n_key_value: 2, dim: 4 }, &[3, 1, 5]),
            (Heads { n_query: 4, n_key_value: 2, dim: 8 }, &[7, 20]),
            (Heads { n_query: 6, n_key_value: 1, dim: 6 }, &[66]),
            (Heads { n_query: 4, n_key_value: 2, dim: 32 }, &[130, 2]),
        ];
        for (heads, lengths) in cases {
            let (n, width) = (lengths.iter().sum(), heads.qkv_width());
            let rotary = Rotary::new(heads.dim, 200, 10_000.0, crate::RopeScaling::None);
            for window in [None, Some(1), Some(5), Some(64), Some(100)] {
                assert_same_with_gradients(
                    [random(3, &[n, width])],
                    |[x]| packed_attention(x.reshape([n, width]), heads, window, &rotary, lengths),
                    |[x]| plain(x.reshape([n, width]), heads, window, &rotary, lengths),
                );
            }
        }
    }

    /// Against loops written from the definition, with heads repeated for their group.
    #[test]
    fn grouped_heads_are_repeated_heads_and_a_window_hides_the_past() {
        for window in [None, Some(3), Some(1)] {
            grouped_heads_are_repeated_heads(window);
        }
    }

    fn grouped_heads_are_repeated_heads(window: Option<usize>) {
        let heads = Heads { n_query: 4, n_key_value: 2, dim: 4 };
        let (n, width) = (5, heads.qkv_width());
        let rotary = Rotary::new(4, 8, 10_000.0, crate::RopeScaling::None);
        let data = random(5, &[n, width]);
        let rows = Tensor::<2>::from_data(data.clone(), &Device::flex());
        let found = packed_attention(rows, heads, window, &rotary, &[n]).into_data();
        let found: Vec<f32> = found.iter::<f32>().collect();

        let mut qkv: Vec<f32> = data.iter::<f32>().collect();
        rotary.apply(&mut qkv, heads, 0..n, Direction::Forward);
        let head = |row: usize, column: usize| &qkv[row * width + column * 4..][..4];
        for row in 0..n {
            for query in 0..4 {
                let score = |key: usize| -> f32 {
                    head(row, query).iter().zip(head(key, 4 + query / 2)).map(|(a, b)| a * b).sum()
                };
                let seen = (row + 1).saturating_sub(window.unwrap_or(n))..=row;
                let total: f32 = seen.clone().map(|key| score(key).exp()).sum();
                for i in 0..4 {
                    let weighted = |key: usize| score(key).exp() * head(key, 6 + query / 2)[i];
                    let expected = seen.clone().map(weighted).sum::<f32>() / total;
                    let found = found[row * 16 + query * 4 + i];
                    assert!((found - expected).abs() < 1e-5, "{found} is not {expected}");
                }
            }
        }
    }
}
