use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;

use crate::ops::kernel::{Kernel, apply, tensor, values};
use crate::ops::simd::{dot, vectorised};

/// Scales each row to a root mean square of 1, then each column by its gain.
///
/// # Shapes
///
/// - `x`: `[n, width]`, `gain`: `[width]`, output: `[n, width]`
pub(crate) fn rms_norm(x: Tensor<2>, gain: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let inputs = [x.into_dispatch(), gain.into_dispatch()];
    apply(RmsNorm { epsilon: epsilon as f32 }, inputs).unwrap_or_else(|[x, gain]| {
        plain(Tensor::from_dispatch(x), Tensor::from_dispatch(gain), epsilon)
    })
}

fn plain(x: Tensor<2>, gain: Tensor<1>, epsilon: f64) -> Tensor<2> {
    let scale = (x.clone().square().mean_dim(1) + epsilon).sqrt();
    (x / scale) * gain.unsqueeze()
}

#[derive(Clone, Debug)]
struct RmsNorm {
    epsilon: f32,
}

impl Kernel<2> for RmsNorm {
    /// The inputs, and the reciprocal root mean square of each row.
    type Saved = (FlexTensor, FlexTensor, Vec<f32>);

    fn forward(&self, [x, gain]: [FlexTensor; 2]) -> (FlexTensor, Self::Saved) {
        let mut output = vec![0.0; values(&x).len()];
        let mut scales = vec![0.0; output.len() / values(&gain).len()];
        normalise(values(&x), values(&gain), self.epsilon, &mut output, &mut scales);
        (tensor(output, x.layout().shape()), (x, gain, scales))
    }

    fn backward(&self, saved: Self::Saved, gradient: FlexTensor) -> [FlexTensor; 2] {
        let (x, gain, scales) = saved;
        let mut gradient = gradient;
        let mut gain_gradient = vec![0.0; values(&gain).len()];
        let in_place = gradient.storage_mut::<f32>();
        normalise_backward(values(&x), values(&gain), &scales, in_place, &mut gain_gradient);
        let sides = [gain_gradient.len()];
        [gradient, tensor(gain_gradient, &sides)]
    }
}

vectorised! {
    /// Rows of `x` into those of `output`, and each row's reciprocal root mean square.
    pub(crate) fn normalise(
        x: &[f32], gain: &[f32], epsilon: f32, output: &mut [f32], scales: &mut [f32],
    ) {
        let width = gain.len();
        let rows = x.chunks_exact(width).zip(output.chunks_exact_mut(width));
        for ((x, output), kept) in rows.zip(scales) {
            let scale = 1.0 / (dot(x, x) / width as f32 + epsilon).sqrt();
            *kept = scale;
            for ((output, x), gain) in output.iter_mut().zip(x).zip(gain) {
                *output = x * scale * gain;
            }
        }
    }

    /// Turns the output's gradient into that of `x`, and adds to that of the gain.
    fn normalise_backward(
        x: &[f32], gain: &[f32], scales: &[f32], gradient: &mut [f32], gain_gradient: &mut [f32],
    ) {
        let width = gain.len();
        let rows = x.chunks_exact(width).zip(gradient.chunks_exact_mut(width));
        for ((x, gradient), scale) in rows.zip(scales) {
            let sums = gain_gradient.iter_mut().zip(gain);
            for ((gradient, x), (sum, gain)) in gradient.iter_mut().zip(x).zip(sums) {
                *sum += *gradient * x * scale;
                *gradient *= gain;
            }
            let common = dot(gradient, x) * scale * scale * scale / width as f32;
            for (gradient, x) in gradient.iter_mut().zip(x) {
                *gradient = *gradient * scale - x * common;
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
        for (n, width) in [(1, 1), (3, 5), (4, 16), (7, 48)] {
            assert_same_with_gradients(
                [random(1, &[n, width]), random(2, &[width])],
                |[x, gain]| rms_norm(x.reshape([n, width]), gain, 1e-5),
                |[x, gain]| plain(x.reshape([n, width]), gain, 1e-5),
            );
        }
    }
}
