//! The first request to a function that nothing runs for.

use futures::future::join_all;
use kube::ResourceExt as _;
use muon_crds::words;
use muon_e2e::audit::{Entry, Mark};
use muon_e2e::route::Reply;
use muon_e2e::scene::{Scene, is_ready};
use muon_e2e::space::READY_WITHIN;
use muon_e2e::wait::until;
use serde_json::json;

use crate::together;

const PROXY: &str = "system:serviceaccount:muon-system:muon-proxy";

/// Claims in the namespace since the mark.
fn claims(scene: &Scene, mark: Mark) -> Vec<Entry> {
    let mut found = scene.cluster.audit().writes_by(PROXY, mark);
    found.retain(|entry| entry.object().namespace == scene.namespace && entry.is_by_manager(words::manager::CLAIM));
    found
}

#[tokio::test]
async fn e2e_cold_then_warm() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let route = scene.python("cold", "def main():\n    return 'hello'\n", json!({})).await;
    assert!(scene.pods_of("cold").await.is_empty(), "nothing runs before the first request");
    let first = route.get("/").await;
    assert_eq!((first.ok().as_str(), first.start()), ("hello", "cold"));
    // The other proxy's first request may still have to wait for its own load call; then both have one behind them.
    route.get("/").await.ok();
    let third = route.get("/").await;
    assert_eq!((third.ok().as_str(), third.start()), ("hello", "warm"));
    scene.claimed("cold", 1).await;
    scene.drop_function("cold").await;
}

#[tokio::test]
async fn e2e_fifty_first_requests_at_two_proxies_make_one_claim() {
    let _cluster = together().await;
    let scene = Scene::open("burst", json!({"min": 3, "max": 6})).await;
    let code =
        "import asyncio, os\n\nasync def main():\n    await asyncio.sleep(0.2)\n    return os.environ['HOSTNAME']\n";
    let route = scene.python("burst", code, json!({"concurrency": 100})).await;
    scene.free("python", 3).await;
    let mark = scene.cluster.audit().mark();
    let proxies = scene.at_each_proxy(&route).await;
    assert!(proxies.len() >= 2, "two proxies by default");
    let replies = join_all((0..50).map(|n| proxies[n % 2].get("/"))).await;
    let mut served: Vec<String> = replies.iter().map(Reply::ok).collect();
    served.sort();
    served.dedup();
    assert_eq!(served.len(), 1, "one pod serves them all: {served:?}");
    scene.claimed("burst", 1).await;
    let told: Vec<String> = claims(&scene, mark).iter().map(Entry::to_string).collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    scene.close().await;
}

#[tokio::test]
async fn e2e_pool_refills_by_itself() {
    let _cluster = together().await;
    let scene = Scene::open("refill", json!({"min": 2, "max": 2})).await;
    scene.free("python", 2).await;
    for name in ["one", "two", "three"] {
        scene.python_function(name, "def main():\n    return 'ok'\n", json!({})).await;
    }
    let mut routes = Vec::new();
    for name in ["one", "two", "three"] {
        routes.push(scene.route(name, json!({"name": name})).await);
    }
    // All at once: the third waits for the next generic pod, and gets it.
    for reply in join_all(routes.iter().map(|route| route.get("/"))).await {
        reply.ok();
    }
    for name in ["one", "two", "three"] {
        scene.claimed(name, 1).await;
    }
    scene.free("python", 2).await;
    scene.close().await;
}

#[tokio::test]
async fn e2e_empty_pool_starts_on_demand() {
    let _cluster = together().await;
    let scene = Scene::open("dry", json!({"min": 0, "max": 2})).await;
    let route = scene.python("patient", "def main():\n    return 'ok'\n", json!({})).await;
    let reply = route.get("/").await;
    assert_eq!((reply.ok().as_str(), reply.start()), ("ok", "cold"));
    scene.close().await;
}

#[tokio::test]
async fn e2e_name_works_inside_the_cluster() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    scene.python_function("inside", "def main():\n    return 'from inside'\n", json!({})).await;
    scene.free("python", 1).await;
    let free = scene.pods(&format!("{} in (free,reserved)", words::STATE)).await;
    let caller = free.iter().find(|pod| is_ready(pod)).expect("a ready pod").name_any();
    scene.service(words::FUNCTIONS_SERVICE, 80, "anybody").await;
    let ask = |url: &str| {
        let code = format!(
            "import urllib.request as u, urllib.error as e\ntry:\n    r = u.urlopen('{url}', timeout=50)\nexcept e.HTTPError as x:\n    r = x\nprint(r.status, r.read().decode())"
        );
        let arguments = ["exec", "-n", &scene.namespace, &caller, "-c", "runtime", "--", "python3", "-c", &code];
        scene.cluster.kubectl_ok(&arguments).trim().to_owned()
    };
    assert!(scene.pods_of("inside").await.is_empty());
    for host in ["inside.{}", "inside.{}.svc", "inside.{}.svc.cluster.local"] {
        let url = format!("http://{}/", host.replace("{}", &scene.namespace));
        assert_eq!(ask(&url), "200 from inside", "{url}");
    }
    // The bare name says nothing of the namespace that the caller means: the search list of its resolver does.
    let told = ask("http://inside/");
    assert!(told.starts_with("421 ") && told.contains("inside.<namespace>"), "{told}");
    scene.drop_function("inside").await;
}

/// Requests that take longer than a proxy waits before it asks for more pods (it looks at what the loaded ones get done
/// in half a second): another pod comes, and not a third where two are the most.
#[tokio::test]
async fn e2e_load_takes_pods_up_to_the_maximum() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let code =
        "import asyncio, os\n\nasync def main():\n    await asyncio.sleep(5)\n    return os.environ['HOSTNAME']\n";
    let more = json!({"concurrency": 1, "scaling": {"max": 2}});
    let route = scene.python("busy", code, more).await;
    scene.free("python", 2).await;
    let replies = join_all((0..8).map(|_| route.get("/"))).await;
    let mut pods: Vec<String> = replies.iter().map(|reply| reply.ok()).collect();
    pods.sort();
    pods.dedup();
    assert_eq!(pods.len(), 2, "{pods:?}");
    scene.claimed("busy", 2).await;
    scene.drop_function("busy").await;
}

/// What cannot be served within the function's own deadline is told so, and says that nothing was executed.
#[tokio::test]
async fn e2e_waiting_ends_with_the_deadline() {
    let _cluster = together().await;
    let scene = Scene::shared().await;
    let code = "import asyncio\n\nasync def main():\n    await asyncio.sleep(2.5)\n    return 'ok'\n";
    let more = json!({"concurrency": 1, "timeoutSeconds": 3, "scaling": {"max": 1}});
    let route = scene.python("narrow", code, more).await;
    scene.free("python", 1).await;
    let replies = join_all((0..3).map(|_| route.get("/"))).await;
    let late: Vec<_> = replies.iter().filter(|reply| reply.status != 200).collect();
    assert!(!late.is_empty() && late.len() < 3, "{} of 3 were refused", late.len());
    for reply in late {
        assert!(matches!(reply.status, 503 | 504), "{reply}");
        assert!(!reply.failure().reason.is_empty(), "{reply}");
    }
    until("it serves again", READY_WITHIN, async || (route.get("/").await.status == 200).then_some(())).await;
    scene.drop_function("narrow").await;
}
