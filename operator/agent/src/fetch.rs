//! The archive from the store: bounded, and verified while it comes.

use std::path::Path;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use muon_crds::wire::{Failure, LoadRequest};
use muon_crds::words;
use sha2::{Digest as _, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;

use crate::client::{self, Connection};
use crate::failure::LoadError;
use crate::unpack::Archive;

/// Archives up to this size never touch the disk before they are unpacked.
const IN_MEMORY: usize = 1 << 20;
/// How much of the store's error answer is read.
const MAX_ERROR: usize = 4 << 10;
const SPILL: &str = "archive";

/// Fetches the archive with this digest.
pub async fn fetch(request: &LoadRequest, digest: &str, dir: &Path, max: u64) -> Result<Archive, LoadError> {
    let body = ask(request, digest).await?;
    let mut hash = Sha256::new();
    let archive = receive(body, dir, max, &mut hash).await;
    // The open file keeps the bytes: without a name, nothing is left behind however the load ends.
    let _ = tokio::fs::remove_file(dir.join(SPILL)).await;
    let archive = archive?;
    let got = format!("sha256:{}", hex::encode(hash.finalize()));
    if got != digest {
        return Err(LoadError::DigestMismatch { ordered: digest.to_owned(), got });
    }
    Ok(archive)
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

async fn receive(mut body: Incoming, dir: &Path, max: u64, hash: &mut Sha256) -> Result<Archive, LoadError> {
    let mut memory = BytesMut::new();
    let mut spilled: Option<File> = None;
    let mut size: u64 = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| LoadError::Store(format!("the store broke off: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
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
