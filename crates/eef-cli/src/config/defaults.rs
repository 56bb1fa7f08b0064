//! What a key has where a file does not give it.

use super::{
    BehaviourCloningConfig, CompareConfig, DataConfig, EnvironmentKind, ExploreConfig,
    MachineConfig, MethodConfig, ModelConfig, PlanConfig, PreferencesConfig, PretrainConfig,
    TrainConfig,
};

impl Default for DataConfig {
    fn default() -> Self {
        Self {
            environment: EnvironmentKind::WebShop,
            directory: "fixtures/webshop".to_owned(),
            tasks: "agentgym".to_owned(),
            only_tasks: Vec::new(),
            simplification: String::new(),
            action_format: "plain".to_owned(),
            faithful: false,
            experts: vec!["fixtures/experts/scripted-strong.jsonl".to_owned()],
            bc_experts: Vec::new(),
            n_train_tasks: 0,
            n_validation_tasks: 0,
            n_test_tasks: 0,
        }
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self { base: "fixtures/base".to_owned(), prompt: "short".to_owned(), context_length: 0 }
    }
}

impl Default for MethodConfig {
    fn default() -> Self {
        Self {
            name: "eef".to_owned(),
            n_iterations: 3,
            n_simulations: 5,
            anchors: "floor".to_owned(),
            tie: "newest".to_owned(),
            n_positives_per_task: 1,
            n_dart_positives_per_task: 4,
            temperatures: vec![0.65, 0.35, 0.95, 0.2, 0.8, 0.5],
            nat_label: "sentence".to_owned(),
            self_temperature: 1.2,
            n_blind: 2,
            n_bandit_parts: 16,
            tree_exploration: 0.5,
            tested: "best".to_owned(),
            init: "previous".to_owned(),
        }
    }
}

impl Default for ExploreConfig {
    fn default() -> Self {
        Self {
            temperature: 0.7,
            top_p: 1.0,
            max_reply_tokens: 64,
            max_sequences: 64,
            max_cache_gigabytes: 2.0,
            unit_size: 128,
        }
    }
}

impl Default for BehaviourCloningConfig {
    fn default() -> Self {
        Self { learning_rate: 5e-5, stage_epochs: 6, max_stages: 1, patience: 1 }
    }
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            n_epochs: 6,
            batch_size: 64,
            micro_batch_tokens: 512,
            learning_rate: 5e-5,
            schedule: "cosine".to_owned(),
            warmup_fraction: 0.03,
            weight_decay: 0.01,
            max_gradient_norm: 1.0,
            checkpoint_every_steps: 200,
            checkpoint_layers: false,
            precision: "f32".to_owned(),
            groups: Vec::new(),
            lora_rank: 0,
            lora_alpha: 16.0,
            lora_targets: "all-linear".to_owned(),
        }
    }
}

impl Default for PreferencesConfig {
    fn default() -> Self {
        Self {
            n_epochs: 3,
            batch_size: 32,
            learning_rates: vec![1e-6, 5e-7],
            betas: vec![0.1, 0.5],
            schedule: "constant".to_owned(),
            warmup_fraction: 0.1,
        }
    }
}

impl Default for CompareConfig {
    fn default() -> Self {
        Self {
            methods: ["sft-pos", "rft", "rft-x6", "eef"].map(str::to_owned).to_vec(),
            n_seeds: 5,
            reference: String::new(),
        }
    }
}

impl Default for PretrainConfig {
    fn default() -> Self {
        Self {
            n_transcripts: 24_000,
            n_epochs: 1,
            batch_size: 32,
            learning_rate: 2e-3,
            tokenizer: "fixtures/tokenizer.json".to_owned(),
            vocabulary_size: 2048,
            hidden_size: 128,
            intermediate_size: 384,
            n_layers: 4,
            n_heads: 4,
            n_kv_heads: 2,
            context_length: 512,
            source: "synthetic".to_owned(),
            n_exercises_first: 0,
            exercises: 0.0,
            trained: "everything".to_owned(),
            tasks: Vec::new(),
            n_renamings: 0,
        }
    }
}

impl Default for MachineConfig {
    fn default() -> Self {
        Self { device: "cpu".to_owned(), n_workers: 0 }
    }
}

impl Default for PlanConfig {
    fn default() -> Self {
        Self {
            n_train_tasks: 1000,
            n_validation_tasks: 300,
            n_test_tasks: 1000,
            n_expert_trajectories: 1000,
            positive_share: 0.4,
            actions_per_episode: 5.0,
            prompt_tokens: 60.0,
            observation_tokens: 25.0,
            reply_tokens: 8.0,
            n_parameters: 1e6,
            model_preset: String::new(),
            bytes_per_trained_parameter: 16.0,
            gigaflops: 60.0,
            model_source: "cargo run --release -p eef-cli -- pretrain".to_owned(),
            data_source: crate::paths::MAKES_FIXTURES.to_owned(),
        }
    }
}
