//! The four kinds as people type them: `fn`, `functions`, `fn/hello`.

use kube::core::ApiResource;
use muon_crds::{Environment, Function, HTTPTrigger, Package};

use crate::failure::Failure;

/// One of the four kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `env`
    Environment,
    /// `pkg`
    Package,
    /// `fn`
    Function,
    /// `ht`, or `route`
    HTTPTrigger,
}

impl Kind {
    /// All, in the order in which one needs the other.
    pub const ALL: [Self; 4] = [Self::Environment, Self::Package, Self::Function, Self::HTTPTrigger];

    /// Reads a kind as kubectl would, and `route`.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().trim_end_matches(".muon.dev") {
            "environment" | "environments" | "env" => Self::Environment,
            "package" | "packages" | "pkg" => Self::Package,
            "function" | "functions" | "fn" => Self::Function,
            "httptrigger" | "httptriggers" | "ht" | "route" | "routes" => Self::HTTPTrigger,
            _ => return None,
        })
    }

    /// As it stands in a manifest.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Environment => "Environment",
            Self::Package => "Package",
            Self::Function => "Function",
            Self::HTTPTrigger => "HTTPTrigger",
        }
    }

    /// As it stands before a slash.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Environment => "environment",
            Self::Package => "package",
            Self::Function => "function",
            Self::HTTPTrigger => "httptrigger",
        }
    }

    /// Where the API server keeps it.
    pub fn resource(self) -> ApiResource {
        match self {
            Self::Environment => ApiResource::erase::<Environment>(&()),
            Self::Package => ApiResource::erase::<Package>(&()),
            Self::Function => ApiResource::erase::<Function>(&()),
            Self::HTTPTrigger => ApiResource::erase::<HTTPTrigger>(&()),
        }
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Target {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Target {
    /// Reads `kind/name`, or the name of a Function.
    ///
    /// # Errors
    /// It names a kind that is none of ours.
    pub fn parse(text: &str) -> Result<Self, Failure> {
        let (kind, name) = match text.split_once('/') {
            None => (Kind::Function, text),
            Some((kind, name)) => match Kind::parse(kind) {
                Some(kind) => (kind, name),
                None => return Err(unknown(kind)),
            },
        };
        match name.is_empty() {
            true => Err(Failure::Usage(format!("{text:?} names no object: write {}/NAME", kind.singular()))),
            false => Ok(Self { kind, name: name.to_owned() }),
        }
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(text, "{}/{}", self.kind.singular(), self.name)
    }
}

fn unknown(kind: &str) -> Failure {
    Failure::Usage(format!(
        "{kind:?} is none of Muon's kinds: function (fn), package (pkg), environment (env), httptrigger (ht, route)"
    ))
}

/// What a list of words selects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selection {
    /// Every object of these kinds.
    All(Vec<Kind>),
    /// These objects.
    Named(Vec<Target>),
}

impl Selection {
    /// Reads words as kubectl does: `fn`, `fn,pkg`, `fn a b`, `fn/a pkg/b`; a word alone that is no kind is a Function's name.
    ///
    /// # Errors
    /// A word cannot be meant.
    pub fn parse(words: &[String]) -> Result<Self, Failure> {
        let Some(first) = words.first() else { return Ok(Self::All(Kind::ALL.to_vec())) };
        if matches!(first.as_str(), "all" | "muon") && words.len() == 1 {
            return Ok(Self::All(Kind::ALL.to_vec()));
        }
        let kinds: Option<Vec<Kind>> = first.split(',').map(Kind::parse).collect();
        match kinds {
            Some(mut kinds) if words.len() == 1 => {
                kinds.sort();
                kinds.dedup();
                Ok(Self::All(kinds))
            }
            Some(kinds) if kinds.len() == 1 => {
                let named = words[1..].iter().map(|name| Target::parse(&format!("{}/{name}", kinds[0].singular())));
                named.collect::<Result<_, _>>().map(Self::Named)
            }
            Some(_) => Err(Failure::Usage("names go with one kind: write kind/name for objects of several".to_owned())),
            None => words.iter().map(|word| Target::parse(word)).collect::<Result<_, _>>().map(Self::Named),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(words: &[&str]) -> Result<Selection, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Selection::parse(&words).map_err(|failure| failure.to_string())
    }

    fn named(targets: &[(Kind, &str)]) -> Result<Selection, String> {
        Ok(Selection::Named(
            targets.iter().map(|(kind, name)| Target { kind: *kind, name: (*name).to_owned() }).collect(),
        ))
    }

    #[test]
    fn words_are_read_as_kubectl_reads_them() {
        assert_eq!(selected(&[]), Ok(Selection::All(Kind::ALL.to_vec())));
        assert_eq!(selected(&["ht,fn"]), Ok(Selection::All(vec![Kind::Function, Kind::HTTPTrigger])));
        assert_eq!(selected(&["functions.muon.dev"]), Ok(Selection::All(vec![Kind::Function])));
        assert_eq!(selected(&["pkg", "a", "b"]), named(&[(Kind::Package, "a"), (Kind::Package, "b")]));
        assert_eq!(selected(&["hello", "route/r"]), named(&[(Kind::Function, "hello"), (Kind::HTTPTrigger, "r")]));
        assert!(selected(&["pod/x"]).unwrap_err().contains("none of Muon's kinds"));
        assert!(selected(&["fn/"]).unwrap_err().contains("function/NAME"));
        assert!(selected(&["fn,pkg", "a"]).unwrap_err().contains("kind/name"));
    }
}
