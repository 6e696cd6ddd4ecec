//! Objects at rest. The operator looks at most of them once in twenty minutes, but holds all of them all the time: as
//! typed values they would be some four kilobytes each, most of it empty fields and the nodes of small maps. At rest
//! an object is its JSON, compressed against an ordinary object of the four kinds: what is left is what only it has.

use kube::Resource;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One ordinary object of each kind that there are many of, with the conditions they ordinarily have. Changing it is
/// safe: nothing that is packed outlives the process.
static ORDINARY: &[u8] = include_bytes!("packed/ordinary.json");

/// An object at rest.
pub struct Packed(Box<[u8]>);

impl Packed {
    /// Packs; none when the object cannot be written as JSON.
    pub fn of<K: Resource<DynamicType = ()> + Serialize>(object: &K) -> Option<Self> {
        let text = serde_json::to_vec(object).ok()?;
        Some(Self(lz4_flex::block::compress_prepend_size_with_dict(&text, ORDINARY).into()))
    }

    /// The object again.
    pub fn unpack<K: DeserializeOwned>(&self) -> Option<K> {
        let text = lz4_flex::block::decompress_size_prepended_with_dict(&self.0, ORDINARY).ok()?;
        serde_json::from_slice(&text).ok()
    }

    /// Bytes at rest.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is left of it, which no object comes to.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests;
