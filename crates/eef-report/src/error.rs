//! What can go wrong in telling.

/// A failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// There is nothing to tell of.
    #[error("the comparison holds no run: complete one method under one seed first")]
    NoRuns,
    /// A picture could not be drawn.
    #[error("cannot draw {figure}: {reason}")]
    Drawing {
        /// Which one.
        figure: &'static str,
        /// The drawing library's words.
        reason: String,
    },
}
