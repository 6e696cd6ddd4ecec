//! Waiting: bounded, first come first served, and never for ever.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http::StatusCode;
use muon_crds::wire::Executed;
use muon_proxy::Config;
use serde_json::json;

use crate::cluster::{Cluster, call, config, get, read, send as send_request, until};

#[tokio::test]
async fn a_full_queue_is_answered_at_once() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(Config { queue_per_function: 3, ..config("proxy-a") }).await;
    cluster.function("hello", json!({"concurrency": 1, "max": 1}));
    let pod = cluster.own_pod("full-1", "hello", "r1").await;
    let mut waiting = vec![tokio::spawn(call(node.functions, get("hello.demo", "/slow")))];
    until("one is inside", || pod.slow.load(Ordering::SeqCst) == 1).await;
    for queued in 1..=3 {
        waiting.push(tokio::spawn(call(node.functions, get("hello.demo", "/slow"))));
        until("it waits", || node.proxy.activity().functions[0].queued == queued).await;
    }
    let refused = call(node.functions, get("hello.demo", "/slow")).await;
    assert_eq!((refused.status, refused.failure().reason.as_str()), (StatusCode::SERVICE_UNAVAILABLE, "QueueFull"));
    assert_eq!(refused.failure().executed, Executed::No);
    assert!(refused.headers.contains_key("retry-after"));
    pod.slow_gate.add_permits(10);
    for request in waiting {
        assert_eq!(request.await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(pod.slow_most.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn the_bound_over_all_functions_holds_too() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(Config { queue_total: 1, ..config("proxy-a") }).await;
    cluster.function("one", json!({}));
    cluster.function("two", json!({}));
    let waiting = tokio::spawn(call(node.functions, get("one.demo", "/")));
    until("it waits", || node.proxy.activity().functions.iter().any(|function| function.queued == 1)).await;
    assert_eq!(call(node.functions, get("two.demo", "/")).await.failure().reason, "QueueFull");
    cluster.free_pod("total-1").await;
    cluster.free_pod("total-2").await;
    assert_eq!(waiting.await.unwrap().status, StatusCode::OK);
    assert_eq!(call(node.functions, get("two.demo", "/")).await.status, StatusCode::OK);
}

/// Two functions of which nothing runs are flooded; a third one still finds a place, and is served before them when a
/// pod of its own comes.
#[tokio::test]
async fn functions_that_flood_the_proxy_leave_places_to_others() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(Config { queue_total: 30, ..config("proxy-a") }).await;
    let mut waiting = Vec::new();
    for name in ["flood-1", "flood-2", "quiet"] {
        cluster.function(name, json!({"mode": "Deployment"}));
    }
    let flooders: Vec<_> = ["flood-1.demo", "flood-2.demo"].repeat(40);
    for host in flooders {
        let request = tokio::spawn(call(node.functions, get(host, "/")));
        // One after the other: waiting, or refused.
        until("it waits or was refused", || {
            let queued: u32 = node.proxy.activity().functions.iter().map(|function| function.queued).sum();
            request.is_finished() || queued as usize > waiting.len()
        })
        .await;
        if request.is_finished() {
            let refused = request.await.unwrap();
            assert_eq!(refused.failure().reason, "QueueFull");
            assert!(refused.headers.contains_key("retry-after"));
        } else {
            waiting.push(request);
        }
    }
    assert_eq!(waiting.len(), 20, "two that flood share what leaves a third of the places to the others");
    let quiet = tokio::spawn(call(node.functions, get("quiet.demo", "/")));
    until("the quiet one waits", || {
        let functions = node.proxy.activity().functions;
        functions.iter().any(|function| function.uid == "uid-quiet" && function.queued == 1)
    })
    .await;
    cluster.own_pod("quiet-1", "quiet", "r1").await;
    assert_eq!(quiet.await.unwrap().body, "quiet-1", "the others still wait");
    for name in ["flood-1", "flood-2"] {
        cluster.own_pod(&format!("{name}-pod"), name, "r1").await;
    }
    for request in waiting {
        assert_eq!(request.await.unwrap().status, StatusCode::OK);
    }
}

/// First come, first served: with one place, requests are inside in the order in which they came.
#[tokio::test]
async fn requests_of_a_function_are_served_in_the_order_of_their_coming() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({"concurrency": 1, "max": 1, "mode": "Deployment"}));
    let mut waiting = Vec::new();
    let order = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    for number in 0..10u32 {
        let (order, address) = (std::sync::Arc::clone(&order), node.functions);
        waiting.push(tokio::spawn(async move {
            assert_eq!(call(address, get("hello.demo", "/slow")).await.status, StatusCode::OK);
            order.lock().unwrap().push(number);
        }));
        until("it waits", || node.proxy.activity().functions.iter().any(|it| it.queued == number + 1)).await;
    }
    let pod = cluster.own_pod("order-1", "hello", "r1").await;
    for served in 1..=10 {
        pod.slow_gate.add_permits(1);
        until("the next one has its answer", || order.lock().unwrap().len() == served).await;
    }
    for request in waiting {
        request.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), (0..10).collect::<Vec<_>>());
}

/// Requests come as fast as one pod gets them done, so that each waits a little and the queue is never empty: a second
/// pod is claimed, as the function allows.
#[tokio::test]
async fn a_queue_that_never_empties_asks_for_another_pod() {
    let cluster = Cluster::new();
    let node = cluster.proxy_with(Config { patience: Duration::from_millis(100), ..config("proxy-a") }).await;
    cluster.function("hello", json!({"concurrency": 1, "max": 2}));
    let pods = [cluster.free_pod("lasting-1").await, cluster.free_pod("lasting-2").await];
    let inside = || pods.iter().map(|pod| pod.slow.load(Ordering::SeqCst)).sum::<u32>();
    let queued = || node.proxy.activity().functions.first().map_or(0, |function| function.queued);
    let mut requests = tokio::task::JoinSet::new();
    let mut more = |count: usize| {
        for _ in 0..count {
            requests.spawn(call(node.functions, get("hello.demo", "/slow")));
        }
    };
    more(3);
    until("one is inside, two wait", || inside() == 1 && queued() == 2).await;
    let served = || pods.iter().map(|pod| pod.requests.load(Ordering::SeqCst)).sum::<u32>();
    let started = std::time::Instant::now();
    while cluster.claims() < 2 {
        assert!(started.elapsed() < Duration::from_secs(20), "one pod for ever");
        // Far more is done in one patience than ever waits.
        let before = served();
        more(1);
        until("it waits", || queued() == 3 || cluster.claims() == 2).await;
        for pod in &pods {
            if pod.slow.load(Ordering::SeqCst) > 0 {
                pod.slow_gate.add_permits(1);
            }
        }
        until("the next one is inside", || served() > before || cluster.claims() == 2).await;
    }
    for pod in &pods {
        pod.slow_gate.add_permits(1000);
    }
    while let Some(answer) = requests.join_next().await {
        assert_eq!(answer.unwrap().status, StatusCode::OK);
    }
    assert_eq!(cluster.claims(), 2);
}

#[tokio::test]
async fn who_waits_too_long_for_a_busy_pod_is_told_so() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({"concurrency": 1, "max": 1, "timeoutSeconds": 1}));
    let pod = cluster.own_pod("busy-1", "hello", "r1").await;
    // An answer that has begun may take as long as it likes.
    let (send, receive) = tokio::sync::mpsc::unbounded_channel();
    *pod.stream.lock().unwrap() = Some(receive);
    let first = send_request(node.functions, get("hello.demo", "/stream")).await;
    let second = call(node.functions, get("hello.demo", "/")).await;
    assert_eq!(second.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((second.failure().reason.as_str(), second.failure().executed), ("DeadlineExceeded", Executed::No));
    assert_eq!(pod.requests.load(Ordering::SeqCst), 1);
    send.send("end".into()).unwrap();
    drop(send);
    assert_eq!(read(first).await.body, "end");
}

#[tokio::test]
async fn who_goes_away_leaves_the_queue() {
    let cluster = Cluster::new();
    let node = cluster.proxy("proxy-a").await;
    cluster.function("hello", json!({}));
    let waiting = tokio::spawn(call(node.functions, get("hello.demo", "/")));
    until("it waits", || node.proxy.activity().functions.iter().any(|function| function.queued == 1)).await;
    waiting.abort();
    until("nobody waits", || node.proxy.activity().functions.iter().all(|function| function.queued == 0)).await;
}

#[tokio::test]
async fn two_proxies_together_keep_a_functions_concurrency() {
    let cluster = Cluster::new();
    let (one, two) = (cluster.proxy("proxy-a").await, cluster.proxy("proxy-b").await);
    for node in [&one, &two] {
        node.proxy.set_peers(vec![one.peer.clone(), two.peer.clone()]);
    }
    cluster.function("hello", json!({"concurrency": 4, "max": 1}));
    let pod = cluster.own_pod("share-1", "hello", "r1").await;
    let nodes = [&one, &two];
    let requests: Vec<_> =
        (0..12).map(|at| tokio::spawn(call(nodes[at % 2].functions, get("hello.demo", "/slow")))).collect();
    until("the pod is full", || pod.slow.load(Ordering::SeqCst) == 4).await;
    pod.slow_gate.add_permits(100);
    for request in requests {
        assert_eq!(request.await.unwrap().status, StatusCode::OK);
    }
    assert_eq!(pod.slow_most.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn shutting_down_finishes_what_is_in_flight_and_takes_nothing_new() {
    let cluster = Cluster::new();
    let mut node = cluster.proxy_with(Config { drain_timeout: Duration::from_secs(20), ..config("proxy-a") }).await;
    cluster.function("hello", json!({}));
    let pod = cluster.own_pod("drain-1", "hello", "r1").await;
    assert!(node.proxy.ready());
    let request = tokio::spawn(call(node.functions, get("hello.demo", "/slow")));
    until("it is inside", || pod.slow.load(Ordering::SeqCst) == 1).await;
    node.stop();
    until("not ready", || !node.proxy.ready()).await;
    let mut refused = false;
    for _ in 0..1000 {
        refused = tokio::net::TcpStream::connect(node.functions).await.is_err();
        if refused {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(refused, "a connection was still accepted");
    pod.slow_gate.add_permits(1);
    let answer = request.await.unwrap();
    assert_eq!((answer.status, answer.body.as_str()), (StatusCode::OK, "drain-1"));
    node.serving.await.unwrap();
}
