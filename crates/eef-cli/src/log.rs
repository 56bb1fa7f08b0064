//! Events of the libraries, on stderr: as lines for people, or as JSON beside the progress.

use std::io::IsTerminal;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::output;

/// The crates whose events `-v` shows.
const OURS: [&str; 8] = [
    "eef_agent",
    "eef_chat",
    "eef_llama",
    "eef_rollout",
    "eef_select",
    "eef_store",
    "eef_train",
    "eef_webshop",
];

/// Shows warnings from now on, and more with `-v`; `RUST_LOG` overrides.
pub fn start(verbose: u8, json: bool) {
    let registry = tracing_subscriber::registry().with(filter(verbose));
    if json {
        return registry.with(JsonLines(|line: String| output::say(&line))).init();
    }
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(colours(|name| std::env::var(name).ok(), std::io::stderr().is_terminal()))
        .without_time()
        .with_target(verbose > 0);
    registry.with(lines).init();
}

fn filter(verbose: u8) -> EnvFilter {
    let level = match verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    let ours =
        format!("error,eef={level},{}", OURS.map(|name| format!("{name}={level}")).join(","));
    EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(ours))
}

/// Colours are for a terminal that has some, where nobody asked for none (<https://no-color.org>).
fn colours(variable: impl Fn(&str) -> Option<String>, is_terminal: bool) -> bool {
    let refused = variable("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_dumb = variable("TERM").is_some_and(|value| value == "dumb");
    is_terminal && !refused && !is_dumb
}

/// Gives each event as one JSON object to a function.
struct JsonLines<F>(F);

impl<S: Subscriber, F: Fn(String) + 'static> Layer<S> for JsonLines<F> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let message = fields.0.remove("message").unwrap_or_default();
        let mut line = serde_json::json!({
            "event": "log",
            "level": event.metadata().level().as_str().to_lowercase(),
            "target": event.metadata().target(),
            "message": message,
        });
        if !fields.0.is_empty() {
            line["fields"] = Value::Object(fields.0);
        }
        (self.0)(line.to_string());
    }
}

/// What an event says, by name.
#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn put(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn an_event_is_one_json_object() {
        let lines = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&lines);
        let layer = JsonLines(move |line| kept.lock().unwrap().push(line));
        let registry = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(registry, || {
            let path = std::path::Path::new("a b");
            tracing::warn!(step = 3_u64, loss = 0.5, path = %path.display(), "a \"bad\"\nline {}", 7);
            tracing::info!("plain");
        });
        let lines = lines.lock().unwrap();
        let read = |line: &String| serde_json::from_str::<Value>(line).unwrap();
        let events: Vec<Value> = lines.iter().map(read).collect();
        assert!(lines.iter().all(|line| !line.contains('\n')));
        let expected = serde_json::json!({
            "event": "log",
            "level": "warn",
            "target": module_path!(),
            "message": "a \"bad\"\nline 7",
            "fields": { "step": 3, "loss": 0.5, "path": "a b" },
        });
        assert_eq!(events[0], expected);
        assert_eq!(events[1]["message"], "plain");
        assert_eq!(events[1].get("fields"), None);
    }

    #[test]
    fn colours_are_for_terminals_where_nobody_refused_them() {
        let with = |name: &'static str, value: &'static str, is_terminal: bool| {
            colours(|asked| (asked == name).then(|| value.to_owned()), is_terminal)
        };
        assert!(with("TERM", "xterm", true));
        assert!(with("NO_COLOR", "", true));
        assert!(!with("TERM", "xterm", false));
        assert!(!with("NO_COLOR", "1", true));
        assert!(!with("TERM", "dumb", true));
    }
}
