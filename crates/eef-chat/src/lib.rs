//! Where text becomes tokens: chat templates, loss masks and action formats.
