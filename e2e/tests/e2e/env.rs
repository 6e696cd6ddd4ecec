//! Variables mean the same in a generic pod, which gets them with the load, and in a pod of the function's own, where
//! kubelet sets them.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, Patch, PatchParams};
use muon_crds::Function;
use muon_crds::function::Mode;
use muon_e2e::route::Route;
use muon_e2e::scene::Scene;
use serde_json::{Value, json};

use crate::together;

/// What was there when the module was imported, and what a child process has: the C library's view of it.
const CODE: &str = r#"
import os, subprocess, sys
AT_IMPORT = dict(os.environ)
DUMP = "import json, os, sys; json.dump(dict(os.environ), sys.stdout)"

def main():
    child = subprocess.run([sys.executable, "-c", DUMP], capture_output=True, text=True, check=True)
    return {"import": AT_IMPORT, "now": dict(os.environ), "child": child.stdout}
"#;

/// One line a rule of kubelet's.
fn variables() -> Value {
    let key = |name: &str, key: &str, optional: bool| json!({"configMapKeyRef": {"name": name, "key": key, "optional": optional}});
    json!([
        {"name": "PLAIN", "value": "one"},
        {"name": "ABOVE", "value": "<$(PLAIN)>"},
        {"name": "BELOW", "value": "$(LATER)"},
        {"name": "LATER", "value": "later"},
        {"name": "ITSELF", "value": "$(ITSELF)"},
        {"name": "ESCAPED", "value": "$$(PLAIN) $$$(PLAIN) $$PLAIN $PLAIN $"},
        {"name": "UNENDED", "value": "$(PLAIN"},
        {"name": "UNKNOWN", "value": "$(NOBODY_HAS_THIS)"},
        {"name": "IMAGES", "value": "$(HOME)"},
        {"name": "OURS", "value": "$(MUON_PORT)"},
        {"name": "CLUSTER", "value": "$(KUBERNETES_SERVICE_HOST):$(KUBERNETES_SERVICE_PORT) $(KUBERNETES_PORT_443_TCP_ADDR)"},
        {"name": "EMPTY", "value": ""},
        {"name": "NOTHING"},
        {"name": "LINES", "value": "a\n b\t\"c\" \\ 'd' = grün 🜁 "},
        {"name": "with.dots-and-dashes", "value": "dotted"},
        {"name": "OF_DOTS", "value": "$(with.dots-and-dashes)"},
        {"name": "__proto__", "value": "a name as any other"},
        {"name": "HOME", "value": "/tmp/mine"},
        {"name": "PATH", "value": "/mine:/usr/bin:/bin:$(PATH)"},
        {"name": "PORT", "value": "1"},
        {"name": "TZ", "value": "XYZ-5:30"},
        {"name": "KEY", "valueFrom": key("settings", "plain", false)},
        {"name": "RAW", "valueFrom": key("settings", "with-reference", false)},
        {"name": "OF_KEY", "value": "$(RAW)"},
        {"name": "FILE", "valueFrom": key("settings", "file.txt", false)},
        {"name": "NO_KEY", "valueFrom": key("settings", "no-such-key", true)},
        {"name": "NO_MAP", "valueFrom": key("no-such-map", "plain", true)},
        {"name": "BINARY", "valueFrom": key("settings", "binary", true)},
        {"name": "OF_NO_KEY", "value": "$(NO_KEY)"},
        {"name": "FIXED", "valueFrom": key("fixed", "plain", false)},
    ])
}

async fn config_maps(scene: &Scene) {
    let metadata = |name: &str| json!({"name": name});
    scene
        .apply_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("settings"),
            "data": {"plain": "from the map", "with-reference": "$(PLAIN) $$", "file.txt": "a\nb\n"},
            "binaryData": {"binary": "AAEC"},
        }))
        .await;
    let fixed = json!({"plain": "for good"});
    scene
        .apply_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata("fixed"), "data": fixed, "immutable": true,
        }))
        .await;
}

fn mode(function: &Function) -> Mode {
    function.status.as_ref().and_then(|status| status.serving.as_ref()).expect("it is served").mode
}

/// All three views of the environment, which must agree, without the one variable that names the pod.
async fn seen(route: &Route) -> BTreeMap<String, String> {
    let told: Value = serde_json::from_str(&route.get("/").await.ok()).expect("JSON");
    let map = |value: &Value| -> BTreeMap<String, String> { serde_json::from_value(value.clone()).expect("a map") };
    let mut now = map(&told["now"]);
    assert_eq!(now, map(&told["import"]), "nothing came later");
    let child: Value = serde_json::from_str(told["child"].as_str().expect("text")).expect("JSON");
    let mut child = map(&child);
    // An interpreter of its own may add what it found out about the locale.
    child.retain(|name, _| now.contains_key(name) || name != "LC_CTYPE");
    assert_eq!(now, child);
    now.remove("HOSTNAME").expect("the pod has a name");
    now
}

#[tokio::test]
async fn e2e_env_means_the_same_in_the_pool_and_in_pods_of_its_own() {
    let _cluster = together().await;
    let scene = Scene::open("env", json!({"min": 1, "max": 3})).await;
    config_maps(&scene).await;
    let volume = json!([{"name": "v", "mountPath": "/scratch", "emptyDir": {}}]);
    let pooled = scene.python("pooled", CODE, json!({"env": variables()})).await;
    let own = scene.python("own", CODE, json!({"env": variables(), "volumes": volume})).await;
    assert_eq!(mode(&scene.ready("pooled").await), Mode::Pool);
    assert_eq!(mode(&scene.ready("own").await), Mode::Deployment);
    let (pooled, own) = (seen(&pooled).await, seen(&own).await);
    assert_eq!(pooled, own);

    let is = |name: &str| pooled.get(name).map(String::as_str);
    assert_eq!(is("ABOVE"), Some("<one>"));
    assert_eq!(is("BELOW"), Some("$(LATER)"));
    assert_eq!(is("ESCAPED"), Some("$(PLAIN) $one $PLAIN $PLAIN $"));
    assert_eq!(is("OURS"), Some("8888"));
    assert!(is("CLUSTER").is_some_and(|value| !value.contains('$')), "{:?}", is("CLUSTER"));
    assert_eq!(is("OF_KEY"), Some("$(PLAIN) $$"));
    assert_eq!(is("OF_DOTS"), Some("dotted"));
    assert_eq!(is("FIXED"), Some("for good"));
    assert_eq!((is("EMPTY"), is("NOTHING")), (Some(""), Some("")));
    assert_eq!((is("NO_KEY"), is("NO_MAP"), is("BINARY")), (None, None, None));
    assert_eq!(is("OF_NO_KEY"), Some("$(NO_KEY)"));
    scene.close().await;
}

/// Another value is another revision: after `Ready` no pod answers with the old one, and none is started for nothing.
#[tokio::test]
async fn e2e_env_of_a_changed_config_map_is_served_from_the_pool() {
    let _cluster = together().await;
    let scene = Scene::open("env-change", json!({"min": 2, "max": 4})).await;
    config_maps(&scene).await;
    let env = json!([{"name": "KEY", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "plain"}}}]);
    let code = "import os\nKEY = os.environ['KEY']\n\ndef main():\n    return KEY\n";
    let route = scene.python("changing", code, json!({"env": env})).await;
    assert_eq!(route.get("/").await.ok(), "from the map");
    let maps: Api<ConfigMap> = scene.api();
    let patch = Patch::Merge(json!({"data": {"plain": "another"}}));
    maps.patch("settings", &PatchParams::default(), &patch).await.expect("a changed ConfigMap");
    scene
        .has::<Function>("changing", "serving the new value", |function| {
            let serving = function.status.as_ref().and_then(|status| status.serving.as_ref());
            serving.is_some_and(|serving| serving.env.iter().any(|variable| variable.value == "another"))
        })
        .await;
    assert_eq!(mode(&scene.ready("changing").await), Mode::Pool);
    assert_eq!(route.get("/").await.ok(), "another");
    scene.close().await;
}
