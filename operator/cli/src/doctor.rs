//! `muon doctor`: looks at the installation, and says what is wrong and what to do.

use std::fmt::Debug;

use clap::{Args, ValueEnum};
use k8s_openapi::api::admissionregistration::v1::{ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding};
use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim};
use k8s_openapi::api::networking::v1::IngressClass;
use k8s_openapi::api::storage::v1::StorageClass;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::ListParams;
use kube::{Api, Resource};
use muon_crds::{Environment, words};
use serde::de::DeserializeOwned;

use crate::connection::{Connection, Session};
use crate::failure::Failure;
use crate::output::{self, Terminal, Tone};

mod checks;

use checks::{Check, State};

/// Arguments of `muon doctor`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// Namespace of the installation.
    #[arg(long, default_value = "muon-system", value_name = "NAMESPACE")]
    system_namespace: String,
    /// Form of the output, for machines.
    #[arg(short, long, value_enum)]
    output: Option<Form>,
}

/// Forms for machines.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Form {
    /// All checks, as JSON.
    Json,
    /// All checks, as YAML.
    Yaml,
}

/// What was read: the object, that there is none, or why nobody knows.
pub(crate) type Read<T> = Result<Option<T>, String>;

/// All that the checks are made from.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) system: String,
    /// Major and minor version of the API server.
    pub(crate) version: Result<(u32, u32), String>,
    pub(crate) kinds: Vec<(&'static str, Read<CustomResourceDefinition>)>,
    pub(crate) operator: Read<Deployment>,
    pub(crate) proxy: Read<Deployment>,
    pub(crate) store: Read<StatefulSet>,
    pub(crate) volume: Read<PersistentVolumeClaim>,
    pub(crate) key: Read<ConfigMap>,
    pub(crate) lease: Read<Lease>,
    pub(crate) policy: Read<ValidatingAdmissionPolicy>,
    pub(crate) binding: Read<ValidatingAdmissionPolicyBinding>,
    pub(crate) storage: Result<Vec<StorageClass>, String>,
    pub(crate) ingress: Result<Vec<IngressClass>, String>,
    pub(crate) environments: Result<Vec<Environment>, String>,
}

/// The kinds, as the API server names them.
const KINDS: [&str; 4] = ["environments.muon.dev", "packages.muon.dev", "functions.muon.dev", "httptriggers.muon.dev"];

pub(crate) async fn run(arguments: Arguments, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
    let session = connection.open().await?;
    let found = look(&session, &arguments.system_namespace).await?;
    let checks = checks::judge(&found, jiff::Timestamp::now());
    output::write(&match arguments.output {
        None => checks.iter().map(|check| line(check, terminal)).collect(),
        Some(Form::Json) => output::json(&checks)?,
        Some(Form::Yaml) => output::yaml(&checks)?,
    })?;
    let bad = checks.iter().filter(|check| check.state == State::Bad).count();
    match bad {
        0 => Ok(()),
        1 => Err(Failure::NotReady("1 check failed".to_owned())),
        bad => Err(Failure::NotReady(format!("{bad} checks failed"))),
    }
}

/// One check, and what to do below it.
fn line(check: &Check, terminal: Terminal) -> String {
    let (tone, word) = match check.state {
        State::Good => (Tone::Good, "ok"),
        State::Note => (Tone::Wait, "note"),
        State::Unknown => (Tone::Quiet, "?"),
        State::Bad => (Tone::Bad, "BAD"),
    };
    let mark = terminal.paint(tone, &format!("{word:<5}"));
    let mut text = format!("{mark} {:<14} {}\n", check.name, output::plain(&check.said));
    if let Some(todo) = &check.todo {
        text.push_str(&format!("{:21}to do: {}\n", "", output::plain(todo)));
    }
    text
}

async fn look(session: &Session, system: &str) -> Result<Found, Failure> {
    // Where nobody answers, every check would say the same.
    let version = match session.client.apiserver_version().await {
        Ok(info) => number(&info.major)
            .zip(number(&info.minor))
            .ok_or_else(|| format!("{}.{} is no version", info.major, info.minor)),
        Err(error) => match Failure::of("the API server", error) {
            Failure::Forbidden(why) => Err(why),
            failure => return Err(failure),
        },
    };
    let mut kinds = Vec::new();
    for name in KINDS {
        kinds.push((name, cluster(session, name).await));
    }
    Ok(Found {
        system: system.to_owned(),
        version,
        kinds,
        operator: within(session, system, "muon-operator").await,
        proxy: within(session, system, "muon-proxy").await,
        store: within(session, system, "muon-store").await,
        volume: within(session, system, "data-muon-store-0").await,
        key: within(session, system, words::ORDER_KEY).await,
        lease: within(session, system, "muon-operator").await,
        policy: cluster(session, "muon-claims").await,
        binding: cluster(session, "muon-claims").await,
        storage: all(session).await,
        ingress: all(session).await,
        environments: all(session).await,
    })
}

/// `33+` of a vendor is 33.
fn number(text: &str) -> Option<u32> {
    text.trim_end_matches(|last: char| !last.is_ascii_digit()).parse().ok()
}

async fn within<K>(session: &Session, namespace: &str, name: &str) -> Read<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + Clone + Debug + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(session.client.clone(), namespace);
    api.get_opt(name).await.map_err(|error| Failure::of(name, error).to_string())
}

async fn cluster<K>(session: &Session, name: &str) -> Read<K>
where
    K: Resource<DynamicType = (), Scope = kube::core::ClusterResourceScope> + Clone + Debug + DeserializeOwned,
{
    Api::<K>::all(session.client.clone()).get_opt(name).await.map_err(|error| Failure::of(name, error).to_string())
}

/// Objects of one kind; a kind that is not there has none.
async fn all<K>(session: &Session) -> Result<Vec<K>, String>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    match Api::<K>::all(session.client.clone()).list(&ListParams::default()).await {
        Ok(list) => Ok(list.items),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        Err(error) => Err(Failure::of(K::plural(&()), error).to_string()),
    }
}
