//! Which request paths are taken at all. What is routed on is what is forwarded, byte for byte: so everything that two
//! parties could read differently is refused instead of cleaned up.

/// Why a path is refused.
#[derive(thiserror::Error, Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPath {
    /// It does not begin with `/`.
    #[error("the path does not begin with '/'")]
    Relative,
    /// `//`.
    #[error("the path holds an empty segment ('//')")]
    EmptySegment,
    /// `.` or `..`, plain or encoded.
    #[error("the path holds a '.' or '..' segment")]
    DotSegment,
    /// `%2f`, `%5c` or `%00`.
    #[error("the path holds an encoded slash, backslash or NUL")]
    Encoded,
    /// `%` without two hexadecimal digits.
    #[error("the path holds a '%' that no two hexadecimal digits follow")]
    Escape,
    /// A backslash.
    #[error("the path holds a backslash")]
    Backslash,
}

/// Checks the path of a request (without its query).
pub fn check_path(path: &str) -> Result<(), BadPath> {
    let bytes = path.as_bytes();
    if bytes.first() != Some(&b'/') {
        return Err(BadPath::Relative);
    }
    // Of the running segment: its bytes, decoded, as far as they are dots; `None` once it holds anything else.
    let mut dots = Some(0u8);
    let mut at = 1;
    while let Some(&byte) = bytes.get(at) {
        let mut width = 1;
        let mut decoded = byte;
        match byte {
            b'/' => {
                match dots {
                    Some(0) => return Err(BadPath::EmptySegment),
                    Some(1 | 2) => return Err(BadPath::DotSegment),
                    _ => {}
                }
                dots = Some(0);
                at += 1;
                continue;
            }
            b'\\' => return Err(BadPath::Backslash),
            b'%' => {
                let digit = |offset: usize| bytes.get(at + offset).and_then(|byte| (*byte as char).to_digit(16));
                let (Some(high), Some(low)) = (digit(1), digit(2)) else { return Err(BadPath::Escape) };
                decoded = (high << 4 | low) as u8;
                if matches!(decoded, b'/' | b'\\' | 0) {
                    return Err(BadPath::Encoded);
                }
                width = 3;
            }
            _ => {}
        }
        dots = match (dots, decoded) {
            (Some(count), b'.') if count < 3 => Some(count + 1),
            _ => None,
        };
        at += width;
    }
    match dots {
        Some(1 | 2) => Err(BadPath::DotSegment),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for (path, expected) in [
            ("/", Ok(())),
            ("/a/b.c/..d/...", Ok(())),
            ("/a/", Ok(())),
            ("/a%20b", Ok(())),
            ("", Err(BadPath::Relative)),
            ("*", Err(BadPath::Relative)),
            ("//", Err(BadPath::EmptySegment)),
            ("/a//b", Err(BadPath::EmptySegment)),
            ("/a/../b", Err(BadPath::DotSegment)),
            ("/..", Err(BadPath::DotSegment)),
            ("/.", Err(BadPath::DotSegment)),
            ("/./a", Err(BadPath::DotSegment)),
            ("/a/%2e%2E/b", Err(BadPath::DotSegment)),
            ("/a/.%2e", Err(BadPath::DotSegment)),
            ("/a%2Fb", Err(BadPath::Encoded)),
            ("/a%5cb", Err(BadPath::Encoded)),
            ("/a%00", Err(BadPath::Encoded)),
            ("/a%", Err(BadPath::Escape)),
            ("/a%2", Err(BadPath::Escape)),
            ("/a%zz", Err(BadPath::Escape)),
            ("/a\\b", Err(BadPath::Backslash)),
        ] {
            assert_eq!(check_path(path), expected, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_taken_path_means_the_same_after_decoding(path in "(/|\\.|%2e|%2F|%41|a|\\\\|%|%5c){0,12}") {
            if check_path(&path).is_ok() {
                let decoded = path.replace("%2e", ".").replace("%2F", "/").replace("%5c", "\\").replace("%41", "A");
                let segments: Vec<&str> = decoded.split('/').collect();
                prop_assert_eq!(segments.len(), path.split('/').count());
                prop_assert!(segments.iter().all(|segment| *segment != "." && *segment != ".." && !segment.contains('\\')));
                let inner = segments.get(1..segments.len() - 1).unwrap_or_default();
                prop_assert!(inner.iter().all(|segment| !segment.is_empty()));
            }
        }
    }
}
