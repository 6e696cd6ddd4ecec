//! What of a Function a proxy needs to know: some hundred bytes, not the object.

use kube::ResourceExt as _;
use muon_crds::Serving;

/// A Function as requests meet it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// `name.namespace`, as in its host name.
    key: Box<str>,
    /// Its UID: a Function made anew under an old name is another one.
    pub uid: Box<str>,
    /// What requests are served with; none: it cannot be served yet.
    pub serving: Option<Serving>,
}

impl Function {
    /// From the object.
    pub fn of(function: &muon_crds::Function) -> Self {
        Self {
            key: key(&function.name_any(), &function.namespace().unwrap_or_default()).into(),
            uid: function.uid().unwrap_or_default().into(),
            serving: function.status.as_ref().and_then(|status| status.serving.clone()),
        }
    }

    /// `name.namespace`.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Its name. Names of Functions hold no dot.
    pub fn name(&self) -> &str {
        self.key.split_once('.').map_or(&*self.key, |(name, _)| name)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.key.split_once('.').map_or("", |(_, namespace)| namespace)
    }
}

impl crate::map::Keyed for Function {
    fn key(&self) -> &str {
        &self.key
    }
}

/// `name.namespace`.
pub(crate) fn key(name: &str, namespace: &str) -> String {
    format!("{name}.{namespace}")
}
