use axum::Router;
use axum::response::Redirect;
use axum::routing::get;

use super::*;
use crate::fetch::Fetcher;
use crate::fetch::servers::{Canary, answers, fetcher, serve};

fn rules(change: impl FnOnce(&mut Rules)) -> Rules {
    let mut rules = Rules::default();
    change(&mut rules);
    rules
}

fn list(hosts: &[&str]) -> Vec<String> {
    hosts.iter().map(|host| (*host).to_owned()).collect()
}

fn addresses(addresses: &[&str]) -> Vec<IpAddr> {
    addresses.iter().map(|address| address.parse().unwrap()).collect()
}

/// Fetches from a name that name servers lead to these addresses, one after the other.
async fn fetch(fetcher: Fetcher, url: &str, lead: &[&str]) -> FetchError {
    let fetcher = Fetcher { lookup: answers(lead), ..fetcher };
    fetcher.archive(url, &muon_crds::names::digest(b"")).await.unwrap_err()
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_dialled() {
    let canary = Canary::new().await;
    let url = format!("http://code.example.com:{}/code.tar", canary.address.port());
    let error = fetch(fetcher(1024, &[]), &url, &["127.0.0.1"]).await;
    assert!(matches!(error, FetchError::Address { ref host, .. } if host == "code.example.com"), "{error}");
    // Named as one that may lie inside: still not on the node itself.
    let error = fetch(fetcher(1024, &["code.example.com"]), &url, &["127.0.0.1"]).await;
    assert!(matches!(error, FetchError::Address { .. }), "{error}");
    canary.is_untouched().await;
}

#[tokio::test]
async fn a_name_that_changes_its_mind_leads_where_it_led_at_first() {
    let rules = Arc::new(rules(|rules| rules.internal = list(&["code.example.com"])));
    let pinned = |lookup| Pinned { rules: Arc::clone(&rules), lookup, known: Arc::default() };
    let look = |pinned: &Pinned| pinned.resolve("code.example.com".parse().unwrap());
    let rebound = pinned(answers(&["10.0.0.1", "127.0.0.1"]));
    for _ in 0..2 {
        let found: Vec<_> = look(&rebound).await.unwrap().map(|address| address.ip()).collect();
        assert_eq!(found, addresses(&["10.0.0.1"]));
    }
    // One that was refused is asked again: it may have been put right.
    let healed = pinned(answers(&["127.0.0.1", "10.0.0.1"]));
    assert!(look(&healed).await.is_err() && look(&healed).await.is_ok());
}

#[tokio::test]
async fn a_redirect_never_reaches_what_is_not_allowed() {
    let canary = Canary::new().await;
    let (port, target) = (canary.address.port(), canary.address);
    let to = move |url: String| get(|| async move { Redirect::temporary(&url) });
    let router = Router::new()
        .route("/port", to(format!("http://{target}/x")))
        .route("/name", to(format!("http://localhost:{port}/x")))
        .route("/metadata", to("http://169.254.169.254/latest".to_owned()))
        .route("/scheme", to(format!("https://{target}/x")))
        .route("/relative", to("//localhost/x".to_owned()));
    let server = serve(router).await;
    for path in ["port", "name", "metadata", "scheme", "relative"] {
        let error = fetch(fetcher(1024, &["127.0.0.1"]), &format!("http://{server}/{path}"), &["127.0.0.1"]).await;
        assert!(matches!(error, FetchError::Redirect { .. }), "{path}: {error}");
    }
    // Where redirects may lead elsewhere, they still lead to no address inside.
    let mut open = fetcher(1024, &[&server.to_string()]);
    let redirects = list(&["localhost", "127.0.0.1", "169.254.169.254"]);
    open.rules = Arc::new(Rules { redirects, ..open.rules.as_ref().clone() });
    for path in ["name", "metadata"] {
        let error = fetch(open.clone(), &format!("http://{server}/{path}"), &["127.0.0.1"]).await;
        assert!(matches!(error, FetchError::Address { .. }), "{path}: {error}");
    }
    let error = fetch(open, &format!("http://{server}/port"), &["127.0.0.1"]).await;
    assert!(matches!(error, FetchError::Host { .. }), "only that port of it may be asked: {error}");
    canary.is_untouched().await;
}

#[tokio::test]
async fn a_redirect_that_is_allowed_is_followed() {
    let there = serve(Router::new().route("/code.tar", get(|| async { "code" }))).await;
    let url = format!("http://{there}/code.tar");
    let here = serve(Router::new().route("/", get(move || async move { Redirect::temporary(&url) }))).await;
    let mut open = fetcher(1024, &["127.0.0.1"]);
    open.rules = Arc::new(Rules { redirects: vec![there.to_string()], ..open.rules.as_ref().clone() });
    let fetched = open.archive(&format!("http://{here}/"), &muon_crds::names::digest(b"code")).await;
    assert_eq!(fetched.unwrap(), "code");
}

#[test]
fn the_api_server_is_never_asked_also_not_by_a_name_that_may_lie_inside() {
    let rules = rules(|rules| {
        rules.internal = list(&["git.example.com"]);
        rules.api_server = addresses(&["10.96.0.1", "203.0.114.7"]);
    });
    assert!(rules.lead("git.example.com", &addresses(&["10.1.2.3"])).is_ok());
    assert!(rules.lead("git.example.com", &addresses(&["10.1.2.3", "10.96.0.1"])).is_err());
    assert!(rules.lead("git.example.com", &addresses(&["169.254.169.254"])).is_err());
    assert!(rules.lead("other.example.com", &addresses(&["10.1.2.3"])).is_err());
    assert!(rules.lead("other.example.com", &addresses(&["1.1.1.1"])).is_ok());
    assert!(rules.url("https://203.0.114.7/").is_err(), "an API server on the open network is one all the same");
}

#[test]
fn hosts_and_schemes_are_those_that_are_listed() {
    let rules = rules(|rules| {
        rules.schemes = list(&["https"]);
        rules.hosts = list(&["code.example.com", "*.example.org", "git.example.com:8443"]);
        rules.internal = list(&["10.0.0.5:5000", "[fc00::5]:5000"]);
    });
    for good in [
        "https://code.example.com/x",
        "https://CODE.example.com:444/x",
        "https://a.b.example.org/",
        "https://git.example.com:8443/",
        "https://10.0.0.5:5000/",
        "https://[fc00::5]:5000/",
    ] {
        assert!(rules.url(good).is_ok(), "{good}: {:?}", rules.url(good));
    }
    for bad in [
        "http://code.example.com/x",
        "https://example.org/",
        "https://evilexample.org/",
        "https://code.example.com.evil.net/",
        "https://git.example.com/",
        "https://10.0.0.5/",
        "https://10.0.0.6:5000/",
        "https://user:password@code.example.com/",
        "https://code.example.com@evil.net/",
    ] {
        assert!(rules.url(bad).is_err(), "{bad}");
    }
}
