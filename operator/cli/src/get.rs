//! `muon get`: objects as a table, or as they are.

use clap::Args;
use jiff::Timestamp;
use kube::Api;
use kube::api::{DynamicObject, ListParams};
use serde_json::{Value, json};

use crate::connection::{Connection, Session};
use crate::failure::Failure;
use crate::kinds::{Kind, Selection, Target};
use crate::output::{self, Format, Terminal};

pub(crate) mod columns;

/// Arguments of `muon get`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// `fn`, `route`, `pkg`, `env`, or several with commas; `fn/NAME`; names of functions. None: everything.
    #[arg(value_name = "KIND|NAME", add = crate::completion::targets())]
    what: Vec<String>,
    #[command(flatten)]
    listing: Listing,
}

/// Which objects of a kind, and how they are written.
#[derive(Args, Debug)]
pub struct Listing {
    /// In all namespaces.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// Only objects with these labels.
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Form of the output.
    #[arg(short, long, value_enum)]
    output: Option<Format>,
}

impl Listing {
    /// Of one kind.
    pub(crate) fn of(self, kind: Kind) -> Arguments {
        Arguments { what: vec![kind.singular().to_owned()], listing: self }
    }
}

pub(crate) async fn run(arguments: Arguments, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
    let selection = Selection::parse(&arguments.what)?;
    let arguments = arguments.listing;
    let session = connection.open().await?;
    let (objects, single) = match &selection {
        Selection::All(kinds) => (list(&session, kinds, &arguments).await?, false),
        Selection::Named(targets) => {
            if arguments.all_namespaces || arguments.selector.is_some() {
                return Err(Failure::Usage("objects that are named need neither -A nor -l".to_owned()));
            }
            (named(&session, targets).await?, targets.len() == 1)
        }
    };
    let text = match arguments.output {
        Some(Format::Json) => output::json(&whole(objects, single))?,
        Some(Format::Yaml) => output::yaml(&whole(objects, single))?,
        Some(Format::Name) => {
            objects.iter().map(|(kind, object)| format!("{}/{}\n", kind.singular(), name(object))).collect()
        }
        _ if objects.is_empty() => {
            let place = match arguments.all_namespaces {
                true => "any namespace".to_owned(),
                false => format!("namespace {}", session.namespace),
            };
            output::note(&format!("nothing found in {place}"));
            String::new()
        }
        wide => {
            let shown = columns::Shown {
                wide: wide == Some(Format::Wide),
                namespaces: arguments.all_namespaces,
                now: Timestamp::now(),
            };
            columns::tables(&objects, &shown, terminal)
        }
    };
    output::write(&text)
}

type Found = Vec<(Kind, Value)>;

async fn list(session: &Session, kinds: &[Kind], arguments: &Listing) -> Result<Found, Failure> {
    let mut parameters = ListParams::default();
    if let Some(labels) = &arguments.selector {
        parameters = parameters.labels(labels);
    }
    let mut found = Found::new();
    for kind in kinds {
        let resource = kind.resource();
        let api: Api<DynamicObject> = match arguments.all_namespaces {
            true => Api::all_with(session.client.clone(), &resource),
            false => Api::namespaced_with(session.client.clone(), &session.namespace, &resource),
        };
        let listed = api.list(&parameters).await.map_err(|error| missing(*kind, error))?;
        found.extend(listed.items.into_iter().map(|object| (*kind, bare(*kind, &object))));
    }
    Ok(found)
}

async fn named(session: &Session, targets: &[Target]) -> Result<Found, Failure> {
    let mut found = Found::new();
    for target in targets {
        let api: Api<DynamicObject> =
            Api::namespaced_with(session.client.clone(), &session.namespace, &target.kind.resource());
        let object = api.get(&target.name).await.map_err(|error| Failure::of(target, error))?;
        found.push((target.kind, bare(target.kind, &object)));
    }
    Ok(found)
}

/// A list that is not there at all is a cluster without Muon.
pub(crate) fn missing(kind: Kind, error: kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 404 => {
            Failure::NotFound("Muon is not installed in this cluster: `muon doctor` tells what is there".to_owned())
        }
        error => Failure::of(format!("{}s", kind.singular()), error),
    }
}

/// The object as a manifest has it, without the API server's own bookkeeping of fields.
fn bare(kind: Kind, object: &DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["apiVersion"] = json!(kind.resource().api_version);
    value["kind"] = json!(kind.as_str());
    if let Some(metadata) = value["metadata"].as_object_mut() {
        metadata.remove("managedFields");
    }
    value
}

fn whole(objects: Found, single: bool) -> Value {
    let mut items: Vec<Value> = objects.into_iter().map(|(_, object)| object).collect();
    match items.pop() {
        Some(object) if single => object,
        last => {
            items.extend(last);
            json!({"apiVersion": "v1", "kind": "List", "items": items})
        }
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}
