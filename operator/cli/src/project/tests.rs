use std::collections::BTreeMap;

use super::{Project, Tree};
use crate::golden;

const FUNCTION: &str = "apiVersion: muon.dev/v1alpha1
kind: Function
metadata:
  name: hello
spec:
  environment: python
  entrypoint: main.main
";
const BUILT: &str = "apiVersion: muon.dev/v1alpha1
kind: HTTPTrigger
metadata: {name: shop}
spec:
  path: /shop
  function: {name: shop}
---
# The code is in the Package, for it is built.
apiVersion: muon.dev/v1alpha1
kind: Function
metadata: {name: shop}
spec: {environment: node, package: shop, entrypoint: index.handler}
---
apiVersion: muon.dev/v1alpha1
kind: Package
metadata:
  name: shop
  annotations: {muon.dev/code: web, team: red}
spec: {environment: node, build: {}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b}
";

fn tree(manifests: &str, files: &[(&str, &[u8])]) -> Tree {
    let files: BTreeMap<String, Vec<u8>> =
        files.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect();
    Tree { manifests: manifests.to_owned(), files }
}

fn refused(manifests: &str, files: &[(&str, &[u8])]) -> String {
    Project::of(&tree(manifests, files)).unwrap_err().to_string()
}

#[test]
fn the_same_files_make_the_same_manifests() {
    let one = tree(FUNCTION, &[("main.py", b"def main():\n    return \"hello\\n\"\n"), ("lib/a.py", b"A = 1\n")]);
    golden::check("project/one-function.yaml", &Project::of(&one).unwrap().yaml().unwrap());
    let two = tree(
        &format!("{FUNCTION}---\n{BUILT}"),
        &[("main.py", b"x"), ("web/index.ts", b"export {}\n"), ("web/lib/a.ts", b"\ttab\n")],
    );
    golden::check("project/two-functions.yaml", &Project::of(&two).unwrap().yaml().unwrap());
}

#[test]
fn what_is_made_reads_as_manifests_with_nothing_left_out() {
    let made = Project::of(&tree(FUNCTION, &[("main.py", b"a: |\n  - \"b\n\n\n")])).unwrap();
    let again = Project::of(&tree(&made.yaml().unwrap(), &[])).unwrap();
    assert_eq!(again, made);
}

#[test]
fn a_directory_of_a_functions_name_is_its_code_and_nobody_elses() {
    let second = FUNCTION.replace("hello", "other");
    let both = tree(&format!("{FUNCTION}---\n{second}"), &[("main.py", b"1"), ("other/main.py", b"2")]);
    let made = Project::of(&both).unwrap();
    let files: Vec<String> = made
        .objects
        .iter()
        .map(|object| serde_yaml::to_string(&object.value["spec"]["source"]["files"]).unwrap())
        .collect();
    assert_eq!(files, ["main.py: '1'\n", "main.py: '2'\n"]);
    let said = refused(&format!("{FUNCTION}---\n{second}"), &[("main.py", b"1")]);
    assert!(
        said.contains("function/other") && said.contains("function/hello") && said.contains("muon.dev/code"),
        "{said}"
    );
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let said = |manifests: &str| refused(manifests, &[("main.py", b"1")]);
    assert!(said("a: [").starts_with("muon.yaml, document 1: "));
    assert!(said("kind: Pod\napiVersion: v1\nmetadata: {name: x}").contains("kubectl applies the others"));
    assert!(said(&format!("{FUNCTION}---\n{FUNCTION}")).contains("document 2: function/hello is there twice"));
    assert!(said("# nothing\n").contains("no manifest"));
    assert!(said(&FUNCTION.replace("environment: python", "concurrency: many")).starts_with("function/hello: "));
    assert!(
        said(&FUNCTION.replace("name: hello", "name: hello\n  annotations: {muon.dev/code: ../up}"))
            .contains("leaves the project")
    );
    assert!(
        said(&FUNCTION.replace("name: hello", "name: hello\n  annotations: {muon.dev/code: down}"))
            .contains("no code in \"down\"")
    );
    assert!(refused(FUNCTION, &[]).contains("no code beside muon.yaml"));
    assert!(refused(FUNCTION, &[("logo.png", b"\x89PNG")]).contains("logo.png is not text"));
    assert!(refused(FUNCTION, &[("main.py", &[b'x'; 1 << 20])]).contains("a manifest takes"));
    let many: Vec<String> = (0..300).map(|number| format!("{number}.py")).collect();
    let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), b"x".as_slice())).collect();
    assert!(refused(FUNCTION, &many).contains("300 files"));
}

#[test]
fn a_directory_is_read_without_what_is_no_code() {
    let place = tempfile::tempdir().unwrap();
    assert!(Tree::read(place.path()).unwrap_err().to_string().contains("muon init"));
    for (path, text) in [
        ("muon.yaml", FUNCTION),
        (".muonignore", "# not these\n*.log\n/data\nnotes.md\n"),
        (".env", "SECRET=1"),
        (".git/config", ""),
        ("main.py", "1"),
        ("lib/tests/a.py", "a package's own tests are its code"),
        ("tests/hello.http", ""),
        ("node_modules/x/index.js", ""),
        ("lib/__pycache__/a.pyc", ""),
        ("data/big", ""),
        ("lib/data/small", ""),
        ("lib/x.log", ""),
        ("lib/notes.md", ""),
        ("README.md", ""),
    ] {
        let path = place.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    std::os::unix::fs::symlink("/etc/hostname", place.path().join("link.py")).unwrap();
    let read = Tree::read(place.path()).unwrap();
    assert_eq!(read.files.keys().collect::<Vec<_>>(), ["lib/data/small", "lib/tests/a.py", "main.py"]);
    assert_eq!(read.manifests, FUNCTION);
}
