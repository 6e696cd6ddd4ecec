use super::*;

fn spec(env: &str) -> FunctionSpec {
    serde_yaml::from_str(&format!("{{environment: e, package: p, env: {env}}}")).unwrap()
}

fn config(name: &str, data: &[(&str, &str)], binary: &[&str]) -> Referenced {
    let data = data.iter().map(|(key, value)| ((*key).to_owned(), Held::Text((*value).to_owned()))).collect();
    let binary = binary.iter().map(|key| (*key).to_owned()).collect();
    let keys = HeldKeys { data, binary };
    let version = Some("7".to_owned());
    Referenced { kind: ReferenceKind::ConfigMap, name: name.to_owned(), resource_version: version, keys }
}

fn absent(name: &str) -> Referenced {
    let kind = ReferenceKind::ConfigMap;
    Referenced { kind, name: name.to_owned(), resource_version: None, keys: HeldKeys::default() }
}

fn seen(env: &str, references: &[Referenced]) -> Result<Vec<(String, String)>, Invalid> {
    let beside = BTreeMap::from([("KUBERNETES_SERVICE_HOST".to_owned(), "198.19.0.1".to_owned())]);
    let found = resolve(&spec(env), references, &beside)?;
    Ok(found.into_iter().map(|variable| (variable.name, variable.value)).collect())
}

fn values(env: &str, references: &[Referenced]) -> Vec<String> {
    seen(env, references).unwrap().into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

#[test]
fn each_variable_knows_those_above_it() {
    let env = "
- {name: A, value: one}
- {name: B, value: $(A)-$(C)}
- {name: C, value: '$(B)'}
- {name: HOST, value: '$(KUBERNETES_SERVICE_HOST)'}
- {name: ESCAPED, value: '$$(A)'}
- {name: EMPTY, value: ''}
- {name: NOTHING}
- {name: AFTER, value: '<$(EMPTY)>'}
- {name: PATH, value: '/mine:$(PATH)'}
- {name: Ä, value: grün}";
    // Block style, so that the flow braces above can stand.
    let spec: FunctionSpec = serde_yaml::from_str(&format!("environment: e\npackage: p\nenv:{env}")).unwrap();
    let beside = BTreeMap::from([("KUBERNETES_SERVICE_HOST".to_owned(), "198.19.0.1".to_owned())]);
    let found = resolve(&spec, &[], &beside).unwrap();
    let found: Vec<String> = found.iter().map(|it| format!("{}={}", it.name, it.value)).collect();
    assert_eq!(
        found,
        [
            "A=one",
            "B=one-$(C)",
            "C=one-$(C)",
            "HOST=198.19.0.1",
            "ESCAPED=$(A)",
            "EMPTY=",
            "NOTHING=",
            "AFTER=<>",
            "PATH=/mine:$(PATH)",
            "Ä=grün",
        ]
    );
}

#[test]
fn a_variable_of_ones_own_hides_the_clusters() {
    let env = "[{name: KUBERNETES_SERVICE_HOST, value: mine}, {name: B, value: $(KUBERNETES_SERVICE_HOST)}]";
    assert_eq!(values(env, &[]), ["KUBERNETES_SERVICE_HOST=mine", "B=mine"]);
}

#[test]
fn keys_of_config_maps_are_taken_as_they_stand() {
    let env =
        "[{name: A, value: x}, {name: B, valueFrom: {configMapKeyRef: {name: c, key: k}}}, {name: C, value: $(B)}]";
    assert_eq!(values(env, &[config("c", &[("k", "$(A)\nü")], &[])]), ["A=x", "B=$(A)\nü", "C=$(A)\nü"]);
}

#[test]
fn what_is_optional_and_not_there_is_left_out() {
    let env = "[{name: A, valueFrom: {configMapKeyRef: {name: c, key: k, optional: true}}}, {name: B, value: $(A)}]";
    assert_eq!(values(env, &[config("c", &[("other", "x")], &[])]), ["B=$(A)"], "no such key");
    assert_eq!(values(env, &[absent("c")]), ["B=$(A)"], "no such ConfigMap");
    assert_eq!(values(env, &[config("c", &[], &["k"])]), ["B=$(A)"], "kubelet does not look into binaryData");
}

#[test]
fn a_missing_key_is_waited_for_and_named() {
    let env = "[{name: A, valueFrom: {configMapKeyRef: {name: c, key: k}}}]";
    let finding = seen(env, &[config("c", &[("other", "x")], &[])]).unwrap_err();
    assert_eq!((finding.reason, finding.heals), ("ConfigMapKeyNotFound", crate::finding::Heals::ByItself));
    assert!(finding.message.contains("key k of the ConfigMap c (variable A)"), "{}", finding.message);
    let finding = seen(env, &[config("c", &[], &["k"])]).unwrap_err();
    assert!(finding.message.contains("binaryData"), "{}", finding.message);
}

#[test]
fn what_goes_with_a_load_has_a_bound() {
    let half = "x".repeat(MAX_BYTES / 2 - 1);
    let two = |second: &str| format!("[{{name: A, value: '{half}'}}, {{name: B, value: '{second}'}}]");
    assert_eq!(seen(&two(&half), &[]).unwrap().len(), 2, "to the last byte");
    assert_eq!(seen(&two(&format!("{half}x")), &[]).unwrap_err().reason, "EnvTooLarge");
    assert_eq!(seen(&two("$(A)$(A)"), &[]).unwrap_err().reason, "EnvTooLarge");
    let env = "[{name: A, valueFrom: {configMapKeyRef: {name: c, key: k}}}]";
    let mut large = config("c", &[], &[]);
    large.keys.data.insert("k".to_owned(), Held::Large { bytes: MAX_BYTES + 1 });
    let finding = seen(env, &[large]).unwrap_err();
    assert!(finding.message.contains("with A") && finding.message.contains("32 KiB"), "{}", finding.message);
}

#[test]
fn a_secret_is_nobodys_here() {
    let env = "[{name: A, valueFrom: {secretKeyRef: {name: s, key: k}}}, {name: B, value: $(A)}]";
    assert_eq!(values(env, &[]), ["B=$(A)"], "kubelet, which knows it, expands it");
}

#[test]
fn a_nul_cannot_be_given_to_a_process() {
    let finding = seen(r#"[{name: A, value: "a\0b"}]"#, &[]).unwrap_err();
    assert_eq!((finding.reason, finding.heals), ("InvalidSpec", crate::finding::Heals::ByTheUser));
}

#[test]
fn what_only_kubelet_or_a_starting_process_can_take_does_not_go_with_a_load() {
    let runtime = |text: &str| serde_yaml::from_str::<Runtime>(text).unwrap();
    let ours = runtime("{image: i, envAtLoad: true, envAtStart: ['PYTHON*', NODE_OPTIONS]}");
    let goes = |env: &str| goes_with_load(&spec(env), &ours);
    assert!(goes("[{name: A, value: x}, {name: B, valueFrom: {configMapKeyRef: {name: c, key: k}}}]"));
    assert!(goes("[{name: NODE_ENV, value: x}, {name: PATH, value: x}, {name: MYLANG, value: x}]"));
    assert!(!goes("[{name: A, value: x}, {name: B, valueFrom: {secretKeyRef: {name: c, key: k, optional: true}}}]"));
    for name in
        ["PYTHONPATH", "PYTHON", "NODE_OPTIONS", "LD_PRELOAD", "LANG", "LC_ALL", "MUON_PORT", "MALLOC_ARENA_MAX"]
    {
        assert!(!goes(&format!("[{{name: {name}, value: x}}]")), "{name}");
    }
    assert!(!goes_with_load(&spec("[{name: A, value: x}]"), &runtime("{image: i}")));
}

#[test]
fn of_a_config_map_only_what_is_asked_for_is_kept() {
    let object: ConfigMap = serde_yaml::from_str(&format!(
        "{{data: {{a: x, b: y, large: '{}'}}, binaryData: {{c: AA==, d: AA==}}, immutable: true}}",
        "z".repeat(MAX_BYTES + 1)
    ))
    .unwrap();
    let keys = ["a", "c", "large", "missing"].map(str::to_owned).into();
    let found = HeldKeys::of(&object, &keys);
    assert_eq!(found.data.keys().collect::<Vec<_>>(), ["a", "large"]);
    assert!(matches!(found.data["large"], Held::Large { bytes } if bytes == MAX_BYTES + 1));
    assert_eq!(found.binary.iter().collect::<Vec<_>>(), ["c"]);
}
