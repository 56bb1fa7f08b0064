//! What must not change what is generated: batching, caching, turns, shared prefixes.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::collections::BTreeMap;

use eef_llama::{
    Completion, Finish, Generator, GeneratorConfig, Llama, LlamaConfig, LlamaError, Packed,
    Request, device,
};

const VOCABULARY: usize = 40;

fn model(seed: u64) -> Llama {
    let config = LlamaConfig { num_key_value_heads: Some(2), ..LlamaConfig::tiny(VOCABULARY) };
    let model = Llama::init(&config, seed, &device("cpu").unwrap()).unwrap();
    // Random weights of deviation 0.02 make logits that all but tie; sharpen them.
    sharpen(model)
}

/// Scales all weights up, through a file as any user could.
fn sharpen(model: Llama) -> Llama {
    let directory = tempfile::tempdir().unwrap();
    model.save(directory.path()).unwrap();
    let checkpoint = eef_weights::Checkpoint::open(directory.path()).unwrap();
    let config = checkpoint.config_text().to_owned();
    let tensors: Vec<_> = checkpoint
        .names()
        .map(|name| {
            let shape = checkpoint.shape(name).unwrap().to_vec();
            let factor = if shape.len() == 2 { 8.0 } else { 1.0 };
            let values = checkpoint.read(name, &shape).unwrap();
            let values: Vec<f32> = values.into_iter().map(|x| x * factor).collect();
            eef_weights::NamedTensor::new(name.to_owned(), shape, values)
        })
        .collect();
    let sharp = directory.path().join("sharp");
    eef_weights::write_checkpoint(&sharp, &config, &tensors).unwrap();
    Llama::load(&sharp, &device("cpu").unwrap()).unwrap()
}

fn generator(max_sequences: usize) -> Generator {
    let config = GeneratorConfig { max_sequences, ..GeneratorConfig::default() };
    Generator::new(model(1), config).unwrap()
}

fn prompt(sequence: u64, length: usize) -> Vec<u32> {
    (0..length as u64).map(|i| ((i * 7 + sequence * 13 + i * i * sequence) % 40) as u32).collect()
}

fn run_all(generator: &mut Generator) -> BTreeMap<u64, Completion> {
    let mut done = BTreeMap::new();
    loop {
        let completions = generator.advance().unwrap();
        if completions.is_empty() {
            return done;
        }
        for completion in completions {
            assert!(done.insert(completion.sequence, completion).is_none());
        }
    }
}

/// Logits after the last of these tokens, without a cache.
fn logits(model: &Llama, tokens: &[u32]) -> Vec<f32> {
    let hidden = model.forward_hidden(&Packed::new([tokens]).unwrap()).unwrap();
    let last = hidden.narrow(0, tokens.len() - 1, 1);
    model.logits(last).into_data().iter::<f32>().collect()
}

fn log_probability(logits: &[f32], token: u32) -> f32 {
    let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - largest).exp()).sum();
    logits[token as usize] - largest - sum.ln()
}

/// On the CPU what a sequence gets is the same to the last bit, whatever else is generated.
fn assert_same(a: &Completion, b: &Completion) {
    assert_eq!(a, b);
    assert_eq!(a.log_probabilities.len(), a.tokens.len());
}

#[test]
fn greedy_answers_are_the_likeliest_tokens_of_the_full_forward_pass() {
    let (mut generator, model) = (generator(4), model(1));
    let tokens = prompt(3, 37);
    generator.submit(Request::greedy(3, tokens.clone(), 12)).unwrap();
    let completion = run_all(&mut generator).remove(&3).unwrap();
    let mut all = tokens;
    let mut distinct = std::collections::BTreeSet::new();
    for (token, found) in completion.tokens.iter().zip(&completion.log_probabilities) {
        let logits = logits(&model, &all);
        let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        assert!(best - logits[*token as usize] < 1e-4);
        assert!((log_probability(&logits, *token) - found).abs() < 1e-4);
        distinct.insert(*token);
        all.push(*token);
    }
    assert_eq!(completion.tokens.len(), 12);
    assert!(distinct.len() > 2, "a model that repeats itself tests little: {distinct:?}");
    assert_eq!(generator.tokens(3), Some(all.as_slice()));
}

#[test]
fn batches_give_what_single_sequences_give() {
    let request = |sequence: u64| Request {
        temperature: if sequence.is_multiple_of(3) { 0.0 } else { 1.0 },
        top_p: if sequence % 3 == 1 { 0.9 } else { 1.0 },
        seed: sequence + 100,
        ..Request::greedy(sequence, prompt(sequence, 1 + 5 * sequence as usize), 10)
    };
    let mut together = generator(5);
    for sequence in 0..12 {
        together.submit(request(sequence)).unwrap();
    }
    let batched = run_all(&mut together);
    assert_eq!(batched.len(), 12);
    for (sequence, expected) in batched {
        let mut alone = generator(1);
        alone.submit(request(sequence)).unwrap();
        assert_same(&expected, &run_all(&mut alone)[&sequence]);
    }
}

#[test]
fn a_turn_continues_as_if_computed_from_scratch() {
    let mut turns = generator(2);
    let mut all = prompt(1, 9);
    turns.submit(Request::greedy(1, all.clone(), 4)).unwrap();
    for turn in 0..5 {
        let answer = run_all(&mut turns).remove(&1).unwrap();
        let mut scratch = generator(2);
        scratch.submit(Request::greedy(7, all.clone(), 4)).unwrap();
        let expected = run_all(&mut scratch).remove(&7).unwrap();
        assert_same(&answer, &Completion { sequence: 1, ..expected });
        let next = prompt(turn + 20, 1 + turn as usize);
        all.extend(answer.tokens);
        all.extend(&next);
        turns.submit(Request::greedy(1, next, 4)).unwrap();
    }
}

#[test]
fn shared_prefixes_change_nothing() {
    let shared = prompt(5, 40);
    let request = |sequence: u64| {
        let mut tokens = shared[..20 + 3 * sequence as usize].to_vec();
        tokens.extend(prompt(sequence, sequence as usize));
        Request::greedy(sequence, tokens, 6)
    };
    // Small steps, so that some sequences wait for others.
    let config = GeneratorConfig { prefill_tokens: 16, ..GeneratorConfig::default() };
    let mut together = Generator::new(model(1), config).unwrap();
    for sequence in 0..7 {
        together.submit(request(sequence)).unwrap();
    }
    let found = run_all(&mut together);
    assert_eq!(found.len(), 7);
    let mut n_alone = 0;
    for (sequence, completion) in &found {
        let mut alone = generator(1);
        alone.submit(request(*sequence)).unwrap();
        assert_same(completion, &run_all(&mut alone)[sequence]);
        // The last token of an answer is not read: it waits for the next turn.
        assert_eq!(alone.n_computed_tokens(), request(*sequence).tokens.len() as u64 + 5);
        n_alone += alone.n_computed_tokens();
    }
    // Each but the first takes over what one step of the first had computed, or more.
    let n_together = together.n_computed_tokens();
    assert!(n_together + 6 * 16 <= n_alone, "{n_together} tokens together, {n_alone} alone");
    // One that was opened later shares with those that are still open, and is the same again.
    together.submit(Request { sequence: 9, ..request(3) }).unwrap();
    let later = run_all(&mut together).remove(&9).unwrap();
    assert_same(&found[&3], &Completion { sequence: 3, ..later });
    // The last token of its prompt, and its answer but for the end.
    assert_eq!(together.n_computed_tokens() - n_together, 1 + 5);
}

/// Workers generate with clones of one model at the same time.
#[test]
fn generating_leaves_the_weights_that_clones_share_as_they_are() {
    let shared = model(1);
    let tokens = prompt(2, 30);
    let before = logits(&shared, &tokens);
    let mut generator = Generator::new(shared.clone(), GeneratorConfig::default()).unwrap();
    for sequence in 0..5 {
        let request = Request::greedy(sequence, prompt(sequence, 11), 9);
        generator.submit(Request { temperature: 0.7, seed: sequence, ..request }).unwrap();
    }
    assert_eq!(run_all(&mut generator).len(), 5);
    assert_eq!(logits(&shared, &tokens), before);
}

#[test]
fn the_same_calls_give_the_same_bytes() {
    let run = || {
        let mut generator = generator(3);
        for sequence in 0..8 {
            let request = Request::greedy(sequence, prompt(sequence, 11), 9);
            generator.submit(Request { temperature: 0.7, seed: sequence, ..request }).unwrap();
        }
        run_all(&mut generator)
    };
    assert_eq!(run(), run());
}

#[test]
fn answers_end_where_they_should() {
    let mut free = generator(1);
    free.submit(Request::greedy(0, prompt(0, 8), 10)).unwrap();
    let tokens = run_all(&mut free).remove(&0).unwrap().tokens;
    let stop = tokens[4];
    let first = tokens.iter().position(|token| *token == stop).unwrap();

    let config = GeneratorConfig {
        stop_tokens: vec![stop],
        context_length: Some(8 + tokens.len()),
        ..GeneratorConfig::default()
    };
    let mut generator = Generator::new(model(1), config).unwrap();
    generator.submit(Request::greedy(0, prompt(0, 8), 10)).unwrap();
    let stopped = run_all(&mut generator).remove(&0).unwrap();
    assert_eq!((stopped.tokens.as_slice(), stopped.finish), (&tokens[..=first], Finish::Stop));

    let config = GeneratorConfig { context_length: Some(12), ..GeneratorConfig::default() };
    let mut generator = Generator::new(model(1), config).unwrap();
    generator.submit(Request::greedy(0, prompt(0, 8), 10)).unwrap();
    let full = run_all(&mut generator).remove(&0).unwrap();
    assert_eq!((full.tokens.as_slice(), full.finish), (&tokens[..4], Finish::ContextFull));
    // No room for another token: the sequence is left as it is.
    generator.submit(Request::greedy(0, vec![1], 1)).unwrap();
    let refused = run_all(&mut generator).remove(&0).unwrap();
    assert_eq!((refused.tokens.len(), refused.finish), (0, Finish::ContextFull));
    assert_eq!(generator.tokens(0).unwrap().len(), 12);
    generator.close(0);
    assert_eq!(generator.tokens(0), None);
}

#[test]
fn impossible_requests_are_refused() {
    let mut generator = generator(1);
    let good = Request::greedy(0, vec![1], 3);
    let bad = [
        Request { tokens: vec![], ..good.clone() },
        Request { tokens: vec![40], ..good.clone() },
        Request { max_new_tokens: 0, ..good.clone() },
        Request { temperature: -1.0, ..good.clone() },
        Request { temperature: f32::NAN, ..good.clone() },
        Request { temperature: f32::INFINITY, ..good.clone() },
        // Its reciprocal is infinite, and that of the next one makes logits infinite.
        Request { temperature: 1e-39, ..good.clone() },
        Request { temperature: 1e-38, ..good.clone() },
        Request { top_p: 0.0, ..good.clone() },
        Request { top_p: 1.5, ..good.clone() },
        Request { top_k: Some(0), ..good.clone() },
        Request { min_p: 1.5, ..good.clone() },
        Request { min_p: f32::NAN, ..good.clone() },
        Request { stop_sequences: vec![vec![1], vec![]], ..good.clone() },
    ];
    for request in bad {
        assert!(generator.submit(request.clone()).is_err(), "{request:?}");
    }
    let cold = generator.submit(Request { temperature: 1e-39, ..good.clone() }).unwrap_err();
    assert!(cold.to_string().contains("or 0 for the likeliest token"), "{cold}");
    generator.submit(good.clone()).unwrap();
    let twice = generator.submit(good).unwrap_err();
    assert!(matches!(twice, LlamaError::Request { sequence: 0, .. }), "{twice}");
    // A turn may bring no tokens of its own: the last one has not been read yet.
    run_all(&mut generator);
    generator.submit(Request::greedy(0, vec![], 3)).unwrap();
    assert_eq!(run_all(&mut generator)[&0].tokens.len(), 3);
    assert!(generator.advance().unwrap().is_empty());
}

#[test]
fn a_generator_moves_between_threads() {
    let mut generator = generator(1);
    generator.submit(Request::greedy(0, vec![1], 3)).unwrap();
    let done = std::thread::spawn(move || run_all(&mut generator)).join().unwrap();
    assert_eq!(done[&0].tokens.len(), 3);
}

/// Bytes of a block of the test's model: 16 positions of keys and values.
fn block_bytes() -> usize {
    let config = model(1).config().clone();
    let row = config.n_key_value_heads() * config.head_dim();
    config.num_hidden_layers * 2 * 16 * row * size_of::<f32>()
}

/// Three turns of each of these sequences, in an order that the case shuffles; some are closed and
/// opened again. Gives every answer in the order of (sequence, turn).
fn play(generator: &mut Generator, case: u64, most: usize) -> BTreeMap<(u64, u64), Completion> {
    let mut answers = BTreeMap::new();
    for turn in 0..3 {
        for index in 0..7 {
            let sequence = (index * 3 + case) % 7;
            if (sequence + case + turn).is_multiple_of(5) {
                generator.close(sequence);
            }
            // Groups of sequences begin alike, for longer than a block.
            let mut tokens = prompt(sequence % 2 + case, 10 + (case * 7 + sequence) as usize % 20);
            tokens.extend(prompt(sequence + turn, 1 + (sequence * case + turn) as usize % 6));
            let n = 1 + (sequence + case) as usize % 9;
            generator.submit(Request::greedy(sequence, tokens, n)).unwrap();
        }
        loop {
            let completions = generator.advance().unwrap();
            assert!(generator.n_cache_bytes() <= most);
            if completions.is_empty() {
                break;
            }
            for completion in completions {
                assert!(answers.insert((completion.sequence, turn), completion).is_none());
            }
        }
    }
    assert_eq!(answers.len(), 3 * 7);
    answers
}

#[test]
fn a_small_budget_is_kept_and_changes_no_answer() {
    let model = model(1);
    let mut n_more = 0;
    for case in 0..12 {
        let run = |max_cache_bytes, max_sequences, prefill_tokens| {
            let config = GeneratorConfig {
                max_cache_bytes,
                max_sequences,
                prefill_tokens,
                ..GeneratorConfig::default()
            };
            let mut generator = Generator::new(model.clone(), config).unwrap();
            let answers = play(&mut generator, case, max_cache_bytes);
            (answers, generator.n_computed_tokens())
        };
        // No sequence gets longer than 3 * (29 + 6 + 9) tokens: nine blocks.
        let budget = (9 + case as usize % 5) * block_bytes() + 3;
        let (roomy, n_roomy) = run(1 << 30, 7, 512);
        let (tight, n_tight) = run(budget, 1 + case as usize % 7, 9 + case as usize);
        for (name, answer) in &tight {
            assert_same(answer, &roomy[name]);
        }
        n_more += n_tight.saturating_sub(n_roomy);
        // The same calls again, to the byte, whatever was evicted.
        assert_eq!(tight, run(budget, 1 + case as usize % 7, 9 + case as usize).0);
    }
    assert!(n_more > 100, "a budget that evicts nothing tests little: {n_more}");
}

#[test]
fn what_can_never_fit_is_refused_with_the_number_to_raise() {
    let bytes = 2 * block_bytes();
    let config = GeneratorConfig { max_cache_bytes: bytes, ..GeneratorConfig::default() };
    let mut generator = Generator::new(model(1), config).unwrap();
    let refused = generator.submit(Request::greedy(4, prompt(0, 30), 3)).unwrap_err().to_string();
    assert!(refused.contains(&format!("need {} bytes", 3 * block_bytes())), "{refused}");
    assert!(refused.contains(&format!("max_cache_bytes, {bytes}: raise it")), "{refused}");
    generator.submit(Request::greedy(4, prompt(0, 30), 2)).unwrap();
    assert_eq!(run_all(&mut generator)[&4].tokens.len(), 2);

    let config = GeneratorConfig { max_cache_bytes: 5, ..GeneratorConfig::default() };
    let refused = Generator::new(model(1), config).unwrap_err();
    assert!(matches!(refused, LlamaError::GeneratorConfig { field: "max_cache_bytes", .. }));
}

#[test]
fn closed_sequences_lend_their_prefix_until_all_is_cleared() {
    let mut generator = generator(4);
    let run = |generator: &mut Generator, sequence, tokens: &[u32]| {
        let before = generator.n_computed_tokens();
        generator.submit(Request::greedy(sequence, tokens.to_vec(), 4)).unwrap();
        let completion = run_all(generator).remove(&sequence).unwrap();
        generator.close(sequence);
        (completion, generator.n_computed_tokens() - before)
    };
    let expert = prompt(3, 70);
    let (first, n_first) = run(&mut generator, 0, &expert);
    assert_eq!(n_first, 70 + 3);
    // Two full blocks and eight positions of a third are there: two tokens of the prompt are left.
    let mut branch = expert[..40].to_vec();
    branch.extend([(expert[40] + 1) % 40, 7]);
    assert_eq!(run(&mut generator, 1, &branch).1, 2 + 3);

    generator.clear();
    assert_eq!(generator.n_cache_bytes(), 0);
    assert_eq!(run(&mut generator, 0, &expert), (first, n_first));
}

#[test]
fn stop_sequences_end_answers() {
    let mut generator = generator(1);
    generator.submit(Request::greedy(0, prompt(0, 8), 10)).unwrap();
    let tokens = run_all(&mut generator).remove(&0).unwrap().tokens;
    let stop = tokens[4..6].to_vec();
    let end = tokens.windows(2).position(|pair| pair == stop).unwrap() + 2;
    let stop_sequences = vec![vec![tokens[5]; 11], stop];
    let request = Request { stop_sequences, ..Request::greedy(1, prompt(0, 8), 10) };
    generator.submit(request).unwrap();
    let stopped = run_all(&mut generator).remove(&1).unwrap();
    assert_eq!((stopped.tokens.as_slice(), stopped.finish), (&tokens[..end], Finish::Stop));
}

/// What ends an answer may be known to the caller alone; others go on.
#[test]
fn callers_end_answers() {
    let mut free = generator(2);
    for sequence in 0..2 {
        free.submit(Request::greedy(sequence, prompt(sequence, 8), 9)).unwrap();
    }
    let free = run_all(&mut free);
    let mut generator = generator(2);
    for sequence in 0..2 {
        generator.submit(Request::greedy(sequence, prompt(sequence, 8), 9)).unwrap();
    }
    let mut stops = |sequence: u64, tokens: &[u32]| sequence == 1 && tokens.len() == 3;
    let first = generator.advance_until(&mut stops).unwrap();
    assert_eq!((first.len(), first[0].sequence, first[0].finish), (1, 1, Finish::Stop));
    assert_eq!(first[0].tokens, free[&1].tokens[..3]);
    let second = generator.advance_until(&mut stops).unwrap();
    assert_eq!((second.len(), &second[0]), (1, &free[&0]));
}

/// One weight that is no number, as a damaged file or a training that diverged leaves it.
#[test]
fn logits_that_are_no_numbers_are_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let model = model(1);
    let mut tensors: Vec<_> = model.tensors().collect();
    let norm = tensors.iter_mut().find(|tensor| tensor.name() == "model.norm.weight").unwrap();
    let mut values = norm.values().to_vec();
    values[3] = f32::NAN;
    *norm = eef_weights::NamedTensor::new(norm.name().to_owned(), norm.shape().to_vec(), values);
    let config = model.config().to_json();
    eef_weights::write_checkpoint(directory.path(), &config, &tensors).unwrap();
    let damaged = Llama::load(directory.path(), &device("cpu").unwrap()).unwrap();
    let mut generator = Generator::new(damaged, GeneratorConfig::default()).unwrap();
    generator.submit(Request::greedy(4, prompt(4, 8), 9)).unwrap();
    let error = generator.advance().unwrap_err();
    assert!(matches!(error, LlamaError::NotFinite { sequence: 4, n_tokens: 8 }), "{error}");
}
