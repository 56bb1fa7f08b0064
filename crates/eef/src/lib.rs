//! Exploring Expert Failures: Algorithm 1, generic over environment, policy, learner and store.
