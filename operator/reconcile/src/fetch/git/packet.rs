//! git's packets: four hexadecimal digits of length, and so many bytes less four. Lengths below four are marks.

use crate::fetch::FetchError;
use crate::fetch::tree::TreeError;

/// One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packet<'a> {
    /// What it carries.
    Data(&'a [u8]),
    /// Between sections.
    Section,
    /// At the end.
    Flush,
}

/// A line to be sent.
pub(super) fn line(text: &str) -> Vec<u8> {
    format!("{:04x}{text}\n", text.len() + 5).into_bytes()
}

/// The mark between sections.
pub(super) fn section() -> Vec<u8> {
    b"0001".to_vec()
}

/// The mark at the end.
pub(super) fn flush() -> Vec<u8> {
    b"0000".to_vec()
}

/// The packets in what came.
pub(super) struct Packets<'a>(&'a [u8]);

impl<'a> Packets<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }
}

impl<'a> Iterator for Packets<'a> {
    type Item = Result<Packet<'a>, FetchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let packet = cut(self.0);
        match packet {
            Some((packet, rest)) => {
                self.0 = rest;
                Some(Ok(packet))
            }
            None => {
                self.0 = &[];
                Some(Err(FetchError::Content("what the repository says is cut off, or not git's protocol".to_owned())))
            }
        }
    }
}

fn cut(bytes: &[u8]) -> Option<(Packet<'_>, &[u8])> {
    let (length, rest) = bytes.split_at_checked(4)?;
    let length = std::str::from_utf8(length).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
    match usize::from_str_radix(length, 16).ok()? {
        0 | 2 => Some((Packet::Flush, rest)),
        1 => Some((Packet::Section, rest)),
        3 => None,
        length => rest.split_at_checked(length - 4).map(|(data, rest)| (Packet::Data(data), rest)),
    }
}

/// The pack in the answer to a fetch.
pub(super) fn pack(said: &[u8], max: u64) -> Result<Vec<u8>, FetchError> {
    let mut pack = Vec::new();
    let mut inside = false;
    for packet in Packets::new(said) {
        let Packet::Data(data) = packet? else { continue };
        if let Some(error) = data.strip_prefix(b"ERR ") {
            return Err(refused(error));
        }
        if !inside {
            inside = data.trim_ascii() == b"packfile";
            continue;
        }
        match data.split_first() {
            Some((1, content)) => {
                if (pack.len() + content.len()) as u64 > max {
                    return Err(TreeError::Bytes { max }.into());
                }
                pack.extend_from_slice(content);
            }
            Some((2, _progress)) => {}
            Some((3, error)) => return Err(refused(error)),
            _ => return Err(FetchError::Content("the repository sends what belongs to no pack".to_owned())),
        }
    }
    match pack.is_empty() {
        true => Err(FetchError::Content("the repository sent no files".to_owned())),
        false => Ok(pack),
    }
}

fn refused(error: &[u8]) -> FetchError {
    let said = String::from_utf8_lossy(error.get(..error.len().min(300)).unwrap_or_default());
    FetchError::Missing(format!("the repository says: {}", said.trim()))
}
