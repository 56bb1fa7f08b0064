//! What is trained on: token ids, and which of them carry loss.

use crate::TrainError;

/// A sequence of tokens and, for each, whether the model is trained to predict it.
///
/// A token is predicted from those before it, so the first one never carries loss; every example
/// has at least one other that does. A mask that trains nothing is refused here, where it is
/// built, instead of turning into a division by zero later.
///
/// ```
/// use eef_train::TrainExample;
///
/// let example = TrainExample::new(vec![1, 7, 9], vec![false, false, true])?;
/// assert_eq!(example.n_trained(), 1);
/// assert!(TrainExample::new(vec![1, 7, 9], vec![true, false, false]).is_err());
/// # Ok::<(), eef_train::TrainError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrainExample {
    token_ids: Vec<u32>,
    trained: Vec<bool>,
}

impl TrainExample {
    /// Joins token ids with their mask; both are `[n_tokens]`.
    ///
    /// # Errors
    /// [`TrainError::MaskLength`] where the two differ in length, [`TrainError::NothingTrained`]
    /// where no token after the first is trained.
    pub fn new(token_ids: Vec<u32>, trained: Vec<bool>) -> Result<Self, TrainError> {
        if token_ids.len() != trained.len() {
            return Err(TrainError::MaskLength {
                n_tokens: token_ids.len(),
                n_mask: trained.len(),
            });
        }
        let example = Self { token_ids, trained };
        if example.n_trained() == 0 {
            return Err(TrainError::NothingTrained { n_tokens: example.token_ids.len() });
        }
        Ok(example)
    }

    /// Trains every token, as pre-training does.
    ///
    /// # Errors
    /// [`TrainError::NothingTrained`] where there are fewer than two tokens.
    pub fn fully_trained(token_ids: Vec<u32>) -> Result<Self, TrainError> {
        let trained = vec![true; token_ids.len()];
        Self::new(token_ids, trained)
    }

    /// The ids, `[n_tokens]`.
    pub fn token_ids(&self) -> &[u32] {
        &self.token_ids
    }

    /// Whether each token is trained, `[n_tokens]`. The first is never predicted, whatever it says.
    pub fn trained(&self) -> &[bool] {
        &self.trained
    }

    /// Tokens in all.
    pub fn n_tokens(&self) -> usize {
        self.token_ids.len()
    }

    /// Tokens that carry loss.
    pub fn n_trained(&self) -> usize {
        self.trained.iter().skip(1).filter(|&&trained| trained).count()
    }

    /// Positions whose output is compared with the next token, and that token.
    pub(crate) fn targets(&self) -> impl Iterator<Item = (usize, u32)> {
        let followers = self.token_ids.iter().zip(&self.trained).enumerate().skip(1);
        followers.filter(|(_, (_, trained))| **trained).map(|(i, (token, _))| (i - 1, *token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_follow_the_positions_that_predict_them() {
        let example = TrainExample::new(vec![5, 6, 7, 8], vec![true, false, true, true]).unwrap();
        assert_eq!(example.targets().collect::<Vec<_>>(), [(1, 7), (2, 8)]);
        assert_eq!(example.n_trained(), 2);
    }

    #[test]
    fn masks_that_train_nothing_are_refused() {
        assert!(matches!(
            TrainExample::new(vec![1, 2], vec![true, false]),
            Err(TrainError::NothingTrained { n_tokens: 2 })
        ));
        assert!(matches!(
            TrainExample::new(vec![1, 2], vec![true]),
            Err(TrainError::MaskLength { n_tokens: 2, n_mask: 1 })
        ));
        assert!(TrainExample::fully_trained(vec![1]).is_err());
        assert!(TrainExample::fully_trained(vec![]).is_err());
    }
}
