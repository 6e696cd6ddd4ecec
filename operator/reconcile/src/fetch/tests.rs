use super::*;
use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use muon_crds::names;

fn bounds(max_bytes: u64, allowed: &[&str]) -> Bounds {
    // The client asks for the process's provider, which main installs.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Bounds {
        max_bytes,
        deadline: Duration::from_secs(30),
        allowed_hosts: allowed.iter().map(|host| (*host).to_owned()).collect(),
    }
}

async fn server() -> u16 {
    let endless = || async {
        let chunks = futures::stream::repeat_with(|| Ok::<_, std::io::Error>(vec![0u8; 1024]));
        Body::from_stream(chunks)
    };
    let router = Router::new()
        .route("/code.tar", get(|| async { "archive" }))
        .route("/moved", get(|| async { Redirect::temporary("/code.tar") }))
        .route("/elsewhere", get(|| async { Redirect::temporary("http://localhost:1/code.tar") }))
        .route("/round", get(|| async { Redirect::temporary("/round") }))
        .route("/endless", get(endless))
        .route("/never", get(|| async { std::future::pending::<String>().await }))
        .route("/broken", get(|| async { (StatusCode::BAD_GATEWAY, "upstream is away").into_response() }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

#[tokio::test]
async fn an_archive_comes_when_it_hashes_to_its_digest() {
    let url = |path: &str, port: u16| format!("http://127.0.0.1:{port}/{path}");
    let (port, bounds, digest) = (server().await, bounds(1024, &["127.0.0.1"]), names::digest(b"archive"));
    assert_eq!(fetch(&url("code.tar", port), &digest, &bounds).await.unwrap(), "archive");
    assert_eq!(fetch(&url("moved", port), &digest, &bounds).await.unwrap(), "archive", "a redirect on the same host");
    let other = names::digest(b"other");
    let error = fetch(&url("code.tar", port), &other, &bounds).await.unwrap_err();
    assert!(matches!(error, FetchError::Digest { .. }) && !error.is_passing(), "{error}");
}

#[tokio::test]
async fn what_has_no_end_is_cut_off() {
    let (port, digest) = (server().await, names::digest(b"archive"));
    let error = fetch(&format!("http://127.0.0.1:{port}/endless"), &digest, &bounds(64 * 1024, &["127.0.0.1"])).await;
    assert!(matches!(error, Err(FetchError::TooLarge { max: 65536 })), "{error:?}");
    let error = fetch(&format!("http://127.0.0.1:{port}/code.tar"), &digest, &bounds(3, &["127.0.0.1"])).await;
    assert!(matches!(error, Err(FetchError::TooLarge { max: 3 })), "{error:?}");
    let short = Bounds { deadline: Duration::from_millis(50), ..bounds(1024, &["127.0.0.1"]) };
    let error = fetch(&format!("http://127.0.0.1:{port}/never"), &digest, &short).await.unwrap_err();
    assert!(matches!(error, FetchError::Deadline(_)) && error.is_passing(), "{error}");
}

#[tokio::test]
async fn redirects_lead_nowhere_else_and_not_in_circles() {
    let (port, digest, bounds) = (server().await, names::digest(b"archive"), bounds(1024, &["127.0.0.1", "localhost"]));
    for path in ["elsewhere", "round"] {
        let error = fetch(&format!("http://127.0.0.1:{port}/{path}"), &digest, &bounds).await.unwrap_err();
        assert!(matches!(error, FetchError::Connection { ref message, .. } if message.contains("redirect")), "{error}");
    }
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_again() {
    let (port, digest) = (server().await, names::digest(b"archive"));
    let error = fetch(&format!("http://127.0.0.1:{port}/broken"), &digest, &bounds(1024, &["127.0.0.1"])).await;
    let error = error.unwrap_err();
    assert!(error.is_passing() && error.to_string().contains("upstream is away"), "{error}");
}

#[tokio::test]
async fn addresses_inside_are_refused_by_number_and_by_name() {
    let (port, digest, bounds) = (server().await, names::digest(b"archive"), bounds(1024, &[]));
    for host in ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "2130706433", "0x7f.1"] {
        let error = fetch(&format!("http://{host}:{port}/code.tar"), &digest, &bounds).await.unwrap_err();
        assert!(matches!(error, FetchError::Address { .. }), "{host}: {error}");
    }
}

#[tokio::test]
async fn only_http_is_spoken() {
    for url in ["ftp://example.com/x", "file:///etc/passwd", "http://", "no url"] {
        let error = fetch(url, &names::digest(b""), &bounds(1, &[])).await.unwrap_err();
        assert!(matches!(error, FetchError::Url(_)), "{url}: {error}");
    }
}

#[test]
fn the_open_network_is_told_from_the_inside() {
    for inside in [
        "0.0.0.0",
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "198.18.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fc00::1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
        "2001:db8::1",
        "ff02::1",
    ] {
        assert!(!is_outside(inside.parse().unwrap()), "{inside}");
    }
    for outside in ["1.1.1.1", "151.101.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111"] {
        assert!(is_outside(outside.parse().unwrap()), "{outside}");
    }
}
