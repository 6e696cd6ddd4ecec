//! The share of a Function among those that a selector selects.

use muon_crds::words::WEIGHT;
use std::collections::BTreeMap;

/// The weight of a Function that names none.
pub const DEFAULT_WEIGHT: u32 = 100;

/// The annotation is not a weight; the Function gets no traffic through selectors.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
#[error("annotation {WEIGHT}: {0:?} is not a whole number from 0 to 1000, so it counts as 0")]
pub struct BadWeight(pub String);

/// The weight that a Function's annotations give it: 0–1000, 100 when there is none.
pub fn weight(annotations: Option<&BTreeMap<String, String>>) -> Result<u32, BadWeight> {
    let Some(text) = annotations.and_then(|annotations| annotations.get(WEIGHT)) else { return Ok(DEFAULT_WEIGHT) };
    let digits = !text.is_empty() && text.len() <= 4 && text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse::<u32>() {
        Ok(weight) if digits && weight <= 1000 => Ok(weight),
        _ => Err(BadWeight(text.chars().take(64).collect())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<u32, BadWeight> {
        weight(Some(&BTreeMap::from([(WEIGHT.to_owned(), text.to_owned())])))
    }

    #[test]
    fn weights_are_whole_numbers_up_to_a_thousand() {
        assert_eq!(weight(None), Ok(100));
        assert_eq!(of("0"), Ok(0));
        assert_eq!(of("1000"), Ok(1000));
        for bad in ["", "1001", "-1", "+1", "1.5", "50%", " 5", "99999999999999999999"] {
            assert_eq!(of(bad), Err(BadWeight(bad.to_owned())));
        }
    }
}
