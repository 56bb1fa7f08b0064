//! Masked supervised fine-tuning of LLaMA-family models on Burn, exact and resumable.
