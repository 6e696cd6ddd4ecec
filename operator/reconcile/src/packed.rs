//! Objects at rest. The operator looks at most of them once in twenty minutes, but holds all of them all the time: as
//! typed values they would be some four kilobytes each, most of it empty fields and the nodes of small maps. At rest
//! an object is its JSON, compressed against an ordinary object of the four kinds: what is left is what only it has.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// One ordinary object of each kind that there are many of, with the conditions they ordinarily have. Changing it is
/// safe: nothing that is packed outlives the process.
static ORDINARY: &[u8] = include_bytes!("packed/ordinary.json");

/// Packs an object; none when it cannot be written as JSON.
pub fn pack<K: Serialize>(object: &K) -> Option<Vec<u8>> {
    let text = serde_json::to_vec(object).ok()?;
    Some(lz4_flex::block::compress_prepend_size_with_dict(&text, ORDINARY))
}

/// The object again.
pub fn unpack<K: DeserializeOwned>(packed: &[u8]) -> Option<K> {
    serde_json::from_slice(&text(packed)?).ok()
}

/// Its JSON.
pub fn text(packed: &[u8]) -> Option<Vec<u8>> {
    lz4_flex::block::decompress_size_prepended_with_dict(packed, ORDINARY).ok()
}

#[cfg(test)]
mod tests;
