//! A model's trainable weights as one row of numbers, and back.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use crate::TrainError;

/// Whether training changes a parameter: those that a module froze keep out of gradients, moments
/// and checkpoints.
pub(crate) fn is_trainable<const D: usize>(param: &Param<Tensor<D>>) -> bool {
    if param.val().device().is_autodiff() {
        return param.is_require_grad();
    }
    // On a device without autodiff Burn keeps the setting to itself until the parameter is trained;
    // this shares the values and copies nothing.
    param.clone().train().is_require_grad()
}

/// All trainable float parameters in visiting order, `[n_parameters]`.
pub(crate) fn flatten<M: Module>(model: &M) -> Result<Vec<f32>, TrainError> {
    struct Visitor {
        flat: Vec<f32>,
        failure: Option<String>,
    }
    impl ModuleVisitor for Visitor {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if !is_trainable(param) {
                return;
            }
            match param.val().into_data().as_slice::<f32>() {
                Ok(values) => self.flat.extend_from_slice(values),
                Err(error) => self.failure = Some(format!("expected f32: {error:?}")),
            }
        }
    }
    let mut visitor = Visitor { flat: Vec::new(), failure: None };
    model.visit(&mut visitor);
    match visitor.failure {
        Some(reason) => Err(TrainError::Tensor { name: "weight", reason }),
        None => Ok(visitor.flat),
    }
}

/// Replaces every trainable float parameter; the inverse of [`flatten`].
///
/// `flat` has as many numbers as the model can train, which the caller has checked.
pub(crate) fn unflatten<M: Module>(model: M, flat: &[f32]) -> M {
    struct Mapper<'a>(&'a [f32]);
    impl ModuleMapper for Mapper<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            if !is_trainable(&param) {
                return param;
            }
            param.map(|tensor| {
                let shape = tensor.shape();
                let (values, rest) = self.0.split_at(shape.num_elements());
                self.0 = rest;
                Tensor::from_data(TensorData::new(values.to_vec(), shape), &tensor.device())
            })
        }
    }
    model.map(&mut Mapper(flat))
}
