//! YAML files of recorded requests: the form of the samples' checks (samples/README.md), and a little more.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::expect::{Content, Expect, Status, Text};
use super::{Body, Request, Step, Unreadable, target};

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenStep {
    #[serde(default)]
    name: String,
    request: WrittenRequest,
    #[serde(default = "once")]
    repeat: u32,
    expect: Option<WrittenExpect>,
    expect_any: Option<Vec<WrittenExpect>>,
}

fn once() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRequest {
    #[serde(default = "get")]
    method: String,
    path: String,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<String>,
    /// Sent as JSON.
    json: Option<Value>,
    /// What this file holds.
    file: Option<String>,
}

fn get() -> String {
    "GET".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WrittenExpect {
    status: Option<WrittenStatus>,
    #[serde(default)]
    headers: BTreeMap<String, WrittenText>,
    body: Option<String>,
    body_contains: Option<String>,
    body_matches: Option<String>,
    body_json: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenStatus {
    Number(u16),
    Text(String),
}

/// A value, or what it has to be like.
#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenText {
    Equals(String),
    Like(Like),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
enum Like {
    Contains(String),
    Matches(String),
}

/// Reads a file.
pub(crate) fn parse(text: &str) -> Result<Vec<Step>, Unreadable> {
    let written: Vec<WrittenStep> = serde_yaml::from_str(text)
        .map_err(|error| Unreadable { line: error.location().map(|at| at.line()), message: error.to_string() })?;
    written.into_iter().enumerate().map(|(at, step)| read(step).map_err(|message| in_step(at, &message))).collect()
}

fn in_step(at: usize, message: &str) -> Unreadable {
    Unreadable { line: None, message: format!("step {}: {message}", at + 1) }
}

fn read(step: WrittenStep) -> Result<Step, String> {
    let written = step.request;
    let mut headers: Vec<(String, String)> =
        written.headers.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    let body = match (written.body, written.json, written.file) {
        (None, None, None) => Body::None,
        (Some(text), None, None) => Body::Text(text),
        (None, Some(json), None) => {
            if !headers.iter().any(|(name, _)| name == "content-type") {
                headers.push(("content-type".to_owned(), "application/json".to_owned()));
            }
            Body::Text(json.to_string())
        }
        (None, None, Some(file)) => Body::File(file),
        _ => return Err("request: at most one of body, json and file".to_owned()),
    };
    let (path, mut host) = target(&written.path);
    headers.retain(|(name, value)| {
        let is_host = name == "host";
        if is_host {
            host = Some(value.clone());
        }
        !is_host
    });
    let expect = match (step.expect, step.expect_any) {
        (Some(expect), None) => vec![expect],
        (None, Some(any)) if !any.is_empty() => any,
        (None, None) => Vec::new(),
        _ => return Err("one of expect and expectAny".to_owned()),
    };
    let mut expect: Vec<Expect> = expect.into_iter().map(expectation).collect::<Result<_, _>>()?;
    if expect.is_empty() {
        expect.push(Expect::default());
    }
    let method = written.method.to_ascii_uppercase();
    let name = if step.name.is_empty() { format!("{method} {path}") } else { step.name };
    let request = Request { method, path, host, headers, body };
    Ok(Step { name, line: None, request, repeat: step.repeat.max(1), expect })
}

fn expectation(written: WrittenExpect) -> Result<Expect, String> {
    let status = match written.status {
        None => None,
        Some(WrittenStatus::Number(status)) => Some(Status::Exact(status)),
        Some(WrittenStatus::Text(text)) => {
            Some(Status::parse(&text).ok_or_else(|| format!("{text:?} is no status: 200 and 2xx are"))?)
        }
    };
    let mut headers = Vec::new();
    for (name, text) in written.headers {
        let text = match text {
            WrittenText::Equals(value) => Text::Equals(value),
            WrittenText::Like(Like::Contains(part)) => Text::Contains(part),
            WrittenText::Like(Like::Matches(pattern)) => Text::matching(&pattern)?,
        };
        headers.push((name.to_ascii_lowercase(), text));
    }
    let mut body: Vec<Content> = Vec::new();
    body.extend(written.body.map(|text| Content::Text(Text::Equals(text))));
    body.extend(written.body_contains.map(|part| Content::Text(Text::Contains(part))));
    if let Some(pattern) = written.body_matches {
        body.push(Content::Text(Text::matching(&pattern)?));
    }
    body.extend(written.body_json.map(Content::Json));
    Ok(Expect { status, headers, body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::recorded::Reply;

    #[test]
    fn the_samples_checks_are_read() {
        let samples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples");
        let mut read = 0;
        for sample in std::fs::read_dir(samples).unwrap() {
            let check = sample.unwrap().path().join("test/check.yaml");
            if let Ok(text) = std::fs::read_to_string(&check) {
                assert!(!parse(&text).unwrap_or_else(|error| panic!("{}: {error}", check.display())).is_empty());
                read += 1;
            }
        }
        assert!(read > 10, "{read}");
    }

    #[test]
    fn requests_are_read_with_their_expectations() {
        let steps = parse(
            "- request: {method: post, path: 'http://shop.example.com/books', json: {title: Faust}}\n  \
             expect: {status: 2xx, headers: {Location: {matches: '^/books/[0-9]+$'}}, bodyJson: {id: 1}, bodyMatches: id}\n\
             - {name: again, request: {path: /, headers: {Host: other.example.com}}, repeat: 3, expectAny: [{status: 200}, {status: 503}]}\n",
        )
        .unwrap();
        let first = &steps[0];
        assert_eq!((first.name.as_str(), first.request.host.as_deref()), ("POST /books", Some("shop.example.com")));
        assert_eq!(first.request.body, Body::Text("{\"title\":\"Faust\"}".to_owned()));
        assert_eq!(first.request.headers, [("content-type".to_owned(), "application/json".to_owned())]);
        let headers = vec![("location".to_owned(), "/books/12".to_owned())];
        let reply = Reply { status: 201, headers, body: b"{\"id\":1}".to_vec() };
        assert!(first.expect[0].differences(&reply).is_empty());
        assert_eq!((steps[1].repeat, steps[1].expect.len()), (3, 2));
        assert_eq!((steps[1].request.host.as_deref(), steps[1].request.headers.len()), (Some("other.example.com"), 0));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        for (text, said) in [
            ("- request: {path: /, colour: red}", "colour"),
            ("- request: {path: /, body: x, json: {}}", "at most one"),
            ("- request: {path: /}\n  expect: {status: fine}", "no status"),
            ("- request: {path: /}\n  expect: {bodyMatches: '('}", "regular expression"),
            ("- request: {path: /}\n  expect: {}\n  expectAny: []", "one of expect"),
            ("request: {path: /}", "sequence"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
