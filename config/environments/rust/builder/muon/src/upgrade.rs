//! A connection that has become something else than HTTP: a WebSocket, most likely.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What comes and goes on a connection after its upgrade, as libraries for WebSockets take it.
pub struct Upgraded {
    reader: BufReader<TcpStream>,
}

impl Upgraded {
    pub(crate) fn new(reader: BufReader<TcpStream>) -> Self {
        Self { reader }
    }

    /// How long a read may wait for the other side; `None`: as long as it takes.
    pub fn set_read_timeout(&self, limit: Option<Duration>) -> io::Result<()> {
        self.reader.get_ref().set_read_timeout(limit)
    }
}

impl Read for Upgraded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

impl Write for Upgraded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.reader.get_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.reader.get_mut().flush()
    }
}
