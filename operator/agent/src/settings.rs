//! Everything that is set from outside, read once at start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use muon_crds::wire::LoadRequest;
use muon_crds::words;
use muon_order::Verifier;

use crate::unpack::Limits;

/// What this agent is told by its environment.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Port to listen on (`MUON_AGENT_PORT`, 8889).
    pub port: u16,
    /// Checks orders (`MUON_PUBLIC_KEY`).
    pub verifier: Verifier,
    /// The pod that orders must be bound to (`MUON_POD_UID`).
    pub pod_uid: String,
    /// Where the runtime listens: loopback, `MUON_RUNTIME_PORT` (8888).
    pub runtime: SocketAddr,
    /// The load to do at start, in an own Deployment's pod (`MUON_MODE=deployment`, `MUON_LOAD`); none in a pool's.
    pub template: Option<LoadRequest>,
    /// Where packages are unpacked (`MUON_CODE_DIR`, /userfunc/code); runtimes of the first contract look beside it.
    pub code_dir: PathBuf,
    /// Where the accepted order is kept (`MUON_AGENT_DIR`, /var/lib/muon-agent).
    pub agent_dir: PathBuf,
    /// Largest archive fetched (`MUON_MAX_ARCHIVE`, 64 MiB).
    pub max_archive: u64,
    /// Bounds on what an archive may unpack to.
    pub limits: Limits,
    /// How long `/drain` waits so that every proxy has seen the pod go (`MUON_DRAIN_GRACE_MS`, 2000).
    pub drain_grace: Duration,
    /// Two crashes of the runtime within this time end the pod (`MUON_CRASH_WINDOW_SECONDS`, 600).
    pub crash_window: Duration,
}

/// An environment that the agent cannot start with.
#[derive(thiserror::Error, Debug)]
pub enum SettingsError {
    /// A variable that must be there is not.
    #[error("{0} is not set")]
    Missing(&'static str),
    /// A variable cannot be read.
    #[error("{name} is {value:?}: {expected}")]
    Invalid {
        /// Its name.
        name: &'static str,
        /// What it says.
        value: String,
        /// What it should say.
        expected: &'static str,
    },
}

impl Settings {
    /// From variables, as `get` finds them.
    pub fn read(get: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let required = |name| get(name).filter(|value| !value.is_empty()).ok_or(SettingsError::Missing(name));
        let number = |name, default: u64| match get(name) {
            None => Ok(default),
            Some(value) => value.parse().map_err(|_| SettingsError::Invalid {
                name,
                value,
                expected: "a whole number is expected",
            }),
        };
        let port = |name, default: u16| {
            number(name, default.into()).and_then(|value| {
                u16::try_from(value).map_err(|_| SettingsError::Invalid {
                    name,
                    value: value.to_string(),
                    expected: "a port is expected",
                })
            })
        };
        let key = required("MUON_PUBLIC_KEY")?;
        let verifier = Verifier::from_public(&key).map_err(|_| SettingsError::Invalid {
            name: "MUON_PUBLIC_KEY",
            value: key,
            expected: "an Ed25519 public key in base64 is expected",
        })?;
        let template = match get("MUON_MODE").as_deref() {
            None | Some("" | "pool") => None,
            Some("deployment") => Some(template(required("MUON_LOAD")?)?),
            Some(other) => {
                return Err(SettingsError::Invalid {
                    name: "MUON_MODE",
                    value: other.to_owned(),
                    expected: "pool or deployment is expected",
                });
            }
        };
        let directory = |name, default: &str| PathBuf::from(get(name).unwrap_or_else(|| default.to_owned()));
        Ok(Self {
            port: port("MUON_AGENT_PORT", words::PORT_AGENT)?,
            verifier,
            pod_uid: required("MUON_POD_UID")?,
            runtime: (Ipv4Addr::LOCALHOST, port("MUON_RUNTIME_PORT", words::PORT_RUNTIME)?).into(),
            template,
            code_dir: directory("MUON_CODE_DIR", words::CODE_DIR),
            agent_dir: directory("MUON_AGENT_DIR", words::AGENT_DIR),
            max_archive: number("MUON_MAX_ARCHIVE", 64 << 20)?,
            limits: Limits::default(),
            drain_grace: Duration::from_millis(number("MUON_DRAIN_GRACE_MS", 2000)?),
            crash_window: Duration::from_secs(number("MUON_CRASH_WINDOW_SECONDS", 600)?),
        })
    }
}

fn template(json: String) -> Result<LoadRequest, SettingsError> {
    serde_json::from_str(&json).map_err(|_| SettingsError::Invalid {
        name: "MUON_LOAD",
        value: json,
        expected: "a LoadRequest in JSON is expected",
    })
}

#[cfg(test)]
mod tests {
    use muon_order::Signer;

    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let key = Signer::from_seed(&[1; 32]).unwrap().public();
        Settings::read(|name| {
            let given = pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            given.or_else(|| match name {
                "MUON_PUBLIC_KEY" => Some(key.clone()),
                "MUON_POD_UID" => Some("pod-1".into()),
                _ => None,
            })
        })
    }

    #[test]
    fn a_pool_pods_environment_needs_key_and_pod_only() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.port, settings.runtime.port(), settings.template), (8889, 8888, None));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (pairs, named) in [
            ([("MUON_RUNTIME_PORT", "99999")], "MUON_RUNTIME_PORT"),
            ([("MUON_MODE", "deployment")], "MUON_LOAD is not set"),
            ([("MUON_MODE", "both")], "pool or deployment"),
            ([("MUON_PUBLIC_KEY", "x")], "Ed25519"),
            ([("MUON_POD_UID", "")], "MUON_POD_UID is not set"),
        ] {
            let error = read(&pairs).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
