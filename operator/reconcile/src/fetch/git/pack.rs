//! git's packs: objects one after the other, whole or as what differs from another one. All of a pack is in memory, with
//! a bound on what it unpacks to; an object is what its name says, because its name is computed here.

use std::collections::HashMap;
use std::io::Read as _;

use bytes::Bytes;
use flate2::bufread::ZlibDecoder;
use sha1_checked::{Digest as _, Sha1};

use crate::fetch::FetchError;

const MAX_OBJECTS: usize = 100_000;
const NAME: usize = 20;

/// The SHA-1 name of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id([u8; NAME]);

impl Id {
    /// Reads forty hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let mut id = [0; NAME];
        hex::decode_to_slice(text, &mut id).ok().map(|()| Self(id))
    }

    /// Reads twenty bytes.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Why a pack is not taken.
#[derive(thiserror::Error, Clone, Copy, Debug, PartialEq, Eq)]
pub enum PackError {
    /// It ends too early, or says what makes no sense.
    #[error("the repository's pack is damaged")]
    Damaged,
    /// Two contents of one name were made on purpose.
    #[error("the repository's pack has an object that was made to collide with another one")]
    Collision,
    /// Too many objects.
    #[error("the commit has more than {MAX_OBJECTS} files and directories")]
    Objects,
    /// Too large.
    #[error(
        "the commit's files have more than {0} bytes, the installation's bound for what has to be unpacked and packed again"
    )]
    Bytes(u64),
}

impl From<PackError> for FetchError {
    fn from(error: PackError) -> Self {
        Self::Content(error.to_string())
    }
}

/// What an object is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Commit,
    Tree,
    Blob,
    Tag,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tree => "tree",
            Self::Blob => "blob",
            Self::Tag => "tag",
        }
    }
}

/// The objects of a pack.
#[derive(Debug, Default)]
pub(super) struct Objects {
    all: HashMap<Id, (Kind, Bytes)>,
}

impl Objects {
    /// The object of this name, if it is of this kind.
    pub(super) fn get(&self, id: &Id, kind: Kind) -> Option<&Bytes> {
        self.all.get(id).filter(|(found, _)| *found == kind).map(|(_, content)| content)
    }
}

/// Something that is to be put together.
enum Base {
    At(usize),
    Named(Id),
}

struct Reader<'a> {
    pack: &'a [u8],
    at: usize,
    room: u64,
    max: u64,
    by_offset: HashMap<usize, Id>,
    objects: Objects,
}

/// Reads a pack that unpacks to at most so many bytes.
pub(super) fn read(pack: &[u8], max: u64) -> Result<Objects, PackError> {
    let end = pack.len().checked_sub(NAME).ok_or(PackError::Damaged)?;
    let (content, sum) = pack.split_at(end);
    if Sha1::digest(content).as_slice() != sum || content.get(..4) != Some(b"PACK") {
        return Err(PackError::Damaged);
    }
    let number = |at: usize| Some(u32::from_be_bytes(content.get(at..at + 4)?.try_into().ok()?));
    let count = match (number(4), number(8)) {
        (Some(2 | 3), Some(count)) => count as usize,
        _ => return Err(PackError::Damaged),
    };
    if count > MAX_OBJECTS {
        return Err(PackError::Objects);
    }
    let mut reader =
        Reader { pack: content, at: 12, room: max, max, by_offset: HashMap::new(), objects: Objects::default() };
    // Those whose base has not come yet: only such as name it may be.
    let mut later = Vec::new();
    for _ in 0..count {
        let begin = reader.at;
        if let Some(waiting) = reader.object(begin)? {
            later.push((begin, waiting));
        }
    }
    while !later.is_empty() {
        let before = later.len();
        let mut left = Vec::new();
        for (begin, (base, delta)) in later {
            match reader.base(&base) {
                Some((kind, whole)) => reader.patch(begin, kind, &whole, &delta)?,
                None => left.push((begin, (base, delta))),
            }
        }
        if left.len() == before {
            return Err(PackError::Damaged);
        }
        later = left;
    }
    Ok(reader.objects)
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, PackError> {
        let byte = self.pack.get(self.at).copied().ok_or(PackError::Damaged)?;
        self.at += 1;
        Ok(byte)
    }

    /// One object; given back, when its base has not come yet.
    fn object(&mut self, begin: usize) -> Result<Option<(Base, Vec<u8>)>, PackError> {
        let first = self.byte()?;
        let mut size = u64::from(first & 0x0f);
        let (mut shift, mut last) = (4, first);
        while last & 0x80 != 0 {
            last = self.byte()?;
            if shift > 57 {
                return Err(PackError::Damaged);
            }
            size |= u64::from(last & 0x7f) << shift;
            shift += 7;
        }
        let kind = match (first >> 4) & 7 {
            1 => Kind::Commit,
            2 => Kind::Tree,
            3 => Kind::Blob,
            4 => Kind::Tag,
            6 => {
                let base = Base::At(begin.checked_sub(self.distance()?).ok_or(PackError::Damaged)?);
                return self.differing(begin, base, size);
            }
            7 => {
                let name = self.pack.get(self.at..self.at + NAME).and_then(Id::of_bytes).ok_or(PackError::Damaged)?;
                self.at += NAME;
                return self.differing(begin, Base::Named(name), size);
            }
            _ => return Err(PackError::Damaged),
        };
        let content = self.inflate(size)?;
        self.keep(begin, kind, content)?;
        Ok(None)
    }

    /// How far before an object its base lies.
    fn distance(&mut self) -> Result<usize, PackError> {
        let mut byte = self.byte()?;
        let mut distance = usize::from(byte & 0x7f);
        while byte & 0x80 != 0 {
            byte = self.byte()?;
            distance = distance.checked_add(1).and_then(|it| it.checked_mul(128)).ok_or(PackError::Damaged)?;
            distance |= usize::from(byte & 0x7f);
        }
        Ok(distance)
    }

    fn differing(&mut self, begin: usize, base: Base, size: u64) -> Result<Option<(Base, Vec<u8>)>, PackError> {
        let delta = self.inflate(size)?;
        match self.base(&base) {
            Some((kind, whole)) => self.patch(begin, kind, &whole, &delta).map(|()| None),
            None => Ok(Some((base, delta))),
        }
    }

    fn base(&self, base: &Base) -> Option<(Kind, Bytes)> {
        let id = match base {
            Base::At(offset) => self.by_offset.get(offset)?,
            Base::Named(id) => id,
        };
        self.objects.all.get(id).cloned()
    }

    fn inflate(&mut self, size: u64) -> Result<Vec<u8>, PackError> {
        self.take_room(size)?;
        let mut decoder = ZlibDecoder::new(self.pack.get(self.at..).ok_or(PackError::Damaged)?);
        let mut content = Vec::new();
        // One byte more than said would be a lie.
        decoder.by_ref().take(size + 1).read_to_end(&mut content).map_err(|_| PackError::Damaged)?;
        if content.len() as u64 != size {
            return Err(PackError::Damaged);
        }
        self.at += usize::try_from(decoder.total_in()).map_err(|_| PackError::Damaged)?;
        Ok(content)
    }

    fn take_room(&mut self, bytes: u64) -> Result<(), PackError> {
        self.room = self.room.checked_sub(bytes).ok_or(PackError::Bytes(self.max))?;
        Ok(())
    }

    fn keep(&mut self, begin: usize, kind: Kind, content: Vec<u8>) -> Result<(), PackError> {
        let mut hash = Sha1::new();
        hash.update(format!("{} {}\0", kind.word(), content.len()));
        hash.update(&content);
        let hash = hash.try_finalize();
        if hash.has_collision() {
            return Err(PackError::Collision);
        }
        let id = Id::of_bytes(hash.hash()).ok_or(PackError::Damaged)?;
        self.by_offset.insert(begin, id);
        self.objects.all.insert(id, (kind, content.into()));
        Ok(())
    }

    /// What a difference makes of its base.
    fn patch(&mut self, begin: usize, kind: Kind, base: &[u8], delta: &[u8]) -> Result<(), PackError> {
        // The difference itself is no more.
        self.room += delta.len() as u64;
        let mut delta = Delta(delta);
        let (from, to) = (delta.size()?, delta.size()?);
        if from != base.len() as u64 {
            return Err(PackError::Damaged);
        }
        self.take_room(to)?;
        let mut content = Vec::new();
        while let Some(what) = delta.next_byte() {
            let piece = match what & 0x80 {
                0 => delta.take(usize::from(what))?,
                _ => {
                    let (at, length) = delta.copy(what)?;
                    base.get(at..at.checked_add(length).ok_or(PackError::Damaged)?).ok_or(PackError::Damaged)?
                }
            };
            if piece.is_empty() || (content.len() + piece.len()) as u64 > to {
                return Err(PackError::Damaged);
            }
            content.extend_from_slice(piece);
        }
        if content.len() as u64 != to {
            return Err(PackError::Damaged);
        }
        self.keep(begin, kind, content)
    }
}

/// A difference that is being read.
struct Delta<'a>(&'a [u8]);

impl<'a> Delta<'a> {
    fn next_byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], PackError> {
        let (piece, rest) = self.0.split_at_checked(length).ok_or(PackError::Damaged)?;
        self.0 = rest;
        Ok(piece)
    }

    fn size(&mut self) -> Result<u64, PackError> {
        let (mut size, mut shift) = (0, 0);
        loop {
            let byte = self.next_byte().filter(|_| shift <= 56).ok_or(PackError::Damaged)?;
            size |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                return Ok(size);
            }
        }
    }

    /// Where a piece of the base begins, and its length: a bit for each of their bytes that is there.
    fn copy(&mut self, what: u8) -> Result<(usize, usize), PackError> {
        let mut parts = [0usize; 7];
        for (bit, part) in parts.iter_mut().enumerate() {
            if what >> bit & 1 == 1 {
                *part = usize::from(self.next_byte().ok_or(PackError::Damaged)?);
            }
        }
        let [a, b, c, d, x, y, z] = parts;
        let length = x | y << 8 | z << 16;
        Ok((a | b << 8 | c << 16 | d << 24, if length == 0 { 0x10000 } else { length }))
    }
}

#[cfg(test)]
mod tests;
