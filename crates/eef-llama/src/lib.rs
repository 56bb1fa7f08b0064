//! LLaMA and Mistral on Burn: batched multi-turn generation with a key-value cache.
