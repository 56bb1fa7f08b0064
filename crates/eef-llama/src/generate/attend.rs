use crate::generate::cache::LayerCache;
use crate::ops::simd::{LANES, exponentials, maximum, vectorised};
use crate::ops::{Heads, first_seen};

/// Lets rotated rows `[n, qkv_width]` of one sequence, the first at `position`, attend to all
/// positions up to their own, or to the last of these within a window; their keys and values are in the cache already. Writes
/// `[n, n_query * dim]`.
pub(crate) fn attend(
    rows: &[f32],
    cache: &LayerCache,
    heads: Heads,
    window: Option<usize>,
    position: usize,
    output: &mut [f32],
) {
    let n_blocks = (position + rows.len() / heads.qkv_width()).div_ceil(LANES);
    let mut scores = vec![0.0; n_blocks * LANES];
    attend_rows(rows, cache, heads, window, position, &mut scores, output);
}

vectorised! {
    fn attend_rows(
        rows: &[f32], cache: &LayerCache, heads: Heads, window: Option<usize>, position: usize,
        scores: &mut [f32], output: &mut [f32],
    ) {
        let (keys, values) = (&cache.keys[..], &cache.values[..]);
        let Heads { n_query, n_key_value, dim } = heads;
        let (group, row_width) = (heads.group(), n_key_value * dim);
        let outputs = output.chunks_exact_mut(n_query * dim);
        for (offset, (row, output)) in rows.chunks_exact(heads.qkv_width()).zip(outputs).enumerate()
        {
            let n_seen = position + offset + 1;
            for head in 0..n_query {
                let query = &row[head * dim..(head + 1) * dim];
                let column = head / group * dim;

                let blocks = keys.chunks_exact(LANES * row_width);
                for (block, sums) in blocks.zip(scores.chunks_exact_mut(LANES)) {
                    let block = &block[column * LANES..(column + dim) * LANES];
                    let mut lanes = [0.0f32; LANES];
                    for (key, query) in block.as_chunks::<LANES>().0.iter().zip(query) {
                        for lane in 0..LANES {
                            lanes[lane] += query * key[lane];
                        }
                    }
                    sums.copy_from_slice(&lanes);
                }

                let first = first_seen(n_seen - 1, window);
                let seen = &mut scores[first..n_seen];
                let values = &values[first * row_width..];
                let largest = maximum(seen);
                let factor = 1.0 / exponentials(seen, largest);
                let output = &mut output[head * dim..(head + 1) * dim];
                weighted_sum(seen, values, row_width, column, output);
                for sum in output {
                    *sum *= factor;
                }
            }
        }
    }
}

/// The sum of each position's value times its weight; four positions at a time, so that sums are
/// read and written less often.
#[expect(clippy::inline_always, reason = "it must be compiled for its caller's instruction set")]
#[inline(always)]
fn weighted_sum(
    weights: &[f32],
    values: &[f32],
    row_width: usize,
    column: usize,
    output: &mut [f32],
) {
    let dim = output.len();
    output.fill(0.0);
    let (fours, rest) = weights.as_chunks::<4>();
    for (index, w) in fours.iter().enumerate() {
        let value = |i: usize| &values[(4 * index + i) * row_width + column..][..dim];
        let (a, b, c, d) = (value(0), value(1), value(2), value(3));
        for i in 0..dim {
            output[i] += (w[0] * a[i] + w[1] * b[i]) + (w[2] * c[i] + w[3] * d[i]);
        }
    }
    let done = 4 * fours.len();
    for (index, weight) in rest.iter().enumerate() {
        let value = &values[(done + index) * row_width + column..][..dim];
        for (sum, value) in output.iter_mut().zip(value) {
            *sum += weight * value;
        }
    }
}
