//! Names that are made from other names. One place, so that two parts never disagree.

use sha2::{Digest as _, Sha256};

use crate::values::Variable;

/// First eight hexadecimal digits of the SHA-256 of `bytes`: short, stable, fit for names and labels.
pub fn short_hash(bytes: &[u8]) -> String {
    let mut text = hex::encode(Sha256::digest(bytes));
    text.truncate(8);
    text
}

/// `sha256:…` of `bytes`, the form in which the store names an archive.
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Whether `text` is a digest in the store's form.
pub fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

/// The revision of a function whose variables go with the load. It ends in their hash, so that an order, which is for
/// one revision, is for these variables alone.
pub fn revision_with(revision: &str, env: &[Variable]) -> String {
    match env {
        [] => revision.to_owned(),
        env => format!("{revision}.{}", variables(env)),
    }
}

/// Whether these are the variables that the revision asks for. A revision without any asks for none.
pub fn asks_for(revision: &str, env: &[Variable]) -> bool {
    match (revision.split_once('.'), env) {
        (None, env) => env.is_empty(),
        (Some(_), []) => false,
        (Some((_, hash)), env) => hash == variables(env),
    }
}

/// Long enough that nobody finds other variables of the same hash, short enough for a label.
fn variables(env: &[Variable]) -> String {
    let mut hash = Sha256::new();
    for Variable { name, value } in env {
        // No name holds a `=`, and neither holds a NUL.
        hash.update(name);
        hash.update(b"=");
        hash.update(value);
        hash.update(b"\0");
    }
    let mut text = hex::encode(hash.finalize());
    text.truncate(16);
    text
}

/// The Deployment of an Environment's pool with this template hash.
pub fn pool(environment: &str, template: &str) -> String {
    bounded(&format!("{environment}-pool"), template)
}

/// The Deployment of a function that has its own, for this revision.
pub fn own_deployment(function: &str, revision: &str) -> String {
    bounded(function, revision)
}

/// The Package that the operator makes from a Function's inline source.
pub fn inline_package(function: &str) -> String {
    format!("{function}-inline")
}

/// The Job of the build with this key (`sha256:…`): its first 16 digits.
pub fn build_job(key: &str) -> String {
    let digits: String = key.strip_prefix("sha256:").unwrap_or(key).chars().take(16).collect();
    format!("build-{digits}")
}

/// The Ingress of a trigger.
pub fn ingress(trigger: &str) -> String {
    trigger.to_owned()
}

/// `base-suffix`, with the base cut (and told apart by a hash) where the whole would be over 63 characters.
fn bounded(base: &str, suffix: &str) -> String {
    let room = 63 - suffix.len() - 1;
    if base.len() <= room {
        return format!("{base}-{suffix}");
    }
    let hash = short_hash(base.as_bytes());
    let head = base[..room - hash.len() - 1].trim_end_matches('-');
    format!("{head}-{hash}-{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_a_label_and_stay_apart() {
        let long = "a".repeat(80);
        let other = format!("{}b", "a".repeat(79));
        for name in [pool(&long, "12345678"), own_deployment(&long, "12345678")] {
            assert!(name.len() <= 63, "{name}");
        }
        assert_ne!(pool(&long, "12345678"), pool(&other, "12345678"));
        assert_eq!(pool("python", "12345678"), "python-pool-12345678");
    }

    #[test]
    fn a_revision_asks_for_its_variables_and_for_no_others() {
        let env = |pairs: &[(&str, &str)]| -> Vec<Variable> {
            pairs.iter().map(|(name, value)| Variable { name: (*name).into(), value: (*value).into() }).collect()
        };
        assert_eq!(revision_with("12345678", &[]), "12345678");
        let wanted = env(&[("A", "b"), ("C", "")]);
        let revision = revision_with("12345678", &wanted);
        assert!(revision.len() <= 63 && revision.starts_with("12345678."), "{revision}");
        assert!(asks_for(&revision, &wanted) && asks_for("12345678", &[]));
        for other in [&[][..], &[("A", "b")], &[("A", "x"), ("C", "")], &[("C", ""), ("A", "b")], &[("A", "b=C=")]] {
            assert!(!asks_for(&revision, &env(other)), "{other:?}");
        }
        assert!(!asks_for("12345678", &wanted));
    }

    #[test]
    fn digests_are_told_from_other_words() {
        assert!(is_digest(&digest(b"x")));
        assert!(!is_digest("sha256:XYZ"));
        assert!(!is_digest("sha512:00"));
    }
}
