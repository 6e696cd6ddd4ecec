//! `.http` files: the form in which editors keep and send requests.
//!
//! ```text
//!   @id = 7                          a variable of the file, {{id}} where it is used
//!
//!   ### a book                       requests are parted by ###; what follows is the name (so does # @name)
//!   # @expect status 200             what the reply should be: comments to other programs
//!   # @expect header content-type contains json
//!   # @expect body json {"id": 7}    also: body equals TEXT, body contains TEXT, body matches REGEX
//!   GET /books/{{id}}
//!   accept: application/json
//!
//!   the body, if there is one; `< file` sends a file's content
//! ```
//!
//! `{{host}}` and `{{baseUrl}}` are what serves the project, wherever that is. Scripts of other programs (`> {% ... %}`) are
//! left out.

use std::collections::BTreeMap;

use super::expect::{Content, Expect, Status, Text};
use super::{Body, Request, Step, Unreadable, target};

const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"];

/// Reads a file.
pub(crate) fn parse(text: &str) -> Result<Vec<Step>, Unreadable> {
    // What serves the project is filled in by whoever sends: both stand for no host at all.
    let mut variables =
        BTreeMap::from([("host".to_owned(), String::new()), ("baseUrl".to_owned(), "http://".to_owned())]);
    let mut steps = Vec::new();
    let mut block = Block::default();
    for (number, line) in (1..).zip(text.lines()) {
        if let Some(name) = line.strip_prefix("###") {
            steps.extend(std::mem::take(&mut block).step()?);
            block.name = name.trim().to_owned();
        } else {
            block.take(number, line, &mut variables)?;
        }
    }
    steps.extend(block.step()?);
    Ok(steps)
}

/// What stands between two lines of `###`.
#[derive(Default)]
struct Block {
    name: String,
    line: usize,
    request: Option<Request>,
    expect: Expect,
    /// The empty line after the headers has come.
    headers_over: bool,
    body: Vec<String>,
    in_script: bool,
}

impl Block {
    fn take(&mut self, number: usize, line: &str, variables: &mut BTreeMap<String, String>) -> Result<(), Unreadable> {
        let trimmed = line.trim();
        if self.headers_over {
            if self.in_script || trimmed.starts_with("> {%") {
                self.in_script = !trimmed.ends_with("%}");
            } else if !trimmed.starts_with("> ") {
                self.body.push(filled(number, line, variables)?);
            }
            return Ok(());
        }
        let comment = trimmed.strip_prefix("//").or_else(|| trimmed.strip_prefix('#'));
        if let Some(comment) = comment {
            return self.comment(number, comment.trim(), variables);
        }
        match &mut self.request {
            None if trimmed.is_empty() => {}
            None => {
                if let Some(definition) = trimmed.strip_prefix('@') {
                    let (name, value) = definition
                        .split_once('=')
                        .ok_or_else(|| Unreadable::at(number, "a variable is written @name = value"))?;
                    let value = filled(number, value.trim(), variables)?;
                    variables.insert(name.trim().to_owned(), value);
                    return Ok(());
                }
                self.line = number;
                self.request = Some(request_line(&filled(number, trimmed, variables)?));
            }
            Some(_) if trimmed.is_empty() => self.headers_over = true,
            // A long query goes on in the next lines.
            Some(request) if trimmed.starts_with(['?', '&']) && request.headers.is_empty() => {
                request.path.push_str(&filled(number, trimmed, variables)?);
            }
            Some(request) => {
                let line = filled(number, trimmed, variables)?;
                let (name, value) = line.split_once(':').ok_or_else(|| {
                    Unreadable::at(number, "a header is written name: value; an empty line comes before the body")
                })?;
                let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
                if name == "host" {
                    request.host = Some(value);
                } else {
                    request.headers.push((name, value));
                }
            }
        }
        Ok(())
    }

    fn comment(&mut self, number: usize, text: &str, variables: &BTreeMap<String, String>) -> Result<(), Unreadable> {
        let (word, rest) = first_word(text);
        match word {
            "@name" => self.name = rest.trim_start_matches('=').trim().to_owned(),
            "@expect" => {
                let rest = filled(number, rest, variables)?;
                self.expectation(&rest).map_err(|message| Unreadable::at(number, message))?;
            }
            _ => {}
        }
        Ok(())
    }

    fn expectation(&mut self, text: &str) -> Result<(), String> {
        let (what, rest) = first_word(text);
        match what {
            "status" => {
                let status = Status::parse(rest).ok_or_else(|| format!("{rest:?} is no status: 200 and 2xx are"))?;
                self.expect.status = Some(status);
            }
            "header" => {
                let (name, rest) = first_word(rest);
                let text = wanted_text(rest).unwrap_or_else(|| Ok(Text::Equals(literal(rest))))?;
                self.expect.headers.push((name.trim_end_matches(':').to_ascii_lowercase(), text));
            }
            "body" => {
                let content = match first_word(rest) {
                    ("json", json) => {
                        Content::Json(serde_json::from_str(json).map_err(|error| format!("no JSON: {error}"))?)
                    }
                    _ => Content::Text(wanted_text(rest).ok_or_else(|| {
                        format!("body is followed by one of equals, contains, matches, json; {rest:?} is not")
                    })??),
                };
                self.expect.body.push(content);
            }
            other => return Err(format!("@expect is followed by one of status, header, body; {other:?} is not")),
        }
        Ok(())
    }

    fn step(mut self) -> Result<Option<Step>, Unreadable> {
        let Some(mut request) = self.request.take() else { return Ok(None) };
        while self.body.last().is_some_and(|line| line.trim().is_empty()) {
            self.body.pop();
        }
        request.body = match self.body.as_slice() {
            [] => Body::None,
            [line] if line.starts_with("< ") => Body::File(line.trim_start_matches('<').trim().to_owned()),
            lines => Body::Text(lines.join("\n")),
        };
        if !METHODS.contains(&request.method.as_str()) {
            return Err(Unreadable::at(self.line, format!("{:?} is no method", request.method)));
        }
        let name = if self.name.is_empty() { format!("{} {}", request.method, request.path) } else { self.name };
        Ok(Some(Step { name, line: Some(self.line), request, repeat: 1, expect: vec![self.expect] }))
    }
}

/// `GET /path HTTP/1.1`; a target alone is asked for with GET.
fn request_line(line: &str) -> Request {
    let line = line.rsplit_once(" HTTP/").map_or(line, |(line, _)| line).trim();
    let (method, address) = match first_word(line) {
        (address, "") => ("GET", address),
        (method, address) => (method, address),
    };
    let (path, host) = target(address);
    Request { method: method.to_ascii_uppercase(), path, host, ..Request::default() }
}

fn first_word(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim()))
}

/// `equals TEXT`, `contains TEXT`, `matches REGEX`; none: it is none of them.
fn wanted_text(text: &str) -> Option<Result<Text, String>> {
    match first_word(text) {
        ("equals", rest) => Some(Ok(Text::Equals(literal(rest)))),
        ("contains", rest) => Some(Ok(Text::Contains(literal(rest)))),
        ("matches", rest) => Some(Text::matching(&literal(rest))),
        _ => None,
    }
}

/// A text as it stands, or as a JSON string, for those with ends of lines.
fn literal(text: &str) -> String {
    serde_json::from_str::<String>(text).unwrap_or_else(|_| text.to_owned())
}

/// With the values of the variables.
fn filled(number: usize, text: &str, variables: &BTreeMap<String, String>) -> Result<String, Unreadable> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((name, behind)) = after.split_once("}}") else { break };
        let name = name.trim();
        let value = variables.get(name).ok_or_else(|| {
            Unreadable::at(number, format!("{{{{{name}}}}} is not defined: @{name} = value defines it"))
        })?;
        out.push_str(before);
        out.push_str(value);
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::recorded::Reply;

    const BOOKS: &str = "\
@id = 7
@path = /books/{{id}}

# a comment before the first request

### a new book
# @expect status 201
# @expect header location /books/7
# @expect header content-type contains json
# @expect body json {\"id\": {{id}}}
POST {{baseUrl}}/books HTTP/1.1
Content-Type: application/json
// between headers
X-Trace: {{id}}

{\"title\": \"Faust\",

 \"id\": {{id}}}

> {% client.test('left out', () => {
  client.assert(true)
}) %}

###
# @name = read it
http://{{host}}{{path}}
    ?fields=title
    &x=1

###
GET https://shop.example.com/

### nothing follows
";

    #[test]
    fn requests_are_read_with_their_expectations() {
        let steps = parse(BOOKS).unwrap();
        assert_eq!(steps.len(), 3);
        let first = &steps[0];
        assert_eq!((first.name.as_str(), first.line), ("a new book", Some(11)));
        assert_eq!(
            (first.request.method.as_str(), first.request.path.as_str(), &first.request.host),
            ("POST", "/books", &None)
        );
        let headers = [("content-type", "application/json"), ("x-trace", "7")];
        assert_eq!(first.request.headers, headers.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(first.request.body, Body::Text("{\"title\": \"Faust\",\n\n \"id\": 7}".to_owned()));
        let mut reply = Reply {
            status: 201,
            headers: vec![("location".into(), "/books/7".into()), ("content-type".into(), "application/json".into())],
            body: b"{\"id\": 7, \"more\": 1}".to_vec(),
        };
        assert!(first.expect[0].differences(&reply).is_empty());
        reply.headers.clear();
        assert_eq!(first.expect[0].differences(&reply).len(), 2);
        assert_eq!((steps[1].name.as_str(), steps[1].request.path.as_str()), ("read it", "/books/7?fields=title&x=1"));
        assert_eq!(steps[2].name, "GET /");
        assert_eq!(steps[2].request.host.as_deref(), Some("shop.example.com"));
    }

    #[test]
    fn texts_may_be_written_with_their_ends_of_lines() {
        let steps =
            parse("# @expect body equals \"hello\\n\"\n# @expect body matches ^h\nGET /\n\n< ./body.json").unwrap();
        let reply = |body: &str| Reply { status: 200, body: body.into(), ..Reply::default() };
        assert!(steps[0].expect[0].differences(&reply("hello\n")).is_empty());
        assert_eq!(steps[0].expect[0].differences(&reply("hello")).len(), 1);
        assert_eq!(steps[0].request.body, Body::File("./body.json".to_owned()));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        for (text, line, said) in [
            ("GET /{{nothing}}", 1, "{{nothing}} is not defined"),
            ("GET /\nno header", 2, "name: value"),
            ("\n# @expect colour red\nGET /", 2, "status, header, body"),
            ("# @expect status fine\nGET /", 1, "no status"),
            ("# @expect body like this\nGET /", 1, "equals, contains"),
            ("# @expect body json {\nGET /", 1, "no JSON"),
            ("# @expect body matches (\nGET /", 1, "regular expression"),
            ("@a\nGET /", 1, "@name = value"),
            ("FETCH /", 1, "no method"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.line == Some(line) && error.message.contains(said), "{text}: {error}");
        }
    }
}
