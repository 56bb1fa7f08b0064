//! Joins chat templates, a LLaMA and a trainer into a policy and a learner.
