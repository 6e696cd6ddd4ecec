//! The installation's signing key: made once, by whichever operator comes first.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::{Client, Resource as _};
use muon_crds::words;
use muon_order::{Refused, Signer};

use crate::call::{CallError, call, find};

/// Key in the Secret: 32 bytes.
const SEED: &str = "seed";
/// Key in the ConfigMap: the public half, base64.
const PUBLIC: &str = "public";

/// Why there is no key to sign with.
#[derive(thiserror::Error, Debug)]
pub enum OrderKeyError {
    /// The Secret is there and does not hold a seed.
    #[error(
        "Secret {namespace}/{} has no 32-byte key `{SEED}`: delete it to have a new one made ({source})",
        words::ORDER_KEY
    )]
    Seed {
        /// Namespace of the installation.
        namespace: String,
        /// Why the seed was not taken.
        source: Refused,
    },
    /// The operating system gave no randomness.
    #[error("no randomness for a new key: {0}")]
    Random(String),
    /// The API server's answer.
    #[error(transparent)]
    Call(#[from] CallError),
}

/// The signer of the installation in `namespace`; makes Secret and ConfigMap `muon-order-key` when they are absent.
/// Two operators at once end with the same key: the second one's create is refused, and it reads the first one's.
pub async fn get_or_create(client: &Client, namespace: &str) -> Result<Signer, OrderKeyError> {
    let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let signer = match find("read the order key", secrets.get(words::ORDER_KEY)).await? {
        Some(secret) => read(&secret, namespace)?,
        None => create(&secrets, namespace).await?,
    };
    publish(client, namespace, &signer).await?;
    Ok(signer)
}

fn read(secret: &Secret, namespace: &str) -> Result<Signer, OrderKeyError> {
    let seed = secret.data.as_ref().and_then(|data| data.get(SEED)).map(|bytes| bytes.0.as_slice()).unwrap_or_default();
    Signer::from_seed(seed).map_err(|source| OrderKeyError::Seed { namespace: namespace.to_owned(), source })
}

async fn create(secrets: &Api<Secret>, namespace: &str) -> Result<Signer, OrderKeyError> {
    let mut seed = [0u8; 32];
    getrandom::fill(&mut seed).map_err(|error| OrderKeyError::Random(error.to_string()))?;
    let secret = Secret {
        metadata: metadata(namespace),
        immutable: Some(true),
        data: Some(BTreeMap::from([(SEED.to_owned(), ByteString(seed.to_vec()))])),
        ..Secret::default()
    };
    match call("make the order key", secrets.create(&PostParams::default(), &secret)).await {
        Ok(secret) => read(&secret, namespace),
        Err(CallError::Moved { .. }) => {
            read(&call("read the order key", secrets.get(words::ORDER_KEY)).await?, namespace)
        }
        Err(other) => Err(other.into()),
    }
}

/// The ConfigMap always says the public half of the key in use, also after the Secret was replaced.
async fn publish(client: &Client, namespace: &str, signer: &Signer) -> Result<(), OrderKeyError> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    let public = signer.public();
    let wanted = ConfigMap {
        metadata: metadata(namespace),
        data: Some(BTreeMap::from([(PUBLIC.to_owned(), public.clone())])),
        ..ConfigMap::default()
    };
    let live = match find("read the public key", maps.get(words::ORDER_KEY)).await? {
        Some(live) => live,
        None => match call("publish the public key", maps.create(&PostParams::default(), &wanted)).await {
            Ok(_) => return Ok(()),
            Err(CallError::Moved { .. }) => call("read the public key", maps.get(words::ORDER_KEY)).await?,
            Err(other) => return Err(other.into()),
        },
    };
    if live.data.as_ref().and_then(|data| data.get(PUBLIC)) == Some(&public) {
        return Ok(());
    }
    let replaced = ConfigMap {
        metadata: ObjectMeta { resource_version: live.meta().resource_version.clone(), ..wanted.metadata.clone() },
        ..wanted
    };
    call("publish the public key", maps.replace(words::ORDER_KEY, &PostParams::default(), &replaced)).await?;
    Ok(())
}

fn metadata(namespace: &str) -> ObjectMeta {
    let labels = [(words::MANAGED_BY, words::MUON), (words::APP_PART_OF, words::MUON)];
    ObjectMeta {
        name: Some(words::ORDER_KEY.to_owned()),
        namespace: Some(namespace.to_owned()),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..ObjectMeta::default()
    }
}

#[cfg(test)]
mod tests;
