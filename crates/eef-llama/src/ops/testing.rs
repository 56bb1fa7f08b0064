//! Comparison of fused kernels with compositions of Burn's operations.

use burn::tensor::{Device, Tensor, TensorData};

/// Values between -2 and 2 that depend on the seed only.
pub(crate) fn random(seed: u64, sides: &[usize]) -> TensorData {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 22) as f32 - 2.0
    };
    let n = sides.iter().product();
    TensorData::new((0..n).map(|_| next()).collect::<Vec<f32>>(), sides.to_vec())
}

/// Runs both ways on a plain and on a tracked device; outputs and all gradients must agree.
pub(crate) fn assert_same_with_gradients<const N: usize, const D: usize>(
    inputs: [TensorData; N],
    fused: impl Fn([Tensor<1>; N]) -> Tensor<D>,
    plain: impl Fn([Tensor<1>; N]) -> Tensor<D>,
) {
    let flat = |data: &TensorData, device: &Device| {
        let n = data.num_elements();
        Tensor::<1>::from_data(TensorData::new(data.iter::<f32>().collect::<Vec<_>>(), [n]), device)
    };
    let run = |operation: &dyn Fn([Tensor<1>; N]) -> Tensor<D>, device: &Device, track: bool| {
        let leaves = inputs.each_ref().map(|data| flat(data, device));
        let leaves = leaves.map(|leaf| if track { leaf.require_grad() } else { leaf });
        let output = operation(leaves.clone());
        let n = output.shape().num_elements();
        let mut all: Vec<Vec<f32>> = vec![output.clone().into_data().iter::<f32>().collect()];
        if track {
            // A gradient that differs from element to element.
            let weights = flat(&random(9, &[n]), device);
            let gradients = (output.reshape([n]) * weights).sum().backward();
            for leaf in leaves {
                let gradient = leaf.grad(&gradients).expect("every input is used");
                all.push(gradient.into_data().iter::<f32>().collect());
            }
        }
        all
    };
    let cpu = Device::flex();
    for (device, track) in [(cpu.clone(), false), (cpu.autodiff(), true)] {
        let (found, expected) = (run(&fused, &device, track), run(&plain, &device, track));
        assert_eq!(found.len(), if track { N + 1 } else { 1 });
        for (which, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_eq!(found.len(), expected.len());
            for (a, b) in found.iter().zip(expected) {
                let tolerance = 1e-5 * b.abs().max(1.0) * (found.len() as f32).sqrt();
                assert!((a - b).abs() <= tolerance, "output or gradient {which}: {a} != {b}");
            }
        }
    }
}
