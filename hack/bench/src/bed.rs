//! The cluster under measurement: a namespace of the benchmark's own, its Environment, functions and routes.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Container, Namespace, Pod, PodSpec};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::{Client, ResourceExt as _};
use muon_crds::{Environment, Function, HTTPTrigger, condition, words};
use serde_json::json;

use crate::error::Error;
use crate::load::Target;

/// The benchmark's namespace.
const NAMESPACE: &str = "muon-bench";
/// Host of its routes.
const HOST: &str = "bench.example.com";
const ENVIRONMENT: &str = "python";

/// Whose pods run a function.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The pool's, claimed.
    Pool,
    /// A plain Deployment's: what HAProxy stands in front of.
    Deployment,
}

/// What is measured.
pub(crate) struct Cluster {
    client: Client,
    image: String,
}

impl Cluster {
    /// Connects, and makes the namespace anew with a pool of `pool` pods.
    pub(crate) async fn prepare(image: String, pool: i32) -> Result<Self, Error> {
        let client = Client::try_default().await.map_err(|error| Error::Cluster(error.to_string()))?;
        let cluster = Self { client, image };
        cluster.remove().await?;
        let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
        let namespace = json!({"metadata": {"name": NAMESPACE}});
        namespaces.create(&PostParams::default(), &from(namespace)?).await?;
        let environment = json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Environment", "metadata": {"name": ENVIRONMENT},
            "spec": {"runtime": {"image": cluster.image}, "pool": {"min": pool, "max": pool},
                     "resources": {"requests": {"cpu": "1m", "memory": "16Mi"}}},
        });
        let environments: Api<Environment> = Api::namespaced(cluster.client.clone(), NAMESPACE);
        environments.create(&PostParams::default(), &from(environment)?).await?;
        Ok(cluster)
    }

    /// Deletes the namespace and waits until nothing of it is left.
    pub(crate) async fn remove(&self) -> Result<(), Error> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        if namespaces.get_opt(NAMESPACE).await?.is_some() {
            namespaces.delete(NAMESPACE, &DeleteParams::default()).await?;
        }
        wait("the namespace to be gone", 180, || async {
            Ok(match namespaces.get_opt(NAMESPACE).await? {
                None => Ok(()),
                Some(_) => Err("it is there".to_owned()),
            })
        })
        .await
    }

    /// Makes the functions `names`, each with a route of its own, and waits until they are Ready.
    pub(crate) async fn functions(&self, names: &[String], kind: Kind) -> Result<(), Error> {
        let functions: Api<Function> = Api::namespaced(self.client.clone(), NAMESPACE);
        let triggers: Api<HTTPTrigger> = Api::namespaced(self.client.clone(), NAMESPACE);
        for name in names {
            let mut function = json!({
                "apiVersion": "muon.dev/v1alpha1", "kind": "Function", "metadata": {"name": name},
                "spec": {"environment": ENVIRONMENT, "entrypoint": "main.main", "concurrency": 100,
                         "scaling": {"max": 1, "idleSeconds": 600},
                         "source": {"files": {"main.py": format!("def main():\n    return \"{name}\\n\"\n")}}},
            });
            if kind == Kind::Deployment {
                function["spec"]["resources"] = json!({"requests": {"cpu": "1m", "memory": "16Mi"}});
            }
            let trigger = json!({
                "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": {"name": name},
                "spec": {"host": HOST, "path": format!("/{name}"), "function": {"name": name}, "ingress": {}},
            });
            functions.create(&PostParams::default(), &from(function)?).await?;
            triggers.create(&PostParams::default(), &from(trigger)?).await?;
        }
        wait("functions and routes to be Ready", 120, || async {
            let ready =
                |conditions: &[muon_crds::Condition]| condition::is_true(conditions, muon_crds::ConditionType::Ready);
            let functions = functions.list(&ListParams::default()).await?;
            let triggers = triggers.list(&ListParams::default()).await?;
            let waiting = functions
                .iter()
                .filter(|function| !function.status.as_ref().is_some_and(|status| ready(&status.conditions)))
                .count()
                + triggers
                    .iter()
                    .filter(|trigger| !trigger.status.as_ref().is_some_and(|status| ready(&status.conditions)))
                    .count();
            Ok(if waiting == 0 { Ok(()) } else { Err(format!("{waiting} are not")) })
        })
        .await
    }

    /// Deletes functions, so that their pods go.
    pub(crate) async fn delete_functions(&self, names: &[String]) -> Result<(), Error> {
        let functions: Api<Function> = Api::namespaced(self.client.clone(), NAMESPACE);
        let triggers: Api<HTTPTrigger> = Api::namespaced(self.client.clone(), NAMESPACE);
        for name in names {
            triggers.delete(name, &DeleteParams::default()).await?;
            functions.delete(name, &DeleteParams::default()).await?;
        }
        Ok(())
    }

    /// Waits until `free` generic pods are ready: a cold start from an empty pool would measure something else.
    pub(crate) async fn pool_full(&self, free: usize) -> Result<(), Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let selector = format!("{}={ENVIRONMENT},{}={}", words::ENVIRONMENT, words::STATE, words::State::Free.as_str());
        wait("the pool to be full", 240, || async {
            let found = pods.list(&ListParams::default().labels(&selector)).await?;
            let ready = found.iter().filter(|pod| is_ready(pod)).count();
            Ok(if ready >= free { Ok(()) } else { Err(format!("{ready} of {free} are ready")) })
        })
        .await
    }

    /// Pods that serve this function.
    pub(crate) async fn pods_of(&self, function: &str) -> Result<Vec<Pod>, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        Ok(pods.list(&ListParams::default().labels(&format!("{}={function}", words::FUNCTION))).await?.items)
    }

    /// The address at which a function's only pod runs it.
    pub(crate) async fn direct(&self, function: &str) -> Result<Target, Error> {
        let pods = self.pods_of(function).await?;
        let pod = pods.first().ok_or_else(|| Error::Cluster(format!("{function} has no pod")))?;
        Ok(Target { address: SocketAddr::new(address(pod)?, words::PORT_RUNTIME), host: HOST.into(), path: "/".into() })
    }

    /// The ready proxies: address and process.
    pub(crate) async fn proxies(&self) -> Result<Vec<IpAddr>, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), "muon-system");
        let found = pods.list(&ListParams::default().labels(&format!("{}=proxy", words::APP_COMPONENT))).await?;
        found.iter().filter(|pod| is_ready(pod)).map(address).collect()
    }

    /// A function's route at one proxy.
    pub(crate) fn route(&self, proxy: IpAddr, function: &str) -> Target {
        Target { address: SocketAddr::new(proxy, words::PORT_INGRESS), host: HOST.into(), path: format!("/{function}") }
    }

    /// Objects for bare claims: pods like a pool's that no scheduler takes, so that only the API server works.
    pub(crate) async fn bare_pods(&self, names: &[String]) -> Result<Vec<Pod>, Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), NAMESPACE);
        let mut made = Vec::new();
        for name in names {
            let labels: BTreeMap<String, String> = [(words::STATE, "free"), (words::APP_COMPONENT, "bench")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into();
            let container =
                |name: &str| Container { name: name.into(), image: Some(self.image.clone()), ..Container::default() };
            let pod = Pod {
                metadata: kube::api::ObjectMeta {
                    name: Some(name.clone()),
                    labels: Some(labels),
                    ..Default::default()
                },
                spec: Some(PodSpec {
                    scheduler_name: Some("none".into()),
                    automount_service_account_token: Some(false),
                    containers: vec![container("runtime"), container("agent")],
                    ..PodSpec::default()
                }),
                status: None,
            };
            made.push(pods.create(&PostParams::default(), &pod).await?);
        }
        Ok(made)
    }

    /// The bare claim: the same preconditioned JSON Patch as a proxy's, asking for the same short answer, and nothing
    /// else.
    pub(crate) async fn bare_claim(&self, pod: &Pod) -> Result<Duration, Error> {
        let state = "/metadata/labels/muon.dev~1state";
        let owner = json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "kube-root-ca.crt",
                           "uid": pod.uid().unwrap_or_default(), "controller": true, "blockOwnerDeletion": false});
        let patch = json!([
            {"op": "test", "path": "/metadata/uid", "value": pod.uid()},
            {"op": "test", "path": state, "value": "free"},
            {"op": "replace", "path": state, "value": "claimed"},
            {"op": "add", "path": "/metadata/labels/muon.dev~1function", "value": "bench"},
            {"op": "add", "path": "/metadata/labels/muon.dev~1revision", "value": "00000000"},
            {"op": "add", "path": "/metadata/ownerReferences", "value": [owner]},
        ]);
        let request = http::Request::patch(format!("/api/v1/namespaces/{NAMESPACE}/pods/{}", pod.name_any()))
            .header(http::header::CONTENT_TYPE, "application/json-patch+json")
            .header(http::header::ACCEPT, "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1")
            .body(patch.to_string().into_bytes())
            .map_err(|error| Error::Request(error.to_string()))?;
        let start = Instant::now();
        self.client.request::<serde_json::Value>(request).await?;
        Ok(start.elapsed())
    }
}

fn from<T: serde::de::DeserializeOwned>(value: serde_json::Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::Request(error.to_string()))
}

fn address(pod: &Pod) -> Result<IpAddr, Error> {
    let ip = pod.status.as_ref().and_then(|status| status.pod_ip.as_deref());
    ip.and_then(|ip| ip.parse().ok()).ok_or_else(|| Error::Cluster(format!("pod {} has no address", pod.name_any())))
}

fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && pod
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_ref())
            .is_some_and(|conditions| conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// Asks until the answer is `Ok`, or the time is over.
async fn wait<F, A>(what: &str, seconds: u64, mut ask: F) -> Result<(), Error>
where
    F: FnMut() -> A,
    A: Future<Output = Result<Result<(), String>, Error>>,
{
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        match ask().await? {
            Ok(()) => return Ok(()),
            Err(state) if Instant::now() > end => {
                return Err(Error::Waited { what: what.to_owned(), seconds, state });
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
        }
    }
}
