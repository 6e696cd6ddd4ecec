//! The peer arm: HAProxy, one thread, keep-alive on both sides, in the network namespace of one of our proxies,
//! so that both are reached, and reach the pod, over the very same path.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::error::Error;

/// Port on which it listens inside the proxy's pod.
const PORT: u16 = 18080;

/// A running HAProxy; it ends with this value.
pub(crate) struct Haproxy {
    child: Child,
    config: PathBuf,
    pub(crate) address: SocketAddr,
}

impl Haproxy {
    /// Starts it beside the process `beside`, whose pod has the address `ip`, in front of `backend`.
    pub(crate) async fn start(beside: u32, ip: IpAddr, backend: SocketAddr) -> Result<Self, Error> {
        let config = std::env::temp_dir().join(format!("muon-bench-haproxy-{}.cfg", std::process::id()));
        let text = format!(
            "global\n  nbthread 1\n  maxconn 4096\n\
             defaults\n  mode http\n  option http-keep-alive\n  http-reuse always\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
             frontend in\n  bind 0.0.0.0:{PORT}\n  default_backend pod\n\
             backend pod\n  server pod {backend}\n"
        );
        std::fs::write(&config, text)?;
        let child = Command::new("nsenter")
            .args(["--target", &beside.to_string(), "--net", "--", "haproxy", "-db", "-f"])
            .arg(&config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| Error::Haproxy(error.to_string()))?;
        let started = Self { child, config, address: SocketAddr::new(ip, PORT) };
        for _ in 0..100 {
            if tokio::net::TcpStream::connect(started.address).await.is_ok() {
                return Ok(started);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(Error::Haproxy(format!("nothing listens on {} after 5 s", started.address)))
    }

    /// Its process: nsenter replaces itself by it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Haproxy {
    fn drop(&mut self) {
        // Nothing is left to be done where these fail: the process or the file is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_file(&self.config);
    }
}
