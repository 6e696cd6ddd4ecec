//! The table against a model that looks through all triggers one by one.

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use muon_crds::HTTPTrigger;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::conflict::{Finding, findings};
use crate::{Book, Event};

fn trigger(name: &str, created: i64, spec: Value) -> HTTPTrigger {
    let time = Timestamp::from_second(created).unwrap().to_string();
    let (namespace, name) = name.split_once('/').unwrap_or(("demo", name));
    let metadata = json!({"name": name, "namespace": namespace, "creationTimestamp": time, "resourceVersion": "1"});
    serde_json::from_value(
        json!({"apiVersion": "muon.dev/v1alpha1", "kind": "HTTPTrigger", "metadata": metadata, "spec": spec}),
    )
    .unwrap()
}

fn function(name: &str, labels: Value, weight: &str, serving: bool) -> muon_crds::Function {
    let mut function = json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Function",
        "metadata": {"name": name, "namespace": "demo", "uid": format!("uid-{name}"), "labels": labels,
            "annotations": {"muon.dev/weight": weight}},
        "spec": {"environment": "python", "package": "p"},
    });
    if serving {
        function["status"] = json!({"serving": {"revision": "r", "digest": "d", "mode": "Pool", "environment": "python",
            "concurrency": 1, "timeoutSeconds": 1, "max": 1}});
    }
    serde_json::from_value(function).unwrap()
}

fn book(triggers: &[HTTPTrigger]) -> Book {
    let mut book = Book::default();
    for trigger in triggers {
        book.trigger(Event::Apply(trigger.clone()));
    }
    book
}

/// Who answers, and with which parameters; else why nobody does.
fn ask(table: &Table, listener: Listener, host: &str, method: &str, path: &str) -> String {
    match table.route(listener, host, method, path) {
        Outcome::Found(found) => {
            let mut text = found.route.key.to_string();
            for value in &found.values {
                text = format!("{text} {value}");
            }
            text
        }
        Outcome::MethodNotAllowed(methods) => format!("405 {methods}"),
        Outcome::NotFound => "404".to_owned(),
        Outcome::UnknownHost => "no host".to_owned(),
    }
}

fn to(function: &str, spec: Value) -> Value {
    let mut spec = spec;
    spec["function"] = json!({"name": function});
    spec
}

#[test]
fn the_most_specific_path_for_the_method_wins() {
    let route = |name: &str, spec: Value| trigger(name, 1, to("f", spec));
    let book = book(&[
        route("static", json!({"path": "/users/me", "methods": ["GET"]})),
        route("param", json!({"path": "/users/{id}"})),
        route("deep", json!({"path": "/users/{id}/posts/{post}"})),
        route("prefix", json!({"pathPrefix": "/users/"})),
        route("root", json!({"path": "/"})),
        route("slash", json!({"path": "/end/"})),
        route("only-get", json!({"path": "/one", "methods": ["GET"]})),
        route("only-put", json!({"path": "/one", "methods": ["PUT"]})),
    ]);
    let table = book.table();
    for (method, path, expected) in [
        ("GET", "/users/me", "demo/static"),
        ("POST", "/users/me", "demo/param me"),
        ("GET", "/users/7", "demo/param 7"),
        ("GET", "/users/7/posts/8", "demo/deep 7 8"),
        ("GET", "/users/7/posts", "demo/prefix"),
        ("GET", "/users/", "demo/prefix"),
        ("GET", "/users", "404"),
        ("GET", "/", "demo/root"),
        ("GET", "/end/", "demo/slash"),
        ("GET", "/end", "404"),
        ("PROPFIND", "/users/7", "demo/param 7"),
        ("PUT", "/one", "demo/only-put"),
        ("POST", "/one", "405 GET, PUT"),
    ] {
        assert_eq!(ask(&table, Listener::Gateway, "muon-gateway.demo", method, path), expected, "{method} {path}");
    }
}

#[test]
fn hosts_and_listeners_keep_their_own() {
    let book = book(&[
        trigger("exact", 1, to("f", json!({"host": "a.example", "path": "/x", "ingress": {}}))),
        trigger("wildcard", 1, to("f", json!({"host": "*.example", "path": "/x", "ingress": {}}))),
        trigger("wild-only", 1, to("f", json!({"host": "*.example", "path": "/y", "ingress": {}}))),
        trigger("any", 1, to("f", json!({"path": "/x", "ingress": {}}))),
        trigger("any-z", 1, to("f", json!({"path": "/z", "ingress": {}}))),
        trigger("hidden", 1, to("f", json!({"host": "a.example", "path": "/hidden"}))),
        trigger("other/any", 1, to("f", json!({"path": "/mine"}))),
    ]);
    let table = book.table();
    for (listener, host, path, expected) in [
        (Listener::Ingress, "a.example", "/x", "demo/exact"),
        (Listener::Ingress, "A.Example:8080", "/x", "demo/exact"),
        (Listener::Ingress, "b.example", "/x", "demo/wildcard"),
        (Listener::Ingress, "a.example", "/y", "demo/wild-only"),
        (Listener::Ingress, "c.b.example", "/x", "demo/any"),
        (Listener::Ingress, "a.example", "/z", "demo/any-z"),
        (Listener::Ingress, "a.example", "/hidden", "404"),
        (Listener::Ingress, "a.example", "/mine", "404"),
        (Listener::Gateway, "a.example", "/hidden", "demo/hidden"),
        (Listener::Gateway, "a.example", "/z", "404"),
        (Listener::Gateway, "elsewhere.test", "/x", "no host"),
        (Listener::Gateway, "muon-gateway.demo", "/z", "demo/any-z"),
        (Listener::Gateway, "muon-gateway.demo.svc.cluster.local", "/x", "demo/any"),
        (Listener::Gateway, "muon-gateway.other", "/mine", "other/any"),
        (Listener::Gateway, "muon-gateway.other", "/x", "404"),
    ] {
        assert_eq!(ask(&table, listener, host, "GET", path), expected, "{host}{path}");
    }
}

#[test]
fn a_selector_shares_by_weight_among_those_that_serve() {
    let mut book =
        book(&[trigger("t", 1, json!({"path": "/", "function": {"selector": {"matchLabels": {"app": "a"}}}}))]);
    let shares = |book: &Book| {
        let table = book.table();
        let Outcome::Found(found) = table.route(Listener::Gateway, "muon-gateway.demo", "GET", "/") else {
            panic!("no route")
        };
        let mut shares = BTreeMap::new();
        for random in 0..1000 {
            let name = table.choose(found.route, random).map(|function| function.name().to_owned());
            *shares.entry(name.map_err(|unserved| unserved.to_string())).or_insert(0) += 1;
        }
        shares
    };
    assert_eq!(shares(&book), BTreeMap::from([(Err(Unserved::Missing.to_string()), 1000)]));
    book.function(Event::Apply(function("v1", json!({"app": "a"}), "900", true)));
    book.function(Event::Apply(function("v2", json!({"app": "a"}), "100", true)));
    book.function(Event::Apply(function("v3", json!({"app": "a"}), "500", false)));
    book.function(Event::Apply(function("bad", json!({"app": "a"}), "much", true)));
    book.function(Event::Apply(function("no", json!({"app": "b"}), "100", true)));
    assert_eq!(shares(&book), BTreeMap::from([(Ok("v1".to_owned()), 900), (Ok("v2".to_owned()), 100)]));
    book.function(Event::Apply(function("v1", json!({"app": "gone"}), "900", true)));
    assert_eq!(shares(&book), BTreeMap::from([(Ok("v2".to_owned()), 1000)]));
    book.function(Event::Delete(function("v2", json!({"app": "a"}), "100", true)));
    book.function(Event::Delete(function("bad", json!({"app": "a"}), "much", true)));
    assert_eq!(shares(&book), BTreeMap::from([(Err(Unserved::NotServing.to_string()), 1000)]));
}

#[test]
fn what_a_reader_holds_never_changes() {
    let old = trigger("t", 1, to("f", json!({"path": "/a"})));
    let mut book = book(std::slice::from_ref(&old));
    let before = book.table();
    book.trigger(Event::Apply(trigger("t", 1, to("f", json!({"path": "/b"})))));
    let path = |table: &Table, path: &str| ask(table, Listener::Gateway, "muon-gateway.demo", "GET", path);
    assert_eq!((path(&before, "/a"), path(&before, "/b")), ("demo/t".to_owned(), "404".to_owned()));
    assert_eq!((path(&book.table(), "/a"), path(&book.table(), "/b")), ("404".to_owned(), "demo/t".to_owned()));
    book.trigger(Event::<HTTPTrigger>::Relist);
    book.trigger(Event::<HTTPTrigger>::Listed);
    assert_eq!(path(&book.table(), "/b"), "no host");
}

#[test]
fn findings_name_the_winner() {
    let triggers = [
        trigger("young", 2, to("f", json!({"path": "/{a}", "methods": ["GET", "POST"]}))),
        trigger("old", 1, to("f", json!({"path": "/{b}", "methods": ["GET"]}))),
        trigger("apart", 3, to("f", json!({"path": "/{c}", "methods": ["PUT"]}))),
        trigger("other/same", 3, to("f", json!({"path": "/{d}"}))),
        trigger("twin-b", 5, to("f", json!({"host": "a.example", "path": "/t"}))),
        trigger("twin-a", 5, to("f", json!({"host": "a.example", "path": "/t"}))),
        trigger("bad", 1, to("f", json!({"path": "/x-{a}"}))),
    ];
    let found = findings(&triggers);
    let text: Vec<String> = found.iter().map(|(key, finding)| format!("{key}: {finding}")).collect();
    assert_eq!(
        text,
        [
            "demo/bad: the path cannot be a route: a parameter is a whole segment, like /users/{id}: \"x-{a}\" is not",
            "demo/twin-b: every method /t is served by the older HTTPTrigger demo/twin-a: change one of the two",
            "demo/young: GET /{} is served by the older HTTPTrigger demo/old: change one of the two",
        ]
    );
}

/// Triggers that meet often: few hosts, few segments, few methods.
fn some_triggers() -> impl Strategy<Value = Vec<HTTPTrigger>> {
    let segment = prop::sample::select(vec!["a", "b", "{x}", "{y}", ""]);
    let one = (
        prop::sample::select(vec!["demo", "other"]),
        prop::option::of(prop::sample::select(vec!["h.example", "*.example"])),
        prop::collection::vec(segment, 1..4),
        any::<bool>(),
        prop::sample::subsequence(vec!["GET", "POST", "PUT"], 0..3),
        any::<bool>(),
        0i64..4,
    );
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let mut triggers = Vec::new();
        for (number, (namespace, host, segments, prefix, methods, ingress, created)) in all.into_iter().enumerate() {
            let path = format!("/{}", segments.join("/"));
            let mut spec = json!({"methods": methods, "function": {"name": "f"}});
            let field = if prefix { "pathPrefix" } else { "path" };
            spec[field] = json!(if prefix && !path.ends_with('/') { format!("{path}/") } else { path });
            if let Some(host) = host {
                spec["host"] = json!(host);
            }
            if ingress {
                spec["ingress"] = json!({});
            }
            triggers.push(trigger(&format!("{namespace}/t{number}"), created, spec));
        }
        triggers
    })
}

/// The model: every trigger that matches, sorted by how specific it is, then by age.
fn model(triggers: &[HTTPTrigger], listener: Listener, host: &str, method: &str, path: &str) -> String {
    let mut found = Vec::new();
    let mut allowed = Methods::NONE;
    let mut known = false;
    for route in triggers.iter().filter_map(|trigger| Route::of(trigger).ok()) {
        let host_rank = match (listener, route.host.as_deref()) {
            (Listener::Ingress, _) if !route.ingress => continue,
            (Listener::Gateway, None) if host == format!("muon-gateway.{}", route.key.namespace()) => 0,
            (_, Some(own)) if own == host && !host.starts_with("muon-gateway") => 0,
            (_, Some("*.example")) if host.strip_suffix(".example").is_some_and(|label| !label.contains('.')) => 1,
            (Listener::Ingress, None) => 2,
            _ => continue,
        };
        known = true;
        let Some((rank, values)) = fits(&route, path) else { continue };
        if route.methods.meets(Methods::one(method)) {
            found.push((host_rank, rank, route, values));
        } else {
            allowed = allowed.with(route.methods);
        }
    }
    found.sort_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)).then_with(|| one.2.seniority(&other.2)));
    match found.first() {
        Some((_, _, route, values)) => {
            let mut text = route.key.to_string();
            for value in values {
                text = format!("{text} {value}");
            }
            text
        }
        None if allowed != Methods::NONE => format!("405 {allowed}"),
        None if known => "404".to_owned(),
        None => "no host".to_owned(),
    }
}

/// How specific a match is, segment by segment (0 static, 1 parameter, 2 the prefix ends), and the parameters.
fn fits(route: &Route, path: &str) -> Option<(Vec<u8>, Vec<String>)> {
    let mut segments = path.strip_prefix('/')?.split('/');
    let (mut rank, mut values) = (Vec::new(), Vec::new());
    for own in route.pattern.segments() {
        let segment = segments.next()?;
        match own {
            text if text == segment => rank.push(0),
            "{}" if !segment.is_empty() => {
                rank.push(1);
                values.push(segment.to_owned());
            }
            _ => return None,
        }
    }
    match (route.pattern.is_prefix(), segments.next()) {
        (true, Some(_)) => rank.push(2),
        (false, None) => {}
        _ => return None,
    }
    Some((rank, values))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_table_answers_as_the_model_does(
        triggers in some_triggers(),
        removed in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
        requests in prop::collection::vec(
            (
                prop::sample::select(vec![Listener::Ingress, Listener::Gateway]),
                prop::sample::select(vec!["h.example", "i.example", "j.i.example", "muon-gateway.demo", "muon-gateway.other"]),
                prop::sample::select(vec!["GET", "POST", "PUT", "PATCH"]),
                prop::collection::vec(prop::sample::select(vec!["a", "b", "c", ""]), 1..5),
            ),
            1..30,
        ),
    ) {
        let mut book = book(&triggers);
        let mut left = triggers.clone();
        for index in removed.iter().filter(|_| !triggers.is_empty()) {
            let gone = index.get(&triggers);
            book.trigger(Event::Delete(gone.clone()));
            left.retain(|trigger| Key::of(trigger) != Key::of(gone));
        }
        let table = book.table();
        for (listener, host, method, segments) in requests {
            let path = format!("/{}", segments.join("/"));
            let expected = model(&left, listener, host, method, &path);
            prop_assert_eq!(ask(&table, listener, host, method, &path), expected, "{:?} {} {} {}", listener, host, method, path);
        }
    }

    #[test]
    fn nobody_loses_to_one_that_loses_to_it_and_the_oldest_of_all_loses_to_nobody(triggers in some_triggers()) {
        let found = findings(&triggers);
        for (key, finding) in &found {
            if let Finding::Conflict { with, .. } = finding {
                prop_assert_ne!(key, with);
                if let Some(Finding::Conflict { with: back, .. }) = found.get(with) {
                    prop_assert_ne!(back, key);
                }
            }
        }
        let mut routes: Vec<Route> = triggers.iter().filter_map(|trigger| Route::of(trigger).ok()).collect();
        routes.sort_by(Route::seniority);
        if let Some(oldest) = routes.first() {
            prop_assert!(!found.contains_key(&oldest.key));
        }
    }

    #[test]
    fn no_request_makes_it_panic(host in ".{0,40}", method in ".{0,10}", path in ".{0,80}", triggers in some_triggers()) {
        let table = book(&triggers).table();
        for listener in [Listener::Ingress, Listener::Gateway] {
            ask(&table, listener, &host, &method, &path);
        }
        crate::check_path(&path).ok();
        table.cluster().parse(&host);
    }
}
