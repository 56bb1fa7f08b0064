//! A model's weights as one row of numbers, and back.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::{Tensor, TensorData};

use crate::TrainError;

/// All float parameters in visiting order, `[n_parameters]`.
pub(crate) fn flatten<M: Module>(model: &M) -> Result<Vec<f32>, TrainError> {
    struct Visitor {
        flat: Vec<f32>,
        failure: Option<String>,
    }
    impl ModuleVisitor for Visitor {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
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

/// Replaces every float parameter; the inverse of [`flatten`].
///
/// `flat` has as many numbers as the model, which the caller has checked.
pub(crate) fn unflatten<M: Module>(model: M, flat: &[f32]) -> M {
    struct Mapper<'a>(&'a [f32]);
    impl ModuleMapper for Mapper<'_> {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
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
