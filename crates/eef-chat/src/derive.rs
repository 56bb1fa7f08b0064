//! The growing sequence that a Jinja chat template writes, found by probing and then proved.

use std::sync::Arc;

use eef_core::Message;

use crate::template::SystemParts;
use crate::{ChatError, ChatMessage, ChatTemplate, Encoder, JinjaTemplate, Tokenizer};

/// Texts that no template has of its own and that trimming leaves as they are.
const MARKERS: [&str; 3] = ["xqfirstqx", "xqreplyqx", "xqsecondqx"];

/// What users and policies say in the conversations that prove a template: thoughts that a template
/// may drop, braces, quotes, several lines, other scripts and an empty text, without outer spaces.
const TURNS: [(&str, &str); 4] = [
    ("find a mug", "search[mug]"),
    ("two mugs: {\"price\": \"5 €\"}, it's {{ red }}", "Thought: é\n\nAction: click[b1]"),
    ("一\n  [b1] <b>", "<think>\nwhy\n</think>\n\nclick[b2]"),
    ("", "buy"),
];

/// A system message that proves where they go.
const SYSTEM: &str = "You buy {{ mugs }}.\n\nOnly <b>red</b> ones: 5 €";

impl ChatTemplate {
    /// The growing sequence that a Jinja template writes.
    ///
    /// What stands around messages is cut out of the template's text for marked messages, a system
    /// message that it inserts by itself included (in `begin`), and what stands around one that is given
    /// (in `system`) where it can be. Conversations of several turns are
    /// then rendered both ways: texts and token ids must be the same. Texts with outer white space
    /// are kept as they are, though many templates trim them.
    ///
    /// # Errors
    /// [`ChatError::InexpressibleTemplate`] where the two differ, as they do where a template drops
    /// earlier thoughts; [`ChatError::Jinja`], and what [`Encoder::new`] says of the result.
    pub fn from_jinja(jinja: &JinjaTemplate, tokenizer: &Tokenizer) -> Result<Self, ChatError> {
        let cut = cut(jinja, tokenizer)?;
        // An encoder shares its tokenizer, and this one is only lent: it is read again.
        let tokenizer = Arc::new(Tokenizer::from_bytes(tokenizer.as_bytes())?);
        let encoder = Encoder::new(Arc::clone(&tokenizer), cut)?;
        prove(jinja, &encoder, None)?;
        let template = encoder.template().clone();
        // Templates that refuse a system message, or that put it elsewhere, are none the worse.
        let Some(system) = cut_system(jinja, &template) else { return Ok(template) };
        let with_system = ChatTemplate { system: Some(system), ..template.clone() };
        let is_proved = Encoder::new(tokenizer, with_system.clone())
            .and_then(|encoder| prove(jinja, &encoder, Some(SYSTEM)));
        Ok(if is_proved.is_ok() { with_system } else { template })
    }
}

fn inexpressible(jinja: &JinjaTemplate, message: String) -> ChatError {
    ChatError::InexpressibleTemplate { from: jinja.from().to_owned(), message }
}

fn cut(jinja: &JinjaTemplate, tokenizer: &Tokenizer) -> Result<ChatTemplate, ChatError> {
    let bad = |message: String| inexpressible(jinja, message);
    let split = |text: &str, marker: &str| match text.split_once(marker) {
        Some((before, after)) if !after.contains(marker) => {
            Ok((before.to_owned(), after.to_owned()))
        }
        _ => Err(bad(format!("a message's text is not written exactly once in {text:?}"))),
    };
    let same = |what: &str, alone: &str, inside: &str| {
        if alone == inside {
            return Ok(());
        }
        Err(bad(format!("{what} is {alone:?} in the prompt and {inside:?} in the history")))
    };
    let [first, reply, second] = MARKERS;
    let messages = [
        ChatMessage::new("user", first),
        ChatMessage::new("assistant", reply),
        ChatMessage::new("user", second),
    ];
    let (head, user_suffix) = split(&jinja.render(&messages[..1], false)?, first)?;
    let (prompted, tail) = split(&jinja.render(&messages[..1], true)?, first)?;
    same("what stands before the first message", &prompted, &head)?;
    let Some(reply_prefix) = tail.strip_prefix(&user_suffix) else {
        return Err(bad(format!(
            "a user's text ends in {user_suffix:?}, in the prompt in {tail:?}"
        )));
    };
    let (begun, rest) = split(&jinja.render(&messages, true)?, first)?;
    same("what stands before the first message", &head, &begun)?;
    let (before_reply, rest) = split(&rest, reply)?;
    // White space that only stands there once there is a reply is the model's to write.
    let white = before_reply.strip_prefix(&*tail).filter(|white| white.trim().is_empty());
    let Some(reply_text_prefix) = white else {
        return Err(bad(format!(
            "what stands before a reply is {tail:?} in the prompt and {before_reply:?} in the history"
        )));
    };
    let (after_reply, last) = split(&rest, second)?;
    same("what stands after the last message", &tail, &last)?;
    let ended = after_reply.trim_start();
    let reply_text_suffix = &after_reply[..after_reply.len() - ended.len()];
    let Some(("", (end, _), between)) = tokenizer.split_at_control(ended) else {
        let message = format!("a reply is followed by {after_reply:?}, not by a special token");
        return Err(bad(message));
    };
    let n_shared = shared_suffix(&head, between, tokenizer);
    let (begin, user_prefix) = head.split_at(head.len() - n_shared);
    Ok(ChatTemplate {
        // Not its path: an `eef_chat.json` is the same wherever the model lay.
        name: "jinja".to_owned(),
        begin: begin.to_owned(),
        user_prefix: user_prefix.to_owned(),
        user_suffix,
        reply_prefix: reply_prefix.to_owned(),
        reply_text_prefix: reply_text_prefix.to_owned(),
        reply_text_suffix: reply_text_suffix.to_owned(),
        reply_end: end.to_owned(),
        reply_gap: between[..between.len() - n_shared].to_owned(),
        system: None,
    })
}

/// What stands around a system message; none where that is not in the beginning, or not there at all.
fn cut_system(jinja: &JinjaTemplate, template: &ChatTemplate) -> Option<SystemParts> {
    let [first, system, _] = MARKERS;
    let messages = [ChatMessage::new("system", system), ChatMessage::new("user", first)];
    let text = jinja.render(&messages, false).ok()?;
    let (prefix, rest) = text.split_once(system)?;
    let (between, after) = rest.split_once(first)?;
    let suffix = between.strip_suffix(&*template.user_prefix)?;
    let is_as_usual = after == template.user_suffix && !after.contains(system);
    is_as_usual.then(|| SystemParts { prefix: prefix.to_owned(), suffix: suffix.to_owned() })
}

/// The length in bytes of the longest common end that cuts no control token in two.
fn shared_suffix(a: &str, b: &str, tokenizer: &Tokenizer) -> usize {
    let pairs = a.chars().rev().zip(b.chars().rev());
    let shared = pairs.take_while(|(a, b)| a == b).map(|(a, _)| a.len_utf8());
    let mut n_bytes = shared.sum();
    while n_bytes > 0
        && [a, b].iter().any(|text| !is_between_tokens(text, text.len() - n_bytes, tokenizer))
    {
        n_bytes -= 1;
    }
    n_bytes
}

/// Whether a place in a template's text is a character's boundary outside control tokens.
fn is_between_tokens(text: &str, place: usize, tokenizer: &Tokenizer) -> bool {
    let mut at = 0;
    while let Some((plain, (token, _), _)) = tokenizer.split_at_control(&text[at..]) {
        let start = at + plain.len();
        at = start + token.len();
        if start < place && place < at {
            return false;
        }
    }
    text.is_char_boundary(place)
}

/// Renders [`TURNS`] both ways, once from each turn on, after a system message or none.
fn prove(jinja: &JinjaTemplate, encoder: &Encoder, system: Option<&str>) -> Result<(), ChatError> {
    let template = encoder.template();
    for first in 0..TURNS.len() {
        let mut messages = Vec::new();
        let (mut text, mut conversation) = match (system, &template.system) {
            (Some(system), Some(SystemParts { prefix, suffix })) => {
                messages.push(ChatMessage::new("system", system));
                (format!("{prefix}{system}{suffix}"), encoder.start_with_system(system)?)
            }
            _ => (template.begin.clone(), encoder.start()),
        };
        for (asked, said) in &TURNS[first..] {
            messages.push(ChatMessage::new("user", *asked));
            encoder.push(&mut conversation, &Message::user(*asked))?;
            encoder.begin_reply(&mut conversation);
            text.extend([&*template.user_prefix, asked, &template.user_suffix]);
            text.push_str(&template.reply_prefix);
            let expected = jinja.render(&messages, true)?;
            if text != expected {
                let message = format!("it writes {expected:?}, its parts {text:?}");
                return Err(inexpressible(jinja, message));
            }
            if encoder.tokenizer().encode_with_special(&text)? != conversation.token_ids() {
                let message = format!("message by message, {text:?} is other tokens than as one");
                return Err(inexpressible(jinja, message));
            }
            messages.push(ChatMessage::new("assistant", *said));
            encoder.push(&mut conversation, &Message::assistant(*said, None))?;
            text.extend([&*template.reply_text_prefix, said, &template.reply_text_suffix]);
            text.push_str(&template.reply_end);
            let expected = jinja.render(&messages, false)?;
            if !expected.strip_prefix(&text).is_some_and(|rest| rest.trim().is_empty()) {
                let message = format!("it writes {expected:?}, its parts {text:?}");
                return Err(inexpressible(jinja, message));
            }
            text.push_str(&template.reply_gap);
        }
    }
    Ok(())
}
