//! The bounds of unpacking, and the meter that holds them. Only bytes that were really read count, never a header's word.

use std::cell::Cell;
use std::io::{self, Read};
use std::time::Instant;

use super::refusal::Refused;

/// What an archive may unpack to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Files and directories, those included that exist only as part of a name.
    pub entries: u64,
    /// Bytes of the whole, headers and skipped parts of a compressed tar included.
    pub bytes: u64,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// How many times its own size an archive may unpack to …
    pub ratio: u64,
    /// … beyond this many bytes.
    pub ratio_from: u64,
    /// Components of a name.
    pub depth: usize,
    /// Bytes of a name.
    pub name: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 20_000,
            bytes: 512 << 20,
            file_bytes: 256 << 20,
            ratio: 200,
            ratio_from: 10 << 20,
            depth: 32,
            name: 1024,
        }
    }
}

/// tar writes up to three headers for one file: for its long name, for its times, and its own.
const HEADERS_PER_ENTRY: u64 = 3;

/// Counts what one archive has unpacked to so far.
#[derive(Debug)]
pub struct Meter {
    limits: Limits,
    archive: u64,
    until: Instant,
    entries: Cell<u64>,
    bytes: Cell<u64>,
    headers: Cell<u64>,
}

impl Meter {
    /// For an archive of `archive` bytes.
    pub fn new(limits: Limits, archive: u64, until: Instant) -> Self {
        Self { limits, archive, until, entries: Cell::new(0), bytes: Cell::new(0), headers: Cell::new(0) }
    }

    /// The bounds.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// One more file or directory.
    pub fn entry(&self) -> Result<(), Refused> {
        self.entries.set(self.entries.get() + 1);
        if self.entries.get() > self.limits.entries {
            return Err(Refused::Entries(self.limits.entries));
        }
        self.time()
    }

    /// One more header was read, of whatever it is. With every file may come a few that only say more about it.
    pub fn header(&self) -> Result<(), Refused> {
        self.headers.set(self.headers.get() + 1);
        if self.headers.get() > self.limits.entries.saturating_mul(HEADERS_PER_ENTRY) {
            return Err(Refused::Entries(self.limits.entries));
        }
        self.time()
    }

    /// More bytes came out of the archive.
    pub fn bytes(&self, count: usize) -> Result<(), Refused> {
        let total = self.bytes.get().saturating_add(count as u64);
        self.bytes.set(total);
        if total > self.limits.bytes {
            return Err(Refused::Bytes(self.limits.bytes));
        }
        if total > self.limits.ratio_from && total / self.limits.ratio > self.archive {
            return Err(Refused::Ratio(self.limits.ratio));
        }
        self.time()
    }

    fn time(&self) -> Result<(), Refused> {
        if Instant::now() > self.until { Err(Refused::Time) } else { Ok(()) }
    }
}

/// A reader whose every byte is counted.
pub struct Metered<'a, R> {
    inner: R,
    meter: &'a Meter,
}

impl<'a, R> Metered<'a, R> {
    /// Counts what is read from `inner`.
    pub fn new(inner: R, meter: &'a Meter) -> Self {
        Self { inner, meter }
    }
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.meter.bytes(count).map_err(io::Error::other)?;
        Ok(count)
    }
}
