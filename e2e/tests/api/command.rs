//! `muon`, the command, against a real API server and a real operator: a project's whole life, and what goes wrong.

use std::path::Path;

use clap::Parser;
use kube::ResourceExt as _;
use muon_cli::{Command, Connection, Failure, Terminal};
use muon_crds::{Function, HTTPTrigger};
use muon_e2e::control_plane::ControlPlane;
use muon_e2e::space::Space;
use serde_json::json;

use crate::installation::{environment, function, space};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    connection: Connection,
    #[command(subcommand)]
    command: Command,
}

/// Runs what a person would type, in the space's namespace.
async fn muon(space: &Space, words: &[&str]) -> Result<(), Failure> {
    let kubeconfig = ControlPlane::shared().dir().join("kubeconfig");
    let before = ["muon", "-n", &space.namespace, "--kubeconfig", kubeconfig.to_str().expect("a plain path")];
    let line = Line::try_parse_from(before.iter().chain(words)).expect("a command that there is");
    let terminal = Terminal { colour: false, moves: false };
    line.command.run(<Line as clap::CommandFactory>::command(), &line.connection, terminal).await
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).expect("a file of the test's");
}

async fn digest(space: &Space) -> String {
    let function = space.api::<Function>().get("hello").await.expect("it is there");
    function.status.and_then(|status| status.serving).expect("it serves").digest
}

#[tokio::test]
async fn api_a_project_is_deployed_changed_rolled_back_and_deleted() {
    let space = space("command");
    environment(&space).await;
    let place = tempfile::tempdir().expect("a directory");
    let project = place.path().join("hello");
    let directory = project.to_str().expect("a plain path");
    muon(&space, &["init", directory, "--language", "python", "--path", "/hello"]).await.expect("a project");

    muon(&space, &["deploy", directory, "--dry-run"]).await.expect("what would be");
    assert!(space.api::<Function>().get_opt("hello").await.expect("an answer").is_none(), "a dry run keeps nothing");
    muon(&space, &["deploy", directory]).await.expect("ready");
    let first = space.api::<Function>().get("hello").await.expect("it is there");
    let by = first.managed_fields().iter().find(|entry| entry.operation.as_deref() == Some("Apply"));
    assert!(first.managed_fields().iter().any(|entry| entry.manager.as_deref() == Some("muon-cli")), "{by:?}");
    let one = digest(&space).await;

    // The same files again are no write.
    muon(&space, &["deploy", directory, "--no-wait"]).await.expect("nothing to do");
    let again = space.api::<Function>().get("hello").await.expect("it is there");
    assert_eq!(again.metadata.generation, first.metadata.generation);

    write(&project.join("main.py"), "def main():\n    return 'two'\n");
    muon(&space, &["deploy", directory]).await.expect("ready");
    let two = digest(&space).await;
    assert_ne!(one, two);
    muon(&space, &["rollback", "hello"]).await.expect("back");
    assert_eq!(digest(&space).await, one);
    // Whoever deploys means what is there, not what it was rolled back to.
    muon(&space, &["deploy", directory]).await.expect("ready");
    assert_eq!(digest(&space).await, two);

    for words in [&["get"][..], &["get", "fn", "-o", "yaml"], &["describe", "hello"], &["describe", "route/hello"]] {
        muon(&space, words).await.expect("what is there is told");
    }
    muon(&space, &["delete", "-f", directory]).await.expect("gone");
    assert!(space.api::<Function>().get_opt("hello").await.expect("an answer").is_none());
    assert!(space.api::<HTTPTrigger>().get_opt("hello").await.expect("an answer").is_none());
}

#[tokio::test]
async fn api_what_goes_wrong_has_an_exit_code_of_its_own() {
    let space = space("command-failures");
    let place = tempfile::tempdir().expect("a directory");
    let directory = place.path().to_str().expect("a plain path");
    let code = |ended: Result<(), Failure>| ended.map_err(|failure| (failure.code(), failure.to_string()));
    let failed = |ended: Result<(), Failure>| code(ended).expect_err("it cannot be done");

    assert_eq!(failed(muon(&space, &["deploy", directory]).await).0, 2, "no project");
    assert_eq!(failed(muon(&space, &["describe", "nobody"]).await).0, 3);
    assert_eq!(failed(muon(&space, &["rollback", "nobody"]).await).0, 3);

    // Without an Environment nothing becomes ready, and the message says so.
    let manifest =
        "apiVersion: muon.dev/v1alpha1\nkind: Function\nmetadata: {name: alone}\nspec: {environment: nowhere}\n";
    write(&place.path().join("muon.yaml"), manifest);
    write(&place.path().join("main.py"), "def main(): pass\n");
    let (exit, said) = failed(muon(&space, &["deploy", directory, "--timeout", "2"]).await);
    assert!(exit == 4 && said.contains("nowhere"), "{exit} {said}");

    // A field that nobody knows is refused, not dropped.
    write(&place.path().join("muon.yaml"), &manifest.replace("nowhere}", "nowhere, concurency: 3}"));
    let (exit, said) = failed(muon(&space, &["deploy", directory, "--no-wait"]).await);
    assert!(exit == 1 && said.contains("concurency"), "{exit} {said}");

    // What another tool has set is not taken over unasked.
    space.apply_value(function("alone", json!({"concurrency": 7}))).await;
    write(&place.path().join("muon.yaml"), &manifest.replace("nowhere}", "nowhere, concurrency: 8}"));
    let (exit, said) = failed(muon(&space, &["deploy", directory, "--no-wait"]).await);
    assert!(exit == 1 && said.contains("--force-conflicts"), "{exit} {said}");
    muon(&space, &["deploy", directory, "--no-wait", "--force-conflicts"]).await.expect("taken over");
    let taken = space.api::<Function>().get("alone").await.expect("it is there");
    assert_eq!(taken.spec.concurrency, 8);

    // No account but the administrator's may read this namespace.
    assert_eq!(failed(muon(&space, &["--as", "somebody", "get"]).await).0, 5);
    let nobody = place.path().join("kubeconfig");
    let text = std::fs::read_to_string(ControlPlane::shared().dir().join("kubeconfig")).expect("a kubeconfig");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let server = value["clusters"][0]["cluster"]["server"].as_str().expect("an address");
    write(&nobody, &text.replace(server, "https://127.0.0.1:1"));
    let line = ["muon", "--kubeconfig", nobody.to_str().expect("a plain path"), "get"];
    let line = Line::try_parse_from(line).expect("a command");
    let terminal = Terminal { colour: false, moves: false };
    let ended = line.command.run(<Line as clap::CommandFactory>::command(), &line.connection, terminal).await;
    assert_eq!(failed(ended).0, 6);
}
