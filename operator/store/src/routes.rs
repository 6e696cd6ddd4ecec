//! The store over HTTP.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use muon_crds::wire::{LostReply, SweepReply, SweepRequest};
use muon_order::Verifier;

use crate::access::{self, Deed, Granted};
use crate::blobs::Store;
use crate::digest::Digest;
use crate::failure::{StoreError, failure};
use crate::upload::Written;

struct Served {
    store: Store,
    verifier: Verifier,
}

type Call = State<Arc<Served>>;

/// What is in use, of the largest installation, fits in here.
const MAX_SWEEP: usize = 32 << 20;

/// The routes of the store. Bodies are bounded by the store itself.
pub fn router(store: Store, verifier: Verifier) -> Router {
    let served = Arc::new(Served { store, verifier });
    Router::new()
        .route("/v1/blobs/{digest}", get(read).head(size).put(write).delete(remove))
        .route("/v1/sweep", post(sweep).layer(DefaultBodyLimit::max(MAX_SWEEP)))
        .route("/v1/lost", post(lost))
        .route("/v1/builds/{key}", get(recall).put(remember))
        .method_not_allowed_fallback(|| async { nothing(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed") })
        .fallback(|| async { nothing(StatusCode::NOT_FOUND, "NotFound") })
        .layer(middleware::from_fn_with_state(served.clone(), count))
        .with_state(served)
}

fn nothing(status: StatusCode, reason: &str) -> Response {
    let message = "the store knows GET, HEAD, PUT and DELETE of /v1/blobs/<digest>, GET and PUT of /v1/builds/<key>, and POST of \
                   /v1/sweep and /v1/lost"
        .to_owned();
    (status, Json(failure(reason, message))).into_response()
}

/// Counts and times every call. A method that is none of ours counts as `other`.
async fn count(State(served): Call, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let method = match *request.method() {
        Method::GET => "get",
        Method::HEAD => "head",
        Method::PUT => "put",
        Method::DELETE => "delete",
        Method::POST => "post",
        _ => "other",
    };
    let response = next.run(request).await;
    let metrics = &served.store.metrics;
    metrics.requests.with_label_values(&[method, response.status().as_str()]).inc();
    metrics.seconds.with_label_values(&[method]).observe(began.elapsed().as_secs_f64());
    response
}

impl Served {
    fn admit(&self, headers: &HeaderMap, deed: Deed, digest: &str) -> Result<Granted, StoreError> {
        access::check(&self.verifier, headers, deed, &Digest::parse(digest)?)
    }
}

async fn read(State(served): Call, Path(digest): Path<String>, headers: HeaderMap) -> Result<Response, StoreError> {
    let Granted { name, loads } = served.admit(&headers, Deed::Read, &digest)?;
    let (size, body) = served.store.get(&name).await.inspect_err(|error| {
        if loads && matches!(error, StoreError::Missing(_)) {
            served.store.ledger.lost(&name, false);
        }
    })?;
    served.store.metrics.bytes.with_label_values(&["out"]).inc_by(size);
    Ok(blob(size, body))
}

async fn size(State(served): Call, Path(digest): Path<String>, headers: HeaderMap) -> Result<Response, StoreError> {
    let Granted { name, .. } = served.admit(&headers, Deed::Read, &digest)?;
    let size = served.store.size(&name).await?;
    Ok(blob(size, Body::empty()))
}

async fn write(
    State(served): Call,
    Path(digest): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, StoreError> {
    let Granted { name, .. } = served.admit(&headers, Deed::Write, &digest)?;
    let limit = served.store.limits.blob;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(StoreError::TooLarge(limit));
    }
    // A task of its own: an upload that was begun ends tidily, also when the client goes away.
    let store = served.store.clone();
    let writing = tokio::spawn(async move { store.put(&name, body, length).await });
    match writing.await.map_err(|error| StoreError::Body(error.to_string()))?? {
        Written::Now => Ok(StatusCode::CREATED),
        Written::Before => Ok(StatusCode::OK),
    }
}

async fn remove(State(served): Call, Path(digest): Path<String>, headers: HeaderMap) -> Result<StatusCode, StoreError> {
    let Granted { name, .. } = served.admit(&headers, Deed::Remove, &digest)?;
    served.store.delete(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn sweep(State(served): Call, headers: HeaderMap, body: Bytes) -> Result<Json<SweepReply>, StoreError> {
    access::check_keep(&served.verifier, &headers, &body)?;
    let request: SweepRequest =
        serde_json::from_slice(&body).map_err(|error| StoreError::Body(format!("not a sweep: {error}")))?;
    // A task of its own: a sweep that was begun ends, also when the caller goes away. What nobody waits for follows: the
    // builds whose results went are forgotten, and the search for rot goes on.
    let store = served.store.clone();
    let sweeping = tokio::spawn(async move {
        let reply = store.sweep(&request).await;
        tokio::spawn(async move {
            if let Err(error) = store.forget_builds().await {
                tracing::warn!(%error, "builds whose results are gone could not be forgotten; with the next sweep");
            }
            store.scrub().await;
        });
        reply
    });
    Ok(Json(sweeping.await.map_err(|error| StoreError::Body(error.to_string()))??))
}

async fn lost(State(served): Call, headers: HeaderMap, body: Bytes) -> Result<Json<LostReply>, StoreError> {
    access::check_keep(&served.verifier, &headers, &body)?;
    Ok(Json(LostReply { instance: served.store.instance.to_string(), lost: served.store.take_lost() }))
}

async fn recall(State(served): Call, Path(key): Path<String>, headers: HeaderMap) -> Result<String, StoreError> {
    let Granted { name, .. } = served.admit(&headers, Deed::Remember, &key)?;
    Ok(served.store.recall(&name).await?.to_string())
}

async fn remember(
    State(served): Call,
    Path(key): Path<String>,
    headers: HeaderMap,
    digest: String,
) -> Result<StatusCode, StoreError> {
    let Granted { name, .. } = served.admit(&headers, Deed::Remember, &key)?;
    served.store.remember_build(&name, &Digest::parse(digest.trim())?).await?;
    Ok(StatusCode::CREATED)
}

fn blob(size: u64, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, size.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}
