//! What a section measures on: a namespace of its own with Environments, functions and routes.

mod claim;
mod plain;
mod pods;

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use muon_crds::{Environment, Function, HTTPTrigger, condition, words};
use serde_json::{Value, json};

pub(crate) use claim::{BareClaims, account};
pub(crate) use pods::{Proxy, is_ready};

use crate::context::Context;
use crate::error::Error;
use crate::load::Target;
use crate::row::Row;

/// What the runtime container of every measured pod asks for: the same in all arms, so that all have the same share.
const RESOURCES: [(&str, &str); 2] = [("cpu", "20m"), ("memory", "16Mi")];

/// A namespace under measurement.
pub(crate) struct Bed {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// Host of its routes.
    pub(crate) host: String,
}

/// A function to be made.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) environment: String,
    /// With a variable, so that it has a Deployment of its own.
    pub(crate) own: bool,
    /// Requests that one pod is given at once.
    pub(crate) concurrency: i32,
    /// Pods at most.
    pub(crate) max: i32,
    /// Seconds until an idle pod goes.
    pub(crate) idle_seconds: i32,
}

impl Wanted {
    /// A function of one pod at most, which stays until it is deleted.
    pub(crate) fn new(name: impl Into<String>, environment: &str) -> Self {
        let name = name.into();
        Self { name, environment: environment.into(), own: false, concurrency: 1000, max: 1, idle_seconds: 3600 }
    }

    /// `count` of them.
    pub(crate) fn many(count: usize, prefix: &str, environment: &str) -> Vec<Self> {
        (0..count).map(|number| Self::new(format!("{prefix}-{number}"), environment)).collect()
    }
}

impl Bed {
    /// Makes the namespace anew, measures in it, and removes it, whatever came of the measurement.
    pub(crate) async fn with(
        context: &Context,
        section: &str,
        measure: impl AsyncFnOnce(&Self) -> Result<Vec<Row>, Error>,
    ) -> Result<Vec<Row>, Error> {
        let bed = Self {
            client: context.client.clone(),
            namespace: format!("muon-bench-{section}"),
            host: format!("{section}.bench.example.com"),
        };
        bed.remove().await?;
        let namespaces: Api<Namespace> = Api::all(bed.client.clone());
        let namespace = json!({"metadata": {"name": bed.namespace}});
        namespaces.create(&PostParams::default(), &from(namespace)?).await?;
        let result = measure(&bed).await;
        let removed = bed.remove().await;
        // The failure of the measurement is what a reader wants first.
        let rows = result?;
        removed?;
        Ok(rows)
    }

    /// Deletes the namespace and waits until nothing of it is left.
    async fn remove(&self) -> Result<(), Error> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        if namespaces.get_opt(&self.namespace).await?.is_some() {
            namespaces.delete(&self.namespace, &DeleteParams::default()).await?;
        }
        wait("the namespace to be gone", 300, || async {
            Ok(match namespaces.get_opt(&self.namespace).await? {
                None => Ok(()),
                Some(_) => Err(format!("{} is there", self.namespace)),
            })
        })
        .await
    }

    /// The objects of one kind in the namespace.
    pub(crate) fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Makes an Environment whose pool has between `min` and `max` pods.
    pub(crate) async fn environment(&self, name: &str, image: String, min: usize, max: usize) -> Result<(), Error> {
        let environment = json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Environment", "metadata": {"name": name},
            "spec": {"runtime": {"image": image}, "pool": {"min": min, "max": max.max(1)},
                     "resources": {"requests": requests()}, "terminationGracePeriodSeconds": 1},
        });
        self.api::<Environment>().create(&PostParams::default(), &from(environment)?).await?;
        Ok(())
    }

    /// Makes functions, each with a route of its own, and waits until they are Ready.
    pub(crate) async fn functions(&self, wanted: &[Wanted]) -> Result<(), Error> {
        for function in wanted {
            self.function(function).await?;
            self.route(&function.name, &function.name).await?;
        }
        self.ready(60 + wanted.len() as u64).await
    }

    /// Makes a function without a route.
    pub(crate) async fn function(&self, function: &Wanted) -> Result<(), Error> {
        self.api::<Function>().create(&PostParams::default(), &from(manifest(function))?).await?;
        Ok(())
    }

    /// Makes a route to a function; the route's path is its name.
    pub(crate) async fn route(&self, name: &str, function: &str) -> Result<(), Error> {
        let trigger = json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": {"name": name},
            "spec": {"host": self.host, "path": format!("/{name}"), "function": {"name": function}, "ingress": {}},
        });
        self.api::<HTTPTrigger>().create(&PostParams::default(), &from(trigger)?).await?;
        Ok(())
    }

    /// Waits until all functions and routes are Ready.
    pub(crate) async fn ready(&self, seconds: u64) -> Result<(), Error> {
        let (functions, triggers) = (self.api::<Function>(), self.api::<HTTPTrigger>());
        wait("functions and routes to be Ready", seconds, || async {
            let ready =
                |conditions: &[muon_crds::Condition]| condition::is_true(conditions, muon_crds::ConditionType::Ready);
            let listed = functions.list(&ListParams::default()).await?;
            let unready = |one: &&Function| !one.status.as_ref().is_some_and(|status| ready(&status.conditions));
            if let Some(one) = listed.iter().find(unready) {
                return Ok(Err(format!("function {} is not", one.metadata.name.as_deref().unwrap_or_default())));
            }
            let listed = triggers.list(&ListParams::default()).await?;
            let unready = |one: &&HTTPTrigger| !one.status.as_ref().is_some_and(|status| ready(&status.conditions));
            Ok(match listed.iter().find(unready) {
                Some(one) => Err(format!("route {} is not", one.metadata.name.as_deref().unwrap_or_default())),
                None => Ok(()),
            })
        })
        .await
    }

    /// Deletes functions and their routes, and with them their pods.
    pub(crate) async fn delete(&self, names: &[String]) -> Result<(), Error> {
        for name in names {
            self.api::<HTTPTrigger>().delete(name, &DeleteParams::default()).await?;
            self.api::<Function>().delete(name, &DeleteParams::default()).await?;
        }
        Ok(())
    }

    /// A function's route at one proxy.
    pub(crate) fn at(&self, proxy: IpAddr, function: &str) -> Target {
        let address = SocketAddr::new(proxy, words::PORT_INGRESS);
        Target { address, host: self.host.clone(), path: format!("/{function}") }
    }
}

/// A function that says its name, in the form of its runtime.
fn manifest(function: &Wanted) -> Value {
    let Wanted { name, environment, own, concurrency, max, idle_seconds } = function;
    let (file, code, entrypoint) = match environment.as_str() {
        "node" => ("index.js", format!("module.exports = () => \"{name}\\n\";\n"), ""),
        _ => ("main.py", format!("def main():\n    return \"{name}\\n\"\n"), "main.main"),
    };
    let mut spec = json!({
        "environment": environment, "entrypoint": entrypoint, "concurrency": concurrency,
        "scaling": {"max": max, "idleSeconds": idle_seconds}, "source": {"files": {file: code}},
    });
    if *own {
        spec["resources"] = json!({"requests": requests()});
    }
    json!({"apiVersion": "muon.dev/v1alpha1", "kind": "Function", "metadata": {"name": name}, "spec": spec})
}

fn requests() -> Value {
    RESOURCES.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect::<serde_json::Map<_, _>>().into()
}

/// An object of the API, from its manifest.
pub(crate) fn from<T: serde::de::DeserializeOwned>(value: Value) -> Result<T, Error> {
    serde_json::from_value(value).map_err(|error| Error::Request(error.to_string()))
}

/// Asks until the answer is `Ok`, or the time is over.
pub(crate) async fn wait<F, A>(what: &str, seconds: u64, mut ask: F) -> Result<(), Error>
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
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
