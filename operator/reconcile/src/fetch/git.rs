//! A commit of a git repository, over its smart HTTP protocol, version 2: no program, no shell, no hooks, no clone. One
//! request says what the server can, one what a branch or tag is, one has it send the commit's files, without history.

mod pack;
mod packet;
mod walk;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode, Url};

use super::guard::{body, unexpected};
use super::{FetchError, Fetcher, Session};
pub use pack::Id;
use packet::{Packet, Packets, flush, line, section};

/// What a server says of itself, and of the refs that were asked for.
const MAX_TALK: u64 = 1 << 20;
/// What surrounds a pack: its packets' lengths, and progress that was not asked for.
const MAX_AROUND: u64 = 1 << 20;

/// What a Package wants of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The repository.
    pub url: String,
    /// The commit, or what is to be resolved to one.
    pub revision: Revision,
    /// Only what is in this directory; empty: all.
    pub path: String,
}

/// Which state of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revision {
    /// This commit.
    Commit(Id),
    /// What this branch or tag is now; `refs/…` in full, or a name.
    Ref(String),
}

/// A name and a password for a repository.
#[derive(Clone, PartialEq, Eq)]
pub struct GitLogin {
    username: String,
    password: String,
}

impl GitLogin {
    /// Of these two.
    pub fn new(username: &str, password: &str) -> Self {
        Self { username: username.to_owned(), password: password.to_owned() }
    }

    fn header(&self) -> Option<HeaderValue> {
        let both = STANDARD.encode(format!("{}:{}", self.username, self.password));
        let mut value = HeaderValue::from_str(&format!("Basic {both}")).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

impl std::fmt::Debug for GitLogin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("GitLogin([redacted])")
    }
}

/// The files of a commit.
#[derive(Clone, Debug)]
pub struct Checkout {
    /// Which commit it was.
    pub commit: String,
    /// Its files, as an archive that is the same for the same files.
    pub archive: Bytes,
}

/// Fetches it.
pub(super) async fn fetch(
    fetcher: &Fetcher,
    wanted: &Wanted,
    login: Option<&GitLogin>,
) -> Result<Checkout, FetchError> {
    let session = fetcher.session()?;
    let repository = Repository::open(&session, &wanted.url, login).await?;
    let commit = match &wanted.revision {
        Revision::Commit(id) => *id,
        Revision::Ref(name) => repository.resolve(name).await?,
    };
    let max = fetcher.tree_bytes();
    let pack = repository.pack(commit, max).await?;
    let path = wanted.path.clone();
    // Inflating is work, and not for the threads that everything else runs on.
    let archive = tokio::task::spawn_blocking(move || {
        let objects = pack::read(&pack, max)?;
        drop(pack);
        walk::archive(&objects, commit, &path, max)
    });
    let archive = archive.await.map_err(|error| FetchError::Content(format!("the pack cannot be read: {error}")))??;
    Ok(Checkout { commit: commit.to_string(), archive })
}

struct Repository<'a> {
    session: &'a Session,
    base: Url,
    login: Option<HeaderValue>,
}

impl<'a> Repository<'a> {
    /// Asks the server what it can.
    async fn open(session: &'a Session, url: &str, login: Option<&GitLogin>) -> Result<Self, FetchError> {
        let base = session.rules().url(url.trim_end_matches('/'))?;
        let mut repository = Self { session, base, login: login.and_then(GitLogin::header) };
        let mut hello = repository.at("info/refs");
        hello.set_query(Some("service=git-upload-pack"));
        let reply = repository.ask(&hello, session.get(&hello)).await?;
        // A redirect of the first request, to where it may lead, is one of the repository.
        let mut base = reply.url().clone();
        base.set_query(None);
        match base.path().strip_suffix("/info/refs").map(str::to_owned) {
            Some(path) => base.set_path(&path),
            None => return Err(talk("it redirects to what is no repository")),
        }
        if base.origin() != repository.base.origin() {
            repository.login = None;
        }
        repository.base = base;
        let said = body(reply, MAX_TALK).await?;
        let speaks = |wanted: &str| {
            Packets::new(&said)
                .any(|packet| matches!(packet, Ok(Packet::Data(data)) if data.trim_ascii() == wanted.as_bytes()))
        };
        match speaks("version 2") {
            true => Ok(repository),
            false => Err(talk("it does not speak version 2 of git's protocol over HTTP; is it a repository?")),
        }
    }

    fn at(&self, what: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{what}", self.base.path().trim_end_matches('/')));
        url
    }

    async fn ask(&self, url: &Url, request: RequestBuilder) -> Result<Response, FetchError> {
        let request = request.header("git-protocol", "version=2");
        let request = match &self.login {
            Some(login) => request.header(AUTHORIZATION, login.clone()),
            None => request,
        };
        let reply = self.session.send(url, request).await?;
        let host = || url.host_str().unwrap_or_default().to_owned();
        match (reply.status(), &self.login) {
            (StatusCode::OK, _) => Ok(reply),
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, Some(_)) => Err(FetchError::Credentials {
                host: host(),
                message: "the Secret's login is not taken for this repository".to_owned(),
            }),
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, None) => Err(FetchError::Credentials {
                host: host(),
                message: "it wants a login, or there is no such repository: name a Secret that has one".to_owned(),
            }),
            _ => Err(unexpected(reply).await),
        }
    }

    async fn command(&self, lines: Vec<Vec<u8>>, max: u64) -> Result<Bytes, FetchError> {
        let url = self.at("git-upload-pack");
        let request = self.session.post(&url, lines.concat());
        let request = request
            .header(CONTENT_TYPE, "application/x-git-upload-pack-request")
            .header(ACCEPT, "application/x-git-upload-pack-result");
        body(self.ask(&url, request).await?, max).await
    }

    /// The commit that a branch or tag is.
    async fn resolve(&self, name: &str) -> Result<Id, FetchError> {
        let candidates = match name == "HEAD" || name.starts_with("refs/") {
            true => vec![name.to_owned()],
            // As git itself has it: a tag before a branch.
            false => vec![format!("refs/tags/{name}"), format!("refs/heads/{name}")],
        };
        let mut ask = vec![line("command=ls-refs"), section(), line("peel")];
        ask.extend(candidates.iter().map(|candidate| line(&format!("ref-prefix {candidate}"))));
        ask.push(flush());
        let said = self.command(ask, MAX_TALK).await?;
        let mut found: Vec<(String, Id)> = Vec::new();
        for packet in Packets::new(&said) {
            let Packet::Data(data) = packet? else { continue };
            let text = std::str::from_utf8(data).map_err(|_| talk("its refs are not UTF-8"))?;
            let mut words = text.trim_end().split(' ');
            let (Some(id), Some(name)) = (words.next(), words.next()) else { continue };
            // Of a tag that is an object of its own, what it is a tag of.
            let id = words.find_map(|word| word.strip_prefix("peeled:")).unwrap_or(id);
            if let Some(id) = Id::parse(id) {
                found.push((name.to_owned(), id));
            }
        }
        let named = candidates.iter().find_map(|candidate| found.iter().find(|(name, _)| name == candidate));
        named
            .map(|(_, id)| *id)
            .ok_or_else(|| FetchError::Missing(format!("the repository has no branch or tag {name:?}")))
    }

    /// The commit's files, packed.
    async fn pack(&self, commit: Id, max: u64) -> Result<Vec<u8>, FetchError> {
        let ask = vec![
            line("command=fetch"),
            section(),
            line("no-progress"),
            line("ofs-delta"),
            line("deepen 1"),
            line(&format!("want {commit}")),
            line("done"),
            flush(),
        ];
        let said = self.command(ask, max + max / 64 + MAX_AROUND).await?;
        packet::pack(&said, max)
    }
}

/// Something in the conversation that git would not say.
fn talk(message: &str) -> FetchError {
    FetchError::Content(message.to_owned())
}

#[cfg(test)]
mod tests;
