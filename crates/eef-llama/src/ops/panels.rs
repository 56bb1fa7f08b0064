//! Products with matrices that stay as they are: what a generator does all day.
#![expect(
    clippy::inline_always,
    reason = "functions must be compiled for the instruction set of their caller"
)]

use std::ops::Range;

use pulp::Simd;
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

/// Columns of a panel: the floats of one line of the processor's cache.
const WIDTH: usize = 16;
/// Inputs whose weights of one panel stay in the second cache (64 KiB) while all rows pass.
const DEPTH: usize = 1024;
/// Rows whose inputs stay there too (384 KiB of `DEPTH` inputs) while all panels pass.
const ROWS: usize = 96;
/// Multiplications below which handing work to other threads costs more than it saves.
const SMALLEST_SHARED_WORK: usize = 1 << 17;

/// A matrix `[n_inputs, n_outputs]` in panels of 16 columns, in the order in which they are read:
/// few rows wait for the memory, not for the processor.
///
/// Every value of a product is one chain of fused additions over the inputs, in their order. So it
/// depends neither on the number of rows beside it, nor on the number of threads, nor, where the
/// processor fuses, on how wide its vectors are.
#[derive(Debug)]
#[expect(clippy::struct_field_names, reason = "panels are what it has")]
pub(crate) struct Panels {
    n_inputs: usize,
    n_outputs: usize,
    n_panels: usize,
    /// For each [`DEPTH`] inputs, `[n_panels, inputs]`, padded with zeros.
    rows: Vec<[f32; WIDTH]>,
}

impl Panels {
    /// Packs values `[n_inputs, n_outputs]`.
    pub(crate) fn from_columns(values: &[f32], n_outputs: usize) -> Self {
        let n_inputs = values.len() / n_outputs;
        Self::pack(n_inputs, n_outputs, |depth, panel, rows| {
            let from = panel * WIDTH;
            let n = WIDTH.min(n_outputs - from);
            let values = values.chunks_exact(n_outputs).skip(depth.start);
            for (row, values) in rows.iter_mut().zip(values) {
                row[..n].copy_from_slice(&values[from..from + n]);
            }
        })
    }

    /// Packs values `[n_outputs, n_inputs]`.
    pub(crate) fn from_rows(values: &[f32], n_outputs: usize) -> Self {
        let n_inputs = values.len() / n_outputs;
        Self::pack(n_inputs, n_outputs, |depth, panel, rows| {
            let columns = values.chunks_exact(n_inputs).skip(panel * WIDTH).take(WIDTH);
            for (column, values) in columns.enumerate() {
                for (row, value) in rows.iter_mut().zip(&values[depth.clone()]) {
                    row[column] = *value;
                }
            }
        })
    }

    fn pack(
        n_inputs: usize,
        n_outputs: usize,
        fill: impl Fn(Range<usize>, usize, &mut [[f32; WIDTH]]) + Sync,
    ) -> Self {
        let n_panels = n_outputs.div_ceil(WIDTH);
        let mut rows = vec![[0.0; WIDTH]; n_panels * n_inputs];
        for (index, block) in rows.chunks_mut(DEPTH * n_panels).enumerate() {
            let depth = index * DEPTH..n_inputs.min((index + 1) * DEPTH);
            let panels = block.par_chunks_exact_mut(depth.len()).enumerate();
            panels.for_each(|(panel, rows)| fill(depth.clone(), panel, rows));
        }
        Self { n_inputs, n_outputs, n_panels, rows }
    }

    /// Copies the weights of one output.
    pub(crate) fn column(&self, output: usize, weights: &mut [f32]) {
        let blocks = self.rows.chunks(DEPTH * self.n_panels);
        for (weights, block) in weights.chunks_mut(DEPTH).zip(blocks) {
            let panel = &block[output / WIDTH * weights.len()..];
            for (weight, row) in weights.iter_mut().zip(panel) {
                *weight = row[output % WIDTH];
            }
        }
    }

    /// Multiplies rows `[n, n_inputs]` into `[n, n_outputs]`.
    pub(crate) fn multiply(&self, x: &[f32], output: &mut [f32]) {
        let n = output.len() / self.n_outputs;
        let n_threads = rayon::current_num_threads();
        if n_threads == 1 || n * self.n_inputs * self.n_outputs < SMALLEST_SHARED_WORK {
            let mut rows: Vec<_> = output.chunks_exact_mut(self.n_outputs).collect();
            for (x, rows) in x.chunks(ROWS * self.n_inputs).zip(rows.chunks_mut(ROWS)) {
                self.strip(x, 0..self.n_panels, rows);
            }
            return;
        }
        let blocks = n.div_ceil(ROWS);
        // One strip of columns for each thread where a block of rows is all there is, so that
        // nothing is handed over twice; with more blocks, more parts, which even out.
        let n_strips = n_threads.min(self.n_panels);
        let bounds: Vec<usize> = (0..=n_strips).map(|i| i * self.n_panels / n_strips).collect();
        let mut parts = Vec::with_capacity(blocks * n_strips);
        let inputs = x.chunks(ROWS * self.n_inputs);
        for (x, output) in inputs.zip(output.chunks_mut(ROWS * self.n_outputs)) {
            let mut strips: Vec<Vec<&mut [f32]>> = Vec::new();
            strips.resize_with(n_strips, || Vec::with_capacity(ROWS));
            for mut row in output.chunks_exact_mut(self.n_outputs) {
                for (strip, bounds) in strips.iter_mut().zip(bounds.windows(2)) {
                    let width = ((bounds[1] - bounds[0]) * WIDTH).min(row.len());
                    let (own, rest) = row.split_at_mut(width);
                    strip.push(own);
                    row = rest;
                }
            }
            let bounds = bounds.windows(2).map(|bounds| bounds[0]..bounds[1]);
            parts.extend(strips.into_iter().zip(bounds).map(|(rows, panels)| (x, panels, rows)));
        }
        parts.into_par_iter().for_each(|(x, panels, mut rows)| self.strip(x, panels, &mut rows));
    }

    /// The columns of some panels, for at most [`ROWS`] rows.
    fn strip(&self, x: &[f32], panels: Range<usize>, rows: &mut [&mut [f32]]) {
        pulp::Arch::new().dispatch(Strip { x, weights: self, panels, rows });
    }
}

/// Rows of inputs, the panels they are multiplied with, and each row's part of the product.
struct Strip<'a, 'b> {
    x: &'a [f32],
    weights: &'a Panels,
    panels: Range<usize>,
    rows: &'a mut [&'b mut [f32]],
}

impl pulp::WithSimd for Strip<'_, '_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // Tiles of 1, 2, … 6 rows take so many panels at once that their sums fill the registers:
        // additions to one sum wait for each other, those to different ones do not.
        match S::F32_LANES {
            16 => self.run::<S, 1, 8, 6, 4, 4, 4, 4>(simd),
            8 => self.run::<S, 2, 6, 3, 1, 1, 1, 1>(simd),
            4 => self.run::<S, 4, 4, 2, 1, 1, 1, 1>(simd),
            _ => self.run::<S, WIDTH, 1, 1, 1, 1, 1, 1>(simd),
        }
    }
}

/// Rows of a tile at most.
const MOST_ROWS: usize = 6;

/// A tile: some rows, some panels, and which inputs are added.
struct Tile<'a> {
    /// `[depth, n_rows]`
    x: &'a [f32],
    first_row: usize,
    panels: Range<usize>,
    depth: Range<usize>,
    fetch: Fetch,
}

/// Which weights a tile asks the memory for, while it computes with those that are here.
#[derive(Clone, Copy)]
struct Fetch {
    /// Bytes from the tile's first weights on.
    ahead: usize,
    /// Bytes further with each input.
    step: usize,
}

impl Fetch {
    /// The tiles of a panel fetch the next panel together, each its share. Memory and processor
    /// then work at the same time; without it the first tile waits, and the others do not use the
    /// memory at all.
    fn of(tile: usize, n_tiles: usize, depth: usize) -> Self {
        const LINE: usize = WIDTH * size_of::<f32>();
        if n_tiles == 1 {
            return Self { ahead: 32 * LINE, step: LINE };
        }
        let step = LINE / n_tiles;
        Self { ahead: depth * LINE + tile * depth * step, step }
    }
}

/// The rows of a tile, as evenly as can be: one with a single row would leave registers unused.
fn rows_of_tile(index: usize, n_tiles: usize, n_rows: usize) -> Range<usize> {
    index * n_rows / n_tiles..(index + 1) * n_rows / n_tiles
}

impl Strip<'_, '_> {
    /// `V` vectors make a panel's row; tiles of `i` rows take `Gi` panels at once.
    #[inline(always)]
    fn run<
        S: Simd,
        const V: usize,
        const G1: usize,
        const G2: usize,
        const G3: usize,
        const G4: usize,
        const G5: usize,
        const G6: usize,
    >(
        mut self,
        simd: S,
    ) {
        let n = self.rows.len();
        let n_inputs = self.weights.n_inputs;
        let n_tiles = n.div_ceil(MOST_ROWS);
        let group = [G1, G2, G3, G4, G5, G6][n.div_ceil(n_tiles) - 1];
        let mut packed = Vec::new();
        for from in (0..n_inputs).step_by(DEPTH) {
            let depth = from..n_inputs.min(from + DEPTH);
            self.pack_inputs(n_tiles, depth.clone(), &mut packed);
            for first in self.panels.clone().step_by(group) {
                for index in 0..n_tiles {
                    let rows = rows_of_tile(index, n_tiles, n);
                    let x = &packed[rows.start * depth.len()..rows.end * depth.len()];
                    let panels = first..self.panels.end.min(first + group);
                    let depth = depth.clone();
                    let fetch = Fetch::of(index, n_tiles, depth.len());
                    let tile = Tile { x, first_row: rows.start, panels, depth, fetch };
                    match rows.len() {
                        1 => self.panels_of::<S, V, 1, G1>(simd, tile),
                        2 => self.panels_of::<S, V, 2, G2>(simd, tile),
                        3 => self.panels_of::<S, V, 3, G3>(simd, tile),
                        4 => self.panels_of::<S, V, 4, G4>(simd, tile),
                        5 => self.panels_of::<S, V, 5, G5>(simd, tile),
                        _ => self.panels_of::<S, V, 6, G6>(simd, tile),
                    }
                }
            }
        }
    }

    /// The inputs of all tiles in the order in which they are read: `[depth, rows of the tile]`.
    #[inline(always)]
    fn pack_inputs(&self, n_tiles: usize, depth: Range<usize>, packed: &mut Vec<f32>) {
        packed.clear();
        let n = self.rows.len();
        for index in 0..n_tiles {
            let rows = rows_of_tile(index, n_tiles, n);
            let n_inputs = self.weights.n_inputs;
            let x = &self.x[rows.start * n_inputs..rows.end * n_inputs];
            let start = packed.len();
            packed.resize(start + rows.len() * depth.len(), 0.0);
            for (row, x) in x.chunks_exact(n_inputs).enumerate() {
                let places = packed[start + row..].iter_mut().step_by(rows.len());
                for (place, x) in places.zip(&x[depth.clone()]) {
                    *place = *x;
                }
            }
        }
    }

    #[inline(always)]
    fn panels_of<S: Simd, const V: usize, const R: usize, const G: usize>(
        &mut self,
        simd: S,
        tile: Tile<'_>,
    ) {
        let mut panel = tile.panels.start;
        while panel + G <= tile.panels.end {
            self.tile::<S, V, R, G>(simd, &tile, panel);
            panel += G;
        }
        while panel < tile.panels.end {
            self.tile::<S, V, R, 1>(simd, &tile, panel);
            panel += 1;
        }
    }

    /// Adds to the products of `R` rows and `G` panels, which begin at zero.
    #[inline(always)]
    fn tile<S: Simd, const V: usize, const R: usize, const G: usize>(
        &mut self,
        simd: S,
        tile: &Tile<'_>,
        first_panel: usize,
    ) {
        let (first_row, depth, n) = (tile.first_row, tile.depth.start, tile.depth.len());
        let x: &[[f32; R]] = &tile.x.as_chunks().0[..n];
        let first = depth * self.weights.n_panels + first_panel * n;
        let weights: [&[[f32; WIDTH]]; G] =
            std::array::from_fn(|panel| &self.weights.rows[first + panel * n..][..n]);
        let fetched = weights[0].as_ptr().wrapping_byte_add(tile.fetch.ahead);
        let first_column = (first_panel - self.panels.start) * WIDTH;
        let mut sums = [[[simd.splat_f32s(0.0); V]; G]; R];
        if depth > 0 {
            for (sums, row) in sums.iter_mut().zip(&self.rows[first_row..]) {
                let found = row[first_column..].chunks(WIDTH);
                for (sums, found) in sums.iter_mut().zip(found) {
                    let mut whole = [0.0; WIDTH];
                    match found.as_array() {
                        Some(found) => whole = *found,
                        None => whole[..found.len()].copy_from_slice(found),
                    }
                    sums.copy_from_slice(S::as_simd_f32s(&whole).0);
                }
            }
        }
        for input in 0..n {
            prefetch(fetched.wrapping_byte_add(input * tile.fetch.step));
            let x: [_; R] = std::array::from_fn(|row| simd.splat_f32s(x[input][row]));
            for panel in 0..G {
                let (weights, _) = S::as_simd_f32s(&weights[panel][input]);
                for row in 0..R {
                    for vector in 0..V {
                        let sum = sums[row][panel][vector];
                        sums[row][panel][vector] =
                            simd.mul_add_e_f32s(x[row], weights[vector], sum);
                    }
                }
            }
        }
        for (sums, row) in sums.iter().zip(&mut self.rows[first_row..]) {
            let outputs = row[first_column..].chunks_mut(WIDTH);
            for (sums, output) in sums.iter().zip(outputs) {
                let mut whole = [0.0; WIDTH];
                S::as_mut_simd_f32s(&mut whole).0.copy_from_slice(sums);
                // A length that the compiler knows is no call of a function.
                match output.as_mut_array() {
                    Some(output) => *output = whole,
                    None => output.copy_from_slice(&whole[..output.len()]),
                }
            }
        }
    }
}

/// Asks for a line of memory that will be read soon; a hint, which other processors do without.
#[expect(unsafe_code, reason = "there is no safe function for it")]
#[inline(always)]
fn prefetch<T>(line: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the instruction reads nothing that a program could see, and ignores addresses that
    // are not mapped.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(line.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::random;

    fn values(seed: u64, n: usize) -> Vec<f32> {
        random(seed, &[n]).iter::<f32>().collect()
    }

    fn product(panels: &Panels, x: &[f32]) -> Vec<f32> {
        let mut output = vec![f32::NAN; x.len() / panels.n_inputs * panels.n_outputs];
        panels.multiply(x, &mut output);
        output
    }

    /// Tiles of every number of rows, several blocks of inputs and of rows, panels that are not
    /// full, and groups of panels that are not either.
    #[test]
    fn products_are_those_of_exact_sums() {
        let sides = [(1, 1), (5, 3), (16, 16), (33, 47), (48, 130), (1030, 50), (2049, 33)];
        for (n_inputs, n_outputs) in sides {
            let weights = values(1, n_inputs * n_outputs);
            let transposed: Vec<f32> = (0..n_outputs)
                .flat_map(|column| weights.iter().skip(column).step_by(n_outputs))
                .copied()
                .collect();
            let panels = Panels::from_columns(&weights, n_outputs);
            let same = Panels::from_rows(&transposed, n_outputs);
            for n in [1, 2, 3, 4, 5, 6, 7, 13, 97] {
                let x = values(2, n * n_inputs);
                let found = product(&panels, &x);
                assert_eq!(found, product(&same, &x));
                for (index, found) in found.iter().enumerate() {
                    let x = &x[index / n_outputs * n_inputs..][..n_inputs];
                    let weights = &transposed[index % n_outputs * n_inputs..][..n_inputs];
                    let products =
                        x.iter().zip(weights).map(|(x, w)| f64::from(*x) * f64::from(*w));
                    let tolerance = 1e-6 * n_inputs as f64;
                    let exact: f64 = products.sum();
                    assert!((f64::from(*found) - exact).abs() < tolerance, "{n} {n_inputs}");
                }
            }
            let mut column = vec![0.0; n_inputs];
            for (output, weights) in transposed.chunks_exact(n_inputs).enumerate() {
                panels.column(output, &mut column);
                assert_eq!(column, weights);
            }
        }
    }

    #[test]
    fn bits_of_a_row_depend_on_that_row_only() {
        let (n_inputs, n_outputs, most) = (1100, 530, 100);
        let panels = Panels::from_columns(&values(3, n_inputs * n_outputs), n_outputs);
        let x = values(4, most * n_inputs);
        let together = product(&panels, &x);
        for n in [1, 2, 3, 4, 5, 6, 8, 17, 31, 96] {
            let some = product(&panels, &x[(most - n) * n_inputs..]);
            assert_eq!(some, together[(most - n) * n_outputs..], "{n} rows");
        }
    }

    #[test]
    fn bits_do_not_depend_on_the_number_of_threads() {
        let panels = Panels::from_columns(&values(5, 96 * 1000), 1000);
        for n in [1, 9, 200] {
            let x = values(6, n * 96);
            let run = |n_threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build();
                pool.unwrap().install(|| product(&panels, &x))
            };
            assert_eq!(run(1), run(3), "{n} rows");
        }
    }
}
