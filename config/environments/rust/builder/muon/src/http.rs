//! HTTP/1.1 on one connection: a head is read, a body in pieces, and an answer written.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::panics;
use crate::request::Request;
use crate::response::{Body, Response};
use crate::serve::failed;
use crate::upgrade::Upgraded;

/// A head is at most so long.
const HEAD: usize = 64 << 10;
/// What a function left of its request's body is read up to this, so that the caller gets to see the answer.
const LEFT: u64 = 256 << 10;
/// And for so long at most.
const PATIENCE: Duration = Duration::from_secs(1);
/// The server frames the message: a function's own idea of that would only contradict it.
const FRAMING: [&str; 5] = ["content-length", "transfer-encoding", "connection", "keep-alive", "upgrade"];

/// What becomes of the connection.
pub(crate) enum Answered {
    Open(BufReader<TcpStream>),
    Closed,
}

/// What the request's body reads from, which the function may take with it; the connection goes on from there.
struct Source {
    reader: Option<BufReader<TcpStream>>,
    /// The body has been read to its end.
    done: bool,
}

type Shared = Arc<Mutex<Source>>;

pub(crate) struct Exchange {
    pub request: Request,
    reader: Shared,
    keep: bool,
}

/// Waits for the next request; false when the caller has closed the connection.
pub(crate) fn wait(reader: &mut BufReader<TcpStream>) -> io::Result<bool> {
    Ok(!reader.fill_buf()?.is_empty())
}

/// Reads a request's head.
pub(crate) fn read(mut reader: BufReader<TcpStream>, stream: &TcpStream) -> io::Result<Exchange> {
    let mut left = HEAD;
    let first = line(&mut reader, &mut left)?;
    let mut words = first.split(' ');
    let (Some(method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
        return Err(refuse(stream, "400 Bad Request"));
    };
    let mut headers = Vec::new();
    loop {
        let text = line(&mut reader, &mut left)?;
        if text.is_empty() {
            break;
        }
        let Some((name, value)) = text.split_once(':') else { return Err(refuse(stream, "400 Bad Request")) };
        headers.push((name.to_owned(), value.trim().to_owned()));
    }
    let value =
        |name: &str| headers.iter().find(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone());
    let close = value("connection").is_some_and(|value| value.to_ascii_lowercase().contains("close"));
    let length = match (value("transfer-encoding"), value("content-length")) {
        (Some(coding), None) if coding.eq_ignore_ascii_case("chunked") => Length::Chunk { left: 0, begun: false },
        (None, None) => Length::Known(0),
        (None, Some(length)) => Length::Known(length.parse().map_err(|_| refuse(stream, "400 Bad Request"))?),
        // Both, or a coding that nobody knows: where the body ends would be a matter of opinion.
        _ => return Err(refuse(stream, "400 Bad Request")),
    };
    let expects = value("expect").is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
    let id = value("x-request-id").unwrap_or_else(crate::request_id);
    let done = matches!(length, Length::Known(0));
    let shared: Shared = Arc::new(Mutex::new(Source { reader: Some(reader), done }));
    let asked = if expects { Some(stream.try_clone()?) } else { None };
    let body = Box::new(Incoming { reader: Arc::clone(&shared), length, asked });
    let request = Request { method: method.to_owned(), target: target.to_owned(), headers, id, body };
    Ok(Exchange { request, reader: shared, keep: version == "HTTP/1.1" && !close })
}

fn refuse(mut stream: &TcpStream, status: &str) -> io::Error {
    let _ = write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
    io::Error::new(io::ErrorKind::InvalidData, status.to_owned())
}

/// A line without its end.
fn line(reader: &mut impl BufRead, left: &mut usize) -> io::Result<String> {
    let mut text = Vec::new();
    let count = reader.by_ref().take(*left as u64).read_until(b'\n', &mut text)?;
    *left -= count;
    if text.pop() != Some(b'\n') {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the head is cut off, or too long"));
    }
    if text.last() == Some(&b'\r') {
        text.pop();
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

enum Length {
    Known(u64),
    Chunk { left: u64, begun: bool },
}

/// A request's body as it arrives.
struct Incoming {
    reader: Shared,
    length: Length,
    /// Where to say that the body is wanted, when the caller waits for that.
    asked: Option<TcpStream>,
}

impl Read for Incoming {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(mut stream) = self.asked.take() {
            stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut shared = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let Source { reader: Some(reader), done } = &mut *shared else { return Ok(0) };
        if let Length::Chunk { left: left @ 0, begun } = &mut self.length {
            let mut head = HEAD;
            if std::mem::replace(begun, true) {
                line(reader, &mut head)?; // the end of the chunk before
            }
            let text = line(reader, &mut head)?;
            let digits = text.split(';').next().unwrap_or_default().trim();
            *left =
                u64::from_str_radix(digits, 16).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no chunk"))?;
            if *left == 0 {
                while !line(reader, &mut head)?.is_empty() {}
                self.length = Length::Known(0);
            }
        }
        let (Length::Known(left) | Length::Chunk { left, .. }) = &mut self.length;
        if *left == 0 {
            *done = true;
            return Ok(0);
        }
        let most = buffer.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
        let count = reader.read(&mut buffer[..most])?;
        if count == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the caller went away while its request was read",
            ));
        }
        *left -= count as u64;
        *done = matches!(self.length, Length::Known(0));
        Ok(count)
    }
}

impl Exchange {
    /// Sends the answer, and gets the connection ready for the next request where that can be.
    pub(crate) fn answer(mut self, response: Response, stream: &TcpStream) -> io::Result<Answered> {
        let is_head = self.request.method == "HEAD";
        let id = self.request.id.clone();
        // What is not read by now stays unread, unless the answer's pieces read it.
        let unread = !self.source().done;
        self.keep &= !unread || matches!(response.body, Body::Pieces(_));
        let mut out = BufWriter::with_capacity(16 << 10, stream);
        let mut head = format!("HTTP/1.1 {} \r\n", response.status);
        for (name, value) in &response.headers {
            let closes = name.eq_ignore_ascii_case("connection") && value == "close";
            self.keep &= !closes;
            if !FRAMING.iter().any(|framing| name.eq_ignore_ascii_case(framing))
                && !(name.clone() + value).contains(['\r', '\n'])
            {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let connection = if self.keep { "" } else { "Connection: close\r\n" };
        match response.body {
            Body::Whole(bytes) => {
                write!(out, "{head}{connection}Content-Length: {}\r\n\r\n", bytes.len())?;
                out.write_all(if is_head { &[] } else { &bytes })?;
                out.flush()?;
            }
            Body::Pieces(_) if is_head => {
                write!(out, "{head}{connection}\r\n")?;
                out.flush()?;
            }
            Body::Upgrade(protocol, then) => {
                if protocol.contains(['\r', '\n']) || unread {
                    return Err(io::Error::other("an upgrade has a plain name, and comes after the request's body"));
                }
                write!(out, "{head}Connection: Upgrade\r\nUpgrade: {protocol}\r\n\r\n")?;
                out.flush()?;
                let Some(reader) = self.source().reader.take() else { return Ok(Answered::Closed) };
                let spoken = panics::caught(|| then(Upgraded::new(reader)));
                if let Some((error, stack)) = broken(spoken) {
                    failed(&id, "the upgraded connection failed", &error, &stack);
                }
                return Ok(Answered::Closed);
            }
            Body::Pieces(pieces) => {
                write!(out, "{head}{connection}Transfer-Encoding: chunked\r\n\r\n")?;
                let mut chunks = Chunks { out, piece: Vec::new() };
                let written = panics::caught(|| pieces(&mut chunks).and_then(|()| chunks.end()));
                if let Some((error, stack)) = broken(written) {
                    // The status has left: only a cut can say that the rest does not come.
                    failed(&id, "the stream of the handler failed", &error, &stack);
                    stream.shutdown(Shutdown::Both)?;
                    return Ok(Answered::Closed);
                }
            }
        }
        if !self.source().done {
            // A connection that is closed with bytes unread may lose the answer on its way.
            stream.shutdown(Shutdown::Write)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            io::copy(&mut (&mut self.request).take(LEFT), &mut io::sink())?;
            return Ok(Answered::Closed);
        }
        let reader = self.source().reader.take();
        Ok(reader.filter(|_| self.keep).map_or(Answered::Closed, Answered::Open))
    }

    fn source(&self) -> std::sync::MutexGuard<'_, Source> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What broke, and its stack where there is one.
fn broken(done: Result<io::Result<()>, panics::Panicked>) -> Option<(String, String)> {
    match done {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some((error.to_string(), String::new())),
        Err(panicked) => Some((panicked.message, panicked.stack)),
    }
}

/// A body in pieces: each flush, and each 16 KiB, is one.
struct Chunks<'a> {
    out: BufWriter<&'a TcpStream>,
    piece: Vec<u8>,
}

impl Chunks<'_> {
    fn send(&mut self) -> io::Result<()> {
        if !self.piece.is_empty() {
            write!(self.out, "{:x}\r\n", self.piece.len())?;
            self.out.write_all(&self.piece)?;
            self.out.write_all(b"\r\n")?;
            self.piece.clear();
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.send()?;
        self.out.write_all(b"0\r\n\r\n")?;
        self.out.flush()
    }
}

impl Write for Chunks<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= 16 << 10 {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        self.out.flush()
    }
}
