//! Variables taken from ConfigMaps, and who may read what.

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{Api, Patch, PatchParams, PostParams};
use muon_crds::function::{Mode, Serving};
use muon_crds::{ConditionType, Environment, Function};
use muon_e2e::control_plane::ControlPlane;
use muon_e2e::manifest::parse;
use muon_e2e::space::{Space, says};
use serde_json::{Value, json};

use crate::installation::{function, space};

/// An Environment whose runtime takes variables with the load.
async fn environment(space: &Space) {
    let runtime = json!({"image": "muon/python:3.11", "envAtLoad": true, "envAtStart": ["PYTHON*"]});
    space
        .apply_value(json!({
            "apiVersion": "muon.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "python"},
            "spec": {"runtime": runtime, "pool": {"min": 0, "max": 3}},
        }))
        .await;
    space.ready::<Environment>("python").await;
}

fn of_key(map: &str, key: &str) -> Value {
    json!({"env": [{"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": map, "key": key}}}]})
}

async fn config_map(space: &Space, name: &str, more: Value) {
    let mut object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}});
    for (key, value) in more.as_object().into_iter().flatten() {
        object[key] = value.clone();
    }
    space.apply_value(object).await;
}

fn serving(function: &Function) -> Serving {
    function.status.as_ref().and_then(|status| status.serving.clone()).expect("it is served")
}

/// Waits until the Function waits for this reason, and gives what it says.
async fn waits(space: &Space, name: &str, reason: &str) -> (Function, String) {
    let is = |it: &Function| {
        let resolved = says(it, ConditionType::Resolved);
        resolved.is_some_and(|found| found.status == "False" && found.reason == reason)
            && says(it, ConditionType::Reconciling).is_some_and(|found| found.status == "True")
    };
    let told = space.has::<Function>(name, reason, is).await;
    let message = says(&told, ConditionType::Resolved).map(|found| found.message.clone()).unwrap_or_default();
    (told, message)
}

/// Waits until this value is served.
async fn serves(space: &Space, name: &str, value: &str) -> Function {
    space
        .has::<Function>(name, &format!("serving {value}"), |it| {
            let serving = it.status.as_ref().and_then(|status| status.serving.as_ref());
            serving.is_some_and(|serving| serving.env.iter().any(|variable| variable.value == value))
        })
        .await;
    space.ready(name).await
}

#[tokio::test]
async fn api_env_of_a_missing_config_map_is_waited_for() {
    let space = space("env-missing");
    environment(&space).await;
    space.apply_value(function("waits", of_key("later", "k"))).await;
    let (_, message) = waits(&space, "waits", "ConfigMapNotFound").await;
    assert!(message.contains("ConfigMap later"), "{message}");
    config_map(&space, "later", json!({"data": {"other": "x"}, "binaryData": {"k": "AAEC"}})).await;
    let (_, message) = waits(&space, "waits", "ConfigMapKeyNotFound").await;
    assert!(message.contains("key k") && message.contains("binaryData"), "{message}");
    config_map(&space, "later", json!({"data": {"k": "here"}})).await;
    let healed = serving(&serves(&space, "waits", "here").await);
    assert_eq!(healed.mode, Mode::Pool);
    // What is served stays so while the ConfigMap is away, and the Function says that it waits.
    space.api::<ConfigMap>().delete("later", &Default::default()).await.expect("it can be deleted");
    let (told, _) = waits(&space, "waits", "ConfigMapNotFound").await;
    assert_eq!(serving(&told), healed);
}

#[tokio::test]
async fn api_env_of_a_changed_config_map_is_a_new_revision() {
    let space = space("env-changed");
    environment(&space).await;
    config_map(&space, "settings", json!({"data": {"k": "one", "other": "x"}})).await;
    space.apply_value(function("pooled", of_key("settings", "k"))).await;
    let mut own = of_key("settings", "k");
    own["volumes"] = json!([{"name": "v", "mountPath": "/scratch", "emptyDir": {}}]);
    space.apply_value(function("own", own)).await;
    let first = serving(&serves(&space, "pooled", "one").await);
    let first_own = serving(&space.ready("own").await);
    assert_eq!((first_own.mode, first_own.env.len()), (Mode::Deployment, 0), "kubelet sets its own");

    config_map(&space, "settings", json!({"data": {"k": "two", "other": "x"}})).await;
    let second = serving(&serves(&space, "pooled", "two").await);
    assert_ne!(first.revision, second.revision);
    let second_own =
        space.has::<Function>("own", "another revision", |it| serving(it).revision != first_own.revision).await;
    let second_own = serving(&second_own);

    // A key that nobody takes, and then the first value again: the very revision that it was.
    config_map(&space, "settings", json!({"data": {"k": "one", "other": "y"}})).await;
    assert_eq!(serving(&serves(&space, "pooled", "one").await), first);
    let back = space.has::<Function>("own", "the first again", |it| serving(it).revision != second_own.revision).await;
    assert_eq!(serving(&back), first_own);
}

#[tokio::test]
async fn api_env_of_an_immutable_config_map_changes_when_it_is_made_anew() {
    let space = space("env-immutable");
    environment(&space).await;
    config_map(&space, "fixed", json!({"data": {"k": "one"}, "immutable": true})).await;
    space.apply_value(function("fixed", of_key("fixed", "k"))).await;
    serves(&space, "fixed", "one").await;
    let maps: Api<ConfigMap> = space.api();
    let patch = Patch::Merge(json!({"data": {"k": "two"}}));
    assert!(maps.patch("fixed", &PatchParams::default(), &patch).await.is_err(), "it cannot be changed");
    maps.delete("fixed", &Default::default()).await.expect("it can be deleted");
    config_map(&space, "fixed", json!({"data": {"k": "two"}, "immutable": true})).await;
    serves(&space, "fixed", "two").await;
}

#[tokio::test]
async fn api_env_that_only_kubelet_or_a_start_can_set_gives_pods_of_its_own() {
    let space = space("env-own");
    environment(&space).await;
    let secret: Secret = parse(json!({"metadata": {"name": "s"}, "stringData": {"k": "hunter2"}}));
    space.api::<Secret>().create(&PostParams::default(), &secret).await.expect("a Secret");
    let secret = json!({"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}});
    let plain = json!({"name": "PLAIN", "value": "x"});
    for (name, env, mode) in [
        ("plain", json!([plain]), Mode::Pool),
        ("secret", json!([plain, secret]), Mode::Deployment),
        ("at-start", json!([plain, {"name": "PYTHONHASHSEED", "value": "1"}]), Mode::Deployment),
    ] {
        space.apply_value(function(name, json!({"env": env}))).await;
        let serving = serving(&space.ready(name).await);
        assert_eq!(serving.mode, mode, "{name}");
        assert_eq!(serving.env.is_empty(), mode == Mode::Deployment, "{name}");
        let told = serde_json::to_string(&space.api::<Function>().get(name).await.unwrap()).unwrap();
        assert!(!told.contains("hunter2"), "{told}");
    }
}

/// What no process can be given, or what is too much, is told in the same words wherever the function would run.
#[tokio::test]
async fn api_env_that_cannot_be_set_is_refused_in_both_modes() {
    let space = space("env-odd");
    environment(&space).await;
    let large = "x".repeat(33 * 1024);
    config_map(&space, "odd", json!({"data": {"large": large, "nul": "a\0b"}})).await;
    let bomb: Vec<Value> = (0..20)
        .map(|at| match at {
            0 => json!({"name": "V0", "value": "0123456789"}),
            at => json!({"name": format!("V{at}"), "value": format!("$(V{0})$(V{0})", at - 1)}),
        })
        .collect();
    let volume = json!([{"name": "v", "mountPath": "/scratch", "emptyDir": {}}]);
    for (name, env, reason) in [
        ("large", json!([{"name": "A", "value": large}]), "EnvTooLarge"),
        ("large-key", of_key("odd", "large")["env"].clone(), "EnvTooLarge"),
        ("bomb", json!(bomb), "EnvTooLarge"),
        ("nul", json!([{"name": "A", "value": "a\0b"}]), "InvalidSpec"),
        ("nul-key", of_key("odd", "nul")["env"].clone(), "InvalidSpec"),
    ] {
        let mut told = Vec::new();
        for (mode, volumes) in [("pool", json!([])), ("own", volume.clone())] {
            let name = format!("{name}-{mode}");
            space.apply_value(function(&name, json!({"env": env, "volumes": volumes}))).await;
            let stalled = |it: &Function| says(it, ConditionType::Stalled).cloned().filter(|it| it.status == "True");
            let found = space.has::<Function>(&name, "Stalled", |it| stalled(it).is_some()).await;
            let found = stalled(&found).expect("it is");
            assert_eq!(found.reason, reason, "{name}: {}", found.message);
            told.push(found.message);
        }
        assert_eq!(told[0], told[1]);
    }
}

/// Of ConfigMaps, those that are named; of Secrets, no more than that they are there.
#[tokio::test]
async fn api_env_asks_for_no_right_to_read_secrets() {
    let space = space("env-rights");
    let may = |verb: &str, resource: &str| {
        let account = "system:serviceaccount:muon-system:muon-operator";
        let asked = ["auth", "can-i", verb, resource, "-n", &space.namespace, "--as", account];
        ControlPlane::shared().kubectl(&asked, "").status.success()
    };
    assert!(may("get", "configmaps") && may("watch", "secrets"));
    for verb in ["get", "create", "update", "patch", "delete"] {
        assert!(!may(verb, "secrets"), "{verb} secrets");
    }
    for verb in ["update", "patch", "delete"] {
        assert!(!may(verb, "configmaps"), "{verb} configmaps");
    }
}
