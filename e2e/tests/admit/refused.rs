//! Every document of `testdata/bad` is refused, and the refusal says what its `says` comment asks for.

use kube::ResourceExt as _;
use muon_e2e::control_plane::ControlPlane;
use muon_e2e::manifest::{self, documents};

async fn refuses_all(text: &str, least: usize) {
    let client = ControlPlane::shared().client();
    let cases = documents(text);
    assert!(cases.len() >= least, "{} cases, at least {least} were written", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let says = case.comment("says").unwrap_or_else(|| panic!("no `# says: …` in {:?}", case.comments));
        let object = case.object();
        match manifest::dry_run(&client, "default", &object).await {
            Ok(_) => wrong.push(format!("{:?} {} was accepted", case.comments, object.name_any())),
            Err(message) if says.split(" & ").all(|part| message.contains(part)) => {}
            Err(message) => wrong.push(format!("{:?}\n    was told: {message}", case.comments)),
        }
    }
    assert!(wrong.is_empty(), "{} of {} cases are wrong:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

#[tokio::test]
async fn admit_refuses_bad_environments() {
    refuses_all(include_str!("../../testdata/bad/environment.yaml"), 15).await;
}

#[tokio::test]
async fn admit_refuses_bad_packages() {
    refuses_all(include_str!("../../testdata/bad/package.yaml"), 15).await;
}

#[tokio::test]
async fn admit_refuses_bad_functions() {
    refuses_all(include_str!("../../testdata/bad/function.yaml"), 40).await;
}

#[tokio::test]
async fn admit_refuses_bad_triggers() {
    refuses_all(include_str!("../../testdata/bad/httptrigger.yaml"), 25).await;
}
