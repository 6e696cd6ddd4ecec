use super::*;

fn folder(manifests: &[(&str, &str)], entries: &[&str]) -> Folder {
    Folder {
        name: "My Shop 2".to_owned(),
        manifests: manifests.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
        entries: entries.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn read(manifests: &[(&str, &str)], entries: &[&str]) -> Result<Project, ProjectError> {
    Project::read(&folder(manifests, entries))
}

const HELLO: &str = "\
apiVersion: muon.dev/v1alpha1
kind: Function
metadata: {name: hello}
spec: {environment: python, entrypoint: app.greet}
---
apiVersion: muon.dev/v1alpha1
kind: HTTPTrigger
metadata: {name: hello}
spec: {path: /hello, function: {name: hello}}
";

#[test]
fn code_lies_in_the_manifest_or_beside_it() {
    let project = read(&[("hello.yaml", HELLO)], &["hello.yaml", "app.py"]).unwrap();
    assert_eq!(project.functions[0].code, Code::Folder(".".to_owned()));
    assert_eq!((project.functions[0].language, project.triggers.len()), (Language::Python, 1));
    let project = read(&[("hello.yaml", HELLO)], &["hello", "hello.yaml"]).unwrap();
    assert_eq!(project.functions[0].code, Code::Folder("hello".to_owned()));
    let named = HELLO.replace("{name: hello}", "{name: hello, annotations: {muon.dev/code: src/hello/}}");
    let project = read(&[("hello.yaml", &named)], &["hello", "hello.yaml"]).unwrap();
    assert_eq!(project.functions[0].code, Code::Folder("src/hello".to_owned()));
    let package = "\
apiVersion: muon.dev/v1alpha1
kind: Package
metadata: {name: code}
spec: {environment: python, build: {}, source: {files: {main.py: 'x = 1'}}}
---
apiVersion: muon.dev/v1alpha1
kind: Function
metadata: {name: hello}
spec: {environment: python, package: code}
";
    let project = read(&[("all.yaml", package)], &[]).unwrap();
    let files = BTreeMap::from([("main.py".to_owned(), "x = 1".to_owned())]);
    assert_eq!(project.functions[0].code, Code::Inline { manifest: "all.yaml".to_owned(), files });
    assert!(project.notes[0].contains("not built here"), "{:?}", project.notes);
}

#[test]
fn code_without_a_manifest_is_a_function() {
    let project = read(&[], &["index.js", "package.json"]).unwrap();
    assert_eq!((project.functions[0].name.as_str(), project.functions[0].language), ("my-shop", Language::Node));
    assert_eq!(read(&[], &["README.md"]).unwrap_err(), ProjectError::Nothing);
}

#[test]
fn an_environment_of_its_own_is_told_by_its_image() {
    let own = "\
apiVersion: muon.dev/v1alpha1
kind: Environment
metadata: {name: large}
spec: {runtime: {image: 'registry.example:5000/muon/node:18'}}
---
apiVersion: muon.dev/v1alpha1
kind: Function
metadata: {name: hello}
spec: {environment: large}
";
    assert_eq!(read(&[("a.yaml", own)], &[]).unwrap().functions[0].language, Language::Node);
}

#[test]
fn values_come_from_config_maps_and_secrets() {
    let text = "\
apiVersion: v1
kind: Secret
metadata: {name: login}
data: {user: YWRh}
stringData: {password: swordfish}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {greeting: hi}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: other}
";
    let values = read(&[("a.yaml", text), ("b.yaml", HELLO)], &[]).unwrap().values;
    assert_eq!(
        (values.secrets["login"]["user"].as_str(), values.secrets["login"]["password"].as_str()),
        ("ada", "swordfish")
    );
    assert_eq!(values.config_maps["settings"]["greeting"], "hi");
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, said) in [
        ("kind: [", "bad.yaml:"),
        ("apiVersion: muon.dev/v1alpha1\nkind: Funktion\nmetadata: {name: f}", "no kind Funktion"),
        (
            "apiVersion: muon.dev/v1alpha1\nkind: Function\nmetadata: {name: f}\nspec: {environment: cobol}",
            "cobol does not run",
        ),
        (
            "apiVersion: muon.dev/v1alpha1\nkind: Function\nmetadata: {name: f}\nspec: {environment: node, concurrency: many}",
            "Function f",
        ),
        (
            "apiVersion: muon.dev/v1alpha1\nkind: Function\nmetadata: {name: f}\nspec: {environment: node, package: p}",
            "no Package p",
        ),
        (
            "apiVersion: muon.dev/v1alpha1\nkind: Function\nmetadata: {name: f}\nspec: {environment: node, source: {git: {url: 'https://x', ref: main}}}",
            "its code is not here",
        ),
        ("apiVersion: muon.dev/v1alpha1\nkind: Function\nspec: {environment: node}", "metadata.name is missing"),
        (
            "apiVersion: muon.dev/v1alpha1\nkind: Function\nmetadata: {name: f, annotations: {muon.dev/code: ../other}}\nspec: {environment: node}",
            "must not contain '..'",
        ),
    ] {
        let error = read(&[("bad.yaml", text)], &[]).unwrap_err().to_string();
        assert!(error.contains(said) && error.contains("bad.yaml"), "{error}");
    }
    let twice = read(&[("a.yaml", HELLO), ("b.yaml", HELLO)], &[]).unwrap_err().to_string();
    assert!(twice.contains("two of this name"), "{twice}");
}
