//! Against git itself: repositories made by it, served by its own HTTP backend.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;

use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::{any, get};
use tokio::io::AsyncWriteExt as _;

use super::*;
use crate::fetch::Rules;
use crate::fetch::servers::{Canary, fetcher, serve};

/// A repository in a directory of its own.
struct Repo {
    dir: tempfile::TempDir,
}

impl Repo {
    fn new() -> Self {
        let repo = Self { dir: tempfile::tempdir().unwrap() };
        std::fs::create_dir(repo.work()).unwrap();
        repo.git(&["init", "-q", "-b", "main"]);
        repo
    }

    fn work(&self) -> PathBuf {
        self.dir.path().join("code")
    }

    fn git(&self, words: &[&str]) -> String {
        let output = std::process::Command::new("git")
            .args(words)
            .current_dir(self.work())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_SYSTEM", "/dev/null")
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_NAME"), "Ada")))
            .envs(["AUTHOR", "COMMITTER"].map(|who| (format!("GIT_{who}_EMAIL"), "ada@example.com")))
            .output()
            .expect("git is installed");
        assert!(output.status.success(), "git {words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.work().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    fn commit(&self) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "-m", "more"]);
        self.git(&["rev-parse", "HEAD"])
    }

    async fn serve(&self) -> String {
        let root = Arc::new(self.dir.path().to_owned());
        let address = serve(Router::new().fallback(any(backend)).with_state(root)).await;
        format!("http://{address}/code/.git")
    }
}

/// What a web server with git's backend does. The repository is open to whoever is `ada`, and to all on other hosts.
async fn backend(State(root): State<Arc<PathBuf>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let header =
        |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    if head.uri.path().starts_with("/private/")
        && header("authorization") != format!("Basic {}", STANDARD.encode("ada:pw"))
    {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let path = head.uri.path().replacen("/private/", "/", 1);
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let mut process = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root.as_path())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("PATH_INFO", path)
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("REQUEST_METHOD", head.method.as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git is installed");
    let mut stdin = process.stdin.take().unwrap();
    stdin.write_all(&body).await.unwrap();
    drop(stdin);
    let output = process.wait_with_output().await.unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").expect("the head of an answer");
    let lines = std::str::from_utf8(&output[..end]).unwrap().split("\r\n");
    let status = lines.filter_map(|line| line.strip_prefix("Status: ")).find_map(|status| status[..3].parse().ok());
    (StatusCode::from_u16(status.unwrap_or(200)).unwrap(), Bytes::copy_from_slice(&output[end + 4..])).into_response()
}

fn open(max_bytes: u64) -> Fetcher {
    fetcher(max_bytes, &["127.0.0.1"])
}

fn at(url: &str, revision: &str, path: &str) -> Wanted {
    let revision = Id::parse(revision).map_or_else(|| Revision::Ref(revision.to_owned()), Revision::Commit);
    Wanted { url: url.to_owned(), revision, path: path.to_owned() }
}

async fn fetch(url: &str, revision: &str, path: &str) -> Result<Checkout, FetchError> {
    open(8 << 20).git(&at(url, revision, path), None).await
}

/// Names, modes and contents.
fn files(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(archive);
    let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().display().to_string();
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).unwrap();
        (name, entry.header().mode().unwrap(), content)
    };
    archive.entries().unwrap().map(read).collect()
}

fn names(archive: &[u8]) -> Vec<String> {
    files(archive).into_iter().map(|(name, ..)| name).collect()
}

#[tokio::test]
async fn a_commits_files_come_as_they_were_committed() {
    let repo = Repo::new();
    repo.write("main.py", "one");
    repo.write("lib/deep/a.txt", "");
    repo.write("run.sh", "#!/bin/sh");
    std::os::unix::fs::symlink("../main.py", repo.work().join("lib/link.py")).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(repo.work().join("run.sh"), executable).unwrap();
    let first = repo.commit();
    repo.write("main.py", "two");
    let second = repo.commit();
    let url = repo.serve().await;

    let checkout = fetch(&url, &first, "").await.unwrap();
    assert_eq!(checkout.commit, first);
    let file = |name: &str, mode: u32, content: &str| (name.to_owned(), mode, content.as_bytes().to_vec());
    let wanted = [
        file("lib/deep/a.txt", 0o644, ""),
        file("lib/link.py", 0o644, "one"),
        file("main.py", 0o644, "one"),
        file("run.sh", 0o755, "#!/bin/sh"),
    ];
    assert_eq!(files(&checkout.archive), wanted);
    assert_eq!(fetch(&url, &first, "").await.unwrap().archive, checkout.archive, "the same, every time");
    assert_eq!(files(&fetch(&url, &second, "").await.unwrap().archive)[2].2, b"two");
    assert_eq!(names(&fetch(&url, &first, "lib/deep/").await.unwrap().archive), ["a.txt"]);
}

#[tokio::test]
async fn branches_and_tags_are_resolved_to_commits() {
    let repo = Repo::new();
    repo.write("a", "1");
    let first = repo.commit();
    repo.git(&["tag", "light"]);
    repo.git(&["tag", "-a", "-m", "heavy", "v1.0"]);
    repo.git(&["branch", "feature/x"]);
    repo.write("a", "2");
    let second = repo.commit();
    let url = repo.serve().await;
    for (name, commit) in [
        ("main", &second),
        ("HEAD", &second),
        ("refs/heads/main", &second),
        ("light", &first),
        ("v1.0", &first),
        ("feature/x", &first),
    ] {
        assert_eq!(&fetch(&url, name, "").await.unwrap().commit, commit, "{name}");
    }
    for missing in ["nothing", "mai", "refs/heads/v1.0", &"0".repeat(40)] {
        let error = fetch(&url, missing, "").await.unwrap_err();
        assert_eq!((error.reason(), error.is_passing()), ("RevisionMissing", true), "{missing}: {error}");
    }
    let error = fetch(&url, "main", "nowhere").await.unwrap_err();
    assert_eq!(error.reason(), "RevisionMissing", "{error}");
}

#[tokio::test]
async fn files_that_differ_little_are_put_together_again() {
    let repo = Repo::new();
    let text = |change: usize| {
        (0..4000).map(|line| format!("line {line} {}\n", if line == change { "!" } else { "" })).collect::<String>()
    };
    for number in 0..12 {
        repo.write(&format!("{number}.txt"), text(number * 300));
    }
    let noise: Vec<u8> = (0..200_000u32).map(|index| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    repo.write("noise", &noise);
    let commit = repo.commit();
    repo.git(&["repack", "-q", "-a", "-d", "-f", "--depth=50", "--window=50"]);
    let url = repo.serve().await;
    let archive = fetch(&url, &commit, "").await.unwrap().archive;
    let files = files(&archive);
    assert_eq!(files.len(), 13);
    for (name, _, content) in files {
        match name.strip_suffix(".txt") {
            Some(number) => assert_eq!(content, text(number.parse::<usize>().unwrap() * 300).as_bytes(), "{name}"),
            None => assert!(content == noise, "{name}"),
        }
    }
}

#[tokio::test]
async fn what_is_too_large_is_not_taken() {
    let repo = Repo::new();
    repo.write("zeros", vec![0; 3 << 20]);
    let commit = repo.commit();
    let url = repo.serve().await;
    let error = open(2 << 20).git(&at(&url, &commit, ""), None).await.unwrap_err();
    assert!(error.to_string().contains("1048576 bytes") && !error.is_passing(), "{error}");
}

#[tokio::test]
async fn links_out_and_submodules_bring_nothing_in() {
    let repo = Repo::new();
    repo.write("a", "1");
    let first = repo.commit();
    repo.git(&["update-index", "--add", "--cacheinfo", &format!("160000,{first},module")]);
    repo.git(&["commit", "-q", "-m", "submodule"]);
    let with_module = repo.git(&["rev-parse", "HEAD"]);
    std::os::unix::fs::symlink("/etc/passwd", repo.work().join("b")).unwrap();
    let with_link = repo.commit();
    let url = repo.serve().await;
    assert_eq!(names(&fetch(&url, &with_module, "").await.unwrap().archive), ["a"]);
    let error = fetch(&url, &with_link, "").await.unwrap_err();
    assert!(error.reason() == "SourceInvalid" && error.to_string().contains("/etc/passwd"), "{error}");
}

#[tokio::test]
async fn a_login_opens_a_repository_and_is_not_carried_elsewhere() {
    let repo = Repo::new();
    repo.write("a", "1");
    let commit = repo.commit();
    let url = repo.serve().await.replace("/code/", "/private/code/");
    let login = GitLogin::new("ada", "pw");
    assert_eq!(open(1 << 20).git(&at(&url, &commit, ""), Some(&login)).await.unwrap().commit, commit);
    for (login, told) in [(None, "name a Secret"), (Some(GitLogin::new("ada", "other")), "not taken")] {
        let error = open(1 << 20).git(&at(&url, "main", ""), login.as_ref()).await.unwrap_err();
        assert!(error.reason() == "CredentialsRefused" && error.to_string().contains(told), "{error}");
    }
    assert!(!format!("{login:?}").contains("pw"));
    // A host that is sent to by an allowed redirect gets none.
    let target = url.clone();
    let lead = get(move || async move { Redirect::temporary(&format!("{target}/info/refs?service=git-upload-pack")) });
    let door = serve(Router::new().route("/door/info/refs", lead)).await;
    let mut open = open(1 << 20);
    open.rules = Arc::new(Rules { redirects: vec!["127.0.0.1".to_owned()], ..open.rules.as_ref().clone() });
    let error = open.git(&at(&format!("http://{door}/door"), &commit, ""), Some(&login)).await.unwrap_err();
    assert_eq!(error.reason(), "CredentialsRefused", "{error}");
}

#[tokio::test]
async fn a_repository_leads_nowhere_else() {
    let canary = Canary::new().await;
    for target in [format!("http://{}/x", canary.address), "http://169.254.169.254/x".to_owned()] {
        let lead = move || async move { Redirect::temporary(&target) };
        let door = serve(Router::new().route("/code/info/refs", get(lead))).await;
        let error = fetch(&format!("http://{door}/code"), "main", "").await.unwrap_err();
        assert!(matches!(error, FetchError::Redirect { .. }), "{error}");
    }
    let error = fetcher(1024, &[]).git(&at(&format!("http://{}/code", canary.address), "main", ""), None).await;
    assert!(matches!(error, Err(FetchError::Address { .. })), "{error:?}");
    for scheme in ["file:///etc", "ssh://git@127.0.0.1/x", "git://127.0.0.1/x", "ext::sh -c id"] {
        let error = fetch(scheme, "main", "").await.unwrap_err();
        assert!(matches!(error, FetchError::Url(_)), "{error}");
    }
    canary.is_untouched().await;
}

#[tokio::test]
async fn what_is_no_repository_is_told_apart() {
    let dumb = serve(Router::new().route("/code/info/refs", get(|| async { "0000\trefs/heads/main\n" }))).await;
    let error = fetch(&format!("http://{dumb}/code"), "main", "").await.unwrap_err();
    assert!(error.to_string().contains("version 2"), "{error}");
    let nothing = serve(Router::new()).await;
    let error = fetch(&format!("http://{nothing}/code"), "main", "").await.unwrap_err();
    assert!(matches!(error, FetchError::Status { status: 404, .. }), "{error}");
}

#[test]
fn packets_are_read_within_their_lengths() {
    let said = [line("one"), section(), line("two"), flush()].concat();
    let packets: Vec<_> = Packets::new(&said).map(Result::unwrap).collect();
    assert_eq!(packets, [Packet::Data(b"one\n"), Packet::Section, Packet::Data(b"two\n"), Packet::Flush]);
    for bad in [&b"00"[..], b"0003", b"ffffx", b"zzzzabc", b"+005a", b"0009abc"] {
        assert!(Packets::new(bad).last().unwrap().is_err(), "{bad:?}");
    }
    assert!(packet::pack(b"000fERR go away", 10).unwrap_err().to_string().contains("go away"));
    let pack = [line("packfile"), b"0009\x01PACK".to_vec(), b"0009\x02slow".to_vec(), b"0006\x01!".to_vec(), flush()];
    assert_eq!(packet::pack(&pack.concat(), 10).unwrap(), b"PACK!");
    assert!(packet::pack(&pack.concat(), 4).is_err());
}
