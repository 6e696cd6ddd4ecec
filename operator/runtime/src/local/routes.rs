//! Pure: the routes of a project, as one machine can be asked for them.
//!
//! Nobody resolves a project's host names here, so each route answers on localhost under its path as well, whatever
//! `Host` says; where two hosts have the same path, the one that comes first does, and the other needs its `Host`. Every
//! function answers under `<function>.localhost` too.

use std::collections::BTreeSet;

use k8s_openapi::jiff::Timestamp;
use muon_crds::HTTPTrigger;
use serde_json::json;

use super::project::Project;

/// Namespace of all that runs here.
pub(crate) const NAMESPACE: &str = "default";

/// Who is older wins a path: first what manifests say, then what is added here.
const WRITTEN: i64 = 1_000_000_000;
const ADDED: i64 = 2_000_000_000;

/// The triggers, as the proxy is told them.
pub(crate) fn triggers(project: &Project) -> Vec<HTTPTrigger> {
    let mut all = Vec::new();
    for (at, trigger) in (0..).zip(&project.triggers) {
        let written = dated(trigger.clone(), WRITTEN + at);
        if written.spec.host.is_some() {
            let mut anywhere = dated(written.clone(), ADDED + at);
            anywhere.spec.host = None;
            anywhere.metadata.name = anywhere.metadata.name.map(|name| format!("{name}.anywhere"));
            all.push(anywhere);
        }
        all.push(written);
    }
    for function in &project.functions {
        let host = format!("{}.localhost", function.name);
        all.extend(whole(&function.name, Some(&host)).map(|trigger| dated(trigger, ADDED)));
    }
    if let ([], [function]) = (project.triggers.as_slice(), project.functions.as_slice()) {
        all.extend(whole(&function.name, None).map(|trigger| dated(trigger, ADDED)));
    }
    all
}

/// Every path of a host, to one function.
fn whole(function: &str, host: Option<&str>) -> Option<HTTPTrigger> {
    let name = format!("{function}.{}", if host.is_some() { "localhost" } else { "all" });
    let trigger = json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger",
        "metadata": {"name": name},
        "spec": {"host": host, "pathPrefix": "/", "function": {"name": function}},
    });
    serde_json::from_value(trigger).ok()
}

fn dated(mut trigger: HTTPTrigger, second: i64) -> HTTPTrigger {
    trigger.metadata.namespace = Some(NAMESPACE.to_owned());
    trigger.metadata.creation_timestamp =
        Timestamp::from_second(second).ok().map(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time);
    // Every route is reached from outside here.
    trigger.spec.ingress = Some(trigger.spec.ingress.unwrap_or_default());
    trigger
}

/// One line a route, for people: methods, URL, and whom it leads to.
pub(crate) fn lines(project: &Project, base: &str) -> Vec<String> {
    let mut told = BTreeSet::new();
    let mut lines = Vec::new();
    for trigger in &project.triggers {
        let spec = &trigger.spec;
        let path = spec
            .path
            .clone()
            .or_else(|| spec.path_prefix.as_ref().map(|prefix| format!("{prefix}...")))
            .unwrap_or_default();
        let methods: Vec<&str> = spec.methods.iter().map(|method| method.as_str()).collect();
        let methods = if methods.is_empty() { "*".to_owned() } else { methods.join(",") };
        let to = spec.function.name.clone().unwrap_or_else(|| "by labels".to_owned());
        let host = match &spec.host {
            Some(host) if !told.insert((path.clone(), methods.clone())) => format!("  (Host: {host})"),
            Some(_) => String::new(),
            None => {
                told.insert((path.clone(), methods.clone()));
                String::new()
            }
        };
        lines.push(format!("{methods:<6} {base}{path}  ->  {to}{host}"));
    }
    if project.triggers.is_empty() {
        let port = base.rsplit(':').next().unwrap_or_default();
        for function in &project.functions {
            let name = &function.name;
            let at =
                if project.functions.len() == 1 { base.to_owned() } else { format!("http://{name}.localhost:{port}") };
            lines.push(format!("{:<6} {at}/...  ->  {name}", "*"));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use muon_routes::{Book, Event, Listener, Outcome};

    use super::*;
    use crate::local::project::Folder;

    const TWO: &str = "\
apiVersion: muon.dev/v1alpha1
kind: Function
metadata: {name: shop}
spec: {environment: python}
---
apiVersion: muon.dev/v1alpha1
kind: Function
metadata: {name: blog}
spec: {environment: python}
---
apiVersion: muon.dev/v1alpha1
kind: HTTPTrigger
metadata: {name: shop}
spec: {host: shop.example.com, path: /, function: {name: shop}}
---
apiVersion: muon.dev/v1alpha1
kind: HTTPTrigger
metadata: {name: blog}
spec: {host: blog.example.com, path: /, methods: [GET], function: {name: blog}}
---
apiVersion: muon.dev/v1alpha1
kind: HTTPTrigger
metadata: {name: posts}
spec: {host: blog.example.com, path: '/posts/{id}', function: {name: blog}}
";

    fn project(manifest: &str, entries: &[&str]) -> Project {
        let manifests =
            if manifest.is_empty() { Vec::new() } else { vec![("all.yaml".to_owned(), manifest.to_owned())] };
        let entries = entries.iter().map(|name| (*name).to_owned()).collect();
        Project::read(&Folder { name: "demo".to_owned(), manifests, entries }).unwrap()
    }

    /// The function that a request meets; none: no route.
    fn met(project: &Project, host: &str, path: &str) -> Option<String> {
        let mut book = Book::default();
        for function in &project.functions {
            let mut object = function.object.clone();
            object.metadata.namespace = Some(NAMESPACE.to_owned());
            object.metadata.uid = Some(function.name.clone());
            book.function(Event::Apply(object));
        }
        for trigger in triggers(project) {
            book.trigger(Event::Apply(trigger));
        }
        let table = book.table();
        match table.route(Listener::Ingress, host, "GET", path) {
            Outcome::Found(found) => Some(found.route.key.name().split('.').next().unwrap_or_default().to_owned()),
            _ => None,
        }
    }

    #[test]
    fn every_route_answers_on_localhost_and_under_its_host() {
        let project = project(TWO, &[]);
        for (host, path, name) in [
            ("shop.example.com", "/", Some("shop")),
            ("blog.example.com", "/", Some("blog")),
            ("localhost:8080", "/posts/7", Some("posts")),
            // The first of two hosts with the same path.
            ("localhost:8080", "/", Some("shop")),
            ("127.0.0.1:8080", "/", Some("shop")),
            ("blog.localhost:8080", "/any/path", Some("blog")),
            ("localhost:8080", "/nothing", None),
        ] {
            assert_eq!(met(&project, host, path).as_deref(), name, "{host}{path}");
        }
        let lines = lines(&project, "http://127.0.0.1:8080");
        assert_eq!(lines[0], "*      http://127.0.0.1:8080/  ->  shop");
        assert!(lines[1].contains("GET"), "{lines:?}");
    }

    #[test]
    fn a_function_without_a_route_answers_everywhere() {
        let project = project("", &["main.py"]);
        assert_eq!(met(&project, "localhost", "/any").as_deref(), Some("demo"));
        assert_eq!(lines(&project, "http://127.0.0.1:1"), ["*      http://127.0.0.1:1/...  ->  demo"]);
    }
}
