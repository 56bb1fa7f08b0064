//! Renders progress on stderr: bars on a terminal, plain lines elsewhere, JSON for machines.

use std::io::{IsTerminal, stderr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use eef_core::{Event, Progress};
use indicatif::{ProgressBar, ProgressStyle};

use crate::output;

/// Plain lines: at most one in this time, besides those at the end of a phase.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// JSON events: at most one in this time, besides beginnings and ends.
const EVENT_EVERY: Duration = Duration::from_millis(500);

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Bar,
    Lines,
    Json,
}

/// Shows one phase at a time.
pub struct Renderer {
    style: Style,
    phase: Mutex<Option<Phase>>,
}

struct Phase {
    name: String,
    unit: &'static str,
    total: u64,
    done: u64,
    began: Instant,
    shown: Instant,
    bar: Option<ProgressBar>,
}

impl Renderer {
    /// Chooses by what stderr is.
    pub fn new(json: bool) -> Self {
        let style = match (json, stderr().is_terminal()) {
            (true, _) => Style::Json,
            (false, true) => Style::Bar,
            (false, false) => Style::Lines,
        };
        Self { style, phase: Mutex::new(None) }
    }

    /// Removes a bar that is still drawn, before something else is written.
    pub fn clear(&self) {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(bar) = phase.take().and_then(|phase| phase.bar) {
            bar.finish_and_clear();
        }
    }

    /// Says something beside the progress, above a bar that is drawn.
    pub fn note(&self, text: &str) {
        let say = || self.line(text, serde_json::json!({ "event": "note", "text": text }));
        let phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        match phase.as_ref().and_then(|phase| phase.bar.as_ref()) {
            Some(bar) => bar.suspend(say),
            None => say(),
        }
    }

    /// Writes a text for people, or the same as fields for machines, among them `event`.
    pub fn line(&self, text: &str, fields: serde_json::Value) {
        match self.style {
            Style::Json => output::say(&fields.to_string()),
            Style::Bar | Style::Lines => output::say(text),
        }
    }
}

impl Progress for Renderer {
    fn report(&self, event: Event) {
        let mut slot = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        match event {
            Event::Started { phase, unit, total } => {
                if self.style == Style::Json {
                    let event = serde_json::json!({
                        "event": "started", "phase": phase, "unit": unit, "total": total,
                    });
                    output::say(&event.to_string());
                }
                let now = Instant::now();
                let bar = (self.style == Style::Bar).then(|| bar(&phase, unit, total));
                let next = Phase { name: phase, unit, total, done: 0, began: now, shown: now, bar };
                if let Some(bar) = slot.replace(next).and_then(|last| last.bar) {
                    bar.finish_and_clear();
                }
            }
            Event::Advanced { done, note } => {
                let Some(phase) = slot.as_mut() else { return };
                // Workers report from several threads: the larger number is the newer one.
                phase.done = phase.done.max(done);
                if let Some(bar) = &phase.bar {
                    bar.set_position(phase.done);
                    bar.set_message(note);
                    return;
                }
                let every = if self.style == Style::Json { EVENT_EVERY } else { LINE_EVERY };
                if phase.shown.elapsed() >= every {
                    phase.shown = Instant::now();
                    let fields = serde_json::json!({
                        "event": "advanced", "phase": phase.name, "done": phase.done,
                        "total": phase.total, "per_second": phase.rate(), "note": note,
                    });
                    self.line(&phase.status(&note), fields);
                }
            }
            Event::Milestone { line } => {
                let say = || {
                    self.line(&line, serde_json::json!({ "event": "milestone", "text": line }));
                };
                match slot.as_ref().and_then(|phase| phase.bar.as_ref()) {
                    Some(bar) => bar.suspend(say),
                    None => say(),
                }
            }
            Event::Finished { summary } => {
                let Some(phase) = slot.take() else { return };
                if let Some(bar) = &phase.bar {
                    bar.finish_and_clear();
                }
                let seconds = phase.began.elapsed().as_secs_f64();
                let text = format!("{}: {summary} in {}", phase.name, output::duration(seconds));
                let fields = serde_json::json!({
                    "event": "finished", "phase": phase.name, "summary": summary,
                    "seconds": seconds,
                });
                self.line(&text, fields);
            }
            _ => {}
        }
    }
}

impl Phase {
    fn rate(&self) -> f64 {
        self.done as f64 / self.began.elapsed().as_secs_f64().max(1e-3)
    }

    fn status(&self, note: &str) -> String {
        let rate = self.rate();
        let left = self.total.saturating_sub(self.done) as f64 / rate.max(1e-6);
        let comma = if note.is_empty() { "" } else { ", " };
        format!(
            "{}: {}/{} {}{comma}{note}, {rate:.1}/s, {} left",
            self.name,
            output::count(self.done),
            output::count(self.total),
            self.unit,
            output::duration(left),
        )
    }
}

fn bar(phase: &str, unit: &str, total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total).with_prefix(phase.to_owned());
    let template = format!(
        "{{prefix}} [{{bar:24}}] {{human_pos}}/{{human_len}} {unit}, {{msg}} ({{per_sec}}, {{eta}} left)"
    );
    // A template that indicatif does not understand costs the layout, not the run.
    if let Ok(style) = ProgressStyle::with_template(&template) {
        bar.set_style(style.progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_line_says_how_far_and_how_long() {
        let began = Instant::now();
        let phase = Phase {
            name: "explore round 2".to_owned(),
            unit: "rollouts",
            total: 6_000,
            done: 6_000,
            began,
            shown: began,
            bar: None,
        };
        let line = phase.status("won 43.1 %");
        assert!(line.starts_with("explore round 2: 6,000/6,000 rollouts, won 43.1 %, "), "{line}");
        assert!(line.ends_with("/s, 0 s left"), "{line}");
    }

    #[test]
    fn events_in_any_order_do_no_harm() {
        let renderer = Renderer { style: Style::Lines, phase: Mutex::new(None) };
        renderer.report(Event::Advanced { done: 1, note: String::new() });
        renderer.report(Event::Finished { summary: "nothing".to_owned() });
        renderer.report(Event::Started { phase: "a".to_owned(), unit: "steps", total: 0 });
        renderer.report(Event::Started { phase: "b".to_owned(), unit: "steps", total: 3 });
        renderer.report(Event::Advanced { done: 2, note: String::new() });
        renderer.report(Event::Advanced { done: 1, note: String::new() });
        assert_eq!(renderer.phase.lock().unwrap().as_ref().map(|phase| phase.done), Some(2));
        renderer.clear();
    }
}
