//! A writer of tar archives that writes whatever it is told.

use tar::Header;

/// A tar archive in the making.
#[derive(Default)]
pub struct Tar(Vec<u8>);

impl Tar {
    pub fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(name.as_bytes(), b'0', content)
    }

    pub fn directory(self, name: &str) -> Self {
        self.entry(name.as_bytes(), b'5', b"")
    }

    pub fn link(self, kind: u8, name: &str, target: &str) -> Self {
        self.with(name.as_bytes(), kind, b"", |header| {
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes())
        })
    }

    /// An entry of any type.
    pub fn entry(self, name: &[u8], kind: u8, content: &[u8]) -> Self {
        self.with(name, kind, content, |_| {})
    }

    /// An entry whose header is changed before its checksum is set.
    pub fn with(mut self, name: &[u8], kind: u8, content: &[u8], change: impl FnOnce(&mut Header)) -> Self {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name);
        header.set_mode(0o644);
        header.set_mtime(1_000_000_000);
        header.set_size(content.len() as u64);
        header.as_mut_bytes()[156] = kind;
        change(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    /// PAX records for the next entry.
    pub fn pax(self, records: &[(&str, &str)]) -> Self {
        self.entry(b"PaxHeaders/x", b'x', &pax_records(records))
    }

    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub fn end(self) -> Vec<u8> {
        self.raw(&[0; 1024]).0
    }

    /// Without the end, cut to this length.
    pub fn cut(mut self, length: usize) -> Vec<u8> {
        self.0.truncate(length);
        self.0
    }
}

pub fn pax_records(records: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + length.to_string().len() {
            length = rest + length.to_string().len();
        }
        bytes.extend_from_slice(format!("{length} {key}={value}\n").as_bytes());
    }
    bytes
}
