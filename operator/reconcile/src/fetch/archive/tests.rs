use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use muon_crds::names;

use crate::fetch::servers::{fetcher, serve};
use crate::fetch::{FetchError, Fetcher};

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
    serve(router).await.port()
}

#[tokio::test]
async fn an_archive_comes_when_it_hashes_to_its_digest() {
    let url = |path: &str, port: u16| format!("http://127.0.0.1:{port}/{path}");
    let (port, fetcher, digest) = (server().await, fetcher(1024, &["127.0.0.1"]), names::digest(b"archive"));
    assert_eq!(fetcher.archive(&url("code.tar", port), &digest).await.unwrap(), "archive");
    assert_eq!(fetcher.archive(&url("moved", port), &digest).await.unwrap(), "archive", "a redirect on the same host");
    let other = names::digest(b"other");
    let error = fetcher.archive(&url("code.tar", port), &other).await.unwrap_err();
    assert!(matches!(error, FetchError::Digest { .. }) && !error.is_passing(), "{error}");
}

#[tokio::test]
async fn what_has_no_end_is_cut_off() {
    let (port, digest) = (server().await, names::digest(b"archive"));
    let error = fetcher(64 * 1024, &["127.0.0.1"]).archive(&format!("http://127.0.0.1:{port}/endless"), &digest).await;
    assert!(matches!(error, Err(FetchError::TooLarge { max: 65536 })), "{error:?}");
    let error = fetcher(3, &["127.0.0.1"]).archive(&format!("http://127.0.0.1:{port}/code.tar"), &digest).await;
    assert!(matches!(error, Err(FetchError::TooLarge { max: 3 })), "{error:?}");
    let short = Fetcher { deadline: Duration::from_millis(50), ..fetcher(1024, &["127.0.0.1"]) };
    let error = short.archive(&format!("http://127.0.0.1:{port}/never"), &digest).await.unwrap_err();
    assert!(matches!(error, FetchError::Deadline(_)) && error.is_passing(), "{error}");
}

#[tokio::test]
async fn redirects_lead_nowhere_else_and_not_in_circles() {
    let (port, digest, fetcher) =
        (server().await, names::digest(b"archive"), fetcher(1024, &["127.0.0.1", "localhost"]));
    for path in ["elsewhere", "round"] {
        let error = fetcher.archive(&format!("http://127.0.0.1:{port}/{path}"), &digest).await.unwrap_err();
        let circle = matches!(error, FetchError::Connection { ref message, .. } if message.contains("redirect"));
        assert!(circle || matches!(error, FetchError::Redirect { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_server_in_trouble_is_asked_again() {
    let (port, digest) = (server().await, names::digest(b"archive"));
    let error = fetcher(1024, &["127.0.0.1"]).archive(&format!("http://127.0.0.1:{port}/broken"), &digest).await;
    let error = error.unwrap_err();
    assert!(error.is_passing() && error.to_string().contains("upstream is away"), "{error}");
}

#[tokio::test]
async fn addresses_inside_are_refused_by_number_and_by_name() {
    let (port, digest, fetcher) = (server().await, names::digest(b"archive"), fetcher(1024, &[]));
    for host in ["127.0.0.1", "localhost", "[::1]", "169.254.169.254", "10.0.0.1", "2130706433", "0x7f.1"] {
        let error = fetcher.archive(&format!("http://{host}:{port}/code.tar"), &digest).await.unwrap_err();
        assert!(matches!(error, FetchError::Address { .. }), "{host}: {error}");
    }
}

#[tokio::test]
async fn only_http_is_spoken() {
    for url in ["ftp://example.com/x", "file:///etc/passwd", "http://", "no url"] {
        let error = fetcher(1, &[]).archive(url, &names::digest(b"")).await.unwrap_err();
        assert!(matches!(error, FetchError::Url(_)), "{url}: {error}");
    }
}
