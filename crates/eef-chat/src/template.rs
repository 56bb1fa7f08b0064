//! Chat templates as data: what stands around each message.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::{ChatError, JinjaTemplate, Tokenizer};

/// The file in a model's directory that holds its template.
pub const TEMPLATE_FILE: &str = "eef_chat.json";

/// The versions that are read; a template without a system message is written as the first one.
const VERSIONS: std::ops::RangeInclusive<u64> = 1..=2;

/// What stands around messages, in texts whose control tokens are written by name.
///
/// A conversation is encoded message by message, so that it only ever grows: text before a reply
/// never changes because of what comes after, and no token reaches from the prompt into the reply.
/// Templates that rewrite history (that drop earlier thoughts, for example) cannot be expressed, on
/// purpose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChatTemplate {
    /// Its name, for messages.
    pub name: String,
    /// Before everything else.
    pub begin: String,
    /// Before a user's text.
    pub user_prefix: String,
    /// After a user's text.
    pub user_suffix: String,
    /// Before a reply: the last thing that the model reads before it samples.
    pub reply_prefix: String,
    /// White space that a reply's text begins with: the model writes it, and it is trained, but it is
    /// no part of what the reply says (LLaMA 2 and Mistral 0.3 have a space).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reply_text_prefix: String,
    /// The same at its end (LLaMA 2 has a space).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reply_text_suffix: String,
    /// Ends a reply. One special token: the model samples it, it is trained, and no text spells it.
    pub reply_end: String,
    /// Between a reply's end and the next message.
    pub reply_gap: String,
    /// How a conversation with a system message begins; none where there can be none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub system: Option<SystemParts>,
}

/// What stands around a system message, which is the first thing in a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SystemParts {
    /// Before its text, in place of [`ChatTemplate::begin`]: also of what a template says there by itself.
    pub prefix: String,
    /// Between its text and the first message.
    pub suffix: String,
}

#[derive(Serialize, Deserialize)]
struct Record {
    version: u64,
    template: ChatTemplate,
}

/// The names that [`ChatTemplate::preset`] knows.
pub const PRESETS: [&str; 4] = ["compact", "llama3", "chatml", "mistral"];

impl ChatTemplate {
    /// The embedded models' template: two tokens a turn.
    pub fn compact() -> Self {
        Self::from_parts("compact", "", ["", "<|assistant|>"], ["", "<|end|>", ""])
    }

    /// LLaMA 3 Instruct, without a system message of its own.
    pub fn llama3() -> Self {
        Self::from_parts(
            "llama3",
            "<|begin_of_text|>",
            ["<|start_header_id|>user<|end_header_id|>\n\n", "<|eot_id|>"],
            ["<|start_header_id|>assistant<|end_header_id|>\n\n", "<|eot_id|>", ""],
        )
        .with_system(
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\n",
            "<|eot_id|>",
        )
    }

    /// ChatML (Qwen and others), without a system message of its own.
    pub fn chatml() -> Self {
        Self::from_parts(
            "chatml",
            "",
            ["<|im_start|>user\n", "<|im_end|>\n"],
            ["<|im_start|>assistant\n", "<|im_end|>", "\n"],
        )
        .with_system("<|im_start|>system\n", "<|im_end|>\n")
    }

    /// Mistral Instruct 0.1 and 0.2.
    pub fn mistral() -> Self {
        Self::from_parts("mistral", "<s>", ["[INST] ", " [/INST]"], ["", "</s>", ""])
    }

    fn from_parts(name: &str, begin: &str, user: [&str; 2], reply: [&str; 3]) -> Self {
        Self {
            name: name.to_owned(),
            begin: begin.to_owned(),
            user_prefix: user[0].to_owned(),
            user_suffix: user[1].to_owned(),
            reply_prefix: reply[0].to_owned(),
            reply_text_prefix: String::new(),
            reply_text_suffix: String::new(),
            reply_end: reply[1].to_owned(),
            reply_gap: reply[2].to_owned(),
            system: None,
        }
    }

    fn with_system(self, prefix: &str, suffix: &str) -> Self {
        let (prefix, suffix) = (prefix.to_owned(), suffix.to_owned());
        Self { system: Some(SystemParts { prefix, suffix }), ..self }
    }

    /// A template by its name, one of [`PRESETS`].
    ///
    /// # Errors
    /// [`ChatError::UnknownName`].
    pub fn preset(name: &str) -> Result<Self, ChatError> {
        match name {
            "compact" => Ok(Self::compact()),
            "llama3" => Ok(Self::llama3()),
            "chatml" => Ok(Self::chatml()),
            "mistral" => Ok(Self::mistral()),
            _ => Err(ChatError::UnknownName {
                what: "chat template",
                found: name.to_owned(),
                expected: PRESETS.join(", "),
            }),
        }
    }

    /// The preset whose control tokens the tokenizer has.
    ///
    /// Mistral's has none of its own (`[INST]` is plain text in versions 0.1 and 0.2, and the
    /// spacing differs in later ones), so it is never guessed: name it in `eef_chat.json`.
    ///
    /// # Errors
    /// [`ChatError::UnknownTemplate`] where there is none.
    pub fn detect(tokenizer: &Tokenizer) -> Result<Self, ChatError> {
        let has = |names: &[&str]| names.iter().all(|name| tokenizer.token_id(name).is_some());
        if has(&["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]) {
            Ok(Self::llama3())
        } else if has(&["<|im_start|>", "<|im_end|>"]) {
            Ok(Self::chatml())
        } else if has(&["<|assistant|>", "<|end|>"]) && !has(&["<|user|>"]) {
            Ok(Self::compact())
        } else {
            Err(ChatError::UnknownTemplate { known: PRESETS.join(", ") })
        }
    }

    /// The template of a model's directory: its `eef_chat.json`, else its own Jinja template
    /// ([`JinjaTemplate::of_model`], [`ChatTemplate::from_jinja`]), else the one detected.
    ///
    /// # Errors
    /// [`ChatError::InvalidTemplate`], [`ChatError::UnknownTemplate`], [`ChatError::Jinja`],
    /// [`ChatError::InexpressibleTemplate`], or a file cannot be read.
    pub fn of_model(directory: &Path, tokenizer: &Tokenizer) -> Result<Self, ChatError> {
        let path = directory.join(TEMPLATE_FILE);
        match std::fs::read(&path) {
            Ok(bytes) => Self::parse(&bytes, &path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                match JinjaTemplate::of_model(directory)? {
                    Some(jinja) => Self::from_jinja(&jinja, tokenizer),
                    None => Self::detect(tokenizer),
                }
            }
            Err(source) => Err(ChatError::Io { doing: "read", path, source }),
        }
    }

    /// What a reply says, of the text that the model wrote.
    pub fn said<'a>(&self, written: &'a str) -> &'a str {
        let said = written.strip_prefix(&*self.reply_text_prefix).unwrap_or(written);
        said.strip_suffix(&*self.reply_text_suffix).unwrap_or(said)
    }

    /// Checks that what looks like a control token is one, that no text can spell it, and that white
    /// space is some.
    pub(crate) fn check(&self, tokenizer: &Tokenizer) -> Result<(), ChatError> {
        for (field, text) in [
            ("reply_text_prefix", &self.reply_text_prefix),
            ("reply_text_suffix", &self.reply_text_suffix),
        ] {
            if !text.trim().is_empty() {
                let (template, text) = (self.name.clone(), text.clone());
                return Err(ChatError::ReplyText { template, field, text });
            }
        }
        let none = String::new();
        let system = self.system.as_ref();
        let fields = [
            ("system.prefix", system.map_or(&none, |system| &system.prefix)),
            ("system.suffix", system.map_or(&none, |system| &system.suffix)),
            ("begin", &self.begin),
            ("user_prefix", &self.user_prefix),
            ("user_suffix", &self.user_suffix),
            ("reply_prefix", &self.reply_prefix),
            ("reply_end", &self.reply_end),
            ("reply_gap", &self.reply_gap),
        ];
        for (field, text) in fields {
            let template = || self.name.clone();
            let unknown = |text: &str| match control_name(text) {
                Some(token) => Err(ChatError::UnknownControlToken {
                    template: template(),
                    field,
                    token: token.to_owned(),
                }),
                None => Ok(()),
            };
            let mut rest = text.as_str();
            while let Some((plain, (token, id), after)) = tokenizer.split_at_control(rest) {
                unknown(plain)?;
                if tokenizer.can_be_spelt(token, id)? {
                    let (template, token) = (template(), token.to_owned());
                    return Err(ChatError::SpeltControlToken { template, field, token });
                }
                rest = after;
            }
            unknown(rest)?;
        }
        Ok(())
    }

    fn parse(bytes: &[u8], path: &Path) -> Result<Self, ChatError> {
        let invalid = |message: String| ChatError::InvalidTemplate { path: path.into(), message };
        let value: serde_json::Value =
            serde_json::from_slice(bytes).map_err(|error| invalid(error.to_string()))?;
        // The version comes first: a later one may well have other fields.
        match value.get("version").and_then(serde_json::Value::as_u64) {
            Some(version) if VERSIONS.contains(&version) => {}
            found => {
                let found = found.map_or("none".to_owned(), |version| version.to_string());
                let last = VERSIONS.end();
                return Err(invalid(format!("version {found}, expected 1 to {last}")));
            }
        }
        let record: Record =
            serde_json::from_value(value).map_err(|error| invalid(error.to_string()))?;
        Ok(record.template)
    }

    /// The bytes of an `eef_chat.json`.
    pub fn to_json(&self) -> String {
        let version = if self.system.is_some() { *VERSIONS.end() } else { *VERSIONS.start() };
        let record = Record { version, template: self.clone() };
        // A record of strings always serialises.
        let mut json = serde_json::to_string_pretty(&record).unwrap_or_default();
        json.push('\n');
        json
    }

    /// Writes the template into a model's directory.
    ///
    /// # Errors
    /// [`ChatError::Io`].
    pub fn write(&self, directory: &Path) -> Result<(), ChatError> {
        let path = directory.join(TEMPLATE_FILE);
        std::fs::write(&path, self.to_json()).map_err(|source| ChatError::Io {
            doing: "write",
            path,
            source,
        })
    }
}

/// Control tokens' names that are not in bars.
const CONTROL_NAMES: [&str; 8] =
    ["<s>", "</s>", "<bos>", "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>"];

/// The first part of a text that looks like a control token's name.
fn control_name(text: &str) -> Option<&str> {
    let in_bars = [("<|", "|>"), ("<｜", "｜>")].into_iter().find_map(|(open, close)| {
        let start = text.find(open)?;
        let inside = start + open.len();
        let end = inside + text[inside..].find(close)? + close.len();
        Some(&text[start..end])
    });
    in_bars.or_else(|| CONTROL_NAMES.into_iter().find(|name| text.contains(name)))
}

#[cfg(test)]
mod tests {
    use minijinja::{Environment, context};

    use super::*;
    use crate::testing::tiny_tokenizer;

    /// Two turns through our segments, and the prompt of a third reply.
    fn segments(template: &ChatTemplate) -> String {
        segments_after(template, &template.begin)
    }

    fn segments_after(template: &ChatTemplate, begin: &String) -> String {
        let t = template;
        let user = |text: &str| format!("{}{text}{}", t.user_prefix, t.user_suffix);
        let reply = |text: &str| format!("{}{text}{}{}", t.reply_prefix, t.reply_end, t.reply_gap);
        let all = [begin, &user("find a mug"), &reply("search"), &user("two mugs")];
        format!("{}{}{}", all.map(String::as_str).concat(), reply("click"), user("a mug"))
            + &t.reply_prefix
    }

    fn jinja(source: &str) -> String {
        jinja_after(source, None)
    }

    fn jinja_after(source: &str, system: Option<&str>) -> String {
        let mut environment = Environment::new();
        environment.add_template("chat", source).unwrap();
        let message = |role: &str, content: &str| context! { role, content };
        let mut messages: Vec<_> = system.map(|text| message("system", text)).into_iter().collect();
        messages.extend([
            message("user", "find a mug"),
            message("assistant", "search"),
            message("user", "two mugs"),
            message("assistant", "click"),
            message("user", "a mug"),
        ]);
        let values = context! {
            messages, add_generation_prompt => true, bos_token => "<|begin_of_text|>",
        };
        environment.get_template("chat").unwrap().render(values).unwrap()
    }

    #[test]
    fn presets_write_what_the_usual_jinja_templates_write() {
        let llama3 = "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m.role }}\
            <|end_header_id|>{{ '\\n\\n' }}{{ m.content | trim }}<|eot_id|>{% endfor %}\
            {% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\
            {{ '\\n\\n' }}{% endif %}";
        assert_eq!(segments(&ChatTemplate::llama3()), jinja(llama3));
        let chatml = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\\n' + m.content + \
            '<|im_end|>' + '\\n' }}{% endfor %}{% if add_generation_prompt %}\
            {{ '<|im_start|>assistant\\n' }}{% endif %}";
        assert_eq!(segments(&ChatTemplate::chatml()), jinja(chatml));
        for (template, source) in
            [(ChatTemplate::llama3(), llama3), (ChatTemplate::chatml(), chatml)]
        {
            let SystemParts { prefix, suffix } = template.system.clone().unwrap();
            let begin = format!("{prefix}be kind{suffix}");
            let expected = jinja_after(source, Some("be kind"));
            assert_eq!(segments_after(&template, &begin), expected);
        }
        let mistral = "<s>{% for m in messages %}{% if m.role == 'user' %}\
            {{ '[INST] ' + m.content + ' [/INST]' }}{% else %}{{ m.content + '</s>' }}\
            {% endif %}{% endfor %}";
        assert_eq!(segments(&ChatTemplate::mistral()), jinja(mistral));
    }

    #[test]
    fn a_preset_is_found_by_name_and_by_tokens() {
        for name in PRESETS {
            assert_eq!(ChatTemplate::preset(name).unwrap().name, name);
        }
        let error = ChatTemplate::preset("llama4").unwrap_err();
        assert!(error.to_string().contains("expected one of compact, llama3"), "{error}");
        assert_eq!(ChatTemplate::detect(tiny_tokenizer()).unwrap(), ChatTemplate::compact());
    }

    #[test]
    fn a_template_file_is_read_back_and_checked() {
        let path = Path::new("m/eef_chat.json");
        let template = ChatTemplate::chatml();
        assert_eq!(ChatTemplate::parse(template.to_json().as_bytes(), path).unwrap(), template);
        assert!(ChatTemplate::compact().to_json().contains("\"version\": 1"), "as before");
        let later = template.to_json().replace("\"version\": 2", "\"version\": 3");
        let error = ChatTemplate::parse(later.as_bytes(), path).unwrap_err();
        assert_eq!(error.to_string(), "m/eef_chat.json: version 3, expected 1 to 2");
        let misspelt = template.to_json().replace("reply_end", "reply_ends");
        let error = ChatTemplate::parse(misspelt.as_bytes(), path).unwrap_err();
        assert!(error.to_string().contains("unknown field `reply_ends`"), "{error}");
    }
}
