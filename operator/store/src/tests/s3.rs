//! The same store on a real server of the S3 protocol, which checks the signature of every request.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::extract::Request as Asked;
use http_body_util::BodyExt as _;
use object_store::aws::AmazonS3Builder;
use s3s::auth::SimpleAuth;
use s3s::service::S3ServiceBuilder;

use super::*;
use crate::s3::Bucket;

const BUCKET: &str = "packages-of-muon";

/// A server that keeps its buckets in a directory.
async fn serve(dir: &Path) -> SocketAddr {
    std::fs::create_dir(dir.join(BUCKET)).unwrap();
    let mut builder = S3ServiceBuilder::new(s3s_fs::FileSystem::new(dir).unwrap());
    builder.set_auth(SimpleAuth::from_single("key", "secret"));
    let service = builder.build();
    let router = Router::new().fallback(move |asked: Asked| async move {
        let answer = service.oneshot(asked).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok::<_, StatusCode>(answer.map(Body::new))
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn open(server: SocketAddr, secret: &str, settings: Settings) -> Result<Store, StoreError> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = AmazonS3Builder::new().with_access_key_id("key").with_secret_access_key(secret);
    let bucket = Bucket {
        name: BUCKET.into(),
        endpoint: Some(format!("http://{server}")),
        region: Some("eu-north-1".into()),
        prefix: Some("store".into()),
    };
    Store::in_bucket(builder, &bucket, settings).await
}

fn name(content: &[u8]) -> Name {
    Name::new(DEMO, Digest::parse(&names::digest(content)).unwrap()).unwrap()
}

async fn read(store: &Store, name: &Name) -> Result<Bytes, StoreError> {
    let (_, body) = store.get(name).await?;
    Ok(body.collect().await.unwrap().to_bytes())
}

#[tokio::test]
async fn blobs_in_a_bucket_are_whole_counted_and_go_when_they_are_out_of_use() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path()).await;
    let settings = || Settings { sweeping: Sweeping { grace: Duration::ZERO, dry: false }, ..Settings::default() };
    let store = open(server, "secret", settings()).await.unwrap();
    store.ready().await.unwrap();
    // The last of them in several parts.
    let contents = [b"small".to_vec(), noise((1 << 20) + 1), noise((11 << 20) + 7)];
    for content in &contents {
        store.put(&name(content), content.clone().into(), None).await.unwrap();
    }
    // Another process finds what lies there, and reads it from there.
    let again = open(server, "secret", settings()).await.unwrap();
    for content in &contents {
        assert!(read(&again, &name(content)).await.unwrap() == content);
        assert_eq!(again.size(&name(content)).await.unwrap(), content.len() as u64);
    }
    assert_eq!(again.metrics.blobs.get(), 3);

    let hex = names::digest(&contents[1]);
    let hex = hex.strip_prefix("sha256:").unwrap();
    let file = dir.path().join(BUCKET).join("store/packages").join(DEMO).join(&hex[..2]).join(hex);
    std::fs::write(&file, "rot").unwrap();
    assert!(!again.holds(&name(&contents[1])).await.unwrap());
    assert!(!file.exists(), "it is set aside");
    again.put(&name(&contents[1]), contents[1].clone().into(), None).await.unwrap();
    assert!(read(&again, &name(&contents[1])).await.unwrap() == contents[1]);

    let live = [(DEMO.to_owned(), [names::digest(&contents[0])].into())].into();
    let reply = again.sweep(&muon_crds::wire::SweepRequest { live }).await.unwrap();
    assert_eq!((reply.swept, reply.missing.len()), (2, 0));
    let third = open(server, "secret", settings()).await.unwrap();
    assert_eq!(third.metrics.blobs.get(), 1);
    assert!(matches!(read(&third, &name(&contents[2])).await, Err(StoreError::Missing(_))));
    assert!(!dir.path().join(BUCKET).join("store/quarantine").join(DEMO).join(hex).exists());
}

#[tokio::test]
async fn a_bucket_whose_key_is_wrong_is_told_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let server = serve(dir.path()).await;
    let refused = open(server, "other", Settings::default()).await.unwrap_err();
    assert!(matches!(refused, StoreError::Storage(_)) && refused.to_string().contains("403"), "{refused}");
}
