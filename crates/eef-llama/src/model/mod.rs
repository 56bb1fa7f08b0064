//! The module, and its way from and to files.

mod files;
mod init;
mod layer;
mod lora;
mod precision;

use std::sync::Arc;

use burn::module::{Module, Param};
use burn::tensor::{Bool, DType, Int, Tensor, TensorData};

use crate::ops::{Rotary, rms_norm};
use crate::{LlamaConfig, LlamaError, Packed};

pub(crate) use layer::{Layer, heads};
pub use lora::{LoraConfig, LoraTarget};
pub use precision::Precision;
pub(crate) use precision::multiply;

/// A LLaMA-family language model.
///
/// Clones share their weights until one of them is trained.
#[derive(Module, Debug)]
pub struct Llama {
    /// `[vocab_size, hidden_size]`
    pub(crate) embedding: Param<Tensor<2>>,
    pub(crate) layers: Vec<Layer>,
    /// `[hidden_size]`
    pub(crate) norm: Param<Tensor<1>>,
    /// `[hidden_size, vocab_size]`; none where the embedding is the output layer too.
    pub(crate) head: Option<Param<Tensor<2>>>,
    #[module(skip)]
    pub(crate) shape: Arc<Shape>,
    /// What the adapters in the layers were made with.
    #[module(skip)]
    pub(crate) lora: Option<Arc<LoraConfig>>,
}

/// What all clones of a model share and training leaves alone.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) config: LlamaConfig,
    pub(crate) rotary: Rotary,
}

impl Llama {
    /// The shape of the model.
    pub fn config(&self) -> &LlamaConfig {
        &self.shape.config
    }

    /// Runs packed sequences up to the last normalisation: what the output layer reads.
    ///
    /// # Shapes
    ///
    /// - output: `[n_tokens, hidden_size]`; row `i` belongs to `batch.tokens()[i]`
    ///
    /// # Errors
    ///
    /// Where a token is beyond the vocabulary, or a sequence longer than the model can place.
    pub fn forward_hidden(&self, batch: &Packed) -> Result<Tensor<2>, LlamaError> {
        let mut x = self.embed_packed(batch)?;
        for layer in 0..self.n_layers() {
            x = self.forward_layer(layer, x, batch);
        }
        Ok(self.normalise(x))
    }

    /// Transformer layers; [`Llama::forward_layer`] runs one of them.
    pub fn n_layers(&self) -> usize {
        self.layers.len()
    }

    /// What the first layer reads: the first step of [`Llama::forward_hidden`], for whoever runs the
    /// layers one by one to keep less in memory.
    ///
    /// # Shapes
    ///
    /// - output: `[n_tokens, hidden_size]`
    ///
    /// # Errors
    ///
    /// Those of [`Llama::forward_hidden`].
    pub fn embed_packed(&self, batch: &Packed) -> Result<Tensor<2>, LlamaError> {
        self.shape.check(batch.tokens())?;
        let limit = self.config().max_position_embeddings;
        let longest = batch.lengths().iter().copied().max().unwrap_or(0);
        if longest > limit {
            let expected = format!("at most {limit} tokens");
            return Err(LlamaError::Batch { what: "longest length", found: longest, expected });
        }
        Ok(self.without_padding_gradient(self.embed(batch.tokens()), batch.tokens()))
    }

    /// Runs one layer over what the one before gave.
    ///
    /// # Shapes
    ///
    /// - `x` and output: `[n_tokens, hidden_size]`, rows as in the batch
    ///
    /// # Panics
    ///
    /// Where there is no such layer.
    pub fn forward_layer(&self, layer: usize, x: Tensor<2>, batch: &Packed) -> Tensor<2> {
        let Shape { config, rotary } = &*self.shape;
        self.layers[layer].forward(x, config, rotary, batch.lengths())
    }

    /// The last normalisation: what is between the last layer and the output layer.
    ///
    /// # Shapes
    ///
    /// - `x` and output: `[n, hidden_size]`
    pub fn normalise(&self, x: Tensor<2>) -> Tensor<2> {
        rms_norm(x, self.norm.val(), self.config().rms_norm_eps)
    }

    /// The output layer.
    ///
    /// # Shapes
    ///
    /// - `hidden`: `[n, hidden_size]`, output: `[n, vocab_size]`
    pub fn logits(&self, hidden: Tensor<2>) -> Tensor<2> {
        match &self.head {
            Some(head) => multiply(hidden, head.val()),
            None => multiply(hidden, self.embedding.val().transpose()),
        }
    }

    pub(crate) fn embed(&self, tokens: &[u32]) -> Tensor<2> {
        let ids: Vec<i32> = tokens.iter().map(|token| *token as i32).collect();
        let embedding = self.embedding.val();
        let ids = TensorData::new(ids, [tokens.len()]);
        let ids = Tensor::<1, Int>::from_data(ids, &embedding.device());
        embedding.select(0, ids).cast(DType::F32)
    }

    /// Lets no gradient through to the embedding of the padding token, as torch's `padding_idx`
    /// does in transformers: where a model's padding token ends its turns too, that embedding is
    /// trained as an output alone.
    fn without_padding_gradient(&self, embedded: Tensor<2>, tokens: &[u32]) -> Tensor<2> {
        let padding = self.config().pad_token_id();
        let Some(padding) = padding.filter(|id| tokens.contains(id)) else { return embedded };
        let is_padding: Vec<bool> = tokens.iter().map(|token| *token == padding).collect();
        let is_padding = TensorData::new(is_padding, [tokens.len(), 1]);
        let is_padding = Tensor::<2, Bool>::from_data(is_padding, &embedded.device());
        let fixed = embedded.clone().detach();
        embedded.mask_where(is_padding.expand(fixed.dims()), fixed)
    }
}

impl Shape {
    /// Checks that every token is in the vocabulary.
    pub(crate) fn check(&self, tokens: &[u32]) -> Result<(), LlamaError> {
        let n = self.config.vocab_size;
        match tokens.iter().find(|token| **token as usize >= n) {
            None => Ok(()),
            Some(token) => Err(LlamaError::Batch {
                what: "a token id",
                found: *token as usize,
                expected: format!("less than vocab_size, {n}"),
            }),
        }
    }
}
