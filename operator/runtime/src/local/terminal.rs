//! What a person reads while a project runs: one line an event, in the order in which they come.

use std::io::{IsTerminal as _, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;

/// Characters of a request's id that tell it from its neighbours; an id from outside may have any form.
const ID: usize = 12;

/// Writes lines to standard output, or for tests elsewhere. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Terminal {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    colour: bool,
}

/// How a line is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Quiet,
    Warning,
    Error,
}

impl Tone {
    fn code(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "\x1b[32m",
            Self::Quiet => "\x1b[2m",
            Self::Warning => "\x1b[33m",
            Self::Error => "\x1b[31m",
        }
    }
}

/// Whose words they are, and where paths in them lead.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speaker {
    pub(crate) name: String,
    /// The folder that the package was unpacked to, and the one that it was made of.
    pub(crate) paths: Option<(PathBuf, PathBuf)>,
}

impl Terminal {
    /// Standard output; colours where a person looks at it.
    pub(crate) fn stdout() -> Self {
        let stdout = std::io::stdout();
        let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { out: Arc::new(Mutex::new(Box::new(stdout))), colour }
    }

    /// One line, or several, that are our own.
    pub(crate) fn say(&self, tone: Tone, text: &str) {
        let mut lines = String::new();
        for line in text.lines() {
            lines.push_str(&self.painted(tone, &visible(line)));
            lines.push('\n');
        }
        // Nobody is left to read: that is no reason to stop serving.
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        out.write_all(lines.as_bytes()).and_then(|()| out.flush()).ok();
    }

    fn painted(&self, tone: Tone, text: &str) -> String {
        match (self.colour, tone.code()) {
            (false, _) | (_, "") => text.to_owned(),
            (true, code) => format!("{code}{text}\x1b[0m"),
        }
    }

    /// A line that a runtime wrote.
    pub(crate) fn runtime(&self, speaker: &Speaker, line: &str) {
        if let Some((tone, text)) = told(speaker, line) {
            self.say(tone, &text);
        }
    }

    /// A line of the proxy's access log.
    fn access(&self, line: &str) {
        if let Some((tone, text)) = accessed(line) {
            self.say(tone, &text);
        }
    }
}

/// What a runtime's line comes to; none: nothing that its author has to know.
fn told(speaker: &Speaker, line: &str) -> Option<(Tone, String)> {
    let name = &speaker.name;
    let Ok(Value::Object(record)) = serde_json::from_str::<Value>(line) else {
        return (!line.trim().is_empty()).then(|| (Tone::Plain, format!("{name} | {}", placed(speaker, line))));
    };
    let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
    let (level, target) = (text("level"), text("target"));
    let Some(message) = record.get("message").and_then(Value::as_str) else {
        return Some((Tone::Plain, format!("{name} | {line}")));
    };
    let tone = match level {
        "ERROR" | "CRITICAL" => Tone::Error,
        "WARNING" | "WARN" => Tone::Warning,
        _ => Tone::Plain,
    };
    // That it listens, loads and stops is told otherwise, and why it does not load.
    if target == "runtime" && (tone == Tone::Plain || message == "load failed") {
        return None;
    }
    let mut said = format!("{name} | {}", placed(speaker, message));
    let id = text("requestId");
    if !id.is_empty() {
        said.push_str(&format!("  [{}]", short(id)));
    }
    let detail = if text("traceback").is_empty() { text("error") } else { text("traceback") };
    for line in detail.lines() {
        said.push_str(&format!("\n{name} |   {}", placed(speaker, line)));
    }
    Some((tone, said))
}

/// What a line of the access log comes to.
fn accessed(line: &str) -> Option<(Tone, String)> {
    let Ok(Value::Object(record)) = serde_json::from_str::<Value>(line) else { return None };
    let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
    let status = record.get("status").and_then(Value::as_u64)?;
    let time = record.get("total_us").and_then(Value::as_f64).unwrap_or_default() / 1000.0;
    let function = text("function").split('.').next().unwrap_or_default();
    let mut said = format!("{} {} {status} {time:.1} ms", text("method"), text("path"));
    for (before, word) in [("-> ", function), ("", text("reason"))] {
        if !word.is_empty() {
            said.push_str(&format!("  {before}{word}"));
        }
    }
    said.push_str(&format!("  [{}]", short(text("request_id"))));
    let tone = match status {
        500.. => Tone::Error,
        400.. => Tone::Warning,
        _ => Tone::Quiet,
    };
    Some((tone, said))
}

/// Paths of the unpacked package as those of the project.
pub(crate) fn placed(speaker: &Speaker, text: &str) -> String {
    match &speaker.paths {
        Some((from, to)) => replaced(text, from, to),
        None => text.to_owned(),
    }
}

fn replaced(text: &str, from: &Path, to: &Path) -> String {
    text.replace(&*from.to_string_lossy(), &to.to_string_lossy())
}

/// Enough of an id to find it again.
fn short(id: &str) -> &str {
    id.get(..id.floor_char_boundary(ID)).unwrap_or(id)
}

/// Without what would move the cursor or change the colours of whoever reads.
fn visible(line: &str) -> String {
    line.chars().map(|letter| if letter.is_control() && letter != '\t' { '\u{fffd}' } else { letter }).collect()
}

/// Takes the bytes of the proxy's access log.
pub(crate) struct AccessLines {
    terminal: Terminal,
    rest: Vec<u8>,
}

impl AccessLines {
    pub(crate) fn new(terminal: Terminal) -> Self {
        Self { terminal, rest: Vec::new() }
    }
}

impl Write for AccessLines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.terminal.access(&String::from_utf8_lossy(&line));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn speaker() -> Speaker {
        Speaker { name: "hello".to_owned(), paths: Some(("/tmp/pod/code".into(), "/home/ada/shop".into())) }
    }

    #[test]
    fn what_a_function_says_carries_its_name_and_the_request() {
        let line = r#"{"level":"INFO","target":"function","message":"hi","requestId":"0123456789abcdef"}"#;
        assert_eq!(told(&speaker(), line), Some((Tone::Plain, "hello | hi  [0123456789ab]".to_owned())));
        assert_eq!(told(&speaker(), "plain words"), Some((Tone::Plain, "hello | plain words".to_owned())));
        assert_eq!(told(&speaker(), r#"{"level":"INFO","target":"runtime","message":"listening"}"#), None);
        assert_eq!(told(&speaker(), r#"{"own": "structure"}"#).unwrap().1, r#"hello | {"own": "structure"}"#);
    }

    #[test]
    fn errors_show_the_file_and_line_of_the_project() {
        let line = r#"{"level":"ERROR","target":"function","message":"the handler failed","error":"KeyError: 'a'","traceback":"File \"/tmp/pod/code/main.py\", line 3, in main\nKeyError: 'a'"}"#;
        let (tone, said) = told(&speaker(), line).unwrap();
        assert_eq!(tone, Tone::Error);
        assert!(
            said.contains("hello |   File \"/home/ada/shop/main.py\", line 3, in main\nhello |   KeyError"),
            "{said}"
        );
    }

    #[test]
    fn requests_are_one_line() {
        let line = r#"{"request_id":"abc","method":"GET","path":"/x","function":"hello.default","reason":"","status":200,"total_us":1234}"#;
        assert_eq!(accessed(line), Some((Tone::Quiet, "GET /x 200 1.2 ms  -> hello  [abc]".to_owned())));
        let line = r#"{"request_id":"abc","method":"GET","path":"/y","function":"","reason":"NoRoute","status":404,"total_us":10}"#;
        assert_eq!(accessed(line), Some((Tone::Warning, "GET /y 404 0.0 ms  NoRoute  [abc]".to_owned())));
    }

    #[test]
    fn nothing_that_is_printed_moves_the_cursor() {
        assert_eq!(visible("a\x1b[2Jb\tc"), "a\u{fffd}[2Jb\tc");
    }
}
