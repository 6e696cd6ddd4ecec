//! Loading: the order, the archive, the contract.

use std::sync::Arc;

use muon_crds::names;
use muon_crds::values::Variable;
use muon_crds::wire::{Component, LoadRequest};
use muon_order::Load;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::fakes::{Import, Runtime};
use super::pod::{Pod, now};
use crate::failure::LoadError;

#[tokio::test]
async fn a_package_is_fetched_unpacked_and_loaded_by_the_contract() {
    let pod = Pod::new(Import::Works).await;
    pod.until_ready().await;
    let report = pod.load().await.unwrap();
    assert!(!report.already && report.load_us > 0, "{report:?}");
    let code = pod.dir.path().join("userfunc/code/deployarchive");
    assert_eq!(std::fs::read(code.join("main.py")).unwrap(), b"code");
    let (path, body) = pod.runtime.calls.lock().unwrap()[0].clone();
    assert_eq!(path, "/v2/specialize");
    let expected = json!({
        "filepath": code, "functionName": "main.main", "url": "",
        "FunctionMetadata": {"name": "hello", "namespace": "default"}, "envVersion": 2,
    });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
    pod.until_ready().await;
}

#[tokio::test]
async fn a_runtime_of_the_first_contract_finds_its_file() {
    let pod = Pod::new(Import::WorksV1).await;
    pod.load().await.unwrap();
    let paths: Vec<_> = pod.runtime.calls.lock().unwrap().iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(paths, ["/v2/specialize", "/specialize"]);
    assert_eq!(std::fs::read(pod.dir.path().join("userfunc/user")).unwrap(), b"code");
}

#[tokio::test]
async fn the_trace_of_the_request_goes_on_to_the_runtime() {
    let pod = Pod::new(Import::Works).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    for unreadable in [Some("no\nheader".to_owned()), None] {
        let other = Pod::new(Import::Works).await;
        other.agent.load(LoadRequest { trace: unreadable, ..other.request(other.order()) }).await.unwrap();
        assert!(other.runtime.traces.lock().unwrap().is_empty());
    }
    pod.agent.load(LoadRequest { trace: Some(trace.to_owned()), ..pod.request(pod.order()) }).await.unwrap();
    assert_eq!(*pod.runtime.traces.lock().unwrap(), [trace]);
}

#[tokio::test]
async fn variables_go_to_the_runtime_with_the_load_and_with_every_later_one() {
    let mut pod = Pod::new(Import::Works).await;
    let variable = |name: &str, value: &str| Variable { name: name.into(), value: value.into() };
    let env = vec![variable("GREETING", "grüß \"dich\"\n"), variable("EMPTY", ""), variable("__proto__", "x")];
    let order = Load { revision: names::revision_with("r1", &env), ..pod.order() };
    pod.agent.load(LoadRequest { env, ..pod.request(order) }).await.unwrap();
    pod.until_ready().await;
    // Another agent has to know them, too, for a runtime that ended.
    pod.replace_agent();
    pod.until_ready().await;
    pod.crash().await;
    pod.until(|status| status.readiness(true).is_err()).await;
    pod.restart().await;
    pod.until_ready().await;
    let bodies: Vec<Value> =
        pod.runtime.calls.lock().unwrap().iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    let wanted = json!({"GREETING": "grüß \"dich\"\n", "EMPTY": "", "__proto__": "x"});
    assert_eq!(bodies.iter().map(|body| &body["env"]).collect::<Vec<_>>(), [&wanted, &wanted]);
}

#[tokio::test]
async fn a_runtime_of_the_first_contract_is_never_loaded_without_its_variables() {
    let pod = Pod::new(Import::WorksV1).await;
    let env = vec![Variable { name: "A".into(), value: "b".into() }];
    let order = Load { revision: names::revision_with("r1", &env), ..pod.order() };
    let error = pod.agent.load(LoadRequest { env, ..pod.request(order) }).await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16(), error.is_final()), ("EnvNotTaken", 422, true));
    assert!(error.to_string().contains("envAtLoad"), "{error}");
    assert_eq!(pod.runtime.loads(), 1, "/specialize was not asked");
}

/// So does a proxy of an earlier release, which knows of no variables: the pod waits for one that does.
#[tokio::test]
async fn a_load_without_the_variables_of_its_revision_is_not_begun() {
    let pod = Pod::new(Import::Works).await;
    let env = vec![Variable { name: "A".into(), value: "b".into() }];
    let other = vec![Variable { name: "A".into(), value: "x".into() }];
    let order = Load { revision: names::revision_with("r1", &env), ..pod.order() };
    for wrong in [Vec::new(), other] {
        let error = pod.agent.load(LoadRequest { env: wrong, ..pod.request(order.clone()) }).await.unwrap_err();
        assert_eq!((error.reason(), error.status().as_u16(), error.is_final()), ("EnvDiffers", 503, false));
    }
    let error = pod.agent.load(LoadRequest { env: env.clone(), ..pod.request(pod.order()) }).await.unwrap_err();
    assert_eq!(error.reason(), "EnvDiffers", "nor one with variables that nobody asked for");
    assert_eq!(pod.runtime.loads(), 0);
    pod.agent.load(LoadRequest { env, ..pod.request(order.clone()) }).await.unwrap();
    pod.until_ready().await;
    let joined = pod.agent.load(pod.request(order)).await.unwrap();
    assert!(joined.already, "what is loaded is loaded as it should be, whoever asks");
}

#[tokio::test]
async fn what_is_loaded_needs_no_new_order_and_no_second_load() {
    let pod = Pod::new(Import::Works).await;
    pod.load().await.unwrap();
    let expired = Load { until: Some(now() - 1), ..pod.order() };
    assert!(pod.agent.load(pod.request(expired)).await.unwrap().already);
    assert_eq!((pod.runtime.loads(), pod.store.orders.lock().unwrap().len()), (1, 1));
}

#[tokio::test]
async fn callers_at_once_are_one_load() {
    let gate = Arc::new(Semaphore::new(0));
    let pod = Pod::new(Import::Waits(gate.clone())).await;
    let callers: Vec<_> = (0..20)
        .map(|_| {
            let (agent, request) = (pod.agent.clone(), pod.request(pod.order()));
            tokio::spawn(async move { agent.load(request).await })
        })
        .collect();
    pod.until(|status| status.readiness(true) == Err("Loading")).await;
    gate.add_permits(1);
    let mut reports = Vec::new();
    for caller in callers {
        reports.push(caller.await.unwrap().unwrap());
    }
    assert!(reports.iter().all(|report| *report == reports[0]));
    assert_eq!(pod.runtime.loads(), 1);
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_take_the_load_with_it() {
    let gate = Arc::new(Semaphore::new(0));
    let pod = Pod::new(Import::Waits(gate.clone())).await;
    let (agent, request) = (pod.agent.clone(), pod.request(pod.order()));
    let first = tokio::spawn(async move { agent.load(request).await });
    pod.until(|status| status.readiness(true) == Err("Loading")).await;
    first.abort();
    gate.add_permits(1);
    pod.load().await.unwrap();
    assert_eq!(pod.runtime.loads(), 1);
}

#[tokio::test]
async fn orders_that_are_not_for_this_pod_are_refused_before_anything_happens() {
    let pod = Pod::new(Import::Works).await;
    pod.until_ready().await;
    let wrong = [
        Load { pod_uid: Some("pod-2".into()), ..pod.order() },
        Load { pod_uid: None, ..pod.order() },
        Load { until: Some(now() - 1), ..pod.order() },
        Load { digest: "../../etc/passwd".into(), ..pod.order() },
    ];
    for load in wrong {
        let error = pod.agent.load(pod.request(load.clone())).await.unwrap_err();
        assert_eq!(error.reason(), "OrderRefused", "{load:?}");
    }
    let mut forged = pod.request(pod.order());
    forged.order = muon_order::Signer::from_seed(&[4; 32]).unwrap().sign(&muon_order::Order::Load(pod.order()));
    assert_eq!(pod.agent.load(forged).await.unwrap_err().reason(), "OrderRefused");
    assert_eq!((pod.runtime.loads(), pod.store.orders.lock().unwrap().len()), (0, 0));
    assert_eq!(pod.readiness(), "", "a refused order leaves the pod as it was");
}

#[tokio::test]
async fn another_function_or_revision_is_refused() {
    let pod = Pod::new(Import::Works).await;
    pod.load().await.unwrap();
    for other in [
        Load { function_uid: "function-2".into(), ..pod.order() },
        Load { revision: "r2".into(), ..pod.order() },
        Load { digest: muon_crds::names::digest(b"other"), ..pod.order() },
    ] {
        let error = pod.agent.load(pod.request(other)).await.unwrap_err();
        assert_eq!((error.reason(), error.status().as_u16()), ("AlreadyLoaded", 409));
    }
    assert_eq!(pod.readiness(), "");
}

#[tokio::test]
async fn a_failed_import_is_told_in_the_runtimes_words_and_remembered() {
    let body = r#"{"reason": "ImportFailed", "message": "NameError: name 'x' is not defined"}"#;
    let mut pod = Pod::new(Import::Fails(500, body)).await;
    for _ in 0..2 {
        let error = pod.load().await.unwrap_err();
        assert_eq!((error.status().as_u16(), error.body(None).component), (422, Component::Runtime));
        assert_eq!(error.to_string(), "NameError: name 'x' is not defined");
    }
    pod.replace_agent();
    assert_eq!(pod.load().await.unwrap_err().reason(), "ImportFailed");
    assert_eq!((pod.runtime.loads(), pod.readiness().as_str()), (1, "ImportFailed"));
}

#[tokio::test]
async fn what_the_store_does_wrong_is_told_and_can_be_tried_again() {
    let pod = Pod::new(Import::Works).await;
    let right = pod.store.blobs.lock().unwrap().remove(&pod.digest).unwrap();
    assert_eq!(pod.load().await.unwrap_err(), LoadError::ArchiveMissing(pod.digest.clone()));
    pod.store.blobs.lock().unwrap().insert(pod.digest.clone(), "something else".into());
    assert_eq!(pod.load().await.unwrap_err().reason(), "DigestMismatch");
    *pod.store.broken.lock().unwrap() =
        Some((503, r#"{"component": "store", "reason": "Busy", "message": "too many", "executed": "no"}"#));
    let error = pod.load().await.unwrap_err();
    assert_eq!((error.reason(), error.body(None).component), ("StoreFailed", Component::Store));
    assert!(error.to_string().ends_with("too many"), "{error}");
    *pod.store.broken.lock().unwrap() = None;
    pod.store.blobs.lock().unwrap().insert(pod.digest.clone(), right);
    assert!(!pod.load().await.unwrap().already);
    assert!(std::fs::read_dir(&pod.agent.settings.agent_dir).unwrap().count() == 1, "only the record is kept");
}

#[tokio::test]
async fn a_store_that_is_not_there_or_not_http_is_the_stores_fault() {
    let pod = Pod::new(Import::Works).await;
    for (address, says) in [("http://127.0.0.1:1", "cannot connect"), ("https://store", "http://host:port")] {
        let mut request = pod.request(pod.order());
        request.store = address.into();
        let error = pod.agent.load(request).await.unwrap_err();
        assert!(error.reason() == "StoreFailed" && error.to_string().contains(says), "{error}");
    }
    pod.load().await.unwrap();
}

#[tokio::test]
async fn archives_over_the_bound_and_bad_archives_are_refused_for_good() {
    let mut pod = Pod::with(Runtime::new(Import::Works), |settings, _| settings.max_archive = 3 << 20).await;
    let error = pod.load_archive(vec![b'x'; 4 << 20]).await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16(), error.is_final()), ("ArchiveTooLarge", 422, true));
    let mut pod = Pod::new(Import::Works).await;
    let error = pod.load_archive(vec![0; 10240]).await.unwrap_err();
    assert_eq!((error.reason(), error.status().as_u16()), ("ArchiveEmpty", 422));
    assert_eq!(pod.runtime.loads(), 0);
}

#[tokio::test]
async fn a_large_archive_goes_over_the_disk_and_leaves_nothing_there() {
    let mut pod = Pod::new(Import::Works).await;
    let large: Vec<u8> = (0..3 << 20).map(|index: u32| (index.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    pod.load_archive(large.clone()).await.unwrap();
    assert!(std::fs::read(pod.dir.path().join("userfunc/code/deployarchive")).unwrap() == large);
    assert_eq!(std::fs::read_dir(&pod.agent.settings.agent_dir).unwrap().count(), 1);
}

/// A tar of one file that no compressor would make smaller.
fn large_tar(name: &str, seed: u32) -> Vec<u8> {
    let content: Vec<u8> = (0..3 << 20).map(|at: u32| (at.wrapping_mul(seed) >> 24) as u8).collect();
    let mut header = tar::Header::new_ustar();
    header.set_size(content.len() as u64);
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_cksum();
    [header.as_bytes(), &content[..], &[0; 1024]].concat()
}

#[tokio::test]
async fn a_large_tar_is_unpacked_while_it_comes_and_has_its_name_once_it_is_verified() {
    let mut pod = Pod::new(Import::Works).await;
    let right = large_tar("large.bin", 2_654_435_761);
    let digest = muon_crds::names::digest(&right);
    // As long as the right one, and another.
    let request = pod.request(Load { digest: digest.clone(), ..pod.order() });
    pod.store.blobs.lock().unwrap().insert(digest.clone(), large_tar("other.bin", 40_503).into());
    let error = pod.agent.load(request.clone()).await.unwrap_err();
    assert_eq!(error.reason(), "DigestMismatch", "{error}");
    let code = pod.dir.path().join("userfunc/code");
    assert_eq!(std::fs::read_dir(&code).unwrap().count(), 0, "what was unpacked of it is gone");
    pod.store.blobs.lock().unwrap().insert(digest, right.clone().into());
    let report = pod.agent.load(request).await.unwrap();
    assert!(report.verify_us > 0 && report.fetch_us > 0, "{report:?}");
    assert!(std::fs::read(code.join("deployarchive/large.bin")).unwrap() == right[512..right.len() - 1024]);
    pod = Pod::new(Import::Works).await;
    let error = pod.load_archive(large_tar("../large.bin", 40_503)).await.unwrap_err();
    assert_eq!((error.reason(), error.is_final()), ("ArchiveNameRefused", true));
    assert_eq!(std::fs::read_dir(&pod.agent.settings.agent_dir).unwrap().count(), 1, "only the record is kept");
}

#[tokio::test]
async fn a_load_ends_in_time_says_what_it_did_and_can_be_tried_again() {
    let pod = Pod::new(Import::Ends).await;
    assert_eq!(pod.load().await.unwrap_err().reason(), "RuntimeEnded");
    // From here on there is nothing to fetch: all the time goes to the import.
    let gate = Arc::new(Semaphore::new(0));
    *pod.runtime.import.lock().unwrap() = Import::Waits(gate.clone());
    let mut request = pod.request(pod.order());
    request.timeout_ms = 500;
    let error = pod.agent.load(request).await.unwrap_err();
    assert_eq!((error.reason(), error.body(None).component), ("LoadDeadline", Component::Runtime));
    gate.add_permits(2);
    pod.load().await.unwrap();
    assert_eq!(pod.store.orders.lock().unwrap().len(), 1, "what is unpacked is not fetched again");
}

#[tokio::test]
async fn a_runtime_that_listens_late_is_waited_for() {
    let mut pod = Pod::new(Import::Works).await;
    pod.crash().await;
    let (agent, request) = (pod.agent.clone(), pod.request(pod.order()));
    let load = tokio::spawn(async move { agent.load(request).await });
    pod.until(|status| status.readiness(true) == Err("Loading")).await;
    pod.restart().await;
    load.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_runtime_that_somebody_else_loaded_ends_the_pod() {
    for body in [r#"{"reason": "AlreadyLoaded", "message": "x"}"#, "Not a generic container"] {
        let pod = Pod::new(Import::Fails(400, body)).await;
        assert_eq!(pod.load().await.unwrap_err(), LoadError::ForeignLoad);
        *pod.runtime.import.lock().unwrap() = Import::Works;
        assert_eq!(pod.load().await.unwrap_err(), LoadError::ForeignLoad);
        assert_eq!(pod.readiness(), "ForeignLoad");
    }
}

#[tokio::test]
async fn an_own_deployments_pod_loads_its_template_by_itself() {
    let pod = Pod::with(Runtime::new(Import::Works), |settings, template| settings.template = Some(template)).await;
    pod.until(|status| status.readiness(false).is_ok()).await;
    assert_eq!(pod.runtime.loads(), 1);
    // A proxy asks, with an order of its own for this pod; and so might anybody who read the template.
    assert!(pod.load().await.unwrap().already);
    let template = pod.agent.settings.template.clone().unwrap();
    assert!(pod.agent.load(template).await.unwrap().already);
    let other = Load { revision: "r2".into(), ..pod.order() };
    assert_eq!(pod.agent.load(pod.request(other)).await.unwrap_err().reason(), "AlreadyLoaded");
}

#[tokio::test]
async fn a_template_that_cannot_be_taken_leaves_the_pod_unready() {
    let pod = Pod::with(Runtime::new(Import::Works), |settings, mut template| {
        template.order = muon_order::Signer::from_seed(&[4; 32]).unwrap().sign(&muon_order::Order::Load(Load {
            pod_uid: None,
            namespace: "default".into(),
            function_uid: "f".into(),
            revision: "r".into(),
            digest: muon_crds::names::digest(b""),
            until: None,
        }));
        settings.template = Some(template);
    })
    .await;
    pod.until(|status| status.runtime == crate::status::RuntimeState::Up).await;
    assert_eq!((pod.readiness().as_str(), pod.runtime.loads()), ("OrderRefused", 0));
}
