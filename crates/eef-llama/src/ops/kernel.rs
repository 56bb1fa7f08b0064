//! How a fused CPU kernel stands under Burn's tensors: values from `flex`, and a backward pass of
//! its own where the tensors are tracked.

use std::fmt::Debug;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{
    Autodiff, BackendTensor, DispatchKindConversion, DispatchTensor, Flex, TensorMetadata,
};
use burn::tensor::{DType, Tensor, TensorData};

/// An operation on `N` contiguous `f32` tensors of the `flex` backend.
pub(crate) trait Kernel<const N: usize>: Clone + Debug + Send + 'static {
    /// What the backward pass needs of the forward pass.
    type Saved: Clone + Debug + Send + 'static;

    /// The output, and what to keep for the backward pass.
    fn forward(&self, inputs: [FlexTensor; N]) -> (FlexTensor, Self::Saved);

    /// The gradients of the inputs, from that of the output.
    fn backward(&self, saved: Self::Saved, gradient: FlexTensor) -> [FlexTensor; N];
}

/// Runs a kernel where all inputs are `f32` tensors on the CPU; gives them back on any other device.
///
/// Inputs that nobody else holds are the kernel's to overwrite.
pub(crate) fn apply<const N: usize, const D: usize, K: Kernel<N>>(
    kernel: K,
    inputs: [DispatchTensor; N],
) -> Result<Tensor<D>, [DispatchTensor; N]> {
    if inputs.iter().any(|input| input.dtype() != DType::F32) {
        return Err(inputs);
    }
    if let Some(plain) = primitives(&inputs, untracked) {
        drop(inputs);
        let (output, _) = kernel.forward(plain.map(contiguous));
        return Ok(Tensor::from_primitive::<Flex>(output));
    }
    let Some(tracked) = primitives(&inputs, tracked) else { return Err(inputs) };
    drop(inputs);
    let guards = tracked.each_ref().map(TrackedTensor::node);
    let (output, saved) = kernel.forward(tracked.map(|input| contiguous(input.into_primitive())));
    let step = Step(kernel).prepare::<NoCheckpointing>(guards).compute_bound().stateful();
    let output = match step {
        OpsKind::Tracked(step) => step.finish(saved, output),
        OpsKind::UnTracked(step) => step.finish(output),
    };
    Ok(Tensor::from_primitive::<Tracked>(output))
}

/// Whether kernels can run on a tensor.
pub(crate) fn is_on_cpu<const D: usize>(tensor: &Tensor<D>) -> bool {
    let tensor = tensor.clone().into_dispatch();
    let inputs = [tensor];
    let is_float = inputs[0].dtype() == DType::F32;
    is_float && (primitives(&inputs, untracked).is_some() || primitives(&inputs, tracked).is_some())
}

/// The values of a contiguous tensor.
pub(crate) fn values(tensor: &FlexTensor) -> &[f32] {
    // Kernels are only given contiguous `f32` tensors; an empty slice here would be seen at once.
    tensor.as_slice::<f32>().unwrap_or_default()
}

/// A tensor that owns these values.
pub(crate) fn tensor(values: Vec<f32>, sides: &[usize]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, sides.to_vec()))
}

/// A contiguous tensor that starts where its storage starts.
pub(crate) fn contiguous(tensor: FlexTensor) -> FlexTensor {
    let whole = tensor.bytes().len() == tensor.layout().num_elements() * size_of::<f32>();
    if whole && tensor.is_contiguous() {
        return tensor;
    }
    FlexTensor::from_data(tensor.into_data())
}

type Tracked = Autodiff<Flex, NoCheckpointing>;
type TrackedTensor = burn::backend::tensor::FloatTensor<Tracked>;

fn untracked(tensor: DispatchTensor) -> Option<FlexTensor> {
    match <DispatchTensor as DispatchKindConversion<Flex>>::try_into_backend(tensor) {
        Ok(BackendTensor::Float(tensor)) => Some(tensor),
        _ => None,
    }
}

fn tracked(tensor: DispatchTensor) -> Option<TrackedTensor> {
    match <DispatchTensor as DispatchKindConversion<Tracked>>::try_into_backend(tensor) {
        Ok(BackendTensor::Float(tensor)) => Some(tensor),
        _ => None,
    }
}

fn primitives<const N: usize, T>(
    inputs: &[DispatchTensor; N],
    convert: impl Fn(DispatchTensor) -> Option<T>,
) -> Option<[T; N]> {
    let converted: Option<Vec<T>> = inputs.iter().map(|input| convert(input.clone())).collect();
    converted?.try_into().ok()
}

#[derive(Debug)]
struct Step<K>(K);

impl<const N: usize, K: Kernel<N>> Backward<Flex, N> for Step<K> {
    type State = K::Saved;

    fn backward(self, ops: Ops<K::Saved, N>, gradients: &mut Gradients, _: &mut Checkpointer) {
        let gradient = contiguous(gradients.consume::<Flex>(&ops.node));
        let inputs = self.0.backward(ops.state, gradient);
        for (parent, gradient) in ops.parents.into_iter().zip(inputs) {
            if let Some(node) = parent {
                gradients.register::<Flex>(node.id, gradient);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::Device;

    use super::*;

    /// Halves its input, and says so in the gradient.
    #[derive(Clone, Debug)]
    struct Half;

    impl Kernel<1> for Half {
        type Saved = ();

        fn forward(&self, [input]: [FlexTensor; 1]) -> (FlexTensor, ()) {
            (self.backward((), input)[0].clone(), ())
        }

        fn backward(&self, (): (), mut gradient: FlexTensor) -> [FlexTensor; 1] {
            gradient.storage_mut::<f32>().iter_mut().for_each(|x| *x /= 2.0);
            [gradient]
        }
    }

    /// Without this, tests that hold kernels against compositions could compare a composition
    /// with itself.
    #[test]
    fn kernels_run_on_the_cpu_tracked_or_not() {
        let run = |tensor: Tensor<2>| apply::<1, 2, _>(Half, [tensor.into_dispatch()]).unwrap();
        let cpu = Device::flex();
        let whole = Tensor::<2>::from_data([[1.0, 2.0], [3.0, 4.0]], &cpu);
        // A view is made contiguous, and what others hold is not overwritten.
        let half = run(whole.clone().transpose());
        assert_eq!(half.into_data().iter::<f32>().collect::<Vec<_>>(), [0.5, 1.5, 1.0, 2.0]);
        assert_eq!(whole.into_data().iter::<f32>().collect::<Vec<_>>(), [1.0, 2.0, 3.0, 4.0]);

        let leaf = Tensor::<2>::from_data([[6.0]], &cpu.clone().autodiff()).require_grad();
        let half = run(leaf.clone() * 3.0);
        assert_eq!(half.clone().into_scalar::<f32>(), 9.0);
        let gradients = half.sum().backward();
        assert_eq!(leaf.grad(&gradients).expect("a gradient").into_scalar::<f32>(), 1.5);
    }

    #[test]
    fn other_types_are_given_back() {
        let tensor = Tensor::<2>::from_data([[1.0]], &Device::flex()).cast(DType::F64);
        assert!(apply::<1, 2, _>(Half, [tensor.into_dispatch()]).is_err());
    }
}
