//! The pod that costs nothing: an HTTP server on one thread that answers every request with two bytes.
//! `noop <port>`; it takes loads too, so it is agent and runtime of as many pods as there are loopback addresses.

use std::convert::Infallible;
use std::error::Error;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

const LOADED: &str = r#"{"fetchUs":0,"unpackUs":0,"loadUs":0,"already":false}"#;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let port: u16 = std::env::args().nth(1).ok_or("noop <port>")?.parse()?;
    let listener = TcpListener::bind(("0.0.0.0", port)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let service = service_fn(|request: Request<Incoming>| async move {
            let body = if request.uri().path() == "/v1/load" { LOADED } else { "ok" };
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(body.as_bytes()))))
        });
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}
