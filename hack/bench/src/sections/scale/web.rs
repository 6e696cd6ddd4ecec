//! The few requests that are not for the API server, and a function pod that costs nothing.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::error::ScaleError;

/// Where the pod without a container answers: an address of the loopback range that nothing else listens on.
pub(super) const POD: Ipv4Addr = Ipv4Addr::new(127, 0, 77, 1);

/// A GET on a connection of its own; the status of the reply.
pub(super) async fn get(address: SocketAddr, host: &str, path: &str) -> Result<u16, ScaleError> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut reply = Vec::new();
    stream.take(64 * 1024).read_to_end(&mut reply).await?;
    let head = String::from_utf8_lossy(&reply);
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.ok_or_else(|| ScaleError::Proxy(format!("no reply to GET {host}{path}: {head:?}")))
}

/// Answers as an agent that has loaded, and as a runtime that says hello, until the process ends.
pub(super) async fn pod() -> Result<(), ScaleError> {
    let report = r#"{"fetchUs":0,"unpackUs":0,"loadUs":0,"already":false}"#;
    for (port, body) in [(muon_crds::words::PORT_AGENT, report), (muon_crds::words::PORT_RUNTIME, "hello\n")] {
        let listener = TcpListener::bind((POD, port)).await?;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, body));
            }
        });
    }
    Ok(())
}

/// Answers every request of a connection alike. A request's body is as long as its `content-length` says.
async fn answer(mut stream: TcpStream, body: &'static str) -> std::io::Result<()> {
    let reply =
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let mut received = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = request_end(&received) {
                break end;
            }
            if stream.read_buf(&mut received).await? == 0 {
                return Ok(());
            }
        };
        received.drain(..end);
        stream.write_all(reply.as_bytes()).await?;
    }
}

/// Where the first request in these bytes ends, if it is there whole.
fn request_end(received: &[u8]) -> Option<usize> {
    let head = received.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = String::from_utf8_lossy(received.get(..head)?).to_ascii_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    let end = head + length.unwrap_or(0);
    (received.len() >= end).then_some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_ends_with_its_body() {
        let request = b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET";
        assert_eq!(request_end(request), Some(request.len() - 3));
        assert_eq!(request_end(&request[..request.len() - 4]), None);
        assert_eq!(request_end(b"GET / HTTP/1.1\r\n\r\n"), Some(18));
    }
}
