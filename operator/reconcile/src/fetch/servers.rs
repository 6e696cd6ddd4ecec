//! What the tests of fetching need: servers on loopback, and canaries that nobody may call.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

use super::{Fetcher, Lookup, Rules};

/// A fetcher that may ask these hosts inside.
pub fn fetcher(max_bytes: u64, internal: &[&str]) -> Fetcher {
    // The client asks for the process's provider, which main installs.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let internal = internal.iter().map(|host| (*host).to_owned()).collect();
    Fetcher {
        rules: Arc::new(Rules { internal, ..Rules::default() }),
        lookup: Lookup::default(),
        max_bytes,
        deadline: Duration::from_secs(60),
    }
}

/// Serves on loopback.
pub async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// A listener that counts who connects.
pub struct Canary {
    pub address: SocketAddr,
    seen: Arc<AtomicUsize>,
}

impl Canary {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, seen) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&seen);
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Self { address, seen }
    }

    /// Asserts that nobody came. What had come before us has been counted when we are.
    pub async fn is_untouched(&self) {
        let _ours = tokio::net::TcpStream::connect(self.address).await.unwrap();
        while self.seen.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(self.seen.load(Ordering::SeqCst), 1, "somebody connected");
    }
}

/// Name servers that answer these addresses, one after the other, and then the last again.
pub fn answers(addresses: &[&str]) -> Lookup {
    let addresses: Arc<Vec<IpAddr>> = Arc::new(addresses.iter().map(|address| address.parse().unwrap()).collect());
    let asked = Arc::new(AtomicUsize::new(0));
    Lookup::by(move |_| {
        let number = asked.fetch_add(1, Ordering::SeqCst).min(addresses.len() - 1);
        let address = addresses[number];
        async move { Ok(vec![address]) }
    })
}
