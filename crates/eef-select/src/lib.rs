//! What to train on: selection from expert failures (EEF) and from rejection sampling, as pure functions.
