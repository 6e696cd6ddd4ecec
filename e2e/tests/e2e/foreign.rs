//! Images that are not ours and speak the runtime contract run as well: the promise of compatibility. The image is
//! `e2e/images/foreign`, on port 8881 with the first contract alone, on 8882 with the second.

use kube::ResourceExt as _;
use muon_crds::wire::{Component, Executed};
use muon_crds::{ConditionType, Environment, Function, condition};
use muon_e2e::route::Route;
use muon_e2e::scene::Scene;
use muon_e2e::space::READY_WITHIN;
use muon_e2e::wait::until;
use serde_json::{Value, json};

use crate::together;

/// Ends with its process on `/crash`, dies on `/die`, tries on `/write` to change its own code, and says otherwise what
/// it was asked and how often `/healthz` came to it.
const CODE: &str = r#"
my ($calls, $health) = (0, 0);
sub {
    my ($method, $path, $body) = @_;
    $health++ if $path eq '/healthz';
    POSIX::_exit(7) if $path eq '/crash';
    die "no luck\n" if $path eq '/die';
    return (200, open(my $file, '>>', __FILE__) ? 'written' : 'read-only') if $path eq '/write';
    $calls++;
    return (200, "$method $path '$body' call $calls, health $health");
}
"#;

const V1: u16 = 8881;
const V2: u16 = 8882;

async fn scene(name: &str, port: u16) -> Scene {
    let image = std::env::var("MUON_FOREIGN_IMAGE")
        .expect("MUON_FOREIGN_IMAGE names no image: run `hack/test e2e`, which builds and imports it");
    let scene = Scene::empty(name).await;
    scene
        .apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "foreign"},
            "spec": {
                "runtime": {"image": image, "port": port},
                "pool": {"min": 1, "max": 4},
                "terminationGracePeriodSeconds": 10,
            },
        }))
        .await;
    scene.ready::<Environment>("foreign").await;
    scene
}

fn function(name: &str, code: &str, more: Value) -> Value {
    let mut function = json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Function", "metadata": {"name": name},
        "spec": {
            "environment": "foreign", "entrypoint": "main.pl", "concurrency": 1,
            "source": {"files": {"main.pl": code}},
        },
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        function["spec"][key] = value.clone();
    }
    function
}

async fn route(scene: &Scene, name: &str, code: &str, more: Value) -> Route {
    scene.apply_value(function(name, code, more)).await;
    scene.ready::<Function>(name).await;
    scene.route(name, json!({"name": name})).await
}

/// What both contracts promise.
async fn serves(scene: &Scene) {
    let route = route(scene, "hello", CODE, json!({})).await;
    let first = route.post("/echo?x=1", "body").await;
    assert_eq!(first.start(), "cold", "{first}");
    assert!(first.ok().starts_with("POST /echo?x=1 'body' call 1,"), "{first}");
    route.get("/").await.ok();
    let warm = route.get("/").await;
    assert_eq!(warm.start(), "warm", "{warm}");
    assert!(warm.ok().starts_with("GET / '' call 3,"), "one process has it all: {warm}");
    scene.claimed("hello", 1).await;
    assert_eq!(route.get("/write").await.ok(), "read-only");
    // What a function does wrong is its own answer, and its pod's life goes on.
    let died = route.get("/die").await;
    assert_eq!((died.status, died.text().as_str()), (500, "the function died: no luck\n"), "{died}");
    assert!(route.get("/").await.ok().contains("call 4,"));
}

/// A crash is told, and the pod loaded again.
async fn comes_back(scene: &Scene) {
    let route = route(scene, "fragile", CODE, json!({})).await;
    assert!(route.get("/").await.ok().contains("call 1,"));
    let pod = scene.claimed("fragile", 1).await.remove(0);
    let crash = route.get("/crash").await;
    assert!(matches!(crash.status, 502..=504), "{crash}");
    assert_eq!(crash.failure().executed, Executed::Unknown, "{crash}");
    until("it answers again", READY_WITHIN, async || (route.get("/").await.status == 200).then_some(())).await;
    until("the same pod serves it", READY_WITHIN, async || {
        let pods = scene.pods_of("fragile").await;
        pods.iter().any(|found| found.uid() == pod.uid() && muon_e2e::scene::is_ready(found)).then_some(())
    })
    .await;
}

/// Code that cannot be loaded is told in the runtime's own words.
async fn tells_bad_code(scene: &Scene) {
    let route = route(scene, "broken", "this is (no perl", json!({})).await;
    let reply = route.get("/").await;
    let failure = reply.failure();
    assert_eq!((failure.component, failure.executed), (Component::Runtime, Executed::No), "{reply}");
    assert!(failure.message.contains("syntax error"), "{reply}");
    let told = scene
        .has::<Function>("broken", "Loaded=False", |function| {
            let conditions = &function.status.as_ref().expect("a status").conditions;
            condition::find(conditions, ConditionType::Loaded).is_some_and(|found| found.status == "False")
        })
        .await;
    let conditions = told.status.expect("a status").conditions;
    let loaded = condition::find(&conditions, ConditionType::Loaded).expect("it is there");
    assert!(loaded.message.contains("syntax error"), "{loaded:?}");
}

/// The second contract; its runtime says for some seconds after its start that it is not well.
#[tokio::test]
async fn e2e_foreign_image_of_the_second_contract() {
    let _cluster = together().await;
    let scene = scene("foreign", V2).await;
    serves(&scene).await;
    comes_back(&scene).await;
    tells_bad_code(&scene).await;
    // In a Deployment of the function's own, with variables that only kubelet sets.
    let code = "sub { (200, \"$ENV{GREETING} from $ENV{HOSTNAME}\") }";
    let route = route(&scene, "own", code, json!({"env": [{"name": "GREETING", "value": "hello"}]})).await;
    let reply = route.get("/").await.ok();
    assert!(reply.starts_with("hello from own-"), "{reply}");
    scene.close().await;
}

/// The first contract alone: `/v2/specialize` is not found, the code is looked for at `/userfunc/user`, and everything
/// else is the function's, `/healthz` too.
#[tokio::test]
async fn e2e_foreign_image_of_the_first_contract() {
    let _cluster = together().await;
    let scene = scene("foreign-v1", V1).await;
    serves(&scene).await;
    comes_back(&scene).await;
    tells_bad_code(&scene).await;
    scene.close().await;
}
