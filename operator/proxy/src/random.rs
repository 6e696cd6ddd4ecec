//! Random numbers for request ids and for choices by weight: seeded by the system once a thread, then cheap.

use std::cell::Cell;
use std::hash::{BuildHasher as _, RandomState};

use http::HeaderValue;

thread_local! {
    static STATE: Cell<u64> = Cell::new(seed());
}

fn seed() -> u64 {
    // Without the system's randomness the standard library's seed still tells threads and processes apart.
    getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(std::process::id()))
}

/// The next number (SplitMix64).
pub(crate) fn number() -> u64 {
    STATE.with(|state| {
        let next = state.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        state.set(next);
        let mixed = (next ^ (next >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    })
}

/// A new request id: 32 hexadecimal digits.
pub(crate) fn request_id() -> HeaderValue {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let bits = u128::from(number()) << 64 | u128::from(number());
    let mut text = [0; 32];
    for (at, byte) in text.iter_mut().enumerate() {
        *byte = DIGITS[(bits >> (at * 4)) as usize & 15];
    }
    HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_differ() {
        let ids: std::collections::HashSet<_> = (0..1000).map(|_| request_id().to_str().unwrap().to_owned()).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.len() == 32));
    }
}
