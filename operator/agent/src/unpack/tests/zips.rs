//! A writer of zip archives that writes whatever it is told.

use std::io::Write as _;

/// One entry, each field as it shall be written, true or not.
#[derive(Clone)]
pub struct Entry {
    pub name: Vec<u8>,
    pub local_name: Option<Vec<u8>>,
    pub data: Vec<u8>,
    pub method: u16,
    pub flags: u16,
    pub crc: u32,
    pub size: u32,
    pub compressed: u32,
    pub mode: u32,
    /// Extra fields of the central header, and of the local one unless that has its own.
    pub extra: Vec<u8>,
    pub local_extra: Option<Vec<u8>>,
    /// Where the central header says that the local one is; none: where it is.
    pub offset: Option<u32>,
    /// The header of this earlier entry is used; none of its own is written.
    pub shares: Option<usize>,
}

impl Entry {
    pub fn stored(name: &str, content: &[u8]) -> Self {
        let mut crc = flate2::Crc::new();
        crc.update(content);
        Self {
            name: name.into(),
            local_name: None,
            data: content.to_vec(),
            method: 0,
            flags: 0,
            crc: crc.sum(),
            size: content.len() as u32,
            compressed: content.len() as u32,
            mode: 0o100_644,
            extra: Vec::new(),
            local_extra: None,
            offset: None,
            shares: None,
        }
    }

    pub fn deflated(name: &str, content: &[u8]) -> Self {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content).unwrap();
        let data = encoder.finish().unwrap();
        Self { compressed: data.len() as u32, data, method: 8, ..Self::stored(name, content) }
    }

    pub fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }
}

/// The archive of these entries.
pub fn zip(entries: &[Entry]) -> Vec<u8> {
    zip_saying(entries, entries.len() as u16)
}

/// The same, with any number of entries in its end record.
pub fn zip_saying(entries: &[Entry], count: u16) -> Vec<u8> {
    let (mut bytes, start) = headers(entries);
    let size = bytes.len() as u32 - start;
    end(&mut bytes, count, size, start);
    bytes
}

/// All but the end record, and where the central directory begins.
pub fn headers(entries: &[Entry]) -> (Vec<u8>, u32) {
    let mut bytes = Vec::new();
    let mut offsets: Vec<u32> = Vec::new();
    for entry in entries {
        if let Some(index) = entry.shares {
            offsets.push(offsets[index]);
            continue;
        }
        offsets.push(bytes.len() as u32);
        let name = entry.local_name.as_ref().unwrap_or(&entry.name);
        let extra = entry.local_extra.as_ref().unwrap_or(&entry.extra);
        bytes.extend_from_slice(b"PK\x03\x04\x14\0");
        common(&mut bytes, entry);
        bytes.extend_from_slice(&(name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(extra.len() as u16).to_le_bytes());
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(extra);
        bytes.extend_from_slice(&entry.data);
    }
    let start = bytes.len() as u32;
    for (entry, offset) in entries.iter().zip(&offsets) {
        bytes.extend_from_slice(b"PK\x01\x02\x14\x03\x14\0");
        common(&mut bytes, entry);
        bytes.extend_from_slice(&(entry.name.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(entry.extra.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&[0; 6]);
        bytes.extend_from_slice(&(entry.mode << 16).to_le_bytes());
        bytes.extend_from_slice(&entry.offset.unwrap_or(*offset).to_le_bytes());
        bytes.extend_from_slice(&entry.name);
        bytes.extend_from_slice(&entry.extra);
    }
    (bytes, start)
}

/// The end record.
pub fn end(bytes: &mut Vec<u8>, count: u16, size: u32, start: u32) {
    bytes.extend_from_slice(b"PK\x05\x06\0\0\0\0");
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&size.to_le_bytes());
    bytes.extend_from_slice(&start.to_le_bytes());
    bytes.extend_from_slice(&[0; 2]);
}

/// Flags, method, time, checksum and sizes: the same in both headers.
fn common(bytes: &mut Vec<u8>, entry: &Entry) {
    bytes.extend_from_slice(&entry.flags.to_le_bytes());
    bytes.extend_from_slice(&entry.method.to_le_bytes());
    bytes.extend_from_slice(&[0, 0, 0x21, 0]);
    bytes.extend_from_slice(&entry.crc.to_le_bytes());
    bytes.extend_from_slice(&entry.compressed.to_le_bytes());
    bytes.extend_from_slice(&entry.size.to_le_bytes());
}
