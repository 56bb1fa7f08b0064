//! AdamW over all trainable parameters in one pass.
//!
//! Burn's AdamW runs a dozen tensor operations per parameter and keeps its moments under random
//! parameter ids, which do not survive into a resumed process. This one goes through weights,
//! gradients and moments once, and its state is two rows of numbers in visiting order: what a
//! checkpoint holds. Tested against Burn's.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Tensor, TensorData};
use rayon::prelude::*;

use crate::gradients::FlatGradients;
use crate::groups::treatment;
use crate::weights::is_trainable;
use crate::{AdamWConfig, ParameterGroup, TrainError};

/// Numbers that one task of the thread pool updates.
const CHUNK: usize = 1 << 16;

/// The optimiser's state.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct AdamW {
    /// Running mean of the gradients, `[n_parameters]`.
    pub moment_1: Vec<f32>,
    /// Running mean of their squares, `[n_parameters]`.
    pub moment_2: Vec<f32>,
    /// Updates so far.
    pub n_updates: u64,
}

/// What one update needs besides the state.
#[derive(Clone, Copy)]
pub(crate) struct Update<'a> {
    pub gradients: &'a FlatGradients,
    /// Factor on every gradient.
    pub clip: f32,
    pub learning_rate: f64,
    pub config: &'a AdamWConfig,
    pub groups: &'a [ParameterGroup],
}

impl AdamW {
    pub fn new(n_parameters: usize) -> Self {
        Self { moment_1: vec![0.0; n_parameters], moment_2: vec![0.0; n_parameters], n_updates: 0 }
    }

    /// Moves every trainable parameter of the model by one step. The model lives on a device without
    /// autodiff, and nobody else holds its tensors: they are then changed in place.
    pub fn update<M: Module>(&mut self, model: M, update: Update<'_>) -> Result<M, TrainError> {
        self.n_updates += 1;
        let config = update.config;
        let n_updates = self.n_updates as f64;
        let mut mapper = Mapper {
            constants: Constants {
                clip: update.clip,
                beta_1: config.beta_1 as f32,
                beta_2: config.beta_2 as f32,
                correction_1: (1.0 - config.beta_1.powf(n_updates)) as f32,
                correction_2: (1.0 - config.beta_2.powf(n_updates)) as f32,
                epsilon: config.epsilon as f32,
                learning_rate: 0.0,
                keep: 1.0,
            },
            update,
            path: Vec::new(),
            gradients: &update.gradients.0,
            moment_1: &mut self.moment_1,
            moment_2: &mut self.moment_2,
            failure: None,
        };
        let model = model.map(&mut mapper);
        match mapper.failure {
            Some(reason) => Err(TrainError::Tensor { name: "parameter", reason }),
            None => Ok(model),
        }
    }
}

#[derive(Clone, Copy)]
struct Constants {
    clip: f32,
    beta_1: f32,
    beta_2: f32,
    correction_1: f32,
    correction_2: f32,
    epsilon: f32,
    /// The parameter's own.
    learning_rate: f32,
    /// What weight decay leaves of a weight.
    keep: f32,
}

impl Constants {
    fn apply(self, weights: &mut [f32], gradients: &[f32], first: &mut [f32], second: &mut [f32]) {
        let moments = first.iter_mut().zip(second.iter_mut());
        for ((weight, gradient), (first, second)) in weights.iter_mut().zip(gradients).zip(moments)
        {
            let gradient = gradient * self.clip;
            *first = *first * self.beta_1 + gradient * (1.0 - self.beta_1);
            *second = *second * self.beta_2 + gradient * gradient * (1.0 - self.beta_2);
            let mean = *first / self.correction_1;
            let deviation = (*second / self.correction_2).sqrt() + self.epsilon;
            *weight = *weight * self.keep - self.learning_rate * (mean / deviation);
        }
    }
}

struct Mapper<'a> {
    constants: Constants,
    update: Update<'a>,
    /// The names of the modules that are visited, and of the parameter.
    path: Vec<String>,
    // The rest of each row: every parameter takes its part from the front.
    gradients: &'a [f32],
    moment_1: &'a mut [f32],
    moment_2: &'a mut [f32],
    failure: Option<String>,
}

impl Mapper<'_> {
    fn update(&mut self, data: &mut TensorData, is_matrix: bool) -> Result<(), String> {
        let weights = data.as_mut_slice::<f32>().map_err(|error| format!("{error:?}"))?;
        let n = weights.len();
        let (Some((gradients, rest)), true) = (self.gradients.split_at_checked(n), {
            self.moment_1.len() >= n && self.moment_2.len() >= n
        }) else {
            return Err(format!("no gradient for the last {n} weights"));
        };
        self.gradients = rest;
        let (first, rest) = std::mem::take(&mut self.moment_1).split_at_mut(n);
        self.moment_1 = rest;
        let (second, rest) = std::mem::take(&mut self.moment_2).split_at_mut(n);
        self.moment_2 = rest;

        let Update { groups, config, learning_rate, .. } = self.update;
        let (factor, decay) = treatment(groups, config, &self.path, is_matrix);
        let learning_rate = learning_rate * factor;
        let keep = (1.0 - learning_rate * decay) as f32;
        let constants = Constants { keep, learning_rate: learning_rate as f32, ..self.constants };
        // Elementwise, so that chunks and threads change no result.
        let chunks = (weights.par_chunks_mut(CHUNK), gradients.par_chunks(CHUNK));
        (chunks, (first.par_chunks_mut(CHUNK), second.par_chunks_mut(CHUNK)))
            .into_par_iter()
            .for_each(|((weights, gradients), (first, second))| {
                constants.apply(weights, gradients, first, second);
            });
        Ok(())
    }
}

impl ModuleMapper for Mapper<'_> {
    fn enter_module(&mut self, name: &str, _: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _: &str, _: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if !is_trainable(&param) {
            return param;
        }
        param.map(|tensor| {
            let device = tensor.device();
            let mut data = tensor.into_data();
            if let Err(reason) = self.update(&mut data, D > 1) {
                self.failure.get_or_insert(reason);
            }
            Tensor::from_data(data, &device)
        })
    }
}

#[cfg(test)]
mod tests {
    use burn::module::Module;
    use burn::optim::{AdamWConfig as BurnAdamWConfig, GradientsParams};
    use burn::tensor::Device;

    use super::*;
    use crate::gradients::n_parameters;

    #[derive(Module, Debug)]
    struct TwoMatrices {
        first: Param<Tensor<2>>,
        second: Param<Tensor<2>>,
    }

    /// All parameters alike.
    fn with<'a>(
        gradients: &'a FlatGradients,
        clip: f32,
        learning_rate: f64,
        config: &'a AdamWConfig,
    ) -> Update<'a> {
        Update { gradients, clip, learning_rate, config, groups: &[] }
    }

    fn values(seed: u64, n: usize) -> Vec<f32> {
        let mut rng = eef_core::Seed::new(seed).rng();
        (0..n).map(|_| rng.uniform() as f32 - 0.5).collect()
    }

    fn matrix(values: &[f32], rows: usize, device: &Device) -> Tensor<2> {
        let data = TensorData::new(values.to_vec(), [rows, values.len() / rows]);
        Tensor::from_data(data, device)
    }

    fn weights(model: &TwoMatrices) -> Vec<f32> {
        let mut all = model.first.val().into_data().as_slice::<f32>().unwrap().to_vec();
        all.extend_from_slice(model.second.val().into_data().as_slice::<f32>().unwrap());
        all
    }

    #[test]
    fn ten_updates_equal_burns() {
        let device = Device::flex();
        let init = values(1, 20);
        let build = |device: &Device| TwoMatrices {
            first: Param::from_tensor(matrix(&init[..12], 3, device)),
            second: Param::from_tensor(matrix(&init[12..], 2, device)),
        };
        let mut ours = build(&device);
        assert_eq!(n_parameters(&ours), 20);
        let mut theirs = build(&device.clone().autodiff());
        let config = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
        let mut optimiser = AdamW::new(20);
        let mut burns = BurnAdamWConfig::new()
            .with_beta_1(config.beta_1 as f32)
            .with_beta_2(config.beta_2 as f32)
            .with_epsilon(config.epsilon as f32)
            .with_weight_decay(config.weight_decay as f32)
            .init();
        for step in 0..10 {
            let gradients = FlatGradients(values(100 + step, 20));
            let mut params = GradientsParams::new();
            params.register(theirs.first.id, matrix(&gradients.0[..12], 3, &device));
            params.register(theirs.second.id, matrix(&gradients.0[12..], 2, &device));
            theirs = burns.step(1e-2, theirs, params);
            let update = with(&gradients, 1.0, 1e-2, &config);
            ours = optimiser.update(ours, update).unwrap();
        }
        for (our, their) in weights(&ours).iter().zip(weights(&theirs)) {
            assert!((our - their).abs() < 1e-6, "{our} {their}");
        }
        assert_ne!(weights(&ours), init);
    }

    #[derive(Module, Debug)]
    struct Normed {
        before: Param<Tensor<2>>,
        gain: Param<Tensor<1>>,
        after: Param<Tensor<2>>,
    }

    #[test]
    fn weight_decay_shrinks_matrices_and_leaves_gains_alone() {
        let device = Device::flex();
        let init = values(1, 10);
        let gain = TensorData::new(init[4..6].to_vec(), [2]);
        let model = Normed {
            before: Param::from_tensor(matrix(&init[..4], 2, &device)),
            gain: Param::from_tensor(Tensor::from_data(gain, &device)),
            after: Param::from_tensor(matrix(&init[6..], 2, &device)),
        };
        let config = AdamWConfig { weight_decay: 0.5, ..AdamWConfig::default() };
        // Without a gradient, decay is all that moves a weight.
        let gradients = FlatGradients(vec![0.0; 10]);
        let update = with(&gradients, 1.0, 0.5, &config);
        let model = AdamW::new(10).update(model, update).unwrap();
        let numbers = |data: TensorData| data.as_slice::<f32>().unwrap().to_vec();
        let shrunk = |weights: &[f32]| weights.iter().map(|w| w * 0.75).collect::<Vec<f32>>();
        assert_eq!(numbers(model.before.val().into_data()), shrunk(&init[..4]));
        assert_eq!(numbers(model.gain.val().into_data()), init[4..6]);
        assert_eq!(numbers(model.after.val().into_data()), shrunk(&init[6..]));
        assert!(init.iter().all(|weight| *weight != 0.0));
    }

    #[test]
    fn clipping_scales_the_gradient() {
        let device = Device::flex();
        let build = || TwoMatrices {
            first: Param::from_tensor(matrix(&[0.0; 2], 1, &device)),
            second: Param::from_tensor(matrix(&[0.0; 2], 1, &device)),
        };
        let config = AdamWConfig::default();
        let run = |gradient: f32, clip| {
            let mut optimiser = AdamW::new(4);
            let gradients = FlatGradients(vec![gradient; 4]);
            let update = with(&gradients, clip, 1.0, &config);
            optimiser.update(build(), update).unwrap();
            optimiser.moment_1
        };
        assert_eq!(run(8.0, 0.25), run(2.0, 1.0));
    }
    #[derive(Module, Debug)]
    struct Named {
        embedding: Param<Tensor<2>>,
        qkv: Param<Tensor<2>>,
        down: Param<Tensor<2>>,
    }

    #[test]
    fn a_group_has_its_own_rate_and_decay() {
        let device = Device::flex();
        let row = || Param::from_tensor(matrix(&[1.0, -2.0], 1, &device));
        let model = Named { embedding: row(), qkv: row(), down: row() };
        let groups = ["embedding=0", "qkv=9", "attention=0.5,0.4"];
        let groups: Vec<ParameterGroup> =
            groups.iter().filter_map(|text| text.parse().ok()).collect();
        assert_eq!(groups.len(), 2, "qkv is no kind");
        let config = AdamWConfig { weight_decay: 0.1, epsilon: 1e-12, ..AdamWConfig::default() };
        let gradients = FlatGradients(vec![1.0; 6]);
        let update = Update { groups: &groups, ..with(&gradients, 1.0, 0.5, &config) };
        let model = AdamW::new(6).update(model, update).unwrap();
        let numbers = |row: &Param<Tensor<2>>| row.val().into_data().try_into_vec::<f32>().unwrap();
        // The first update moves every weight by its learning rate, after decay.
        let expected =
            |rate: f32, decay: f32| [1.0_f32, -2.0].map(|w| w * (1.0 - rate * decay) - rate);
        let rows = [(&model.embedding, 0.0, 0.1), (&model.qkv, 0.25, 0.4), (&model.down, 0.5, 0.1)];
        for (found, rate, decay) in rows {
            for (found, expected) in numbers(found).iter().zip(expected(rate, decay)) {
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
        }
    }
}
