//! What an installation of Muon decides for all objects.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Settings of the installation, given to every `validate`.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Namespace in which Muon itself runs.
    pub namespace: String,
    /// Image of the agent.
    pub agent_image: String,
    /// `imagePullPolicy` of every container in a function pod.
    #[serde(default = "default_pull_policy")]
    pub image_pull_policy: String,
    /// Public half of the order key, base64, as the agents are given it.
    pub public_key: String,
    /// Base URL of the store, `http://host:port`.
    pub store: String,
    /// Domain of the cluster's DNS.
    #[serde(default = "default_domain")]
    pub cluster_domain: String,
    /// Variables that kubelet sets in every container of the cluster, about the API server's Service: values of other
    /// variables may refer to them.
    #[serde(default)]
    pub cluster_variables: BTreeMap<String, String>,
}

/// The policy of an installation that names none.
pub fn default_pull_policy() -> String {
    "IfNotPresent".to_owned()
}

/// The domain of an installation that names none.
pub fn default_domain() -> String {
    "cluster.local".to_owned()
}
