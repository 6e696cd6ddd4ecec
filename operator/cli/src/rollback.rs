//! `muon rollback`: a function runs an earlier content of its package again.

use std::time::Duration;

use clap::Args;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams};
use muon_crds::Function;
use muon_crds::function::PastRevision;
use serde_json::{Value, json};

use crate::apply::{self, MANAGER};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::output::{self, Terminal, short};
use crate::project::Sort;
use crate::wait::{self, Awaited};

/// Arguments of `muon rollback`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The function's name.
    #[arg(value_name = "FUNCTION", add = crate::completion::names(Kind::Function))]
    function: String,
    /// A revision of `status.revisions`, or the digest of a package; none: the newest other content that served.
    #[arg(long, value_name = "REVISION", conflicts_with = "undo")]
    to: Option<String>,
    /// Run the package's own content again.
    #[arg(long)]
    undo: bool,
    /// List what can be gone back to.
    #[arg(long, conflicts_with_all = ["to", "undo"])]
    list: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    /// Return without waiting until it serves.
    #[arg(long)]
    no_wait: bool,
    /// Seconds within which it has to serve.
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

pub(crate) async fn run(arguments: Arguments, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
    let session = connection.open().await?;
    let name = &arguments.function;
    let shown = format!("function/{name}");
    let api = session.api::<Function>();
    let function = api.get(name).await.map_err(|error| Failure::of(&shown, error))?;
    let past = function.status.as_ref().map(|status| status.revisions.as_slice()).unwrap_or_default();
    if arguments.list {
        let lines = past.iter().map(|past| format!("{}  {}  until {}\n", past.revision, past.digest, past.until));
        return output::write(&lines.collect::<String>());
    }
    let digest = match arguments.undo {
        true => Value::Null,
        false => json!(choose(&function, arguments.to.as_deref())?),
    };
    if !arguments.dry_run {
        // The revision that was read is the one that is left: what changed meanwhile was not looked at.
        let version = function.resource_version();
        let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "spec": {"packageDigest": digest}}));
        let parameters = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        api.patch(name, &parameters, &patch).await.map_err(|error| Failure::of(&shown, error))?;
    }
    let dry = if arguments.dry_run { " (dry run)" } else { "" };
    match digest.as_str() {
        Some(digest) => {
            output::write(&format!("{shown} runs {} again{dry}; spec.packageDigest: {digest}\n", short(digest)))?
        }
        None => output::write(&format!("{shown} runs its package's own content again{dry}\n"))?,
    }
    if arguments.dry_run || arguments.no_wait {
        return Ok(());
    }
    let api = apply::api(&session, Sort::Muon(Kind::Function), None);
    wait::ready(&[Awaited { shown, name: name.clone(), api }], Duration::from_secs(arguments.timeout), terminal).await
}

/// The content to go back to.
fn choose<'a>(function: &'a Function, to: Option<&'a str>) -> Result<&'a str, Failure> {
    let status = function.status.as_ref();
    let past = status.map(|status| status.revisions.as_slice()).unwrap_or_default();
    let serving = status.and_then(|status| status.serving.as_ref());
    let Some(wanted) = to else {
        // A revision may differ in its settings alone: those are in the spec, not in the store.
        let other = past.iter().find(|past| serving.is_none_or(|serving| serving.digest != past.digest));
        return other.map(|past| past.digest.as_str()).ok_or_else(|| none(function, past));
    };
    if muon_crds::names::is_digest(wanted) {
        return Ok(wanted);
    }
    let found = past.iter().find(|past| past.revision == wanted);
    found.map(|past| past.digest.as_str()).ok_or_else(|| none(function, past))
}

fn none(function: &Function, past: &[PastRevision]) -> Failure {
    let known = match past {
        [] => "nothing else has served yet".to_owned(),
        past => {
            format!("it has served {}", past.iter().map(|past| past.revision.as_str()).collect::<Vec<_>>().join(", "))
        }
    };
    Failure::NotFound(format!("function/{}: no such content to go back to; {known}", function.name_any()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(past: &[(&str, char)]) -> Function {
        let digest = |of: char| format!("sha256:{}", of.to_string().repeat(64));
        let past: Vec<Value> = past
            .iter()
            .map(|(revision, of)| json!({"revision": revision, "digest": digest(*of), "until": "2026-11-23T11:30:00Z"}))
            .collect();
        serde_json::from_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Function", "metadata": {"name": "hello"},
            "spec": {"environment": "python", "package": "hello"},
            "status": {"revisions": past, "serving": {"revision": "now", "digest": digest('a'), "mode": "Pool",
                "environment": "python", "concurrency": 1, "timeoutSeconds": 1, "max": 1}},
        }))
        .unwrap()
    }

    #[test]
    fn the_newest_other_content_is_gone_back_to() {
        let past = function(&[("settings", 'a'), ("before", 'b'), ("older", 'c')]);
        assert!(choose(&past, None).unwrap().starts_with("sha256:bb"));
        assert!(choose(&past, Some("older")).unwrap().starts_with("sha256:cc"));
        assert!(choose(&past, Some("settings")).unwrap().starts_with("sha256:aa"));
        let digest = format!("sha256:{}", "9".repeat(64));
        assert_eq!(choose(&past, Some(&digest)).unwrap(), digest);
    }

    #[test]
    fn what_never_served_is_refused_with_what_did() {
        let said = |function: &Function, to| choose(function, to).unwrap_err().to_string();
        assert!(said(&function(&[("before", 'b')]), Some("x")).ends_with("it has served before"));
        assert!(said(&function(&[("settings", 'a')]), None).contains("no such content"));
        assert!(said(&function(&[]), None).ends_with("nothing else has served yet"));
    }
}
