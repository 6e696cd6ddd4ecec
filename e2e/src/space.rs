//! A namespace, and its objects of our kinds.

use std::time::Duration;

use kube::api::{Api, DeleteParams, DynamicObject};
use kube::core::NamespaceResourceScope;
use kube::runtime::conditions::is_deleted;
use kube::{Client, Resource, ResourceExt as _};
use muon_crds::{Condition, ConditionType, Environment, Function, HTTPTrigger, Package, condition};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::manifest::{self, documents};
use crate::wait;

/// Until an object that is in order says so.
pub const READY_WITHIN: Duration = Duration::from_secs(60);
/// Until a Package is built: a compiler's work, on a machine that has other work too.
pub const BUILT_WITHIN: Duration = Duration::from_secs(300);

/// A namespace.
pub struct Space {
    /// The administrator's client.
    pub client: Client,
    /// Its name.
    pub namespace: String,
}

impl Space {
    /// Access to the objects of a kind in the namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Applies every document of a YAML text.
    pub async fn apply(&self, text: &str) {
        for document in documents(text) {
            self.apply_value(document.value()).await;
        }
    }

    /// Applies one object, and gives what is stored then.
    pub async fn apply_value(&self, value: Value) -> DynamicObject {
        let object: DynamicObject = manifest::parse(value);
        manifest::apply(&self.client, &self.namespace, &object)
            .await
            .unwrap_or_else(|message| panic!("{} was refused: {message}", object.name_any()))
    }

    /// Waits until the object is `Ready` for what its spec says now.
    pub async fn ready<K>(&self, name: &str) -> K
    where
        K: Conditioned + Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        self.has(name, "Ready", is_ready).await
    }

    /// Waits until the object is as wished, and gives it.
    pub async fn has<K>(&self, name: &str, what: &str, wish: impl Fn(&K) -> bool) -> K
    where
        K: Conditioned + Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        let condition = |object: Option<&K>| object.is_some_and(&wish);
        wait::object(&self.api(), name, READY_WITHIN, what, condition).await.expect("it is there")
    }

    /// Waits until a Package, which may have to be built, is as wished.
    pub async fn package(&self, name: &str, what: &str, wish: impl Fn(&Package) -> bool) -> Package {
        let condition = |object: Option<&Package>| object.is_some_and(&wish);
        wait::object(&self.api(), name, BUILT_WITHIN, what, condition).await.expect("it is there")
    }

    /// Waits until a Package that has to be built is `Ready` for what its spec says now.
    pub async fn built(&self, name: &str) -> Package {
        self.package(name, "built, and Ready", is_ready).await
    }

    /// Deletes an object and waits until it is gone.
    pub async fn delete<K>(&self, name: &str)
    where
        K: Conditioned + Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        let api: Api<K> = self.api();
        let Some(object) = api.get_opt(name).await.expect("the API server answers") else { return };
        api.delete(name, &DeleteParams::default()).await.expect("it can be deleted");
        let uid = object.uid().expect("it was stored");
        wait::object(&api, name, READY_WITHIN, "deleted", is_deleted(&uid)).await;
    }
}

fn is_ready<K: Conditioned + Resource>(object: &K) -> bool {
    condition::is_true(object.conditions(), ConditionType::Ready)
        && object.observed_generation() == object.meta().generation
}

/// The condition of this type.
pub fn says<K: Conditioned>(object: &K, type_: ConditionType) -> Option<&Condition> {
    condition::find(object.conditions(), type_)
}

/// A kind of ours: it has conditions.
pub trait Conditioned: Clone + std::fmt::Debug + Send + DeserializeOwned + 'static {
    /// The conditions of its status.
    fn conditions(&self) -> &[Condition];
    /// The generation that its status was made from.
    fn observed_generation(&self) -> Option<i64>;
}

macro_rules! conditioned {
    ($($kind:ty),*) => {$(
        impl Conditioned for $kind {
            fn conditions(&self) -> &[Condition] {
                self.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default()
            }
            fn observed_generation(&self) -> Option<i64> {
                self.status.as_ref().and_then(|status| status.observed_generation)
            }
        }
    )*};
}
conditioned!(Environment, Package, Function, HTTPTrigger);
