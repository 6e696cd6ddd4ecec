//! HTTP to a pod through the API server, with the user's own credentials; or to an address that the user names.

use http::Request;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Portforwarder};
use muon_crds::{pods, words};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;

use crate::connection::Session;
use crate::failure::{Failure, causes};

/// One connection. It lasts as long as this value.
pub(crate) struct Tunnel {
    sender: http1::SendRequest<Full<Bytes>>,
    driven: JoinHandle<()>,
    /// What carries the bytes through the API server.
    _forwarder: Option<Portforwarder>,
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.driven.abort();
    }
}

impl Tunnel {
    /// Over a stream that stands already.
    pub(crate) async fn over<S>(stream: S, forwarder: Option<Portforwarder>) -> Result<Self, Failure>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        // Its end is the answer's end, or an error of the request: both are told there.
        let driven = tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(Self { sender, driven, _forwarder: forwarder })
    }

    /// To a port of a ready pod of Muon's that is this component.
    pub(crate) async fn open(session: &Session, namespace: &str, component: &str, port: u16) -> Result<Self, Failure> {
        let pods: Api<Pod> = Api::namespaced(session.client.clone(), namespace);
        let labels = format!("{}={component},{}={}", words::APP_COMPONENT, words::APP_PART_OF, words::MUON);
        let listed = pods.list(&ListParams::default().labels(&labels)).await;
        let listed = listed.map_err(|error| Failure::of(format!("pods of {component}"), error))?;
        let ready = listed.items.iter().find(|pod| pods::is_ready_and_stays(pod));
        let Some(name) = ready.and_then(|pod| pod.metadata.name.as_deref()) else {
            let message = format!("no pod of {component} is ready in namespace {namespace}: muon doctor tells more");
            return Err(Failure::NotReady(message));
        };
        let failed = |error| Failure::of(format!("a way to pod/{name} through the API server"), error);
        let mut forwarder = pods.portforward(name, &[port]).await.map_err(failed)?;
        match forwarder.take_stream(port) {
            Some(stream) => Self::over(stream, Some(forwarder)).await,
            None => Err(Failure::Failed(format!("pod/{name}: the API server opened no stream"))),
        }
    }

    /// Sends one request; its answer's body comes while it is read.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<http::Response<Incoming>, Failure> {
        self.sender.send_request(request).await.map_err(lost)
    }
}

fn lost(error: hyper::Error) -> Failure {
    Failure::Unreachable(format!("no answer: {}", causes(&error)))
}
