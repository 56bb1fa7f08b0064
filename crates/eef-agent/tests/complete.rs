//! Texts in, texts out, with the embedded base model.
#![expect(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::path::{Path, PathBuf};

use eef_agent::{CompletionRequest, LoadOptions, Prompt, TextCompletion, TextGenerator};
use eef_core::Message;
use eef_llama::{Finish, GeneratorConfig};

const TEXT: &str = "WebShop [SEP] Instruction: [SEP] Find me a red ceramic mug";

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/base")
}

fn generator() -> TextGenerator {
    TextGenerator::open(&base(), LoadOptions::default(), GeneratorConfig::default()).unwrap()
}

fn greedy(text: &str, max_new_tokens: usize) -> CompletionRequest {
    CompletionRequest::greedy(Prompt::Text(text.to_owned()), max_new_tokens)
}

fn complete(generator: &mut TextGenerator, request: &CompletionRequest) -> TextCompletion {
    generator.complete([request.clone()], &mut |_| true).unwrap().remove(0)
}

#[test]
fn a_refused_request_leaves_nothing_behind() {
    let mut generator = generator();
    let expected = complete(&mut generator, &greedy(TEXT, 12));
    assert!(!expected.text.is_empty() && expected.n_prompt_tokens > 10);
    let error = generator.complete([greedy(TEXT, 12), greedy(TEXT, 0)], &mut |_| true);
    assert!(error.unwrap_err().to_string().contains("max_new_tokens is 0"));
    assert_eq!(complete(&mut generator, &greedy(TEXT, 12)), expected);
}

#[test]
fn whoever_watches_may_stop() {
    let mut generator = generator();
    let requests = [greedy(TEXT, 3), greedy("WebShop", 40), greedy("a mug", 40)];
    let mut n_seen = 0;
    let some = generator.complete(requests, &mut |_| {
        n_seen += 1;
        false
    });
    assert_eq!((some.unwrap().len(), n_seen), (1, 1));
    assert_eq!(complete(&mut generator, &greedy(TEXT, 3)).request, 0);
}

#[test]
fn a_text_that_stops_ends_the_answer_and_is_no_part_of_it() {
    let mut generator = generator();
    let whole = complete(&mut generator, &greedy(TEXT, 24));
    // Some characters of the middle, which need not be whole tokens.
    let middle = whole.text.char_indices().nth(whole.text.chars().count() / 2).unwrap().0;
    let stop: String = whole.text[middle..].chars().take(3).collect();
    let mut request = greedy(TEXT, 24);
    request.stops = vec!["not in this text".to_owned(), stop.clone()];
    let stopped = complete(&mut generator, &request);
    assert_eq!(stopped.finish, Finish::Stop);
    assert_eq!(stopped.text, whole.text[..whole.text.find(&stop).unwrap()]);
    assert!(stopped.token_ids.len() < whole.token_ids.len());
    assert!(whole.token_ids.starts_with(&stopped.token_ids));
}

#[test]
fn answers_end_with_the_turn_and_do_not_show_its_token() {
    let mut generator = generator();
    let prompt = Prompt::Conversation(vec![Message::user(TEXT)]);
    let answer = complete(&mut generator, &CompletionRequest::greedy(prompt, 60));
    assert_eq!(answer.finish, Finish::Stop);
    assert!(!answer.text.contains("<|end|>"), "{:?}", answer.text);
    assert_eq!(answer.token_ids.len(), answer.log_probabilities.len());
}

#[test]
fn sampling_takes_every_limit() {
    let mut generator = generator();
    let mut request = greedy(TEXT, 12);
    let likeliest = complete(&mut generator, &request);
    (request.temperature, request.seed) = (50.0, 3);
    assert_ne!(complete(&mut generator, &request).token_ids, likeliest.token_ids);
    for change in [
        |request: &mut CompletionRequest| request.top_k = Some(1),
        |request: &mut CompletionRequest| request.min_p = 1.0,
        |request: &mut CompletionRequest| request.top_p = 1e-6,
    ] {
        let mut limited = request.clone();
        change(&mut limited);
        assert_eq!(complete(&mut generator, &limited).token_ids, likeliest.token_ids);
    }
}
