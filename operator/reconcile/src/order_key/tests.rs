use super::*;
use crate::mock::{api, refusal};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

fn secret(seed: &[u8]) -> Value {
    json!({"metadata": {"name": "muon-order-key"}, "data": {"seed": STANDARD.encode(seed)}})
}

fn map(public: &str) -> Value {
    json!({"metadata": {"name": "muon-order-key", "resourceVersion": "3"}, "data": {"public": public}})
}

#[tokio::test]
async fn a_key_that_is_there_is_read_and_nothing_is_written() {
    let public = Signer::from_seed(&[1; 32]).unwrap().public();
    let said = map(&public);
    let (client, log) = api(move |asked| match asked.path.contains("/secrets/") {
        true => (200, secret(&[1; 32])),
        false => (200, said.clone()),
    });
    assert_eq!(get_or_create(&client, "muon-system").await.unwrap().public(), public);
    assert!(log.writes().is_empty());
}

#[tokio::test]
async fn an_absent_key_is_made_and_its_public_half_published() {
    let (client, log) = api(|asked| match asked.method.as_str() {
        "POST" => (201, asked.body.clone()),
        _ => refusal(404, "NotFound"),
    });
    let signer = get_or_create(&client, "muon-system").await.unwrap();
    let [secret, map] = log.writes().try_into().unwrap();
    assert_eq!(secret.body["immutable"], json!(true));
    assert_eq!(STANDARD.decode(secret.body["data"]["seed"].as_str().unwrap()).unwrap().len(), 32);
    assert_eq!(map.body["data"]["public"], json!(signer.public()));
}

#[tokio::test]
async fn of_two_operators_at_once_the_second_takes_the_first_ones_key() {
    let public = Signer::from_seed(&[2; 32]).unwrap().public();
    let mut made = false;
    let (client, _) = api(move |asked| match (asked.method.as_str(), asked.path.contains("/secrets")) {
        ("GET", true) if made => (200, secret(&[2; 32])),
        ("POST", true) => {
            made = true;
            refusal(409, "AlreadyExists")
        }
        ("POST", false) => (201, asked.body.clone()),
        _ => refusal(404, "NotFound"),
    });
    assert_eq!(get_or_create(&client, "muon-system").await.unwrap().public(), public);
}

#[tokio::test]
async fn a_public_half_of_another_key_is_put_right() {
    let (client, log) = api(|asked| match (asked.method.as_str(), asked.path.contains("/secrets/")) {
        ("GET", true) => (200, secret(&[3; 32])),
        ("GET", false) => (200, map("of-an-older-key")),
        _ => (200, asked.body.clone()),
    });
    let signer = get_or_create(&client, "muon-system").await.unwrap();
    let [write] = log.writes().try_into().unwrap();
    assert_eq!((write.method.as_str(), &write.body["data"]["public"]), ("PUT", &json!(signer.public())));
    assert_eq!(write.body["metadata"]["resourceVersion"], json!("3"));
}

#[tokio::test]
async fn a_secret_without_a_seed_is_told_with_what_to_do() {
    let (client, _) = api(|_| (200, secret(b"short")));
    let error = get_or_create(&client, "muon-system").await.unwrap_err();
    assert!(error.to_string().contains("delete it"), "{error}");
}
