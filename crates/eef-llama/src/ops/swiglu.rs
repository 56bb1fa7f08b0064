use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use burn::tensor::activation::silu;

use crate::ops::kernel::{Kernel, apply, tensor, values};
use crate::ops::simd::{LANES, exp, vectorised};

/// The gate's SiLU times the up projection.
///
/// # Shapes
///
/// - `gate_up`: `[n, 2 * width]`, gate first; output: `[n, width]`
pub(crate) fn swiglu(gate_up: Tensor<2>) -> Tensor<2> {
    apply(SwiGlu, [gate_up.into_dispatch()])
        .unwrap_or_else(|[gate_up]| plain(Tensor::from_dispatch(gate_up)))
}

fn plain(gate_up: Tensor<2>) -> Tensor<2> {
    let [_, twice] = gate_up.dims();
    let gate = gate_up.clone().narrow(1, 0, twice / 2);
    silu(gate) * gate_up.narrow(1, twice / 2, twice / 2)
}

#[derive(Clone, Debug)]
struct SwiGlu;

impl Kernel<1> for SwiGlu {
    type Saved = FlexTensor;

    fn forward(&self, [gate_up]: [FlexTensor; 1]) -> (FlexTensor, FlexTensor) {
        let (n, width) = sides(&gate_up);
        let mut output = vec![0.0; n * width];
        gate(values(&gate_up), width, &mut output);
        (tensor(output, &[n, width]), gate_up)
    }

    fn backward(&self, saved: FlexTensor, gradient: FlexTensor) -> [FlexTensor; 1] {
        let (_, width) = sides(&saved);
        let mut saved = saved;
        // Nobody else holds the saved values any more: they become the gradient in place.
        gate_backward(values(&gradient), width, saved.storage_mut::<f32>());
        [saved]
    }
}

fn sides(gate_up: &FlexTensor) -> (usize, usize) {
    (gate_up.layout().shape()[0], gate_up.layout().shape()[1] / 2)
}

vectorised! {
    /// Rows `[2 * width]` into rows `[width]`.
    pub(crate) fn gate(gate_up: &[f32], width: usize, output: &mut [f32]) {
        for (row, output) in gate_up.chunks_exact(2 * width).zip(output.chunks_exact_mut(width)) {
            let (gate, up) = row.split_at(width);
            for ((output, gate), up) in output.iter_mut().zip(gate).zip(up) {
                *output = gate * up / (1.0 + exp(-gate));
            }
        }
    }

    fn gate_backward(gradient: &[f32], width: usize, gate_up: &mut [f32]) {
        let rows = gate_up.chunks_exact_mut(2 * width).zip(gradient.chunks_exact(width));
        for (row, gradient) in rows {
            let (gate, up) = row.split_at_mut(width);
            let (gates, gate_rest) = gate.as_chunks_mut::<LANES>();
            let (ups, up_rest) = up.as_chunks_mut::<LANES>();
            let (gradients, gradient_rest) = gradient.as_chunks::<LANES>();
            for ((gate, up), gradient) in gates.iter_mut().zip(ups).zip(gradients) {
                // Copies of a fixed size: the compiler cannot see that the two outputs are apart.
                let (gate_in, up_in) = (*gate, *up);
                let (mut gate_out, mut up_out) = ([0.0; LANES], [0.0; LANES]);
                for lane in 0..LANES {
                    (gate_out[lane], up_out[lane]) =
                        gradients_of(gate_in[lane], up_in[lane], gradient[lane]);
                }
                (*gate, *up) = (gate_out, up_out);
            }
            for ((gate, up), gradient) in gate_rest.iter_mut().zip(up_rest).zip(gradient_rest) {
                (*gate, *up) = gradients_of(*gate, *up, *gradient);
            }
        }
    }
}

/// The gradients of gate and up.
#[expect(clippy::inline_always, reason = "it must be compiled for its caller's instruction set")]
#[inline(always)]
fn gradients_of(gate: f32, up: f32, gradient: f32) -> (f32, f32) {
    let sigmoid = 1.0 / (1.0 + exp(-gate));
    let silu = gate * sigmoid;
    (gradient * up * (sigmoid + silu * (1.0 - sigmoid)), gradient * silu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::testing::{assert_same_with_gradients, random};

    #[test]
    fn the_kernel_is_the_composition() {
        for (n, width) in [(1, 1), (3, 5), (4, 16), (7, 48)] {
            assert_same_with_gradients(
                [random(1, &[n, 2 * width])],
                |[x]| swiglu(x.reshape([n, 2 * width])),
                |[x]| plain(x.reshape([n, 2 * width])),
            );
        }
    }
}
