//! Proxies of other makers: one worker, keep-alive on both sides, no access log, in the network namespace and in the
//! cgroup of one of our proxies, so that all are reached over the very same path and have the very same share of the
//! processors.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::{Arm, PEER_PORT};
use crate::cgroup::{Cgroup, Owned};
use crate::context::Context;
use crate::error::Error;

/// A running proxy; it ends with this value.
pub(super) struct Peer {
    child: Child,
    folder: PathBuf,
    group: Owned,
    pub(super) address: SocketAddr,
}

impl Peer {
    /// Starts it beside the pod that has this cgroup and this address, in front of `backend`.
    pub(super) async fn start(
        arm: Arm,
        context: &Context,
        beside: &Cgroup,
        ip: IpAddr,
        backend: SocketAddr,
    ) -> Result<Self, Error> {
        let name = arm.name();
        let failed = |why: String| Error::Program { program: name.into(), why };
        let pid = beside.members().first().copied().ok_or_else(|| failed("the proxy's pod has no process".into()))?;
        let folder = std::env::temp_dir().join(format!("muon-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let port = PEER_PORT + arm as u16;
        let mut command = Command::new("nsenter");
        command.args(["--target", &pid.to_string(), "--net", "--"]);
        match arm {
            Arm::Haproxy => {
                let config = folder.join("haproxy.cfg");
                std::fs::write(&config, haproxy(port, backend))?;
                command.args(["haproxy", "-db", "-f"]).arg(config);
            }
            Arm::Nginx => {
                let config = folder.join("nginx.conf");
                std::fs::write(&config, nginx(port, backend, &folder.display().to_string()))?;
                command.arg("nginx").arg("-c").arg(config).arg("-p").arg(&folder);
            }
            _ => {
                let config = folder.join("routes.yaml");
                std::fs::write(&config, traefik(backend))?;
                let program = context.node.programs.get(name).ok_or_else(|| failed("it was not built".into()))?;
                command.arg(program).arg(format!("--entrypoints.web.address=:{port}"));
                command.arg(format!("--providers.file.filename={}", config.display()));
                command.args(["--accesslog=false", "--log.level=ERROR", "--global.checknewversion=false"]);
                command.arg("--global.sendanonymoususage=false").env("GOMAXPROCS", "1");
            }
        }
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| failed(error.to_string()))?;
        // Before it could fork: nsenter has only just begun.
        let group = beside.inside(&format!("muon-bench-{name}"))?;
        let started = Self { child, folder, group, address: SocketAddr::new(ip, port) };
        started.group.take(started.child.id())?;
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(started.address).await.is_ok() {
                return Ok(started);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Err(failed(format!("nothing listens on {} after 10 s", started.address)))
    }

    /// Where its CPU time is counted.
    pub(super) fn cgroup(&self) -> Cgroup {
        (*self.group).clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // Nothing is left to be done where these fail: the process or the file is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn haproxy(port: u16, backend: SocketAddr) -> String {
    format!(
        "global\n  nbthread 1\n  maxconn 4096\n\
         defaults\n  mode http\n  option http-keep-alive\n  http-reuse always\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
         frontend in\n  bind 0.0.0.0:{port}\n  default_backend pod\n\
         backend pod\n  server pod {backend}\n"
    )
}

/// In the foreground, without a master: one process, which is the worker.
fn nginx(port: u16, backend: SocketAddr, folder: &str) -> String {
    format!(
        "daemon off;\nmaster_process off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n  access_log off;\n  keepalive_requests 1000000000;\n  client_body_temp_path {folder};\n  proxy_temp_path {folder};\n\
         fastcgi_temp_path {folder};\n  uwsgi_temp_path {folder};\n  scgi_temp_path {folder};\n\
         upstream pod {{ server {backend}; keepalive 256; keepalive_requests 1000000000; }}\n\
         server {{\n    listen {port};\n    location / {{\n      proxy_pass http://pod;\n      proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n\
         proxy_set_header Host $host;\n    }}\n  }}\n}}\n"
    )
}

/// It keeps connections to its backends alive by itself; 256 of them, as the others.
fn traefik(backend: SocketAddr) -> String {
    format!(
        "http:\n  routers:\n    all: {{rule: 'PathPrefix(`/`)', service: pod, entryPoints: [web]}}\n  \
         services:\n    pod:\n      loadBalancer:\n        serversTransport: keep\n        servers: [{{url: 'http://{backend}'}}]\n  \
         serversTransports:\n    keep: {{maxIdleConnsPerHost: 256}}\n"
    )
}
