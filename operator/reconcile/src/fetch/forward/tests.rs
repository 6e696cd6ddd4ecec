use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::fetch::servers::{Canary, answers, fetcher, serve};
use crate::fetch::{FetchError, Fetcher, Lookup};

/// A forward proxy that has one page, says no to tunnels, and remembers what it was asked.
struct Proxy {
    url: String,
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn new(page: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let log = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                let line = String::from_utf8(head).unwrap().lines().next().unwrap_or_default().to_owned();
                let answer = match line.starts_with("CONNECT ") {
                    true => "HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
                    false => page,
                };
                log.lock().unwrap().push(line);
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        Self { url: format!("http://127.0.0.1:{port}"), port, asked }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// Name servers that know nobody.
fn nobody() -> Lookup {
    Lookup::by(|name| async move { Err(std::io::Error::other(format!("nobody is {name}"))) })
}

fn rules(hosts: &[&str], internal: &[&str]) -> Rules {
    let list = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect();
    Rules { hosts: list(hosts), internal: list(internal), ..Rules::default() }
}

/// A fetcher behind the proxy.
fn behind(proxy: &str, rules: Rules, lookup: Lookup) -> Fetcher {
    let forward = Some(Forward::new(proxy, &rules).unwrap());
    Fetcher { rules: Arc::new(Rules { forward, ..rules }), lookup, ..fetcher(1024, &[]) }
}

const PAGE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\nconnection: close\r\n\r\ncode";

#[tokio::test]
async fn what_is_listed_is_asked_of_the_proxy_which_alone_knows_its_address() {
    let proxy = Proxy::new(PAGE).await;
    let digest = muon_crds::names::digest(b"code");
    let open = behind(&proxy.url, rules(&["code.example.com"], &[]), nobody());
    assert_eq!(open.archive("http://code.example.com/code.tar", &digest).await.unwrap(), "code");
    assert_eq!(proxy.asked(), ["GET http://code.example.com/code.tar HTTP/1.1"]);
    // TLS is between us and the server: the proxy is asked for a tunnel, and may refuse one.
    let refused = open.archive("https://code.example.com/code.tar", &digest).await.unwrap_err();
    assert!(matches!(refused, FetchError::Connection { .. }), "{refused}");
    assert_eq!(proxy.asked(), ["CONNECT code.example.com:443 HTTP/1.1"]);
    // The proxy may be named, and stand inside.
    let named = format!("http://proxy.example.com:{}", proxy.port);
    let open = behind(&named, rules(&["code.example.com"], &[]), answers(&["127.0.0.1"]));
    assert_eq!(open.archive("http://code.example.com/code.tar", &digest).await.unwrap(), "code");
}

#[tokio::test]
async fn nothing_else_is_asked_of_it() {
    let (proxy, canary) = (Proxy::new(PAGE).await, Canary::new().await);
    let digest = muon_crds::names::digest(b"code");
    let inside = serve(Router::new().route("/code.tar", get(|| async { "code" }))).await;
    let rules = rules(&["code.example.com", "169.254.169.254"], &[&inside.to_string()]);
    let named = format!("http://proxy.example.com:{}", proxy.port);
    let open = behind(&named, rules, answers(&["127.0.0.1"]));
    for (url, wanted) in [
        ("http://other.example.com/", "Host"),
        ("http://code.example.com.other.net/", "Host"),
        ("http://muon-store.muon-system:8080/", "Host"),
        (&format!("http://{}/", canary.address), "Host"),
        // An address is looked at here, listed or not.
        ("http://169.254.169.254/latest", "Address"),
    ] {
        let refused = open.archive(url, &digest).await.unwrap_err();
        let found = match refused {
            FetchError::Host { .. } => "Host",
            FetchError::Address { .. } => "Address",
            _ => "something else",
        };
        assert_eq!(found, wanted, "{url}: {refused}");
    }
    // What lies inside is asked directly.
    assert_eq!(open.archive(&format!("http://{inside}/code.tar"), &digest).await.unwrap(), "code");
    assert_eq!(proxy.asked(), Vec::<String>::new());
    canary.is_untouched().await;
}

#[tokio::test]
async fn a_redirect_stays_where_it_may_lead_behind_a_proxy_too() {
    let page = "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let proxy = Proxy::new(page).await;
    let open = behind(&proxy.url, rules(&["code.example.com"], &[]), nobody());
    let refused = open.archive("http://code.example.com/code.tar", "").await.unwrap_err();
    assert!(matches!(refused, FetchError::Redirect { .. }), "{refused}");
    assert_eq!(proxy.asked(), ["GET http://code.example.com/code.tar HTTP/1.1"]);
}

#[test]
fn a_proxy_needs_rules_that_name_every_host() {
    let told = |url: &str, rules: &Rules| Forward::new(url, rules).unwrap_err();
    let listed = rules(&["code.example.com:443"], &["git.example.com"]);
    assert!(Forward::new("http://proxy.example.com:3128", &listed).is_ok());
    for url in [
        "proxy:3128",
        "https://proxy:3128",
        "socks5://proxy",
        "http://",
        "http://ada:pw@proxy:3128",
        "http://proxy/path",
    ] {
        assert_eq!(told(url, &listed), ForwardError::Url(url.to_owned()));
    }
    let url = "http://proxy.example.com:3128";
    assert_eq!(told(url, &rules(&[], &[])), ForwardError::NoHosts);
    assert_eq!(told(url, &rules(&["*.example.com"], &[])), ForwardError::Pattern("*.example.com".to_owned()));
    let redirects = Rules { redirects: vec!["*.example.net".to_owned()], ..listed.clone() };
    assert_eq!(told(url, &redirects), ForwardError::Pattern("*.example.net".to_owned()));
    for inside in [rules(&["proxy.example.com"], &[]), rules(&["a.example.com"], &["*.example.com"])] {
        assert_eq!(told(url, &inside), ForwardError::Listed("proxy.example.com".to_owned()));
    }
}
