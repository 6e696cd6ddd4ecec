//! `muon run` and `muon test` as people use them: the program itself, real interpreters, requests over loopback.

#[path = "local/muon.rs"]
mod muon;

use muon::{Muon, Project, muon_test};

const HELLO: &str = "def main():\n    return 'one'\n";

#[test]
fn local_a_save_is_served_and_code_that_breaks_is_not() {
    let project = Project::new(&[("main.py", HELLO)]);
    let muon = Muon::run(&project, &[]);
    muon.says("serving ");
    muon.answers("/", "one");
    project.write("main.py", "def main():\n    return 'two'\n");
    muon.answers("/", "two");
    project.write("main.py", "def main():\n    return 'three'\nimport nothing\n");
    muon.says("the code before it serves on");
    muon.says("main.py:3, in <module>: import nothing");
    assert_eq!(muon.get("/", None), (200, "two".to_owned()));
    project.write("main.py", "def main():\n    return 1 / 0\n");
    muon.answers_with("/", 500);
    // Where the mistake is: the file that is edited, not the one that runs.
    muon.says(&format!("{}/main.py\", line 2, in main", project.path()));
    project.write("main.py", HELLO);
    muon.answers("/", "one");
    assert!(muon.stop().success());
}

#[test]
fn local_the_end_waits_for_requests_in_flight() {
    let code = "import time\n\ndef main():\n    print('it begins')\n    time.sleep(1)\n    return 'done'\n";
    let project = Project::new(&[("main.py", code)]);
    let muon = Muon::run(&project, &[]);
    muon.says("serving ");
    let (address, asking) = muon.ask("/slow");
    muon.says("it begins");
    let processes = muon.children();
    assert!(!processes.is_empty());
    assert!(muon.stop().success());
    assert_eq!(asking.join().unwrap(), (200, "done".to_owned()));
    assert!(std::net::TcpStream::connect(address).is_err());
    processes.into_iter().for_each(muon::is_gone);
}

#[test]
fn local_a_process_that_ends_is_replaced() {
    let code =
        "import os\n\ndef main(request):\n    if request.path == '/end':\n        os._exit(3)\n    return 'alive'\n";
    let project = Project::new(&[("main.py", code)]);
    let muon = Muon::run(&project, &[]);
    muon.says("serving ");
    muon.answers_with("/end", 502);
    muon.says("its process ended");
    muon.answers("/", "alive");
    assert!(muon.stop().success());
}

#[test]
fn local_routes_variables_and_mock_values_are_those_of_the_manifests() {
    let manifest = "\
apiVersion: muon.dev/v1alpha1
kind: Function
metadata: {name: shop}
spec:
  environment: node
  env:
    - {name: GREETING, value: 'hello, $(STAGE)'}
    - {name: TOKEN, valueFrom: {secretKeyRef: {name: login, key: token}}}
---
apiVersion: muon.dev/v1alpha1
kind: HTTPTrigger
metadata: {name: shop}
spec: {host: shop.example.com, path: '/items/{id}', methods: [GET], function: {name: shop}}
";
    let code = "module.exports = (req, res) => res.end([process.env.GREETING, process.env.TOKEN, process.env.NEW].join(' '))\n";
    let project = Project::new(&[
        ("shop.yaml", manifest),
        ("shop/index.js", code),
        ("variables", "STAGE=here\n"),
        ("mocks/login/token", "swordfish"),
    ]);
    let muon = Muon::run(&project, &["--env-file", "variables", "--secrets", "mocks"]);
    muon.says("serving shop");
    muon.answers("/items/7", "hello, here swordfish ");
    assert_eq!(muon.get("/items/7", Some("shop.example.com")).0, 200);
    assert_eq!(muon.get("/any", Some("shop.localhost")).0, 200);
    assert_eq!(muon.get("/any", None).0, 404);
    // A manifest that is saved counts as much as code.
    project.write("shop.yaml", &manifest.replace("/items/{id}", "/things/{id}"));
    muon.answers_with("/items/7", 404);
    muon.answers_with("/things/7", 200);
    project.write("shop.yaml", "kind: [");
    muon.says("what was served before is served on");
    assert_eq!(muon.get("/things/7", None).0, 200);
    assert!(muon.stop().success());
}

#[test]
fn local_recorded_requests_are_sent_and_compared() {
    let code = "module.exports = (req, res) => { res.setHeader('content-type', 'application/json'); res.end(JSON.stringify({path: req.url, more: 1})) }\n";
    let good = "### one\n# @expect status 200\n# @expect header content-type contains json\n# @expect body json {\"path\": \"/a?b=c\"}\nGET http://{{host}}/a?b=c\n";
    let project = Project::new(&[("index.js", code), ("tests/good.http", good)]);
    let (code, said) = muon_test(&project, &["--junit", "results.xml"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 requests: 1 as expected, 0 not"), "{said}");
    project
        .write("tests/more.yaml", "- {name: two, request: {path: /b}, expect: {status: 200, bodyJson: {path: /c}}}\n");
    let (code, said) = muon_test(&project, &["--junit", "results.xml"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("body $.path: expected \"/c\", got \"/b\""), "{said}");
    let results = project.read("results.xml");
    assert!(results.contains("tests=\"2\" failures=\"1\"") && results.contains("name=\"two\""), "{results}");
    // The same requests, to what runs already.
    let muon = Muon::run(&project, &[]);
    muon.says("serving ");
    let (code, said) = muon_test(&project, &["--url", &muon.url(), "--only", "one"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(muon.stop().success());
    let (code, said) = muon_test(&project, &["--only", "three"]);
    assert!(code == Some(2) && said.contains("none of the recorded requests"), "{said}");
}
