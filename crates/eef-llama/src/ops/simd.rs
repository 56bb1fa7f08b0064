//! Loops that the compiler turns into the widest instructions of the processor it runs on.
#![expect(
    clippy::inline_always,
    reason = "functions must be compiled for the instruction set of their caller"
)]

/// Declares functions compiled once for each instruction set; the best one is picked when it runs.
///
/// The bodies are plain loops: `pulp` only provides the safe choice, the compiler vectorises.
macro_rules! vectorised {
    ($($(#[$attribute:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $body:block)*) => {$(
        $(#[$attribute])*
        $visibility fn $name($($argument: $type),*) {
            struct Call<T>(T);
            impl pulp::WithSimd for Call<($($type,)*)> {
                type Output = ();
                #[inline(always)]
                fn with_simd<S: pulp::Simd>(self, _: S) {
                    let ($($argument,)*) = self.0;
                    $body
                }
            }
            pulp::Arch::new().dispatch(Call(($($argument,)*)));
        }
    )*};
}

pub(crate) use vectorised;

/// Sums are kept in this many lanes: addition in another order is another result, so the compiler
/// would not vectorise a single sum.
pub(crate) const LANES: usize = 16;

/// The scalar product of two slices of one length.
#[inline(always)]
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for lane in 0..LANES {
            sums[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[lane] += a * b;
    }
    total(sums)
}

/// The largest value, or negative infinity.
#[inline(always)]
pub(crate) fn maximum(values: &[f32]) -> f32 {
    let mut largest = [f32::NEG_INFINITY; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            largest[lane] = if chunk[lane] > largest[lane] { chunk[lane] } else { largest[lane] };
        }
    }
    let all = largest.iter().chain(rest);
    all.fold(f32::NEG_INFINITY, |a, b| if *b > a { *b } else { a })
}

/// Replaces each value by the exponential of its difference to `shift`; returns their sum.
#[inline(always)]
pub(crate) fn exponentials(values: &mut [f32], shift: f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = values.as_chunks_mut::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            chunk[lane] = exp(chunk[lane] - shift);
            sums[lane] += chunk[lane];
        }
    }
    for (lane, value) in rest.iter_mut().enumerate() {
        *value = exp(*value - shift);
        sums[lane] += *value;
    }
    total(sums)
}

/// The sum of all exponentials of differences to `shift`.
#[inline(always)]
pub(crate) fn sum_of_exponentials(values: &[f32], shift: f32) -> f32 {
    let mut sums = [0.0; LANES];
    let (chunks, rest) = values.as_chunks::<LANES>();
    for chunk in chunks {
        for lane in 0..LANES {
            sums[lane] += exp(chunk[lane] - shift);
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        sums[lane] += exp(*value - shift);
    }
    total(sums)
}

/// The exponential function, within 2 units in the last place for results that are normal numbers.
///
/// The library's has branches, which keep loops from being vectorised. Range reduction and the
/// polynomial are those of Cephes' `expf`.
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    // Adding this rounds to an integer, which then stands in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.3, 88.3);
    let rounded = x * std::f32::consts::LOG2_E + ROUND;
    let n = rounded - ROUND;
    let r = x - n * LN_2_HIGH - n * LN_2_LOW;
    let mut p = 1.987_569_1e-4;
    p = p * r + 1.398_2e-3;
    p = p * r + 8.333_452e-3;
    p = p * r + 4.166_579_6e-2;
    p = p * r + 0.166_666_65;
    p = p * r + 0.5;
    let fraction = p * r * r + r + 1.0;
    let exponent = rounded.to_bits().wrapping_sub(ROUND.to_bits()).wrapping_add(127);
    fraction * f32::from_bits(exponent << 23)
}

#[inline(always)]
fn total(sums: [f32; LANES]) -> f32 {
    let mut width = LANES / 2;
    let mut sums = sums;
    while width > 0 {
        for lane in 0..width {
            sums[lane] += sums[lane + width];
        }
        width /= 2;
    }
    sums[0]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_library() {
        let mut worst = 0.0f64;
        for i in -87_000..=88_000 {
            let x = i as f32 / 1000.0;
            let exact = f64::from(x).exp();
            worst = worst.max((f64::from(exp(x)) - exact).abs() / exact);
        }
        assert!(worst < 2.4e-7, "relative error {worst}");
        assert_eq!(exp(0.0), 1.0);
        assert!(exp(f32::NAN).is_nan());
        assert!(exp(f32::NEG_INFINITY) < 1.3e-38 && exp(1e9).is_finite());
    }

    #[test]
    fn sums_count_every_value() {
        for n in 0..50usize {
            let values: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let squares: f32 = values.iter().map(|x| x * x).sum();
            assert_eq!(dot(&values, &values), squares);
            let largest = values.last().copied().unwrap_or(f32::NEG_INFINITY);
            assert_eq!(maximum(&values), largest);
            let mut zeros = vec![3.0; n];
            assert_eq!(exponentials(&mut zeros, 3.0), n as f32);
            assert_eq!(sum_of_exponentials(&vec![3.0; n], 3.0), n as f32);
            assert!(zeros.iter().all(|x| *x == 1.0));
        }
    }
}
