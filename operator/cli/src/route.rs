//! `muon route`: list routes, make one, take one away.

use clap::{Args, Subcommand};
use muon_crds::http_trigger::Method;

use crate::apply::{self, How};
use crate::connection::Connection;
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::output::{self, Terminal};
use crate::project::{Manifest, Sort};
use crate::wait;
use crate::{delete, deploy, get};

/// What to do with routes.
#[derive(Subcommand, Debug)]
pub enum Route {
    /// List routes.
    #[command(visible_alias = "ls")]
    List(get::Listing),
    /// Make a route to a function, or change it.
    Add(Add),
    /// Take routes away.
    #[command(visible_alias = "rm")]
    Delete(Delete),
}

/// Arguments of `muon route add`.
#[derive(Args, Debug)]
pub struct Add {
    /// The function's name.
    #[arg(value_name = "FUNCTION", add = crate::completion::names(Kind::Function))]
    function: String,
    /// The path: exact, or with parameters as in /users/{id}; all below it where it ends with `/*`.
    #[arg(value_name = "PATH")]
    path: String,
    /// The route's name; absent: the function's.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The host. Absent: any.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Methods, with commas; absent: all.
    #[arg(short = 'X', long = "method", value_name = "METHODS", value_delimiter = ',', value_parser = method)]
    methods: Vec<Method>,
    /// Make it public, through the cluster's Ingress controller.
    #[arg(long)]
    ingress: bool,
    /// The IngressClass, where it is not the cluster's default.
    #[arg(long, value_name = "CLASS", requires = "ingress")]
    ingress_class: Option<String>,
    /// Write the manifest to standard output instead.
    #[arg(long, value_enum)]
    out: Option<deploy::Out>,
    /// Return as soon as it is applied.
    #[arg(long)]
    no_wait: bool,
}

/// Arguments of `muon route delete`.
#[derive(Args, Debug)]
pub struct Delete {
    /// Names of routes.
    #[arg(value_name = "ROUTE", required = true, add = crate::completion::names(Kind::HTTPTrigger))]
    names: Vec<String>,
}

fn method(text: &str) -> Result<Method, String> {
    let upper = text.to_ascii_uppercase();
    serde_json::from_value(serde_json::Value::String(upper)).map_err(|_| format!("{text:?} is no method of HTTP"))
}

pub(crate) async fn run(route: Route, connection: &Connection, terminal: Terminal) -> Result<(), Failure> {
    match route {
        Route::List(listing) => get::run(listing.of(Kind::HTTPTrigger), connection, terminal).await,
        Route::Delete(Delete { names }) => {
            let names = names.iter().map(|name| format!("route/{name}")).collect();
            delete::run(delete::Arguments::named(names), connection, terminal).await
        }
        Route::Add(add) => {
            let manifest = manifest(&add)?;
            if add.out.is_some() {
                return output::write(&output::yaml(&manifest.value)?);
            }
            let session = connection.open().await?;
            let outcome = apply::apply(&session, &manifest, How::default()).await?;
            output::write(&format!("{manifest} {}\n", outcome.as_str()))?;
            if add.no_wait {
                return Ok(());
            }
            let awaited: Vec<_> = deploy::awaited(&session, &manifest).into_iter().collect();
            wait::ready(&awaited, std::time::Duration::from_secs(60), terminal).await?;
            deploy::urls(&session, &[manifest], terminal).await
        }
    }
}

/// The route as a manifest.
fn manifest(add: &Add) -> Result<Manifest, Failure> {
    use serde_yaml::{Mapping, Value};
    let name = add.name.clone().unwrap_or_else(|| add.function.clone());
    let map = |pairs: Vec<(&str, Value)>| {
        Value::Mapping(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect::<Mapping>())
    };
    let mut spec: Vec<(&str, Value)> = Vec::new();
    if let Some(host) = &add.host {
        spec.push(("host", host.as_str().into()));
    }
    match add.path.strip_suffix('*') {
        Some(prefix) => spec.push(("pathPrefix", prefix.into())),
        None => spec.push(("path", add.path.as_str().into())),
    }
    if !add.methods.is_empty() {
        spec.push(("methods", Value::Sequence(add.methods.iter().map(|method| method.as_str().into()).collect())));
    }
    spec.push(("function", map(vec![("name", add.function.as_str().into())])));
    if add.ingress {
        let class = add.ingress_class.as_ref().map(|class| ("className", Value::from(class.as_str())));
        spec.push(("ingress", map(class.into_iter().collect())));
    }
    let value = map(vec![
        ("apiVersion", "muon.dev/v1alpha1".into()),
        ("kind", "HTTPTrigger".into()),
        ("metadata", map(vec![("name", name.as_str().into())])),
        ("spec", map(spec)),
    ]);
    let manifest = Manifest { sort: Sort::Muon(Kind::HTTPTrigger), name, namespace: None, value };
    let read = manifest.read::<muon_crds::HTTPTrigger>();
    read.map(|_| ()).map_err(|error| Failure::Usage(format!("the route: {error}")))?;
    Ok(manifest)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::golden;

    #[derive(Parser)]
    struct Line {
        #[command(subcommand)]
        route: Route,
    }

    fn made(words: &[&str]) -> Result<String, String> {
        let words = ["route", "add"].iter().chain(words);
        let Route::Add(add) = Line::try_parse_from(words).map_err(|error| error.to_string())?.route else { panic!() };
        manifest(&add).and_then(|manifest| output::yaml(&manifest.value)).map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_is_asked_for_is_a_manifest() {
        let small = made(&["hello", "/hello"]).unwrap();
        let large = made(&[
            "hello",
            "/api/*",
            "--name",
            "api",
            "--host",
            "api.example.com",
            "-X",
            "get,POST",
            "--ingress",
            "--ingress-class",
            "traefik",
        ]);
        golden::check("route.yaml", &format!("{small}---\n{}", large.unwrap()));
        assert!(made(&["hello", "/", "-X", "FETCH"]).unwrap_err().contains("no method of HTTP"));
    }
}
