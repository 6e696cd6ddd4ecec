//! The bare claim: what all cold starts are held against. The very patch of a proxy, on a running pod of a pool, by the
//! proxies' own account (so that the same admission policy judges it), with nothing before and nothing behind it.

use std::time::{Duration, Instant};

use futures::future::join_all;
use http::Request;
use http::header::{ACCEPT, CONTENT_TYPE};
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{Pod, ServiceAccount};
use kube::api::{Api, DeleteParams, PostParams};
use kube::{Client, Config, ResourceExt as _};
use muon_crds::Function;
use muon_crds::words::{self, State};
use serde_json::{Value, json};

use super::{Bed, from};
use crate::context::Context;
use crate::error::Error;

/// Claims generic pods for one function that nobody calls.
pub(crate) struct BareClaims<'a> {
    bed: &'a Bed,
    client: Client,
    function: String,
    uid: String,
    revision: String,
}

/// A client of the proxies' account, bound to a proxy's pod as the proxy's own token is.
pub(crate) async fn account(context: &Context, proxy: &super::pods::Proxy) -> Result<Client, Error> {
    let accounts: Api<ServiceAccount> = Api::namespaced(context.client.clone(), "muon-system");
    let wanted: TokenRequest = from(json!({"spec": {
        "audiences": [], "expirationSeconds": 7200,
        "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": proxy.name, "uid": proxy.uid},
    }}))?;
    let made = accounts.create_token_request("muon-proxy", &PostParams::default(), &wanted).await?;
    let token = made.status.map(|status| status.token).unwrap_or_default();
    let mut config = Config::infer().await.map_err(|error| Error::Cluster(error.to_string()))?;
    config.auth_info = kube::config::AuthInfo { token: Some(token.into()), ..kube::config::AuthInfo::default() };
    Ok(Client::try_from(config)?)
}

impl<'a> BareClaims<'a> {
    /// Claims for `function`, which must be Ready, as the proxy does whose client this is.
    pub(crate) async fn new(bed: &'a Bed, client: Client, function: &str) -> Result<Self, Error> {
        let found = bed.api::<Function>().get(function).await?;
        let revision = found.status.as_ref().and_then(|status| status.serving.as_ref()).map(|one| one.revision.clone());
        Ok(Self {
            bed,
            client,
            function: function.to_owned(),
            uid: found.uid().unwrap_or_default(),
            revision: revision.ok_or_else(|| Error::Cluster(format!("{function} serves nothing")))?,
        })
    }

    /// The free pods; asking also keeps the connection awake, as its watches do a proxy's.
    pub(crate) async fn free(&self, environment: &str) -> Result<Vec<Pod>, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.bed.namespace);
        let selector = format!("{}={environment},{}={}", words::ENVIRONMENT, words::STATE, State::Free.as_str());
        let mut found = pods.list(&kube::api::ListParams::default().labels(&selector)).await?.items;
        found.retain(super::is_ready);
        Ok(found)
    }

    /// Has as many connections stand open: one that the API server closed while it lay unused (it does so after 90 s)
    /// breaks the request that finds it, here and not in a measured claim.
    pub(crate) async fn awaken(&self, connections: usize) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &self.bed.namespace);
        let one = kube::api::ListParams::default().limit(1);
        for _ in 0..2 {
            join_all((0..connections).map(|_| pods.list_metadata(&one))).await;
        }
    }

    /// One claim.
    pub(crate) async fn claim(&self, pod: &Pod) -> Result<Duration, Error> {
        let request = Request::patch(format!(
            "/api/v1/namespaces/{}/pods/{}?fieldManager={}",
            self.bed.namespace,
            pod.name_any(),
            words::manager::CLAIM.replace('/', "%2F")
        ))
        .header(CONTENT_TYPE, "application/json-patch+json")
        .header(ACCEPT, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
        .body(self.patch(pod).to_string().into_bytes())
        .map_err(|error| Error::Request(error.to_string()))?;
        let start = Instant::now();
        self.client.request::<Value>(request).await?;
        Ok(start.elapsed())
    }

    /// Deletes a claimed pod: nobody will call it.
    pub(crate) async fn forget(&self, pod: &Pod) -> Result<(), Error> {
        self.bed.api::<Pod>().delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await?;
        Ok(())
    }

    fn patch(&self, pod: &Pod) -> Value {
        let label = |key: &str| format!("/metadata/labels/{}", key.replace('/', "~1"));
        let annotation = format!("/metadata/annotations/{}", words::FUNCTION_UID.replace('/', "~1"));
        let owner = json!({"apiVersion": format!("{}/{}", words::GROUP, words::VERSION), "kind": "Function",
                           "name": self.function, "uid": self.uid, "controller": true, "blockOwnerDeletion": false});
        json!([
            {"op": "test", "path": "/metadata/uid", "value": pod.uid()},
            {"op": "test", "path": label(words::STATE), "value": State::Free.as_str()},
            {"op": "replace", "path": label(words::STATE), "value": State::Claimed.as_str()},
            {"op": "add", "path": label(words::FUNCTION), "value": self.function},
            {"op": "add", "path": label(words::REVISION), "value": self.revision},
            {"op": "add", "path": annotation, "value": self.uid},
            {"op": "add", "path": "/metadata/ownerReferences", "value": [owner]},
        ])
    }
}
