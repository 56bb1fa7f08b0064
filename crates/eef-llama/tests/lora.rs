//! Adapters: against PEFT, against their merged weights, and what they leave alone.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::fs;
use std::path::{Path, PathBuf};

use burn::module::Module;
use burn::tensor::Tensor;
use eef_llama::{
    Generator, GeneratorConfig, Llama, LlamaConfig, LlamaError, LoraConfig, LoraTarget, Packed,
    Request, device,
};
use eef_weights::NamedTensor;
use serde_json::Value;

fn logits(model: &Llama, ids: &[u32]) -> Vec<f32> {
    let hidden = model.forward_hidden(&Packed::new([ids]).unwrap()).unwrap();
    model.logits(hidden).into_data().iter::<f32>().collect()
}

fn distance(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

fn base() -> Llama {
    Llama::init(&LlamaConfig::tiny(30), 5, &device("cpu").unwrap()).unwrap()
}

/// The same adapters with every value replaced by one that depends on its place.
fn filled(model: &Llama, config: &LoraConfig) -> Llama {
    let tensors: Vec<_> = model.lora_tensors();
    let fill = |tensor: &NamedTensor<'_>| {
        let values = (0..tensor.values().len()).map(|i| ((i * 37 % 101) as f32 - 50.0) / 500.0);
        NamedTensor::new(
            tensor.name().to_owned(),
            tensor.shape().to_vec(),
            values.collect::<Vec<_>>(),
        )
    };
    let tensors: Vec<_> = tensors.iter().map(fill).collect();
    base().load_lora(config, &tensors).unwrap()
}

#[test]
fn logits_are_those_of_peft_attached_and_merged() {
    let folder: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transformers");
    let expected = fs::read(folder.join("lora/expected.json")).unwrap();
    let expected: Value = serde_json::from_slice(&expected).unwrap();
    let ids: Vec<u32> = serde_json::from_value(expected["ids"].clone()).unwrap();
    let rows: Vec<Vec<f32>> = serde_json::from_value(expected["logits"].clone()).unwrap();
    let rows = rows.concat();
    let model = Llama::load(&folder.join("llama3"), &device("cpu").unwrap()).unwrap();
    assert!(distance(&logits(&model, &ids), &rows) > 1e-2, "the adapter does something");
    let model = model.load_peft(&folder.join("lora")).unwrap();
    let config = model.lora_config().unwrap();
    assert_eq!((config.rank, config.scale(), config.targets.len()), (4, 2.0, 3));
    assert_eq!(
        config.n_parameters(model.config()),
        model.lora_tensors().iter().map(|tensor| tensor.values().len()).sum::<usize>()
    );
    let attached = distance(&logits(&model, &ids), &rows);
    assert!(attached < 2e-5, "attached: logits are up to {attached} off");
    let merged = distance(&logits(&model.merge_lora(), &ids), &rows);
    assert!(merged < 2e-5, "merged: logits are up to {merged} off");
}

#[test]
fn adapters_of_kinds_that_are_not_known_are_refused_by_field() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/transformers/lora");
    let text = fs::read_to_string(folder.join("adapter_config.json")).unwrap();
    let parse = |text: &str| LoraConfig::from_peft_json("a/adapter_config.json".as_ref(), text);
    assert!(parse(&text).is_ok());
    for (from, to, expected) in [
        ("\"use_dora\": false", "\"use_dora\": true", "use_dora is true"),
        ("\"rank_pattern\": {}", "\"rank_pattern\": {\"q\": 2}", "rank_pattern is"),
        ("\"bias\": \"none\"", "\"bias\": \"all\"", "bias is \"all\""),
        ("\"LORA\"", "\"IA3\"", "peft_type is IA3"),
        ("\"q_proj\"", "\"w_proj\"", "`w_proj`"),
        ("\"r\": 4", "\"r\": 0", "rank is 0"),
        ("\"r\": 4,", "", "missing field `r`"),
        ("\"modules_to_save\": null", "\"modules_to_save\": [\"lm_head\"]", "modules_to_save is"),
    ] {
        assert!(text.contains(from), "{from}");
        let message = parse(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(message.starts_with("a/adapter_config.json: "), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn fresh_adapters_change_no_logit_and_merged_ones_those_that_they_changed() {
    let (base, ids) = (base(), [1, 2, 3, 4, 5]);
    let plain = logits(&base, &ids);
    for targets in [LoraTarget::ALL.to_vec(), vec![LoraTarget::K], vec![LoraTarget::Up]] {
        for rslora in [false, true] {
            let config = LoraConfig { targets: targets.clone(), rslora, ..LoraConfig::default() };
            let fresh = base.clone().with_lora(&config).unwrap();
            assert_eq!(logits(&fresh, &ids), plain);
            let model = filled(&fresh, &config);
            let attached = logits(&model, &ids);
            assert!(distance(&attached, &plain) > 1e-4, "{config:?}");
            let merged = model.merge_lora();
            assert!(merged.lora_config().is_none() && merged.lora_tensors().is_empty());
            let found = distance(&logits(&merged, &ids), &attached);
            assert!(found < 1e-5, "{found} {config:?}");
        }
    }
}

#[test]
fn adapters_are_drawn_within_kaimings_bound_and_named_as_in_peft() {
    let config = LoraConfig { rank: 4, ..LoraConfig::default() };
    let tensors = base().with_lora(&config).unwrap().lora_tensors();
    assert_eq!(tensors.len(), 2 * 7 * 2);
    let find = |name: &str| tensors.iter().find(|tensor| tensor.name() == name).unwrap();
    let a = find("base_model.model.model.layers.1.mlp.down_proj.lora_A.weight");
    assert_eq!(a.shape(), [4, 128]);
    let bound = 1.0 / 128.0_f32.sqrt();
    let largest = a.values().iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    assert!(largest <= bound && largest > 0.95 * bound, "{largest} {bound}");
    let b = find("base_model.model.model.layers.0.self_attn.k_proj.lora_B.weight");
    assert_eq!(b.shape(), [32, 4]);
    assert!(b.values().iter().all(|value| *value == 0.0));
}

#[test]
fn only_adapters_get_gradients_and_they_are_those_of_the_loss() {
    let config = LoraConfig { rank: 2, ..LoraConfig::default() };
    let model = filled(&base().with_lora(&config).unwrap(), &config);
    let ids = [1u32, 2, 3, 4, 5];
    let loss = |model: &Llama| -> Tensor<1> {
        let hidden = model.forward_hidden(&Packed::new([ids]).unwrap()).unwrap();
        eef_llama::cross_entropy(model.logits(hidden), &[2, 3, 4, 5, 6]).sum()
    };
    let trained = model.clone().train();
    let gradients = burn::optim::GradientsParams::from_grads(loss(&trained).backward(), &trained);
    assert_eq!(gradients.len(), 2 * 7 * 2, "adapters, and nothing else");

    // One value of each adapter, by central differences.
    let tensors = model.lora_tensors();
    let analytic = gradients_by_name(&trained, gradients);
    let value = |at: usize, step: f32| -> f64 {
        let moved = tensors.iter().enumerate().map(|(index, tensor)| {
            let mut values = tensor.values().to_vec();
            values[0] += if index == at { step } else { 0.0 };
            NamedTensor::new(tensor.name().to_owned(), tensor.shape().to_vec(), values)
        });
        let moved: Vec<_> = moved.collect();
        let model = base().load_lora(&config, &moved).unwrap();
        loss(&model).into_data().iter::<f64>().next().unwrap()
    };
    for (at, analytic) in analytic.into_iter().enumerate() {
        let numeric = (value(at, 1e-2) - value(at, -1e-2)) / 2e-2;
        let close = (numeric - analytic).abs() < 2e-3 + 0.02 * analytic.abs();
        assert!(close, "{}: {numeric} {analytic}", tensors[at].name());
    }
}

/// The gradient of each adapter's first value, in the order of `Llama::lora_tensors`.
fn gradients_by_name(model: &Llama, gradients: burn::optim::GradientsParams) -> Vec<f64> {
    struct Visitor(burn::optim::GradientsParams, Vec<f64>);
    impl burn::module::ModuleVisitor for Visitor {
        fn visit_float<const D: usize>(&mut self, param: &burn::module::Param<Tensor<D>>) {
            if let Some(gradient) = self.0.remove::<D>(param.id) {
                self.1.extend(gradient.into_data().iter::<f64>().next());
            }
        }
    }
    let mut visitor = Visitor(gradients, Vec::new());
    model.visit(&mut visitor);
    visitor.1
}

#[test]
fn generation_with_adapters_is_that_of_the_merged_model() {
    let config = LoraConfig { rank: 4, alpha: 64.0, ..LoraConfig::default() };
    let model = filled(&base().with_lora(&config).unwrap(), &config);
    let greedy = |model: Llama| {
        let mut generator = Generator::new(model, GeneratorConfig::default()).unwrap();
        generator.submit(Request::greedy(0, vec![1, 2, 3], 12)).unwrap();
        generator.advance().unwrap()[0].tokens.clone()
    };
    let attached = greedy(model.clone());
    assert_eq!(attached, greedy(model.merge_lora()));
    assert_ne!(attached, greedy(base()));
}

#[test]
fn adapters_that_do_not_fit_are_refused() {
    let config = LoraConfig { rank: 4, ..LoraConfig::default() };
    let model = base().with_lora(&config).unwrap();
    let tensors = model.lora_tensors();
    assert!(matches!(model.with_lora(&config), Err(LlamaError::LoraConfig { field: "model", .. })));
    let refused = |config: &LoraConfig, tensors: &[NamedTensor<'_>]| {
        base().load_lora(config, tensors).unwrap_err().to_string()
    };
    assert!(refused(&config, &tensors[1..]).contains("missing"));
    let wider = LoraConfig { rank: 5, ..config.clone() };
    assert!(refused(&wider, &tensors).contains("expected [5, 64]"));
    let fewer = LoraConfig { targets: vec![LoraTarget::Q], ..config };
    assert!(refused(&fewer, &tensors).contains("none of the targets"));
    let none = LoraConfig { rank: 0, ..fewer };
    assert!(refused(&none, &tensors).contains("rank"));
}
