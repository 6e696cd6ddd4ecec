use super::*;

fn check(volume: &str, expected: &str) {
    let spec = format!("{{environment: e, package: p, volumes: [{volume}]}}");
    let spec: FunctionSpec = serde_yaml::from_str(&spec).unwrap();
    let error = values(&spec).unwrap_err().to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn what_a_pod_would_refuse_is_refused_before() {
    check("{name: v, mountPath: data, emptyDir: {}}", "absolute");
    check("{name: v, mountPath: //, emptyDir: {}}", "absolute path below '/'");
    check("{name: v, mountPath: '/a:b', emptyDir: {}}", "':'");
    check("{name: v, mountPath: /a/../userfunc, emptyDir: {}}", "'..'");
    check("{name: v, mountPath: /userfunc, emptyDir: {}}", "where the code lies");
    check("{name: v, mountPath: /userfunc/x, emptyDir: {}}", "where the code lies");
    check("{name: v, mountPath: /v}", "exactly one");
    check("{name: v, mountPath: /v, emptyDir: {}, secret: {name: s}}", "exactly one");
    check("{name: v, mountPath: /v, emptyDir: {sizeLimit: big}}", "volumes[v].emptyDir.sizeLimit");
    check("{name: v, mountPath: /v, secret: {name: s, items: [{key: k, path: ../x}]}}", "'..'");
    check("{name: v, mountPath: /v, configMap: {name: s, items: [{key: k, path: /x}]}}", "relative");
    check(
        "{name: v, mountPath: /v, downwardAPI: {items: [{path: a, fieldPath: spec.serviceAccountName}]}}",
        "fieldPath",
    );
    check(
        "{name: v, mountPath: /v, projected: {sources: [{secret: {name: s, items: [{key: k, path: a/../b}]}}]}}",
        "'..'",
    );
    check("{name: v, mountPath: /v, emptyDir: {}}, {name: v, mountPath: /w, emptyDir: {}}", "twice");
    check("{name: v, mountPath: /v, emptyDir: {}}, {name: w, mountPath: /v/, emptyDir: {}}", "twice");
}

#[test]
fn a_name_beside_the_code_is_fine() {
    let spec = "{environment: e, package: p, volumes: [{name: agent, mountPath: /userfunction, emptyDir: {}}]}";
    let found = values(&serde_yaml::from_str(spec).unwrap()).unwrap();
    assert_eq!(found.volumes[0].name, "user-agent", "apart from our own volumes");
}

#[test]
fn keyed_fields_of_the_pod_are_fields() {
    assert!(is_pod_field("metadata.labels['muon.dev/revision']"));
    assert!(is_pod_field("metadata.annotations['a']"));
    for bad in ["metadata.labels['']", "metadata.labels[a]", "metadata", "metadata.name['a']", "status.podIP"] {
        assert!(!is_pod_field(bad), "{bad}");
    }
}
