//! Names in archives: which of them are names of something inside the package.

use std::path::PathBuf;

use super::limits::Limits;
use super::refusal::Refused;

/// The relative path that an entry's name means; none for the package's own directory (`./`).
pub fn path(name: &[u8], limits: &Limits) -> Result<Option<PathBuf>, Refused> {
    let refuse = |why| Err(Refused::Name { name: shown(name), why });
    if name.len() > limits.name {
        return refuse("is too long");
    }
    let Ok(text) = std::str::from_utf8(name) else {
        return refuse("is not UTF-8");
    };
    if text.is_empty() {
        return refuse("is empty");
    }
    if text.starts_with('/') {
        return refuse("is absolute");
    }
    if text.contains('\\') {
        return refuse("has a backslash");
    }
    if text.chars().any(char::is_control) {
        return refuse("has a control character");
    }
    let mut path = PathBuf::new();
    let mut depth = 0;
    for component in text.split('/') {
        match component {
            "" | "." => continue,
            ".." => return refuse("leads outside the package"),
            _ if component.len() > 255 => return refuse("has a part of more than 255 bytes"),
            _ => path.push(component),
        }
        depth += 1;
        if depth > limits.depth {
            return refuse("is too deep");
        }
    }
    Ok((depth > 0).then_some(path))
}

/// A name as it may stand in a message: readable and bounded.
pub fn shown(name: &[u8]) -> String {
    const SHOWN: usize = 120;
    let text = String::from_utf8_lossy(&name[..name.len().min(SHOWN)]).into_owned();
    if name.len() > SHOWN { format!("{text}…") } else { text }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_made_relative_and_plain() {
        let limits = Limits::default();
        assert_eq!(path(b"./a//b/./c/", &limits), Ok(Some("a/b/c".into())));
        assert_eq!(path(b"./", &limits), Ok(None));
    }

    proptest! {
        #[test]
        fn no_path_leads_outside(name in proptest::collection::vec(prop_oneof![
            Just("..".to_owned()), Just("/".to_owned()), Just(".".to_owned()), Just("\0".to_owned()), ".{0,4}",
        ], 0..12)) {
            if let Ok(Some(path)) = path(name.concat().as_bytes(), &Limits::default()) {
                prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
            }
        }
    }
}
