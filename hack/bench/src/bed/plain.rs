//! What anybody has without us: a plain Deployment, and a bare pod.

use std::time::{Duration, Instant};

use futures::TryStreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};
use muon_crds::words;
use serde_json::{Value, json};

use super::{Bed, from, is_ready, requests, wait};
use crate::error::Error;

impl Bed {
    /// A Deployment of `replicas` pods that run the image, loaded from the start, with a Service; waits until they are
    /// ready.
    pub(crate) async fn deployment(&self, name: &str, image: &str, replicas: usize) -> Result<Vec<Pod>, Error> {
        let labels = json!({"app": name});
        let deployment = json!({
            "metadata": {"name": name},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": pod_spec(image)}},
        });
        self.api::<Deployment>().create(&PostParams::default(), &from(deployment)?).await?;
        let service = json!({
            "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"port": 80, "targetPort": words::PORT_RUNTIME}]},
        });
        self.api::<Service>().create(&PostParams::default(), &from(service)?).await?;
        self.scaled(name, replicas).await
    }

    /// Waits until as many pods of a plain Deployment are ready, and gives them.
    pub(crate) async fn scaled(&self, name: &str, replicas: usize) -> Result<Vec<Pod>, Error> {
        let pods = self.api::<Pod>();
        let labels = ListParams::default().labels(&format!("app={name}"));
        wait("the plain Deployment's pods to be ready", 180, || async {
            let ready = pods.list(&labels).await?.iter().filter(|pod| is_ready(pod)).count();
            Ok(if ready >= replicas { Ok(()) } else { Err(format!("{ready} of {replicas} are")) })
        })
        .await?;
        Ok(pods.list(&labels).await?.items.into_iter().filter(is_ready).collect())
    }

    /// Removes a plain Deployment and its Service.
    pub(crate) async fn undeploy(&self, name: &str) -> Result<(), Error> {
        self.api::<Service>().delete(name, &DeleteParams::default()).await?;
        self.api::<Deployment>().delete(name, &DeleteParams::background()).await?;
        Ok(())
    }

    /// From the creation of a bare pod to its readiness; the pod is deleted again.
    pub(crate) async fn bare_pod(&self, name: &str, image: &str) -> Result<Duration, Error> {
        let pods: Api<Pod> = self.api();
        let pod = json!({"metadata": {"name": name, "labels": {"app": "bare"}}, "spec": pod_spec(image)});
        let begun = Instant::now();
        let made = pods.create(&PostParams::default(), &from(pod)?).await?;
        let selected = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(60);
        let mut events = Box::pin(pods.watch(&selected, &made.resource_version().unwrap_or_default()).await?);
        while let Some(event) = events.try_next().await? {
            if matches!(&event, WatchEvent::Modified(pod) if is_ready(pod)) {
                let took = begun.elapsed();
                pods.delete(name, &DeleteParams::default().grace_period(0)).await?;
                return Ok(took);
            }
        }
        Err(Error::Waited { what: "a bare pod to be ready".into(), seconds: 60, state: "its watch ended".into() })
    }
}

/// As little as a pod can be: one container with the share of all measured pods, and no probe, so that it is ready as
/// soon as it can be.
fn pod_spec(image: &str) -> Value {
    json!({
        "automountServiceAccountToken": false, "enableServiceLinks": false, "terminationGracePeriodSeconds": 1,
        "containers": [{
            "name": "runtime", "image": image, "imagePullPolicy": "IfNotPresent", "args": ["--loaded"],
            "resources": {"requests": requests()},
        }],
    })
}
