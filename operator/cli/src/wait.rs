//! Waiting until objects are ready, or gone, and telling meanwhile what they wait for.

use std::time::{Duration, Instant};

use kube::Api;
use kube::api::DynamicObject;
use serde_json::Value;

use crate::failure::Failure;
use crate::output::{self, Terminal};

/// Between two looks.
const LOOK: Duration = Duration::from_millis(300);

/// How far an object is, as its own conditions say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Ready,
    /// It goes on without anybody's doing.
    Under(String),
    /// Nothing changes until somebody acts.
    Stalled(String),
}

/// Reads the conditions of one of our kinds: those of an older generation say nothing of this one.
pub(crate) fn progress(object: &Value) -> Progress {
    let generation = object.pointer("/metadata/generation").and_then(Value::as_i64);
    let observed = object.pointer("/status/observedGeneration").and_then(Value::as_i64);
    if generation != observed {
        return Progress::Under("the operator has not looked at it yet".to_owned());
    }
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array);
    let find = |type_: &str| conditions.into_iter().flatten().find(|condition| condition["type"] == type_);
    let Some(ready) = find("Ready") else {
        return Progress::Under("the operator has said nothing of it yet".to_owned());
    };
    if ready["status"] == "True" {
        return Progress::Ready;
    }
    let message = ready["message"].as_str().filter(|message| !message.is_empty());
    let said = message.or(ready["reason"].as_str()).unwrap_or_default().to_owned();
    match find("Stalled").is_some_and(|stalled| stalled["status"] == "True") {
        true => Progress::Stalled(said),
        false => Progress::Under(said),
    }
}

/// One object that is waited for.
pub(crate) struct Awaited {
    /// Kind and name.
    pub(crate) shown: String,
    pub(crate) name: String,
    pub(crate) api: Api<DynamicObject>,
}

/// Waits until all are ready; says what each waits for when that changes.
pub(crate) async fn ready(awaited: &[Awaited], within: Duration, terminal: Terminal) -> Result<(), Failure> {
    let end = Instant::now() + within;
    let mut line = Line::new(terminal);
    let mut open: Vec<(&Awaited, String)> = awaited.iter().map(|one| (one, String::new())).collect();
    loop {
        let mut still = Vec::new();
        for (one, said) in open {
            let found = one.api.get_opt(&one.name).await.map_err(|error| Failure::of(&one.shown, error))?;
            let Some(found) = found else {
                return Err(Failure::NotFound(format!("{}: it was deleted meanwhile", one.shown)));
            };
            match progress(&serde_json::to_value(&found).unwrap_or_default()) {
                Progress::Ready => line.say(&format!("{}: ready", one.shown)),
                Progress::Stalled(why) => {
                    line.end();
                    return Err(Failure::NotReady(format!("{}: {why}", one.shown)));
                }
                Progress::Under(why) => {
                    if why != said {
                        line.say(&format!("{}: {}", one.shown, why.lines().next().unwrap_or_default()));
                    }
                    still.push((one, why));
                }
            }
        }
        open = still;
        let Some((first, why)) = open.first() else {
            line.end();
            return Ok(());
        };
        if Instant::now() >= end {
            line.end();
            let seconds = within.as_secs();
            return Err(Failure::NotReady(format!("{}: not ready within {seconds} s: {why}", first.shown)));
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until all are gone, or others of the same names have come.
pub(crate) async fn gone(awaited: &[(Awaited, Option<String>)], within: Duration) -> Result<(), Failure> {
    let end = Instant::now() + within;
    for (one, uid) in awaited {
        loop {
            let found = one.api.get_opt(&one.name).await.map_err(|error| Failure::of(&one.shown, error))?;
            match found {
                Some(found) if found.metadata.uid == *uid => {}
                _ => break,
            }
            if Instant::now() >= end {
                return Err(Failure::NotReady(format!(
                    "{}: it is still there after {} s",
                    one.shown,
                    within.as_secs()
                )));
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    Ok(())
}

/// Progress on standard error: one moving line on a terminal, plain lines elsewhere.
struct Line {
    moves: bool,
    shown: bool,
}

impl Line {
    fn new(terminal: Terminal) -> Self {
        Self { moves: terminal.moves, shown: false }
    }

    fn say(&mut self, text: &str) {
        if self.moves {
            let text: String = output::plain(text).chars().take(110).collect();
            // The cursor goes to the line's begin, and what stood there goes.
            eprint!("\r\x1b[K{text}");
            self.shown = true;
        } else {
            output::note(text);
        }
    }

    fn end(&mut self) {
        if self.shown {
            eprint!("\r\x1b[K");
            self.shown = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(observed: i64, conditions: &[(&str, &str)]) -> Value {
        let conditions: Vec<Value> = conditions
            .iter()
            .map(|(type_, status)| json!({"type": type_, "status": status, "reason": "Why", "message": "because"}))
            .collect();
        json!({"metadata": {"generation": 2}, "status": {"observedGeneration": observed, "conditions": conditions}})
    }

    #[test]
    fn ready_of_an_older_generation_is_not_ready() {
        assert_eq!(progress(&object(2, &[("Ready", "True")])), Progress::Ready);
        assert!(matches!(progress(&object(1, &[("Ready", "True")])), Progress::Under(_)));
        assert!(matches!(progress(&json!({"metadata": {"generation": 1}})), Progress::Under(_)));
        assert_eq!(progress(&object(2, &[("Ready", "False")])), Progress::Under("because".to_owned()));
        assert_eq!(
            progress(&object(2, &[("Ready", "False"), ("Stalled", "True")])),
            Progress::Stalled("because".to_owned())
        );
    }
}
