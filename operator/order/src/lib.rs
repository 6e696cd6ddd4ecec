//! Orders: what Muon's processes may ask of each other, signed with Ed25519.
//!
//! The operator and the proxies hold the seed; agents and the store hold the public half. An order says *what*
//! may be done, to *whom*, and until *when*; whoever takes it checks all three. A token is
//! `base64url(JSON) "." base64url(signature over the first part)`; nothing in it is secret.
//!
//! | order | signed by | taken by | bound to |
//! | --- | --- | --- | --- |
//! | [`Order::Load`] | proxy (short), operator (own Deployments, no end) | agent, store (GET) | namespace, function, revision, digest, pod |
//! | [`Order::Put`] | operator | store (PUT, DELETE) | namespace, digest |
//! | [`Order::Keep`] | operator | store (sweep) | the body of the call |
//! | [`Order::Build`] | operator | store (GET of the source, PUT of the result and of what it is) | namespace, key, source |
//! | [`Order::Peer`] | proxy, operator | proxy | a short time |

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// Tokens longer than this are refused unread (bytes).
pub const MAX_TOKEN: usize = 4096;

/// What may be done.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(tag = "do", rename_all = "camelCase")]
pub enum Order {
    /// Load this package for this function; read it from the store.
    Load(Load),
    /// Write (or delete) this archive in the store.
    Put(Put),
    /// Keep the store: say what is in use, ask what is lost.
    Keep(Keep),
    /// Read a source, write what was built of it, and write down that it was.
    Build(Build),
    /// Speak as one of Muon's own processes.
    Peer(Peer),
}

/// Load a package into a pod.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// UID of the only pod that may take it; none in the template of a function's own Deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_uid: Option<String>,
    /// Namespace of the Function: the archive is read from what is stored for it.
    pub namespace: String,
    /// UID of the Function.
    pub function_uid: String,
    /// Its revision.
    pub revision: String,
    /// `sha256:…` of the package.
    pub digest: String,
    /// Seconds since the epoch after which it is void; none in a template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<u64>,
}

/// Write an archive.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Put {
    /// Namespace that it is stored for, and counted to.
    pub namespace: String,
    /// `sha256:…` that may be written or deleted.
    pub digest: String,
    /// Seconds since the epoch after which it is void.
    pub until: u64,
}

/// Keep the store in order.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Keep {
    /// `sha256:…` of the call's body: nobody in between says what is in use.
    pub body: String,
    /// Seconds since the epoch after which it is void.
    pub until: u64,
}

/// Carry out one build. The result's digest is not known beforehand: any archive may be written, under its own digest.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Build {
    /// Namespace whose build it is.
    pub namespace: String,
    /// `sha256:…` of all that decides the result: what the store remembers the result by.
    pub key: String,
    /// `sha256:…` of the source.
    pub source: String,
    /// Seconds since the epoch after which it is void.
    pub until: u64,
}

/// Speak as one of Muon's own processes.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Peer {
    /// Who speaks, for the log.
    pub from: String,
    /// Seconds since the epoch after which it is void.
    pub until: u64,
}

/// Why a token or a key was not taken.
#[derive(thiserror::Error, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Not of the form `payload.signature`, or over [`MAX_TOKEN`].
    #[error("the order is not a token of Muon's")]
    Malformed,
    /// Not signed by the key that this process knows.
    #[error("the order is not signed by this installation's key")]
    Signature,
    /// Its time is over.
    #[error("the order ended at {until} (seconds since the epoch), it is {now}: check the nodes' clocks")]
    Expired {
        /// When it ended.
        until: u64,
        /// What time it is here.
        now: u64,
    },
    /// A key of the wrong length or form.
    #[error("the key is not an Ed25519 key in the expected form")]
    Key,
}

/// Signs orders. Holds the seed: never logged, never printed.
pub struct Signer(SigningKey);

impl Signer {
    /// From the 32 bytes of the Secret `muon-order-key`.
    pub fn from_seed(seed: &[u8]) -> Result<Self, Refused> {
        let seed: [u8; 32] = seed.try_into().map_err(|_| Refused::Key)?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The public half, base64, as the ConfigMap and the pods carry it.
    pub fn public(&self) -> String {
        STANDARD.encode(self.0.verifying_key().to_bytes())
    }

    /// The checker of this signer's own orders.
    pub fn verifier(&self) -> Verifier {
        Verifier(self.0.verifying_key())
    }

    /// The order as a token.
    pub fn sign(&self, order: &Order) -> String {
        // Strings, numbers and options only: serialising cannot fail.
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(order).unwrap_or_default());
        let signature = URL_SAFE_NO_PAD.encode(self.0.sign(payload.as_bytes()).to_bytes());
        format!("{payload}.{signature}")
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer([redacted])")
    }
}

/// Checks orders.
#[derive(Clone, Debug)]
pub struct Verifier(VerifyingKey);

impl Verifier {
    /// From the public half, base64.
    pub fn from_public(public: &str) -> Result<Self, Refused> {
        let bytes = STANDARD.decode(public.trim()).map_err(|_| Refused::Key)?;
        let bytes: [u8; 32] = bytes.as_slice().try_into().map_err(|_| Refused::Key)?;
        VerifyingKey::from_bytes(&bytes).map(Self).map_err(|_| Refused::Key)
    }

    /// The order in a token, when it is signed by our key and its time (`now`: seconds since the epoch) is not over.
    /// Whether it is bound to *this* pod, digest or caller is for the taker to check.
    pub fn check(&self, token: &str, now: u64) -> Result<Order, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused::Malformed);
        }
        let (payload, signature) = token.split_once('.').ok_or(Refused::Malformed)?;
        let bytes = URL_SAFE_NO_PAD.decode(signature).map_err(|_| Refused::Malformed)?;
        let signature = Signature::from_slice(&bytes).map_err(|_| Refused::Malformed)?;
        self.0.verify_strict(payload.as_bytes(), &signature).map_err(|_| Refused::Signature)?;
        let payload = URL_SAFE_NO_PAD.decode(payload).map_err(|_| Refused::Malformed)?;
        let order: Order = serde_json::from_slice(&payload).map_err(|_| Refused::Malformed)?;
        let until = match &order {
            Order::Load(load) => load.until,
            Order::Put(put) => Some(put.until),
            Order::Keep(keep) => Some(keep.until),
            Order::Build(build) => Some(build.until),
            Order::Peer(peer) => Some(peer.until),
        };
        match until {
            Some(until) if until < now => Err(Refused::Expired { until, now }),
            _ => Ok(order),
        }
    }
}

#[cfg(test)]
mod tests;
