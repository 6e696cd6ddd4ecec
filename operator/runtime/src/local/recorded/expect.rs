//! Whether a reply is what was expected, and where it is not.

use regex::Regex;
use serde_json::Value;

use super::Reply;

/// Characters of a text that are shown.
const SHOWN: usize = 2_000;
/// Differences of one reply that are shown.
const MOST: usize = 20;

/// What a reply should be; what is not named may be anything.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expect {
    pub(crate) status: Option<Status>,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, Text)>,
    pub(crate) body: Vec<Content>,
}

/// A status, or all that begin with one digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Exact(u16),
    Class(u16),
}

/// What a text should be.
#[derive(Clone, Debug)]
pub(crate) enum Text {
    Equals(String),
    Contains(String),
    Matches(Regex),
}

/// What a body should be.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    Text(Text),
    /// JSON that has at least this.
    Json(Value),
}

impl Status {
    /// `200`, or `2xx`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(class) = text.to_ascii_lowercase().strip_suffix("xx") {
            return class.parse().ok().filter(|class| (1..=5).contains(class)).map(Self::Class);
        }
        text.parse().ok().filter(|status| (100..=599).contains(status)).map(Self::Exact)
    }

    fn fits(self, status: u16) -> bool {
        match self {
            Self::Exact(wanted) => status == wanted,
            Self::Class(class) => status / 100 == class,
        }
    }
}

impl std::fmt::Display for Status {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(status) => write!(f, "{status}"),
            Self::Class(class) => write!(f, "{class}xx"),
        }
    }
}

impl Text {
    pub(crate) fn matching(pattern: &str) -> Result<Self, String> {
        Regex::new(pattern).map(Self::Matches).map_err(|error| format!("{pattern:?} is no regular expression: {error}"))
    }

    fn fits(&self, text: &str) -> bool {
        match self {
            Self::Equals(wanted) => text == wanted,
            Self::Contains(part) => text.contains(part),
            Self::Matches(pattern) => pattern.is_match(text),
        }
    }
}

impl Expect {
    /// Where the reply is not what is expected; nothing: it fits.
    pub(crate) fn differences(&self, reply: &Reply) -> Vec<String> {
        let mut found = Vec::new();
        // Without a word, a request should go well.
        let nothing = self.status.is_none() && self.headers.is_empty() && self.body.is_empty();
        let status = self.status.or(nothing.then_some(Status::Class(2)));
        if let Some(status) = status.filter(|status| !status.fits(reply.status)) {
            found.push(format!("status: expected {status}, got {}", reply.status));
        }
        for (name, wanted) in &self.headers {
            let values: Vec<&str> =
                reply.headers.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect();
            if !values.iter().any(|value| wanted.fits(value)) {
                let got = if values.is_empty() { "no such header".to_owned() } else { values.join(" | ") };
                found.push(format!("header {name}: expected {}, got {got}", described(wanted)));
            }
        }
        let body = String::from_utf8_lossy(&reply.body);
        for wanted in &self.body {
            match wanted {
                Content::Text(text) if text.fits(&body) => {}
                Content::Text(Text::Equals(wanted)) => {
                    found.push(format!("body:\n{}", lines_that_differ(wanted, &body)));
                }
                Content::Text(text) => {
                    found.push(format!("body: expected {}, got\n{}", described(text), indented(&body)));
                }
                Content::Json(wanted) => match serde_json::from_slice::<Value>(&reply.body) {
                    Ok(got) => missing("$", wanted, &got, &mut found),
                    Err(error) => found.push(format!("body: expected JSON, got ({error})\n{}", indented(&body))),
                },
            }
        }
        // What an answer that went wrong says is what one wants to know.
        let told = found.iter().any(|line| line.starts_with("body"));
        if reply.status >= 400 && !found.is_empty() && !told && !body.is_empty() {
            found.push(format!("the body was\n{}", indented(&body)));
        }
        found.truncate(MOST);
        found
    }
}

fn described(text: &Text) -> String {
    match text {
        Text::Equals(wanted) => format!("{:?}", cut(wanted)),
        Text::Contains(part) => format!("a text with {:?}", cut(part)),
        Text::Matches(pattern) => format!("a match of /{pattern}/"),
    }
}

/// Everything that `wanted` has and `got` has not. Objects may have more fields; lists are compared item by item.
fn missing(path: &str, wanted: &Value, got: &Value, found: &mut Vec<String>) {
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(got)) => {
            for (key, value) in wanted {
                let path = format!("{path}.{key}");
                match got.get(key) {
                    Some(got) => missing(&path, value, got, found),
                    None => found.push(format!("body {path}: expected {value}, got nothing")),
                }
            }
        }
        (Value::Array(wanted), Value::Array(got)) if wanted.len() == got.len() => {
            for (at, (wanted, got)) in wanted.iter().zip(got).enumerate() {
                missing(&format!("{path}[{at}]"), wanted, got, found);
            }
        }
        // 1 and 1.0 are one number.
        (Value::Number(wanted), Value::Number(got)) if wanted.as_f64() == got.as_f64() => {}
        (wanted, got) if wanted == got => {}
        (wanted, got) => {
            found.push(format!("body {path}: expected {}, got {}", cut(&wanted.to_string()), cut(&got.to_string())));
        }
    }
}

/// The lines in which two texts differ, with one line around them.
fn lines_that_differ(wanted: &str, got: &str) -> String {
    let (wanted, got): (Vec<&str>, Vec<&str>) = (lines(wanted), lines(got));
    let same = |pair: &(&&str, &&str)| pair.0 == pair.1;
    let before = wanted.iter().zip(&got).take_while(same).count();
    let rest = wanted.len().min(got.len()) - before;
    let after = wanted.iter().rev().zip(got.iter().rev()).take(rest).take_while(same).count();
    let part = |of: &[&str], from: usize, to: usize, sign: char| -> String {
        of.get(from..to).unwrap_or_default().iter().map(|line| format!("  {sign} {}\n", visible(line))).collect()
    };
    let mut shown = part(&wanted, before.saturating_sub(1), before, ' ');
    shown += &part(&wanted, before, wanted.len() - after, '-');
    shown += &part(&got, before, got.len() - after, '+');
    shown += &part(&wanted, wanted.len() - after, (wanted.len() - after + 1).min(wanted.len()), ' ');
    cut(shown.trim_end_matches('\n'))
}

/// With the ends of lines as signs.
fn visible(line: &str) -> String {
    line.replace('\n', "\\n").replace('\r', "\\r")
}

/// Lines with their ends: a missing end of line is a difference too.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn indented(text: &str) -> String {
    cut(text).lines().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}... ({} bytes in all)", &text[..end], text.len()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        let headers = vec![("content-type".to_owned(), "text/plain".to_owned())];
        Reply { status, headers, body: body.as_bytes().to_vec() }
    }

    fn body(content: Content) -> Expect {
        Expect { body: vec![content], ..Expect::default() }
    }

    #[test]
    fn statuses_are_exact_or_a_class() {
        assert_eq!(Status::parse("404"), Some(Status::Exact(404)));
        assert_eq!(Status::parse("2xx"), Some(Status::Class(2)));
        for wrong in ["", "2x", "9xx", "42", "OK", "xx"] {
            assert_eq!(Status::parse(wrong), None, "{wrong}");
        }
        assert!(Expect::default().differences(&reply(204, "")).is_empty());
        assert_eq!(Expect::default().differences(&reply(500, "boom"))[0], "status: expected 2xx, got 500");
        assert!(Expect::default().differences(&reply(500, "boom"))[1].contains("boom"));
        let wanted = Expect { status: Status::parse("500"), ..Expect::default() };
        assert!(wanted.differences(&reply(500, "")).is_empty());
    }

    #[test]
    fn headers_are_there_with_their_values() {
        let wanted = |name: &str, text| Expect { headers: vec![(name.to_owned(), text)], ..Expect::default() };
        let reply = reply(500, "");
        assert!(wanted("content-type", Text::Equals("text/plain".into())).differences(&reply).is_empty());
        assert!(wanted("content-type", Text::Contains("plain".into())).differences(&reply).is_empty());
        let said = wanted("content-type", Text::Contains("html".into())).differences(&reply).join("\n");
        assert!(said.contains("html") && said.contains("got text/plain"), "{said}");
        let said = wanted("location", Text::Equals("/".into())).differences(&reply).join("\n");
        assert!(said.contains("no such header"), "{said}");
    }

    #[test]
    fn texts_show_the_lines_that_differ() {
        let wanted = body(Content::Text(Text::Equals("one\ntwo\nthree\nfour\n".into())));
        let said = wanted.differences(&reply(200, "one\n2\nthree\nfour\n"));
        assert_eq!(said, ["body:\n    one\\n\n  - two\\n\n  + 2\\n\n    three\\n"]);
        let said = wanted.differences(&reply(200, "one\ntwo\nthree\nfour"));
        assert_eq!(said, ["body:\n    three\\n\n  - four\\n\n  + four"]);
        assert!(body(Content::Text(Text::Contains("tw".into()))).differences(&reply(200, "two")).is_empty());
        assert!(body(Content::Text(Text::matching("^t.o$").unwrap())).differences(&reply(200, "two")).is_empty());
        assert!(!body(Content::Text(Text::matching("^o").unwrap())).differences(&reply(200, "two")).is_empty());
        assert!(Text::matching("(").is_err());
    }

    #[test]
    fn json_may_have_more_than_is_expected() {
        let wanted = |value| body(Content::Json(value));
        let got = reply(200, r#"{"id": 1.0, "tags": ["a", {"b": 2, "c": 3}], "more": true}"#);
        assert!(wanted(json!({"id": 1, "tags": ["a", {"b": 2}]})).differences(&got).is_empty());
        let said = wanted(json!({"id": 2, "name": "x", "tags": ["a"]})).differences(&got);
        assert_eq!(
            said,
            [
                "body $.id: expected 2, got 1.0",
                "body $.name: expected \"x\", got nothing",
                "body $.tags: expected [\"a\"], got [\"a\",{\"b\":2,\"c\":3}]",
            ]
        );
        assert!(wanted(json!({})).differences(&reply(200, "plain"))[0].contains("expected JSON"));
    }
}
