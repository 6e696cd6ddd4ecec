//! As much of JSON as records and orders need.

/// A text as JSON has it, with its quotes.
pub fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            control if control < ' ' => out.push_str(&format!("\\u{:04x}", control as u32)),
            other => out.push(other),
        }
    }
    out.push('"');
    out
}

/// An object of texts.
pub fn object(fields: &[(&str, &str)]) -> String {
    let fields: Vec<String> = fields.iter().map(|(name, value)| format!("{}:{}", quote(name), quote(value))).collect();
    format!("{{{}}}", fields.join(","))
}

/// The texts at the top of an object, by name; none when it is no object. Whatever else it holds is passed over.
pub fn texts(text: &str) -> Option<Vec<(String, String)>> {
    let mut rest = text.trim().strip_prefix('{')?.strip_suffix('}')?.trim_start();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let (name, after) = string(rest)?;
        rest = after.trim_start().strip_prefix(':')?.trim_start();
        if rest.starts_with('"') {
            let (value, after) = string(rest)?;
            found.push((name, value));
            rest = after;
        } else {
            rest = pass(rest)?;
        }
        rest = rest.trim_start();
        rest = match rest.strip_prefix(',') {
            Some(after) => after.trim_start(),
            None if rest.is_empty() => rest,
            None => return None,
        };
    }
    Some(found)
}

/// What follows a value that is no text.
fn pass(mut rest: &str) -> Option<&str> {
    let mut depth = 0_usize;
    loop {
        let next = rest.chars().next();
        match next {
            Some('"') => rest = string(rest)?.1,
            Some('{' | '[') => {
                depth += 1;
                rest = &rest[1..];
            }
            Some('}' | ']') => {
                depth = depth.checked_sub(1)?;
                rest = &rest[1..];
            }
            Some(',') if depth == 0 => return Some(rest),
            Some(other) => rest = &rest[other.len_utf8()..],
            None => return (depth == 0).then_some(rest),
        }
    }
}

fn string(text: &str) -> Option<(String, &str)> {
    let mut out = Vec::new();
    let mut characters = text.strip_prefix('"')?.char_indices();
    let text = &text[1..];
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((String::from_utf16_lossy(&out), &text[at + 1..])),
            '\\' => match characters.next()?.1 {
                'u' => {
                    let digits: String = (0..4).filter_map(|_| characters.next()).map(|(_, digit)| digit).collect();
                    out.push(u16::from_str_radix(&digits, 16).ok()?);
                }
                escaped => {
                    let at = "\"\\/bfnrt".find(escaped)?;
                    out.push(u16::from(b"\"\\/\x08\x0c\n\r\t"[at]));
                }
            },
            other => out.extend_from_slice(other.encode_utf16(&mut [0; 2])),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_an_object() {
        let text = r#"{"a": "x\u00e9\ud83d\ude00\n", "b": {"c": ["}", 1]}, "d": 3, "e": "y"}"#;
        let wanted = [("a".to_owned(), "xé😀\n".to_owned()), ("e".to_owned(), "y".to_owned())];
        assert_eq!(texts(text).unwrap(), wanted);
        assert_eq!(texts("{}").unwrap(), []);
        for bad in ["", "[]", "{", r#"{"a"}"#, r#"{"a": "b" "c": "d"}"#, r#"{"a": }}"#] {
            assert_eq!(texts(bad), None, "{bad}");
        }
        assert_eq!(texts(&object(&[("a", "\"\\\n\u{1}ü")])).unwrap(), [("a".to_owned(), "\"\\\n\u{1}ü".to_owned())]);
    }
}
