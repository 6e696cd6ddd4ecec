//! One hostile archive, and what must become of it.

use std::io::Write as _;

/// What an agent must do with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It loads nothing, for this reason.
    Refused(&'static str),
    /// It loads files and directories inside the package, as any others, and nothing else: what was meant has no effect.
    Tamed,
}

/// An archive.
pub struct Case {
    pub family: &'static str,
    pub name: String,
    pub archive: Vec<u8>,
    pub expected: Expected,
}

/// The archives of one family, in the making.
pub struct Family {
    name: &'static str,
    pub cases: Vec<Case>,
}

impl Family {
    pub fn new(name: &'static str) -> Self {
        Self { name, cases: Vec::new() }
    }

    pub fn refused(&mut self, name: impl Into<String>, archive: Vec<u8>, reason: &'static str) {
        self.add(name.into(), archive, Expected::Refused(reason));
    }

    pub fn tamed(&mut self, name: impl Into<String>, archive: Vec<u8>) {
        self.add(name.into(), archive, Expected::Tamed);
    }

    /// A tar as it is, and compressed in both ways.
    pub fn refused_in_each(&mut self, name: &str, tar: &[u8], reason: &'static str) {
        self.refused(format!("{name} (tar)"), tar.to_vec(), reason);
        self.refused(format!("{name} (tar.gz)"), gzip(tar), reason);
        self.refused(format!("{name} (tar.zst)"), crate::zstds::zstd(tar), reason);
    }

    fn add(&mut self, name: String, archive: Vec<u8>, expected: Expected) {
        self.cases.push(Case { family: self.name, name, archive, expected });
    }
}

/// Bytes that no compressor makes smaller.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491u32;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
