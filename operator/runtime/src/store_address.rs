//! The store's address, looked up ahead: a name looked up by an agent would stand inside every cold start.

use std::net::SocketAddr;
use std::time::Duration;

use http::Uri;

/// How often the name is looked up again. A Service keeps its address; only one that was made anew has another.
const EVERY: Duration = Duration::from_secs(10);

/// Looks the host of `url` up, again and again, and tells the URL with the address in its place whenever that changes.
/// A name that cannot be looked up changes nothing.
pub(crate) async fn follow(url: String, mut tell: impl FnMut(String)) {
    let Some((host, port)) = host_and_port(&url) else { return };
    let mut told = None;
    loop {
        match tokio::net::lookup_host((host.as_str(), port)).await {
            Ok(mut found) => {
                if let Some(address) = found.next().filter(|address| told != Some(*address)) {
                    tracing::info!(%address, url, "the store's address");
                    told = Some(address);
                    tell(with_address(address));
                }
            }
            Err(error) => tracing::debug!(%error, url, "the store's address cannot be looked up"),
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// Host and port of an `http://` URL; none for one that needs its name (TLS).
fn host_and_port(url: &str) -> Option<(String, u16)> {
    let uri: Uri = url.parse().ok()?;
    if uri.scheme_str() != Some("http") {
        return None;
    }
    Some((uri.host()?.to_owned(), uri.port_u16().unwrap_or(80)))
}

fn with_address(address: SocketAddr) -> String {
    format!("http://{address}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_http_is_looked_up_ahead() {
        let found = host_and_port("http://muon-store.muon-system:8080");
        assert_eq!(found, Some(("muon-store.muon-system".to_owned(), 8080)));
        assert_eq!(host_and_port("https://store.example.com"), None);
        assert_eq!(with_address(SocketAddr::from(([198, 19, 0, 7], 8080))), "http://198.19.0.7:8080");
    }

    #[tokio::test]
    async fn the_address_is_told_once() {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let task = tokio::spawn(follow("http://127.0.0.1:8080".to_owned(), move |url| sender.send(url).unwrap()));
        assert_eq!(receiver.recv().await.as_deref(), Some("http://127.0.0.1:8080"));
        task.abort();
    }
}
