//! The module as a whole: files, tied and untied heads, packing, gradients.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::path::Path;

use burn::optim::GradientsParams;
use eef_llama::{Llama, LlamaConfig, LlamaError, Packed, cross_entropy, device};
use eef_weights::{ElementType, WriteOptions};

fn untied() -> LlamaConfig {
    LlamaConfig { tie_word_embeddings: false, head_dim: Some(8), ..LlamaConfig::tiny(30) }
}

fn logits(model: &Llama, batch: &Packed) -> Vec<f32> {
    let hidden = model.forward_hidden(batch).unwrap();
    model.logits(hidden).into_data().iter::<f32>().collect()
}

fn bytes(directory: &Path, name: &str) -> Vec<u8> {
    std::fs::read(directory.join(name)).unwrap()
}

#[test]
fn saving_and_loading_changes_no_bit() {
    let cpu = device("cpu").unwrap();
    for config in [LlamaConfig::tiny(30), untied()] {
        let model = Llama::init(&config, 5, &cpu).unwrap();
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        model.save(first.path()).unwrap();
        let loaded = Llama::load(first.path(), &cpu).unwrap();
        loaded.save(second.path()).unwrap();
        for name in ["config.json", "model.safetensors"] {
            assert_eq!(bytes(first.path(), name), bytes(second.path(), name));
        }
        let batch = Packed::new([[1u32, 2, 3, 4]]).unwrap();
        assert_eq!(logits(&model, &batch), logits(&loaded, &batch));
    }
}

#[test]
fn half_precision_in_shards_is_what_is_loaded_again() {
    let cpu = device("cpu").unwrap();
    for config in [LlamaConfig { num_hidden_layers: 11, ..LlamaConfig::tiny(30) }, untied()] {
        let model = Llama::init(&config, 5, &cpu).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = WriteOptions { element_type: ElementType::BF16, max_shard_bytes: 40_000 };
        model.save_as(folder.path(), options).unwrap();
        assert!(!folder.path().join("model.safetensors").exists());
        let text = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
        assert!(text.contains("\"torch_dtype\": \"bfloat16\""), "{text}");
        let loaded = Llama::load(folder.path(), &cpu).unwrap();
        let (mut written, mut n_rounded) = (model.tensors(), 0);
        for loaded in loaded.tensors() {
            let written = written.next().unwrap();
            assert_eq!((written.name(), written.shape()), (loaded.name(), loaded.shape()));
            for (written, loaded) in written.values().iter().zip(loaded.values()) {
                // Eight bits of fraction, the leading one included, rounded to the nearest.
                assert!((written - loaded).abs() <= written.abs() / 256.0, "{written} {loaded}");
                n_rounded += usize::from(written != loaded);
            }
        }
        assert!(written.next().is_none() && n_rounded > 1000);
    }
}

#[test]
fn tensors_have_the_names_and_shapes_of_transformers() {
    let directory = tempfile::tempdir().unwrap();
    let cpu = device("cpu").unwrap();
    Llama::init(&untied(), 5, &cpu).unwrap().save(directory.path()).unwrap();
    let checkpoint = eef_weights::Checkpoint::open(directory.path()).unwrap();
    let expected: [(&str, &[usize]); 10] = [
        ("model.embed_tokens.weight", &[30, 64]),
        ("model.layers.1.input_layernorm.weight", &[64]),
        ("model.layers.1.self_attn.q_proj.weight", &[32, 64]),
        ("model.layers.1.self_attn.k_proj.weight", &[16, 64]),
        ("model.layers.1.self_attn.v_proj.weight", &[16, 64]),
        ("model.layers.1.self_attn.o_proj.weight", &[64, 32]),
        ("model.layers.1.mlp.up_proj.weight", &[128, 64]),
        ("model.layers.1.mlp.down_proj.weight", &[64, 128]),
        ("model.norm.weight", &[64]),
        ("lm_head.weight", &[30, 64]),
    ];
    for (name, shape) in expected {
        assert_eq!(checkpoint.shape(name).unwrap(), shape, "{name}");
    }
    assert_eq!(checkpoint.names().count(), 3 + 2 * 9);
    let n: usize = checkpoint.names().map(|name| product(checkpoint.shape(name).unwrap())).sum();
    assert_eq!(n, untied().n_parameters());
}

fn product(sides: &[usize]) -> usize {
    sides.iter().product()
}

/// The whole model against loops over plain numbers, written from the definition.
#[test]
fn the_forward_pass_is_the_definition() {
    for config in [LlamaConfig::tiny(30), untied()] {
        let directory = tempfile::tempdir().unwrap();
        let model = Llama::init(&config, 3, &device("cpu").unwrap()).unwrap();
        model.save(directory.path()).unwrap();
        let tokens = [4u32, 9, 4, 0, 29, 17];
        let found = logits(&model, &Packed::new([tokens]).unwrap());
        let expected = reference::logits(directory.path(), &config, &tokens);
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(expected) {
            assert!((f64::from(*found) - expected).abs() < 1e-5, "{found} is not {expected}");
        }
    }
}

#[test]
fn packed_sequences_do_not_see_each_other() {
    let model = Llama::init(&LlamaConfig::tiny(30), 5, &device("cpu").unwrap()).unwrap();
    let (a, b) = (vec![1u32, 2, 3, 4, 5], vec![9u32, 8, 7]);
    let together = logits(&model, &Packed::new([&a, &b]).unwrap());
    let mut apart = logits(&model, &Packed::new([&a]).unwrap());
    apart.extend(logits(&model, &Packed::new([&b]).unwrap()));
    assert_eq!(together.len(), apart.len());
    for (a, b) in together.iter().zip(apart) {
        assert!((a - b).abs() < 1e-5);
    }
}

/// The directional derivative that the gradients give is the one that the losses show.
#[test]
fn gradients_follow_the_loss() {
    let config = LlamaConfig::tiny(20);
    let model = Llama::init(&config, 11, &device("cpu").unwrap().autodiff()).unwrap();
    let batch = Packed::new([vec![1u32, 2, 3, 4, 5, 6], vec![3, 1, 2]]).unwrap();
    let targets: Vec<u32> = batch.tokens().iter().map(|token| (token * 7 + 1) % 20).collect();
    let loss = |model: &Llama| {
        let hidden = model.forward_hidden(&batch).unwrap();
        cross_entropy(model.logits(hidden), &targets).sum()
    };
    let value = loss(&model);
    let gradients = GradientsParams::from_grads(value.backward(), &model);
    let start: f32 = value.into_scalar();
    // A step down the gradient: the loss falls by the step times the gradient's square.
    let step = 1e-3;
    let square = norm_square(&model, &gradients);
    let mut optimiser = burn::optim::SgdConfig::new().init();
    let model = burn::optim::ModuleOptimizer::step(&mut optimiser, step, model, gradients);
    let end: f32 = loss(&model).into_scalar();
    let expected = step as f32 * square;
    let fall = start - end;
    assert!((fall / expected - 1.0).abs() < 0.1, "fell by {fall}, expected {expected}");
}

fn norm_square(model: &Llama, gradients: &GradientsParams) -> f32 {
    struct Sum<'a>(&'a GradientsParams, f32, usize);
    impl burn::module::ModuleVisitor for Sum<'_> {
        fn visit_float<const D: usize>(
            &mut self,
            parameter: &burn::module::Param<burn::tensor::Tensor<D>>,
        ) {
            let gradient = self.0.get::<D>(parameter.id).unwrap();
            self.1 += gradient.square().sum().into_scalar::<f32>();
            self.2 += 1;
        }
    }
    let mut sum = Sum(gradients, 0.0, 0);
    burn::module::Module::visit(model, &mut sum);
    assert_eq!(sum.2, 2 + 2 * 6);
    sum.1
}

#[test]
fn bad_batches_and_files_are_refused() {
    let cpu = device("cpu").unwrap();
    let model = Llama::init(&LlamaConfig::tiny(30), 5, &cpu).unwrap();
    assert!(Packed::new(Vec::<Vec<u32>>::new()).is_err());
    assert!(Packed::new([vec![1u32], vec![]]).is_err());
    let beyond = model.forward_hidden(&Packed::new([[30u32]]).unwrap()).unwrap_err();
    assert!(beyond.to_string().contains("token id is 30, expected less than vocab_size, 30"));
    let long = model.forward_hidden(&Packed::new([vec![1u32; 513]]).unwrap()).unwrap_err();
    assert!(long.to_string().contains("513, expected at most 512"), "{long}");

    let directory = tempfile::tempdir().unwrap();
    model.save(directory.path()).unwrap();
    let path = directory.path().join("model.safetensors");
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let cut = Llama::load(directory.path(), &cpu).unwrap_err();
    assert!(matches!(cut, LlamaError::Weights(_)));
    assert!(cut.to_string().contains("truncated: tensor"), "{cut}");
    std::fs::write(&path, &whole).unwrap();
    let config = std::fs::read_to_string(directory.path().join("config.json")).unwrap();
    let wider = config.replace("\"intermediate_size\": 128", "\"intermediate_size\": 120");
    assert_ne!(wider, config);
    std::fs::write(directory.path().join("config.json"), wider).unwrap();
    let other = Llama::load(directory.path(), &cpu).unwrap_err().to_string();
    assert!(other.contains("gate_proj.weight has shape [128, 64]"), "{other}");
}

/// LLaMA over `f64`, one number at a time.
mod reference {
    use std::path::Path;

    use eef_llama::LlamaConfig;
    use eef_weights::Checkpoint;

    struct Matrix {
        values: Vec<f32>,
        inputs: usize,
    }

    impl Matrix {
        fn times(&self, x: &[f64]) -> Vec<f64> {
            let rows = self.values.chunks_exact(self.inputs);
            rows.map(|row| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum()).collect()
        }
    }

    pub(crate) fn logits(directory: &Path, config: &LlamaConfig, tokens: &[u32]) -> Vec<f64> {
        let checkpoint = Checkpoint::open(directory).unwrap();
        let read = |name: &str| {
            let name = format!("{name}.weight");
            let shape = checkpoint.shape(&name).unwrap();
            let inputs = *shape.last().unwrap();
            Matrix { values: checkpoint.read(&name, shape).unwrap(), inputs }
        };
        let norm = |x: &[f64], gain: &Matrix| -> Vec<f64> {
            let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
            let scale = 1.0 / (mean + config.rms_norm_eps).sqrt();
            x.iter().zip(&gain.values).map(|(x, g)| x * scale * f64::from(*g)).collect()
        };
        let dim = config.head_dim();
        let group = config.num_attention_heads / config.n_key_value_heads();
        let rotate = |x: &mut [f64], position: usize| {
            for head in x.chunks_exact_mut(dim) {
                for i in 0..dim / 2 {
                    let exponent = 2.0 * i as f64 / dim as f64;
                    let angle = position as f64 / config.rope_theta.powf(exponent);
                    let (a, b) = (head[i], head[i + dim / 2]);
                    head[i] = a * angle.cos() - b * angle.sin();
                    head[i + dim / 2] = b * angle.cos() + a * angle.sin();
                }
            }
        };
        let add = |x: &mut [f64], y: Vec<f64>| x.iter_mut().zip(y).for_each(|(x, y)| *x += y);

        let embedding = read("model.embed_tokens");
        let hidden = config.hidden_size;
        let row = |token: &u32| &embedding.values[*token as usize * hidden..][..hidden];
        let mut rows: Vec<Vec<f64>> =
            tokens.iter().map(|t| row(t).iter().map(|x| f64::from(*x)).collect()).collect();
        for layer in 0..config.num_hidden_layers {
            let read = |name: &str| read(&format!("model.layers.{layer}.{name}"));
            let (q, k, v) =
                (read("self_attn.q_proj"), read("self_attn.k_proj"), read("self_attn.v_proj"));
            let first_norm = read("input_layernorm");
            let (mut queries, mut keys, mut values) = (Vec::new(), Vec::new(), Vec::new());
            for (position, row) in rows.iter().enumerate() {
                let normed = norm(row, &first_norm);
                queries.push(q.times(&normed));
                keys.push(k.times(&normed));
                values.push(v.times(&normed));
                rotate(&mut queries[position], position);
                rotate(&mut keys[position], position);
            }
            let (output, second_norm) =
                (read("self_attn.o_proj"), read("post_attention_layernorm"));
            let (gate, up, down) =
                (read("mlp.gate_proj"), read("mlp.up_proj"), read("mlp.down_proj"));
            for (position, row) in rows.iter_mut().enumerate() {
                let mut attended = Vec::new();
                for head in 0..config.num_attention_heads {
                    let query = &queries[position][head * dim..][..dim];
                    let column = head / group * dim;
                    let weight = |key: &Vec<f64>| {
                        let key = &key[column..][..dim];
                        let product: f64 = query.iter().zip(key).map(|(q, k)| q * k).sum();
                        (product / (dim as f64).sqrt()).exp()
                    };
                    let weights: Vec<f64> = keys[..=position].iter().map(weight).collect();
                    let total: f64 = weights.iter().sum();
                    attended.extend((0..dim).map(|i| {
                        let pairs = weights.iter().zip(&values);
                        pairs.map(|(w, v)| w * v[column + i]).sum::<f64>() / total
                    }));
                }
                add(row, output.times(&attended));
                let normed = norm(row, &second_norm);
                let gated = gate.times(&normed).into_iter().zip(up.times(&normed));
                let gated: Vec<f64> = gated.map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
                add(row, down.times(&gated));
            }
        }
        let last_norm = read("model.norm");
        let head = if config.tie_word_embeddings { embedding } else { read("lm_head") };
        rows.iter().flat_map(|row| head.times(&norm(row, &last_norm))).collect()
    }
}
