//! The path of a trigger, taken apart.

/// Segments of a pattern, at most.
const MAX_SEGMENTS: usize = 64;

/// Why a trigger's path cannot be a route.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
pub enum BadPattern {
    /// Neither `path` nor `pathPrefix`, or both.
    #[error("set exactly one of path and pathPrefix")]
    NotOne,
    /// No `/` at the beginning, or, for a prefix, at the end.
    #[error("a path begins with '/', a pathPrefix also ends with it")]
    Slash,
    /// It could never match a request, which would be refused.
    #[error("{0}")]
    Path(#[from] crate::BadPath),
    /// Braces inside a segment.
    #[error("a parameter is a whole segment, like /users/{{id}}: {0:?} is not")]
    Parameter(String),
    /// The same name twice.
    #[error("parameter {0:?} stands in the path twice")]
    Twice(String),
    /// Too many segments.
    #[error("more than {MAX_SEGMENTS} segments")]
    Long,
}

/// A path with parameters, or all paths below one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// What two patterns share exactly when they match the same paths: names of parameters left out, and `/{*}` at the end
    /// of a prefix. No static segment holds a brace.
    text: Box<str>,
    /// Names of the parameters, in order.
    params: Box<[Box<str>]>,
}

const PARAM: &str = "{}";
const BELOW: &str = "/{*}";

impl Pattern {
    /// Parses a trigger's `path` and `pathPrefix`, one of which must be there.
    pub fn parse(path: Option<&str>, prefix: Option<&str>) -> Result<Self, BadPattern> {
        let (path, prefix) = match (path, prefix) {
            (Some(path), None) => (path.strip_prefix('/'), false),
            // `/api/` holds what is below the segment `api`: the final slash begins the next one.
            (None, Some("/")) => (Some(""), true),
            (None, Some(prefix)) => (prefix.strip_prefix('/').and_then(|path| path.strip_suffix('/')), true),
            _ => return Err(BadPattern::NotOne),
        };
        let path = path.ok_or(BadPattern::Slash)?;
        crate::check_path(&format!("/{path}"))?;
        let mut text = String::with_capacity(path.len() + 1 + BELOW.len());
        let mut params: Vec<Box<str>> = Vec::new();
        for (number, segment) in path.split('/').filter(|_| !(prefix && path.is_empty())).enumerate() {
            if number == MAX_SEGMENTS {
                return Err(BadPattern::Long);
            }
            text.push('/');
            match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if is_name(name) => {
                    if params.iter().any(|known| **known == *name) {
                        return Err(BadPattern::Twice(name.to_owned()));
                    }
                    params.push(name.into());
                    text.push_str(PARAM);
                }
                None if !segment.contains(['{', '}']) => text.push_str(segment),
                _ => return Err(BadPattern::Parameter(segment.to_owned())),
            }
        }
        if prefix {
            text.push_str(BELOW);
        }
        Ok(Self { text: text.into(), params: params.into() })
    }

    /// Names of the parameters, in order.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.params.iter().map(|name| &**name)
    }

    /// What two patterns share exactly when they match the same paths.
    pub fn normalised(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_prefix(&self) -> bool {
        self.text.ends_with(BELOW)
    }

    /// The segments, `{}` for a parameter; without the end of a prefix.
    pub(crate) fn segments(&self) -> impl Iterator<Item = &str> {
        let path = self.text.strip_suffix(BELOW).unwrap_or(&self.text);
        path.split('/').skip(1)
    }

    /// How specific it is, segment by segment: what is smaller is tried first.
    pub(crate) fn rank(&self) -> impl Iterator<Item = u8> {
        let end = self.is_prefix().then_some(2);
        self.segments().map(|segment| u8::from(segment == PARAM)).chain(end)
    }

    /// Whether it matches a path; the parameters' values are put at the end of `values`.
    pub(crate) fn matches<'p>(&self, path: &'p str, values: &mut Vec<&'p str>) -> bool {
        let mut own = self.text.as_bytes();
        let mut at = 0;
        loop {
            // Up to the next brace both must be the same, byte by byte.
            let same = own.iter().position(|byte| *byte == b'{').unwrap_or(own.len());
            let (plain, rest) = own.split_at(same);
            let Some(theirs) = path.as_bytes().get(at..at + plain.len()) else { return false };
            if plain != theirs {
                return false;
            }
            at += plain.len();
            match rest {
                [] => return at == path.len(),
                [b'{', b'*', ..] => return true,
                _ => {}
            }
            let Some(value) = path.get(at..).and_then(|rest| rest.split('/').next()).filter(|value| !value.is_empty())
            else {
                return false;
            };
            values.push(value);
            at += value.len();
            own = rest.get(PARAM.len()..).unwrap_or_default();
        }
    }
}

fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_')
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_told_apart_by_what_they_match() {
        for (path, prefix, expected) in [
            (Some("/"), None, "/"),
            (Some("/a/b"), None, "/a/b"),
            (Some("/a/"), None, "/a/"),
            (Some("/users/{id}"), None, "/users/{}"),
            (Some("/users/{name}"), None, "/users/{}"),
            (None, Some("/"), "/{*}"),
            (None, Some("/api/"), "/api/{*}"),
            (None, Some("/{tenant}/"), "/{}/{*}"),
        ] {
            assert_eq!(Pattern::parse(path, prefix).unwrap().normalised(), expected);
        }
    }

    #[test]
    fn what_cannot_be_a_route_is_refused() {
        for (path, prefix) in [
            (None, None),
            (Some("/a"), Some("/a/")),
            (Some("a"), None),
            (None, Some("/a")),
            (Some("/a//b"), None),
            (Some("/a/../b"), None),
            (Some("/a%2Fb"), None),
            (Some("/x-{id}"), None),
            (Some("/{a}{b}"), None),
            (Some("/{}"), None),
            (Some("/{id}/{id}"), None),
        ] {
            assert!(Pattern::parse(path, prefix).is_err(), "{path:?} {prefix:?}");
        }
        assert_eq!(Pattern::parse(Some(&"/a".repeat(65)), None), Err(BadPattern::Long));
    }
}
