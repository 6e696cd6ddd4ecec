//! Zstandard: any number of frames, each with a window that this process can afford, each checked to its end.

use std::io::{self, Read};

use ruzstd::decoding::errors::{FrameDecoderError, FrameHeaderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::refusal::Refused;

/// How far back an archive may refer: so much of what came out is held in memory. `zstd -19` needs no more.
pub const MAX_WINDOW: u64 = 8 << 20;

/// Frames that hold nothing cost the archive a few bytes and us a whole start: nobody needs this many.
const MAX_FRAMES: u32 = 10_000;
const MAGIC: u32 = 0xfd2f_b528;
/// Frames for other programs' use; readers skip them.
const SKIPPABLE: std::ops::RangeInclusive<u32> = 0x184d_2a50..=0x184d_2a5f;

/// Whether these bytes begin like a Zstandard stream.
pub fn is_header(bytes: &[u8]) -> bool {
    let magic = bytes.first_chunk().map(|first| u32::from_le_bytes(*first));
    magic.is_some_and(|magic| magic == MAGIC || SKIPPABLE.contains(&magic))
}

/// What a stream of frames decompresses to.
pub struct Decoder<R> {
    source: R,
    frame: FrameDecoder,
    frames: u32,
    inside: bool,
    /// Bytes that came out of the frame so far.
    produced: u64,
}

impl<R: Read> Decoder<R> {
    /// Reads `source` to its end.
    pub fn new(source: R) -> Self {
        let mut frame = FrameDecoder::new();
        frame.set_max_window_size(MAX_WINDOW);
        Self { source, frame, frames: 0, inside: false, produced: 0 }
    }

    /// Begins the next frame. Says whether there is one.
    fn begin(&mut self) -> io::Result<bool> {
        loop {
            let mut magic = Vec::with_capacity(4);
            self.source.by_ref().take(4).read_to_end(&mut magic)?;
            if magic.is_empty() {
                return Ok(false);
            }
            self.frames += 1;
            if self.frames > MAX_FRAMES {
                return Err(damaged("it is cut into too many frames"));
            }
            let header = io::Cursor::new(magic).chain(&mut self.source);
            match self.frame.reset(header) {
                Ok(()) => {
                    (self.inside, self.produced) = (true, 0);
                    return Ok(true);
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame { length, .. })) => {
                    self.skip(length.into())?;
                }
                Err(error) => return Err(refused(error)),
            }
        }
    }

    fn skip(&mut self, length: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.source.by_ref().take(length), &mut io::sink())?;
        if skipped == length { Ok(()) } else { Err(damaged("it ends inside a frame that is skipped")) }
    }

    /// The frame is over: it must hold what it said.
    fn end(&mut self) -> io::Result<()> {
        self.inside = false;
        let said = self.frame.content_size();
        if said != 0 && said != self.produced {
            return Err(damaged("a frame is not of the size that it says"));
        }
        match self.frame.get_checksum_from_data() {
            Some(sum) if Some(sum) != self.frame.get_calculated_checksum() => {
                Err(damaged("the checksum of a frame is wrong"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while self.inside || self.begin()? {
            while self.frame.can_collect() == 0 && !self.frame.is_finished() {
                self.frame.decode_blocks(&mut self.source, BlockDecodingStrategy::UptoBlocks(1)).map_err(refused)?;
            }
            let count = self.frame.read(buffer)?;
            if count > 0 {
                self.produced += count as u64;
                return Ok(count);
            }
            self.end()?;
        }
        Ok(0)
    }
}

fn damaged(what: &str) -> io::Error {
    io::Error::other(Refused::Damaged(what.to_owned()))
}

fn refused(error: FrameDecoderError) -> io::Error {
    io::Error::other(match error {
        FrameDecoderError::WindowSizeTooBig { .. }
        | FrameDecoderError::FrameHeaderError(FrameHeaderError::WindowTooBig { .. }) => {
            Refused::Window(MAX_WINDOW >> 20)
        }
        FrameDecoderError::DictNotProvided { .. } => Refused::Dictionary,
        error => Refused::Damaged(error.to_string()),
    })
}
