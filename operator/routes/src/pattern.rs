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
    pub(crate) segments: Box<[Segment]>,
    pub(crate) prefix: bool,
}

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// These bytes.
    Static(Box<str>),
    /// Any, but not none.
    Param(Box<str>),
}

impl Pattern {
    /// Parses a trigger's `path` and `pathPrefix`, one of which must be there.
    pub fn parse(path: Option<&str>, prefix: Option<&str>) -> Result<Self, BadPattern> {
        let (text, prefix) = match (path, prefix) {
            (Some(path), None) => (path.strip_prefix('/'), false),
            // `/api/` holds what is below the segment `api`: the final slash begins the next one.
            (None, Some("/")) => (Some(""), true),
            (None, Some(prefix)) => (prefix.strip_prefix('/').and_then(|text| text.strip_suffix('/')), true),
            _ => return Err(BadPattern::NotOne),
        };
        let text = text.ok_or(BadPattern::Slash)?;
        crate::check_path(&format!("/{text}"))?;
        let mut segments = Vec::new();
        let mut names: Vec<&str> = Vec::new();
        for segment in text.split('/').filter(|_| !(prefix && text.is_empty())) {
            if segments.len() == MAX_SEGMENTS {
                return Err(BadPattern::Long);
            }
            segments.push(match segment.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
                Some(name) if is_name(name) => {
                    if names.contains(&name) {
                        return Err(BadPattern::Twice(name.to_owned()));
                    }
                    names.push(name);
                    Segment::Param(name.into())
                }
                None if !segment.contains(['{', '}']) => Segment::Static(segment.into()),
                _ => return Err(BadPattern::Parameter(segment.to_owned())),
            });
        }
        Ok(Self { segments: segments.into(), prefix })
    }

    /// Names of the parameters, in order.
    pub fn params(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Param(name) => Some(&**name),
            Segment::Static(_) => None,
        })
    }

    /// What two patterns share exactly when they match the same paths: names of parameters left out, `{*}` for a prefix.
    pub fn normalised(&self) -> String {
        let mut text = String::new();
        for segment in &self.segments {
            text.push('/');
            text.push_str(match segment {
                Segment::Static(segment) => segment,
                Segment::Param(_) => "{}",
            });
        }
        if self.prefix {
            text.push_str("/{*}");
        }
        text
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
