use serde_json::json;

use super::*;
use crate::mock;

fn of(object: serde_json::Value) -> Secret {
    serde_json::from_value(object).unwrap()
}

fn bytes(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}

fn login(host: Option<&str>) -> Secret {
    let annotations = host.map(|host| json!({"muon.dev/host": host}));
    of(json!({
        "metadata": {"name": "login", "annotations": annotations},
        "data": {"username": bytes("ada"), "password": bytes("pw")},
    }))
}

#[test]
fn a_login_is_sent_to_the_host_that_its_secret_names_and_to_no_other() {
    let read = |host: Option<&str>, url: &str| repository_login("login", &login(host), url);
    assert_eq!(read(Some("git.example.com"), "https://git.example.com/team/code").unwrap(), GitLogin::new("ada", "pw"));
    assert!(read(Some("git.example.com:8443"), "https://git.example.com:8443/code").is_ok());
    for (host, url) in [
        (Some("git.example.com"), "https://evil.example.net/code"),
        (Some("git.example.com"), "https://git.example.com.evil.net/code"),
        (Some("git.example.com"), "https://git.example.com:8443/code"),
        (None, "https://git.example.com/code"),
    ] {
        let refused = read(host, url).unwrap_err();
        assert_eq!(refused.invalid.reason, "SecretInvalid", "{refused}");
    }
    let none = of(json!({"metadata": {"annotations": {"muon.dev/host": "h"}}}));
    assert!(repository_login("login", &none, "https://h/x").unwrap_err().to_string().contains("username"));
}

#[test]
fn a_pull_secret_is_one_that_kubectl_makes() {
    let config = bytes(r#"{"auths":{"r.example.com":{"username":"ada","password":"pw"}}}"#);
    let secret = of(json!({"data": {".dockerconfigjson": config}}));
    assert_eq!(pull_logins("registry", &secret).unwrap()[0].registry, "r.example.com");
    assert_eq!(pull_logins("registry", &login(None)).unwrap_err().invalid.reason, "SecretInvalid");
}

#[tokio::test]
async fn who_may_not_read_a_secret_is_told_how_that_is_given() {
    for (answer, reason) in
        [(mock::refusal(403, "Forbidden"), "SecretForbidden"), (mock::refusal(404, "NotFound"), "SecretMissing")]
    {
        let (client, _) = mock::api(move |_| answer.clone());
        let context = mock::context(&client, "http://127.0.0.1:1");
        let refused = secret("demo", "login", &context).await.unwrap_err();
        assert_eq!(refused.invalid.reason, reason, "{refused}");
        assert!(refused.to_string().contains("login"), "{refused}");
    }
}
