//! The archive from the store: bounded, and verified while it comes. A large tar is unpacked meanwhile, into a directory
//! that gets its name only when the last byte has been verified.

use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use muon_crds::wire::{Failure, LoadRequest};
use muon_crds::words;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use crate::client::{self, Connection};
use crate::failure::LoadError;
use crate::unpack::{self, Archive, Coming};

/// Archives up to this size never touch the disk before they are unpacked.
const IN_MEMORY: usize = 1 << 20;
/// Of a larger one, so much tells what it is.
const ENOUGH: usize = 64 << 10;
/// How much of the store's error answer is read.
const MAX_ERROR: usize = 4 << 10;
const SPILL: &str = "archive";

/// Pieces of a coming archive that wait to be unpacked.
const WAITING: usize = 8;

/// An archive on its way from the store.
#[derive(Debug)]
pub enum Fetched {
    /// It is here, and verified.
    Whole(Archive, Verified),
    /// It is large and can be unpacked while it comes: the archive for whoever unpacks, and what has to be run meanwhile.
    Coming(Archive, Feed),
}

/// How long verifying took, apart from all else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Verified(pub Duration);

/// Fetches the archive with this digest: all of it.
pub async fn fetch(request: &LoadRequest, digest: &str, dir: &Path, max: u64) -> Result<Archive, LoadError> {
    let body = ask(request, digest).await?;
    let mut hash = Hash::default();
    let archive = receive(body, BytesMut::new(), dir, max, &mut hash).await?;
    hash.check(digest)?;
    Ok(archive)
}

/// Fetches the archive with this digest, or as much of it as tells that it can be unpacked while the rest comes.
pub async fn begin(request: &LoadRequest, digest: &str, dir: &Path, max: u64) -> Result<Fetched, LoadError> {
    let mut body = ask(request, digest).await?;
    let size = body.size_hint().exact();
    let mut hash = Hash::default();
    let mut first = BytesMut::new();
    if size.is_some_and(|size| size > IN_MEMORY as u64 && size <= max) {
        while first.len() < ENOUGH {
            let Some(data) = next(&mut body).await? else { break };
            hash.update(&data);
            first.extend_from_slice(&data);
        }
        if let Some(size) = size.filter(|_| unpack::can_come(&first)) {
            let (sender, receiver) = mpsc::channel(WAITING);
            let rest = Box::new(Pieces { receiver, now: Bytes::new(), ended: false });
            let left = size.saturating_sub(first.len() as u64);
            let coming = Archive::Coming(Coming { first: first.freeze(), rest, size });
            return Ok(Fetched::Coming(coming, Feed { body, hash, sender, left, digest: digest.to_owned() }));
        }
    }
    let archive = receive(body, first, dir, max, &mut hash).await?;
    let verified = hash.check(digest)?;
    Ok(Fetched::Whole(archive, verified))
}

/// Brings the rest of an archive to whoever unpacks it.
#[derive(Debug)]
pub struct Feed {
    body: Incoming,
    hash: Hash,
    sender: mpsc::Sender<Piece>,
    /// Bytes that have to come.
    left: u64,
    digest: String,
}

impl Feed {
    /// Runs until the last byte. An archive that is refused is read to its end all the same: whether it is the one that
    /// was ordered matters more.
    pub async fn run(mut self) -> Result<Verified, LoadError> {
        let mut wanted = true;
        while let Some(data) = next(&mut self.body).await? {
            self.hash.update(&data);
            self.left = self.left.saturating_sub(data.len() as u64);
            wanted = wanted && self.sender.send(Piece::Data(data)).await.is_ok();
        }
        if self.left > 0 {
            return Err(LoadError::Store(format!("the store broke off {} bytes before the end", self.left)));
        }
        let verified = self.hash.check(&self.digest)?;
        // Whoever unpacks may be gone, for a reason that is told there.
        let _ = self.sender.send(Piece::End).await;
        Ok(verified)
    }
}

/// What goes from the network to whoever unpacks.
#[derive(Debug)]
enum Piece {
    Data(Bytes),
    /// That was all, and it is what was ordered.
    End,
}

/// The rest of an archive, as a reader for a thread that may block.
struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    now: Bytes,
    ended: bool,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() && !self.ended {
            match self.receiver.blocking_recv() {
                Some(Piece::Data(data)) => self.now = data,
                Some(Piece::End) => self.ended = true,
                None => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive broke off")),
            }
        }
        let count = buffer.len().min(self.now.len());
        buffer[..count].copy_from_slice(&self.now.split_to(count));
        Ok(count)
    }
}

/// A digest in the making, and the time it takes.
#[derive(Debug, Default)]
struct Hash {
    hash: Sha256,
    spent: Duration,
}

impl Hash {
    fn update(&mut self, data: &[u8]) {
        let began = Instant::now();
        self.hash.update(data);
        self.spent += began.elapsed();
    }

    fn check(&mut self, digest: &str) -> Result<Verified, LoadError> {
        let got = format!("sha256:{}", hex::encode(std::mem::take(&mut self.hash).finalize()));
        if got != digest {
            return Err(LoadError::DigestMismatch { ordered: digest.to_owned(), got });
        }
        Ok(Verified(self.spent))
    }
}

async fn ask(request: &LoadRequest, digest: &str) -> Result<Incoming, LoadError> {
    let failed = |error: &dyn std::fmt::Display| LoadError::Store(format!("the store at {}: {error}", request.store));
    let (host, port) = client::authority(&request.store)
        .ok_or_else(|| failed(&"the address must be http://host:port, inside the cluster"))?;
    let mut connection = Connection::open((host.as_str(), port)).await.map_err(|error| failed(&error))?;
    let host = if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") };
    let get = Request::builder()
        .method(Method::GET)
        .uri(format!("/v1/blobs/{digest}"))
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .header(words::header::ORDER, &request.order)
        .body(Full::new(Bytes::new()))
        .map_err(|error| failed(&error))?;
    let answer = connection.send(get).await.map_err(|error| failed(&error))?;
    match answer.status() {
        StatusCode::OK => {
            let body = answer.into_body();
            // The body is read through the connection's task: let that live until the body ends.
            tokio::spawn(connection.closed());
            Ok(body)
        }
        StatusCode::NOT_FOUND => Err(LoadError::ArchiveMissing(digest.to_owned())),
        status => {
            let body = client::read_at_most(answer.into_body(), MAX_ERROR).await.unwrap_or_default();
            let said = serde_json::from_slice::<Failure>(&body).map(|failure| failure.message);
            Err(failed(&said.unwrap_or_else(|_| format!("it answered {status}"))))
        }
    }
}

/// The next bytes of the answer.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, LoadError> {
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| LoadError::Store(format!("the store broke off: {error}")))?;
        if let Ok(data) = frame.into_data() {
            return Ok(Some(data));
        }
    }
    Ok(None)
}

/// All that follows `memory`, which is hashed already.
async fn receive(
    body: Incoming,
    memory: BytesMut,
    dir: &Path,
    max: u64,
    hash: &mut Hash,
) -> Result<Archive, LoadError> {
    let archive = receive_or_leave(body, memory, dir, max, hash).await;
    // The open file keeps the bytes: without a name, nothing is left behind however the load ends.
    let _ = tokio::fs::remove_file(dir.join(SPILL)).await;
    archive
}

async fn receive_or_leave(
    mut body: Incoming,
    mut memory: BytesMut,
    dir: &Path,
    max: u64,
    hash: &mut Hash,
) -> Result<Archive, LoadError> {
    let mut spilled: Option<File> = None;
    let mut size = memory.len() as u64;
    while let Some(data) = next(&mut body).await? {
        size += data.len() as u64;
        if size > max {
            let message = format!("the archive is larger than {max} bytes");
            return Err(LoadError::ArchiveRefused { reason: "ArchiveTooLarge".into(), message });
        }
        hash.update(&data);
        match &mut spilled {
            Some(file) => file.write_all(&data).await.map_err(spill_failed)?,
            None if memory.len() + data.len() <= IN_MEMORY => memory.extend_from_slice(&data),
            None => {
                let mut file = create(&dir.join(SPILL)).await.map_err(spill_failed)?;
                file.write_all(&std::mem::take(&mut memory)).await.map_err(spill_failed)?;
                file.write_all(&data).await.map_err(spill_failed)?;
                spilled = Some(file);
            }
        }
    }
    match spilled {
        None => Ok(Archive::Memory(memory.freeze())),
        Some(mut file) => {
            file.flush().await.map_err(spill_failed)?;
            Ok(Archive::File(file.into_std().await))
        }
    }
}

async fn create(path: &Path) -> std::io::Result<File> {
    File::options().read(true).write(true).create(true).truncate(true).open(path).await
}

fn spill_failed(error: std::io::Error) -> LoadError {
    LoadError::Disk(format!("the archive could not be kept while it came: {error}"))
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;
    use crate::unpack::{Limits, PACKAGE, unpack};

    /// Unpacks an archive of which so much comes, and then this.
    fn unpacked(whole: &[u8], comes: usize, end: Option<Piece>) -> (bool, usize) {
        let (sender, receiver) = mpsc::channel(2);
        sender.try_send(Piece::Data(Bytes::copy_from_slice(&whole[1024..comes]))).unwrap();
        if let Some(end) = end {
            sender.try_send(end).unwrap();
        }
        drop(sender);
        let rest = Box::new(Pieces { receiver, now: Bytes::new(), ended: false });
        let first = Bytes::copy_from_slice(&whole[..1024]);
        let dir = tempfile::tempdir().unwrap();
        let coming = Archive::Coming(Coming { first, rest, size: whole.len() as u64 });
        let until = Instant::now() + Duration::from_secs(60);
        let result = unpack(coming, dir.path(), Limits::default(), until);
        assert_eq!(result.is_ok(), dir.path().join(PACKAGE).exists());
        (result.is_ok(), std::fs::read_dir(dir.path()).unwrap().count())
    }

    #[test]
    fn only_what_came_whole_and_was_verified_gets_its_name() {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_ustar();
        header.set_size(3000);
        tar.append_data(&mut header, "main.py", &[b'x'; 3000][..]).unwrap();
        let whole = tar.into_inner().unwrap();
        assert_eq!(unpacked(&whole, whole.len(), Some(Piece::End)), (true, 1));
        // All of the tar is there, and still it is not said to be the one that was ordered.
        assert_eq!(unpacked(&whole, whole.len(), None), (false, 0));
        assert_eq!(unpacked(&whole, whole.len() - 1024, None), (false, 0));
        assert_eq!(unpacked(&whole, 2000, None), (false, 0));
    }
}
