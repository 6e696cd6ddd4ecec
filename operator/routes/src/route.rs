//! A trigger, parsed: one entry of the tables.

use std::cmp::Ordering;
use std::fmt;

use http::HeaderName;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt as _;
use muon_crds::HTTPTrigger;
use muon_crds::http_trigger::{Method, Selector};
use muon_crds::words::header;

use crate::map::Keyed;
use crate::pattern::{BadPattern, Pattern};

/// Namespace and name of an object, `namespace/name`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key(Box<str>);

impl Key {
    /// Of an object.
    pub fn of<K: kube::Resource>(object: &K) -> Self {
        Self(format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any()).into())
    }

    /// `namespace/name`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.0.split_once('/').map_or("", |(namespace, _)| namespace)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.split_once('/').map_or(&*self.0, |(_, name)| name)
    }
}

/// By namespace, then by name.
impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.namespace(), self.name()).cmp(&(other.namespace(), other.name()))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A set of methods, or all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Methods(u16);

impl Methods {
    /// Every method, also those without a name here.
    pub const ALL: Self = Self(u16::MAX);
    const NAMED: [Method; 9] = [
        Method::Get,
        Method::Head,
        Method::Post,
        Method::Put,
        Method::Patch,
        Method::Delete,
        Method::Options,
        Method::Trace,
        Method::Connect,
    ];
    /// Stands for all methods without a name here.
    const OTHER: u16 = 1 << 15;

    pub(crate) const NONE: Self = Self(0);

    /// A trigger's methods; none named means all.
    pub fn of(methods: &[Method]) -> Self {
        match methods {
            [] => Self::ALL,
            methods => Self(methods.iter().fold(0, |bits, method| bits | Self::bit(method.as_str()))),
        }
    }

    /// The one method of a request.
    pub fn one(method: &str) -> Self {
        Self(Self::bit(method))
    }

    fn bit(method: &str) -> u16 {
        Self::NAMED.iter().position(|named| named.as_str() == method).map_or(Self::OTHER, |at| 1 << at)
    }

    /// Whether the two have a method in common.
    pub fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(crate) fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub(crate) fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }
}

/// As a header `Allow` lists them.
impl fmt::Display for Methods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for method in Self::NAMED.iter().filter(|method| self.meets(Self::one(method.as_str()))) {
            f.write_str(if first { "" } else { ", " })?;
            f.write_str(method.as_str())?;
            first = false;
        }
        Ok(())
    }
}

/// A parameter of the path and the headers that bring it to the function.
#[derive(Clone, Debug)]
pub struct Param {
    /// `muon-path-param-<name>`.
    pub header: HeaderName,
    /// The name under which existing images of this field read it.
    pub compatible: HeaderName,
}

/// Whom a route leads to, in the trigger's namespace.
#[derive(Clone, Debug, PartialEq)]
pub enum Target {
    /// The Function `name.namespace`.
    Name(Box<str>),
    /// The Functions with such labels.
    Selector(Box<Selector>),
    /// Nobody: neither or both were set.
    Nobody,
}

/// A trigger, parsed.
#[derive(Clone, Debug)]
pub struct Route {
    /// The trigger.
    pub key: Key,
    /// When it was made: the older one wins.
    pub created: Timestamp,
    /// Its host, in lower case.
    pub host: Option<Box<str>>,
    /// Whether it is served to Ingress controllers.
    pub ingress: bool,
    /// What it answers to.
    pub methods: Methods,
    /// What of it may be sent twice.
    pub retries: Methods,
    /// Which paths.
    pub pattern: Pattern,
    /// Parameters, in the order of the path.
    pub params: Box<[Param]>,
    /// Whom it leads to.
    pub target: Target,
}

impl Keyed for Route {
    fn key(&self) -> &str {
        self.key.as_str()
    }
}

impl Route {
    /// From the object.
    pub fn of(trigger: &HTTPTrigger) -> Result<Self, BadPattern> {
        let key = Key::of(trigger);
        let spec = &trigger.spec;
        let pattern = Pattern::parse(spec.path.as_deref(), spec.path_prefix.as_deref())?;
        let target = match (&spec.function.name, &spec.function.selector) {
            (Some(name), None) => Target::Name(crate::function::key(name, key.namespace()).into()),
            (None, Some(selector)) => Target::Selector(Box::new(selector.clone())),
            _ => Target::Nobody,
        };
        Ok(Self {
            created: trigger.creation_timestamp().map_or(Timestamp::MAX, |time| time.0),
            host: spec.host.as_deref().map(|host| host.to_ascii_lowercase().into()),
            ingress: spec.ingress.is_some(),
            methods: Methods::of(&spec.methods),
            retries: spec.retry.as_ref().map_or(Methods::NONE, |retry| Methods::of(retry.methods())),
            params: pattern.params().filter_map(param).collect(),
            pattern,
            target,
            key,
        })
    }

    /// The order in which triggers win: the older one, then by namespace and name.
    pub fn seniority(&self, other: &Self) -> Ordering {
        (self.created, &self.key).cmp(&(other.created, &other.key))
    }
}

fn param(name: &str) -> Option<Param> {
    let named = |prefix: &str| HeaderName::from_bytes(format!("{prefix}{name}").as_bytes()).ok();
    Some(Param { header: named(header::PATH_PARAM)?, compatible: named("x-fission-params-")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_sets() {
        let two = Methods::of(&[Method::Post, Method::Get]);
        assert_eq!(two.to_string(), "GET, POST");
        assert!(
            two.meets(Methods::one("GET")) && !two.meets(Methods::one("PUT")) && !two.meets(Methods::one("PROPFIND"))
        );
        assert!(Methods::of(&[]).meets(Methods::one("PROPFIND")));
    }
}
