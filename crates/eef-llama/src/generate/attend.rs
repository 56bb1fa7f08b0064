use rayon::iter::{IndexedParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::generate::pool::{BlockId, HostMemory, Span};
use crate::model::{Shape, heads};
use crate::ops::simd::{LANES, exponentials, maximum, vectorised};
use crate::ops::{Direction, Heads, first_seen};

/// Products of a score below which handing work to other threads costs more than it saves.
const SMALLEST_SHARED_WORK: usize = 1 << 19;

/// Attention of one layer: each span's keys and values join its sequence's blocks, and each row
/// attends to its own sequence. Projections `[n, qkv_width]` are rotated in place; the result is
/// `[n, n_query * dim]`.
pub(crate) fn attend_spans(
    shape: &Shape,
    memory: &mut HostMemory,
    spans: &[Span<'_>],
    layer: usize,
    projections: &mut [f32],
    output: &mut [f32],
) {
    let heads = heads(&shape.config);
    let mut rest = &mut *projections;
    let mut rows = Vec::new();
    for span in spans {
        let (own, behind) = rest.split_at_mut(span.n_rows * heads.qkv_width());
        rest = behind;
        shape.rotary.apply(own, heads, span.positions(), Direction::Forward);
        memory.write(*span, layer, own, heads);
        rows.extend(span.positions().map(|position| Row { blocks: span.blocks, position }));
    }
    attend(&rows, projections, memory, layer, heads, shape.config.sliding_window(), output);
}

/// A row of a step: where its sequence's keys and values lie, and its position there.
#[derive(Clone, Copy)]
struct Row<'a> {
    blocks: &'a [BlockId],
    position: usize,
}

/// Lets rotated rows `[n, qkv_width]` attend to all positions of their sequences up to their own,
/// or to the last `sliding_window` of these; their keys and values are in the pool already. Writes
/// `[n, n_query * dim]`.
///
/// Each row's heads of one key and value head are computed by themselves: the result does not depend
/// on the number of threads, nor on what else is in the step.
fn attend(
    rows: &[Row<'_>],
    projections: &[f32],
    memory: &HostMemory,
    layer: usize,
    heads: Heads,
    sliding_window: Option<usize>,
    output: &mut [f32],
) {
    let width = heads.group() * heads.dim;
    let one = |scores: &mut Vec<f32>, (index, output): (usize, &mut [f32])| {
        let (row, head) = (index / heads.n_key_value, index % heads.n_key_value);
        let queries = &projections[row * heads.qkv_width() + head * width..][..width];
        let Row { blocks, position } = rows[row];
        let first = first_seen(position, sliding_window);
        let seen = Seen { memory, blocks, layer, first, end: position + 1 };
        attend_group(queries, seen, heads, head * heads.dim, scores, output);
    };
    let n_scores: usize = rows.iter().map(|row| row.position + 1).sum();
    if n_scores * heads.n_query * heads.dim < SMALLEST_SHARED_WORK {
        let mut scores = Vec::new();
        output.chunks_exact_mut(width).enumerate().for_each(|item| one(&mut scores, item));
    } else {
        output.par_chunks_exact_mut(width).enumerate().for_each_init(Vec::new, one);
    }
}

/// Positions `first..end` of a sequence in one layer.
#[derive(Clone, Copy)]
struct Seen<'a> {
    memory: &'a HostMemory,
    blocks: &'a [BlockId],
    layer: usize,
    first: usize,
    end: usize,
}

vectorised! {
    /// The query heads of one key and value head, whose columns begin at `column`.
    fn attend_group(
        queries: &[f32], seen: Seen<'_>, heads: Heads, column: usize, scores: &mut Vec<f32>,
        output: &mut [f32],
    ) {
        let Seen { memory, blocks, layer, first, end } = seen;
        let (dim, row_width) = (heads.dim, heads.n_key_value * heads.dim);
        // Blocks wholly behind the window are skipped.
        let n_skipped = first / LANES;
        let blocks = &blocks[n_skipped..end.div_ceil(LANES)];
        let (first, end) = (first - n_skipped * LANES, end - n_skipped * LANES);
        let n_lanes = blocks.len() * LANES;
        scores.clear();
        scores.resize(heads.group() * n_lanes, 0.0);
        for (index, block) in blocks.iter().enumerate() {
            // Read once for all query heads.
            let keys = &memory.layer(*block, layer).0[column * LANES..(column + dim) * LANES];
            for (head, query) in queries.chunks_exact(dim).enumerate() {
                let mut lanes = [0.0f32; LANES];
                for (key, query) in keys.as_chunks::<LANES>().0.iter().zip(query) {
                    for lane in 0..LANES {
                        lanes[lane] += query * key[lane];
                    }
                }
                scores[head * n_lanes + index * LANES..][..LANES].copy_from_slice(&lanes);
            }
        }
        for (scores, output) in
            scores.chunks_exact_mut(n_lanes).zip(output.chunks_exact_mut(dim))
        {
            let seen = &mut scores[first..end];
            let largest = maximum(seen);
            let factor = 1.0 / exponentials(seen, largest);
            for weight in seen {
                *weight *= factor;
            }
            output.fill(0.0);
        }
        for (index, block) in blocks.iter().enumerate() {
            let start = index * LANES;
            let (from, to) = (first.max(start), end.min(start + LANES));
            let values = &memory.layer(*block, layer).1[(from - start) * row_width..];
            for (scores, output) in
                scores.chunks_exact(n_lanes).zip(output.chunks_exact_mut(dim))
            {
                add_weighted(&scores[from..to], values, row_width, column, output);
            }
        }
    }
}

/// Adds each position's value times its weight; four positions at a time, so that sums are read and
/// written less often.
#[expect(clippy::inline_always, reason = "it must be compiled for its caller's instruction set")]
#[inline(always)]
fn add_weighted(
    weights: &[f32],
    values: &[f32],
    row_width: usize,
    column: usize,
    output: &mut [f32],
) {
    let dim = output.len();
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::pool::{Memory, Pool};

    const HEADS: Heads = Heads { n_query: 4, n_key_value: 2, dim: 8 };

    /// Softmax attention of one head, term by term.
    fn naive(projections: &[f32], row: usize, head: usize, window: usize) -> Vec<f32> {
        let at = |row: usize, head: usize| {
            &projections[row * HEADS.qkv_width() + head * HEADS.dim..][..HEADS.dim]
        };
        let key_value = head / HEADS.group();
        let seen = (row + 1).saturating_sub(window)..row + 1;
        let weight = |other: usize| {
            let key = at(other, HEADS.n_query + key_value);
            at(row, head).iter().zip(key).map(|(a, b)| a * b).sum::<f32>().exp()
        };
        let total: f32 = seen.clone().map(weight).sum();
        let mut sum = vec![0.0; HEADS.dim];
        for other in seen {
            let value = at(other, HEADS.n_query + HEADS.n_key_value + key_value);
            for (sum, value) in sum.iter_mut().zip(value) {
                *sum += weight(other) / total * value;
            }
        }
        sum
    }

    #[test]
    fn windows_see_their_positions_only_and_threads_change_no_bit() {
        let n = 150;
        let projections: Vec<f32> =
            (0..n * HEADS.qkv_width()).map(|i| ((i * 37 % 101) as f32 - 50.0) / 60.0).collect();
        let mut pool = Pool::new(1, HEADS, None, 1 << 20);
        let blocks: Vec<BlockId> = (0..n.div_ceil(LANES)).map(|_| pool.take()).collect();
        let Memory::Host(mut memory) = pool.memory else { panic!("not on the host") };
        let span = Span { blocks: &blocks, position: 0, n_rows: n };
        memory.write(span, 0, &projections, HEADS);
        let rows: Vec<Row<'_>> = (0..n).map(|position| Row { blocks: &blocks, position }).collect();
        let run = |range: std::ops::Range<usize>, window| {
            let mut output = vec![0.0; range.len() * HEADS.n_query * HEADS.dim];
            let queries = &projections[range.start * HEADS.qkv_width()..];
            attend(&rows[range], queries, &memory, 0, HEADS, window, &mut output);
            output
        };
        for window in [None, Some(1), Some(16), Some(21), Some(1000)] {
            let together = run(0..n, window);
            // One row at a time is too little for other threads.
            let alone: Vec<f32> = (0..n).flat_map(|row| run(row..row + 1, window)).collect();
            assert_eq!(together, alone);
            for (index, found) in together.chunks_exact(HEADS.dim).enumerate() {
                let (row, head) = (index / HEADS.n_query, index % HEADS.n_query);
                let expected = naive(&projections, row, head, window.unwrap_or(n));
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-5, "row {row}, window {window:?}");
                }
            }
        }
    }
}
