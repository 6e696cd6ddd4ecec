//! gzip: any number of members, as `cat a.gz b.gz` and block compressors make them.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;

use super::refusal::Refused;

/// Members that hold nothing cost the archive 20 bytes and us a whole start: nobody needs this many.
const MAX_MEMBERS: u32 = 20_000;

/// Whether these bytes begin like a gzip stream.
pub fn is_header(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0x1f, 0x8b, 8])
}

/// What a stream of members decompresses to.
pub struct Decoder<R> {
    /// None at the end.
    member: Option<GzDecoder<R>>,
    members: u32,
}

impl<R: BufRead> Decoder<R> {
    /// Reads `source` to its end.
    pub fn new(source: R) -> Self {
        Self { member: Some(GzDecoder::new(source)), members: 1 }
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        while let Some(member) = &mut self.member {
            let count = member.read(buffer)?;
            if count > 0 {
                return Ok(count);
            }
            let Some(ended) = self.member.take() else { break };
            let mut source = ended.into_inner();
            if source.fill_buf()?.is_empty() {
                break;
            }
            self.members += 1;
            if self.members > MAX_MEMBERS {
                return Err(io::Error::other(Refused::Damaged("it is cut into too many members".into())));
            }
            self.member = Some(GzDecoder::new(source));
        }
        Ok(0)
    }
}
