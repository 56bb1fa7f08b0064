//! Runs a policy over many environments at once, from the start or after replaying an expert's prefix.
