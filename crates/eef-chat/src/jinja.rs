//! A checkpoint's own chat template, rendered as transformers renders it.

use std::path::Path;

use minijinja::value::{Kwargs, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, context};
use serde::Serialize;
use serde_json::Map;
use serde_json::ser::{Formatter, PrettyFormatter, Serializer};

use crate::ChatError;

const NAME: &str = "chat_template";
/// The file of a checkpoint's template. It wins over the one in [`CONFIG_FILE`].
const TEMPLATE_FILE: &str = "chat_template.jinja";
const CONFIG_FILE: &str = "tokenizer_config.json";

/// Steps that a rendering may take: an endless loop ends in an error.
const FUEL: u64 = 2_000_000;

/// A message as chat templates see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChatMessage {
    /// `system`, `user` or `assistant`.
    pub role: String,
    /// Its text.
    pub content: String,
}

impl ChatMessage {
    /// A message of a role.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Self {
        Self { role: role.into(), content: content.into() }
    }
}

/// A Jinja chat template.
///
/// It has what transformers gives templates: block trimming, `raise_exception`, Python's methods
/// of strings, lists and dicts, `break` and `continue`, and special tokens by name. There is no
/// clock: `strftime_now` is undefined, so that a template with a date of its own takes that one.
///
/// ```
/// use eef_chat::{ChatMessage, JinjaTemplate};
///
/// # fn main() -> Result<(), eef_chat::ChatError> {
/// let source = "{% for m in messages %}{{ m.role }}: {{ m.content.strip() }}\n{% endfor %}";
/// let template = JinjaTemplate::new(source)?;
/// assert_eq!(template.render(&[ChatMessage::new("user", " hi ")], false)?, "user: hi\n");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct JinjaTemplate {
    environment: Environment<'static>,
    /// Where it came from, for messages.
    from: String,
}

impl JinjaTemplate {
    /// Parses a template.
    ///
    /// # Errors
    /// [`ChatError::Jinja`].
    pub fn new(source: impl Into<String>) -> Result<Self, ChatError> {
        Self::parse(source.into(), &Map::new(), "the given template".to_owned())
    }

    /// The template of a model's directory: its `chat_template.jinja`, else `chat_template` in its
    /// `tokenizer_config.json` (of several, the one named `default`). `None` where there is none.
    ///
    /// # Errors
    /// [`ChatError::Io`], [`ChatError::InvalidTemplate`] and [`ChatError::Jinja`].
    pub fn of_model(directory: &Path) -> Result<Option<Self>, ChatError> {
        let path = directory.join(CONFIG_FILE);
        let config: Map<String, serde_json::Value> = match read(&path)? {
            Some(text) => serde_json::from_str(&text).map_err(|error| {
                ChatError::InvalidTemplate { path: path.clone(), message: error.to_string() }
            })?,
            None => Map::new(),
        };
        let file = directory.join(TEMPLATE_FILE);
        let (source, from) = match read(&file)? {
            Some(source) => (source, file),
            None => match source_of(&config) {
                Ok(Some(source)) => (source.to_owned(), path),
                Ok(None) => return Ok(None),
                Err(message) => return Err(ChatError::InvalidTemplate { path, message }),
            },
        };
        Self::parse(source, &config, from.display().to_string()).map(Some)
    }

    fn parse(
        source: String,
        config: &Map<String, serde_json::Value>,
        from: String,
    ) -> Result<Self, ChatError> {
        let mut environment = Environment::new();
        environment.set_trim_blocks(true);
        environment.set_lstrip_blocks(true);
        environment.set_fuel(Some(FUEL));
        environment.set_formatter(|output, _, value| write_as_python(output, value));
        environment
            .set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |message: String| -> Result<Value, Error> {
            Err(Error::new(ErrorKind::InvalidOperation, message))
        });
        environment.add_filter("tojson", to_json);
        for (name, value) in config.iter().filter(|(name, _)| name.ends_with("_token")) {
            // A token is a text, or an object which has it as `content`.
            if let Some(token) = value.as_str().or_else(|| value.get("content")?.as_str()) {
                environment.add_global(name.clone(), token.to_owned());
            }
        }
        match environment.add_template_owned(NAME, source) {
            Ok(()) => Ok(Self { environment, from }),
            Err(error) => Err(failure(&from, &error)),
        }
    }

    /// The text of messages; with `add_generation_prompt`, what stands before the next reply too.
    ///
    /// # Errors
    /// [`ChatError::Jinja`] where the template fails, refuses the messages or does not end.
    pub fn render(
        &self,
        messages: &[ChatMessage],
        add_generation_prompt: bool,
    ) -> Result<String, ChatError> {
        let none = Value::from(());
        let values = context! {
            messages, add_generation_prompt, tools => none, documents => none,
        };
        let template = self.environment.get_template(NAME);
        let text = template.and_then(|template| template.render(values));
        text.map_err(|error| failure(&self.from, &error))
    }

    /// Where it came from, for messages.
    pub(crate) fn from(&self) -> &str {
        &self.from
    }
}

fn read(path: &Path) -> Result<Option<String>, ChatError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ChatError::Io { doing: "read", path: path.to_owned(), source }),
    }
}

fn source_of(config: &Map<String, serde_json::Value>) -> Result<Option<&str>, String> {
    use serde_json::Value::{Array, Null, String};
    match config.get("chat_template") {
        None | Some(Null) => Ok(None),
        Some(String(source)) => Ok(Some(source)),
        Some(Array(named)) => {
            let default = named.iter().find(|one| one["name"] == "default");
            let source = default.and_then(|one| one["template"].as_str());
            source.map(Some).ok_or_else(|| {
                "chat_template: none of the list is named `default`, with a text as `template`"
                    .to_owned()
            })
        }
        Some(_) => Err("chat_template: expected a text, or a list of {name, template}".to_owned()),
    }
}

fn failure(from: &str, error: &Error) -> ChatError {
    ChatError::Jinja { from: from.to_owned(), message: error.to_string() }
}

/// Python writes `None`, `True` and `False`.
fn write_as_python(output: &mut minijinja::Output<'_>, value: &Value) -> Result<(), Error> {
    let written = match value.kind() {
        ValueKind::None => output.write_str("None"),
        ValueKind::Bool => output.write_str(if value.is_true() { "True" } else { "False" }),
        _ => write!(output, "{value}"),
    };
    written.map_err(Error::from)
}

/// Python's `json.dumps(value, ensure_ascii=False, indent=indent)`: no HTML is escaped.
// Filters take their arguments by value.
#[allow(clippy::needless_pass_by_value)]
fn to_json(value: Value, options: Kwargs) -> Result<String, Error> {
    let indent: Option<usize> = options.get("indent")?;
    let ensure_ascii: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    if ensure_ascii == Some(true) {
        let message = "tojson with ensure_ascii=true is not supported";
        return Err(Error::new(ErrorKind::InvalidOperation, message));
    }
    let mut json = Vec::new();
    let written = match indent {
        None => value.serialize(&mut Serializer::with_formatter(&mut json, OneLine)),
        Some(n_spaces) => {
            // Deeper indentation is no template's; a large one would only fill memory.
            let indent = " ".repeat(n_spaces.min(16));
            let formatter = PrettyFormatter::with_indent(indent.as_bytes());
            value.serialize(&mut Serializer::with_formatter(&mut json, formatter))
        }
    };
    let bad = |message: String| Error::new(ErrorKind::BadSerialization, message);
    written.map_err(|error| bad(error.to_string()))?;
    String::from_utf8(json).map_err(|error| bad(error.to_string()))
}

/// JSON on one line with Python's spaces after commas and colons.
struct OneLine;

impl Formatter for OneLine {
    fn begin_array_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> std::io::Result<()> {
        if first { Ok(()) } else { writer.write_all(b", ") }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(
        &mut self,
        writer: &mut W,
    ) -> std::io::Result<()> {
        writer.write_all(b": ")
    }
}
