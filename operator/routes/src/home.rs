//! Rendezvous hashing: all proxies name the same one for a function, and when one leaves only its functions move.

use sha2::{Digest as _, Sha256};

/// The proxy among `proxies` that alone claims for this function while it lives; `name` gives a proxy's name.
pub fn home<'a, P>(function_uid: &str, proxies: &'a [P], name: impl Fn(&P) -> &str) -> Option<&'a P> {
    proxies.iter().max_by_key(|proxy| (score(function_uid, name(proxy)), name(proxy).to_owned()))
}

/// How strongly `candidate` is meant for `subject`: the same number in every process, so not the standard hasher.
pub fn score(subject: &str, candidate: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(subject.as_bytes());
    hash.update([0]);
    hash.update(candidate.as_bytes());
    hash.finalize().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_names_the_same_home_whatever_the_order() {
        let (one, other) = (["a", "b", "c"], ["c", "a", "b"]);
        for number in 0..100 {
            let uid = format!("uid-{number}");
            assert_eq!(home(&uid, &one, |name| name), home(&uid, &other, |name| name));
        }
        assert_eq!(home("uid", &[] as &[&str], |name| name), None);
    }

    #[test]
    fn only_the_functions_of_a_proxy_that_left_move() {
        let mut moved = 0;
        for number in 0..1000 {
            let uid = format!("uid-{number}");
            let before = home(&uid, &["a", "b", "c"], |name| name).unwrap();
            let after = home(&uid, &["a", "b"], |name| name).unwrap();
            match *before {
                "c" => moved += 1,
                _ => assert_eq!(before, after),
            }
        }
        assert!((200..470).contains(&moved), "an uneven share: {moved} of 1000");
    }
}
