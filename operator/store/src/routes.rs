//! The store over HTTP.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use muon_order::Verifier;

use crate::access::{self, Deed};
use crate::blobs::Store;
use crate::digest::Digest;
use crate::failure::{StoreError, failure};
use crate::upload::Written;

struct Served {
    store: Store,
    verifier: Verifier,
}

type Call = State<Arc<Served>>;

/// The routes of the store. Bodies are bounded by the store itself.
pub fn router(store: Store, verifier: Verifier) -> Router {
    let served = Arc::new(Served { store, verifier });
    Router::new()
        .route("/v1/blobs/{digest}", get(read).head(size).put(write).delete(remove))
        .method_not_allowed_fallback(|| async { nothing(StatusCode::METHOD_NOT_ALLOWED, "MethodNotAllowed") })
        .fallback(|| async { nothing(StatusCode::NOT_FOUND, "NotFound") })
        .layer(middleware::from_fn_with_state(served.clone(), count))
        .with_state(served)
}

fn nothing(status: StatusCode, reason: &str) -> Response {
    let message = "the store knows GET, HEAD, PUT and DELETE of /v1/blobs/<digest>".to_owned();
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
        _ => "other",
    };
    let response = next.run(request).await;
    let metrics = &served.store.metrics;
    metrics.requests.with_label_values(&[method, response.status().as_str()]).inc();
    metrics.seconds.with_label_values(&[method]).observe(began.elapsed().as_secs_f64());
    response
}

impl Served {
    fn admit(&self, headers: &HeaderMap, deed: Deed, digest: &str) -> Result<Digest, StoreError> {
        let digest = Digest::parse(digest)?;
        access::check(&self.verifier, headers, deed, &digest)?;
        Ok(digest)
    }
}

async fn read(State(served): Call, Path(digest): Path<String>, headers: HeaderMap) -> Result<Response, StoreError> {
    let digest = served.admit(&headers, Deed::Read, &digest)?;
    let (size, body) = served.store.get(&digest).await?;
    served.store.metrics.bytes.with_label_values(&["out"]).inc_by(size);
    Ok(blob(size, body))
}

async fn size(State(served): Call, Path(digest): Path<String>, headers: HeaderMap) -> Result<Response, StoreError> {
    let digest = served.admit(&headers, Deed::Read, &digest)?;
    let size = served.store.size(&digest).await?;
    Ok(blob(size, Body::empty()))
}

async fn write(
    State(served): Call,
    Path(digest): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, StoreError> {
    let digest = served.admit(&headers, Deed::Write, &digest)?;
    let limit = served.store.limits.blob;
    let length = headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit) {
        return Err(StoreError::TooLarge(limit));
    }
    // A task of its own: an upload that was begun ends tidily, also when the client goes away.
    let store = served.store.clone();
    let writing = tokio::spawn(async move { store.put(&digest, body).await });
    match writing.await.map_err(|error| StoreError::Body(error.to_string()))?? {
        Written::Now => Ok(StatusCode::CREATED),
        Written::Before => Ok(StatusCode::OK),
    }
}

async fn remove(State(served): Call, Path(digest): Path<String>, headers: HeaderMap) -> Result<StatusCode, StoreError> {
    let digest = served.admit(&headers, Deed::Write, &digest)?;
    served.store.delete(&digest).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn blob(size: u64, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, size.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    response
}
