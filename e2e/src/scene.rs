//! A namespace with Environments, and what a test puts into it.

use std::collections::HashMap;
use std::ops::Deref;
use std::time::Duration;

use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use kube::ResourceExt as _;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, ListParams, PostParams};
use kube::core::GroupVersionKind;
use muon_crds::{Environment, Function, HTTPTrigger, words};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::cluster::{Cluster, SYSTEM};
use crate::control_plane::repository;
use crate::manifest;
use crate::route::Route;
use crate::space::{READY_WITHIN, Space};
use crate::wait;

/// Until a pod is gone, its grace included.
const GONE_WITHIN: Duration = Duration::from_secs(90);

static SHARED: OnceCell<String> = OnceCell::const_new();

fn environment_images() -> HashMap<String, String> {
    let images = std::env::var("MUON_ENVIRONMENT_IMAGES")
        .expect("MUON_ENVIRONMENT_IMAGES names no images: run `hack/test e2e`, which builds and imports them");
    serde_json::from_str(&images).expect("names of images by their names here")
}

/// Whether hack/test has brought the builder of an Environment here: that of some has to be asked for (`--environments`).
pub fn has_builder(environment: &str) -> bool {
    environment_images().contains_key(&format!("muon/{environment}-builder"))
}

/// What the repository says of an Environment, with the images that hack/test has built in it.
fn environment_spec(name: &str) -> Value {
    let images = environment_images();
    let file = repository().join(format!("config/environments/{name}/environment.yaml"));
    let text = std::fs::read_to_string(file).expect("an Environment of ours");
    let mut spec = serde_yaml::from_str::<Value>(&text).expect("YAML")["spec"].take();
    for part in ["runtime", "builder"] {
        if let Some(image) = spec[part]["image"].as_str() {
            let (name, _) = image.split_once(':').expect("an image has a tag");
            // A builder that no test needs is not there; Environments name it all the same.
            if let Some(built) = images.get(name) {
                spec[part]["image"] = json!(built);
            }
        }
    }
    spec
}

/// A namespace of a test's own, or the shared one.
pub struct Scene {
    /// The cluster it is in.
    pub cluster: &'static Cluster,
    space: Space,
}

impl Deref for Scene {
    type Target = Space;

    fn deref(&self) -> &Space {
        &self.space
    }
}

impl Scene {
    /// A new namespace with the Python Environment, its pool of this size.
    pub async fn open(name: &str, pool: Value) -> Self {
        let scene = Self::empty(name).await;
        scene.environment("python", pool).await;
        scene
    }

    /// The namespace that tests share which only add functions of their own names, with a Python pool for them.
    pub async fn shared() -> Self {
        let cluster = Cluster::get();
        let namespace =
            SHARED.get_or_init(async || Self::open("shared", json!({"min": 4, "max": 12})).await.namespace.clone());
        let space = Space { client: cluster.client().await, namespace: namespace.await.clone() };
        Self { cluster, space }
    }

    /// A new namespace with nothing in it.
    pub async fn empty(name: &str) -> Self {
        let cluster = Cluster::get();
        let client = cluster.client().await;
        let namespace: Namespace = manifest::parse(json!({
            "metadata": {
                "generateName": format!("e2e-{name}-"),
                "labels": {"pod-security.kubernetes.io/enforce": "restricted"},
            },
        }));
        let made = Api::all(client.clone()).create(&PostParams::default(), &namespace).await.expect("a namespace");
        Self { cluster, space: Space { client, namespace: made.name_any() } }
    }

    /// Brings an Environment of `config/environments` into the namespace, with a pool of this size, and waits for it.
    pub async fn environment(&self, name: &str, pool: Value) {
        let mut spec = environment_spec(name);
        spec["pool"] = pool;
        // A test's pods have nothing to finish once it has its answers.
        spec["terminationGracePeriodSeconds"] = json!(10);
        self.apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Environment", "metadata": {"name": name}, "spec": spec,
        }))
        .await;
        self.ready::<Environment>(name).await;
    }

    /// Applies a Python function with its code inline and a route at `/` and below on a host of its own, and waits
    /// until it is served. `more` is put over the Function's spec.
    pub async fn python(&self, name: &str, code: &str, more: Value) -> Route {
        self.python_function(name, code, more).await;
        self.route(name, json!({"name": name})).await
    }

    /// Applies the Function alone and waits until it is served.
    pub async fn python_function(&self, name: &str, code: &str, more: Value) -> Function {
        self.apply_value(python(name, code, more)).await;
        self.ready(name).await
    }

    /// Applies a route to functions, `/` and below on a host of its own, and waits until it is served.
    pub async fn route(&self, name: &str, function: Value) -> Route {
        let host = format!("{name}.{}.example", self.namespace);
        self.apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": {"name": name},
            "spec": {
                "host": host, "pathPrefix": "/", "methods": ["GET", "POST"], "function": function, "ingress": {},
            },
        }))
        .await;
        self.ready::<HTTPTrigger>(name).await;
        self.routed(&host).await
    }

    /// Waits until the Ingress controller, which reads Ingresses at its own pace, has the host. It asks with a
    /// method that no route here has, so that no function is started by it.
    pub async fn routed(&self, host: &str) -> Route {
        let route = Route::new(&self.cluster.ingress, host);
        wait::until("the Ingress controller has the route", READY_WITHIN, async || {
            let reply = route.try_send(route.request(http::Method::PATCH, "/")).await;
            reply.ok().filter(|reply| reply.status == 405).map(|_| ())
        })
        .await;
        route
    }

    /// A Service of the namespace, spoken to as a pod would, with a `Host` of the caller's choice.
    pub async fn service(&self, name: &str, port: u16, host: &str) -> Route {
        let service = self.api::<Service>().get(name).await.expect("the Service");
        let ip = service.spec.and_then(|spec| spec.cluster_ip).expect("it has an address");
        // A new Service's address leads nowhere until kube-proxy has heard of it.
        wait::until(&format!("{name} takes connections"), READY_WITHIN, async || {
            tokio::net::TcpStream::connect((ip.as_str(), port)).await.is_ok().then_some(())
        })
        .await;
        Route::new(&format!("http://{ip}:{port}"), host)
    }

    /// The route at each ready proxy itself, with neither the Ingress controller nor a Service between.
    pub async fn at_each_proxy(&self, route: &Route) -> Vec<Route> {
        let proxies = self.parts("proxy").await;
        let ready = proxies.iter().filter(|pod| is_ready(pod)).filter_map(|pod| pod.status.as_ref()?.pod_ip.as_ref());
        ready.map(|ip| Route::new(&format!("http://{ip}:{}", words::PORT_GATEWAY), &route.host)).collect()
    }

    /// The pods of a part of Muon's own: `operator`, `proxy`, `store`.
    pub async fn parts(&self, component: &str) -> Vec<Pod> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), SYSTEM);
        let labels = format!("{}={component},{}={}", words::APP_COMPONENT, words::APP_PART_OF, words::MUON);
        pods.list(&ListParams::default().labels(&labels)).await.expect("the API server answers").items
    }

    /// Deletes a function and the route of its name, and waits until its pods are gone.
    pub async fn drop_function(&self, name: &str) {
        self.delete::<HTTPTrigger>(name).await;
        self.delete::<Function>(name).await;
        let gone = async || self.pods_of(name).await.is_empty().then_some(());
        wait::until(&format!("the pods of {name} are gone"), GONE_WITHIN, gone).await;
    }

    /// The pods that wear this label.
    pub async fn pods(&self, labels: &str) -> Vec<Pod> {
        let all = ListParams::default().labels(labels);
        self.api::<Pod>().list(&all).await.expect("the API server answers").items
    }

    /// The pods that serve the function.
    pub async fn pods_of(&self, function: &str) -> Vec<Pod> {
        self.pods(&format!("{}={function}", words::FUNCTION)).await
    }

    /// Waits until so many pods are claimed for the function, and gives them: a claim may be written a moment after the
    /// first answer.
    pub async fn claimed(&self, function: &str, count: usize) -> Vec<Pod> {
        wait::until(&format!("{count} pods of {function}"), READY_WITHIN, async || {
            Some(self.pods_of(function).await).filter(|pods| pods.len() == count)
        })
        .await
    }

    /// Waits until so many pods of the Environment's pool stand ready, free or set aside by a proxy.
    pub async fn free(&self, environment: &str, count: usize) {
        let selector = format!("{}={environment},{} in (free,reserved)", words::ENVIRONMENT, words::STATE);
        wait::until(&format!("{count} free pods of {environment}"), READY_WITHIN, async || {
            let ready = self.pods(&selector).await.iter().filter(|pod| is_ready(pod)).count();
            (ready >= count).then_some(())
        })
        .await;
    }

    /// Names of what is left in the namespace that Muon made: everything that it labels as its own.
    pub async fn left_over(&self) -> Vec<String> {
        let mut found = Vec::new();
        for (group, version, kind, plural) in [
            ("", "v1", "Pod", "pods"),
            ("", "v1", "Service", "services"),
            ("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices"),
            ("networking.k8s.io", "v1", "Ingress", "ingresses"),
            ("networking.k8s.io", "v1", "NetworkPolicy", "networkpolicies"),
            ("apps", "v1", "Deployment", "deployments"),
            ("apps", "v1", "ReplicaSet", "replicasets"),
            ("batch", "v1", "Job", "jobs"),
            ("policy", "v1", "PodDisruptionBudget", "poddisruptionbudgets"),
            ("muon.dev", "v1alpha1", "Package", "packages"),
        ] {
            let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &self.namespace, &resource);
            let ours = ListParams::default().labels(&format!("{}={}", words::MANAGED_BY, words::MUON));
            let items = api.list(&ours).await.expect("the API server answers").items;
            found.extend(items.iter().map(|item| format!("{kind}/{}", item.name_any())));
        }
        found
    }

    /// Waits until nothing that Muon made is left, but what `stays` allows.
    pub async fn nothing_left(&self, stays: impl Fn(&str) -> bool) {
        let mut last = Vec::new();
        let looked = tokio::time::timeout(GONE_WITHIN, async {
            loop {
                last = self.left_over().await;
                last.retain(|name| !stays(name));
                if last.is_empty() {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        });
        assert!(looked.await.is_ok(), "left behind in {}: {last:?}", self.namespace);
    }

    /// Deletes the namespace; nobody waits for its end. A failed test leaves it to be looked at.
    pub async fn close(self) {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        namespaces.delete(&self.namespace, &DeleteParams::background()).await.expect("it can be deleted");
    }
}

/// A Python function with its code inline.
pub fn python(name: &str, code: &str, more: Value) -> Value {
    let mut function = json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Function",
        "metadata": {"name": name},
        "spec": {"environment": "python", "source": {"files": {"main.py": code}}},
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        match key.as_str() {
            "labels" | "annotations" => function["metadata"][key] = value.clone(),
            _ => function["spec"][key] = value.clone(),
        }
    }
    function
}

/// Whether the pod's `Ready` condition is true, and it stays.
pub fn is_ready(pod: &Pod) -> bool {
    muon_crds::pods::is_ready_and_stays(pod)
}
