//! An archive behind a URL.

use bytes::Bytes;
use muon_crds::names;

use super::guard::body;
use super::{FetchError, Fetcher};

pub(super) async fn fetch(fetcher: &Fetcher, url: &str, digest: &str) -> Result<Bytes, FetchError> {
    let session = fetcher.session()?;
    let url = session.rules().url(url)?;
    let reply = session.ask(&url, session.get(&url)).await?;
    let archive = body(reply, fetcher.max_bytes).await?;
    let found = names::digest(&archive);
    match found == digest {
        true => Ok(archive),
        false => Err(FetchError::Digest { expected: digest.to_owned(), found }),
    }
}

#[cfg(test)]
mod tests;
