use muon_crds::Function;
use serde_json::json;

use super::*;

fn function(name: &str, version: u64) -> Function {
    serde_json::from_value(json!({
        "apiVersion": "muon.dev/v1alpha1", "kind": "Function",
        "metadata": {
            "name": name, "namespace": "demo", "resourceVersion": version.to_string(),
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{\"long\": true}"},
            "managedFields": [{"manager": "kubectl", "operation": "Apply"}],
        },
        "spec": {"environment": "python", "package": "hello"}
    }))
    .unwrap()
}

type Told = std::rc::Rc<std::cell::RefCell<Vec<String>>>;

type Tells = Box<dyn FnMut(&ObjectRef<Function>, Change<'_, Function>)>;

fn filler(form: Form) -> (Filler<Function, Tells>, Told) {
    let told = Told::default();
    let on = {
        let told = Told::clone(&told);
        move |name: &ObjectRef<Function>, change: Change<'_, Function>| {
            let (old, new) = change.sides();
            let version = |side: Option<&Function>| side.map_or(0, version);
            told.borrow_mut().push(format!("{} {}→{}", name.name(), version(old), version(new)));
        }
    };
    (Filler { store: Objects::new(form), listed: None, on: Box::new(on) }, told)
}

#[test]
fn a_list_anew_tells_what_changed_and_nothing_else() {
    for form in [Form::Plain, Form::Packed] {
        let (mut filler, told) = filler(form);
        filler.take(Event::Init);
        for (name, version) in [("stays", 1), ("changes", 2), ("goes", 3)] {
            filler.take(Event::InitApply(function(name, version)));
        }
        filler.take(Event::InitDone);
        assert_eq!(*told.borrow(), ["stays 0→1", "changes 0→2", "goes 0→3"]);
        told.borrow_mut().clear();
        filler.take(Event::Init);
        for (name, version) in [("stays", 1), ("changes", 4), ("comes", 5)] {
            filler.take(Event::InitApply(function(name, version)));
        }
        // A list that breaks off is no list: what it did not come to is not gone.
        assert!(!told.borrow().iter().any(|line| line.starts_with("goes")));
        filler.take(Event::InitDone);
        assert_eq!(*told.borrow(), ["changes 2→4", "comes 0→5", "goes 3→0"]);
        assert_eq!(filler.store.names().len(), 3);
    }
}

#[test]
fn what_nobody_reads_is_not_kept() {
    let (mut filler, _) = filler(Form::Packed);
    filler.take(Event::Apply(function("hello", 1)));
    let kept = filler.store.get(&ObjectRef::new("hello").within("demo")).unwrap();
    assert_eq!((kept.metadata.managed_fields.as_ref(), kept.metadata.annotations.as_ref()), (None, None));
    assert_eq!(kept.spec.environment, "python");
}

#[test]
fn a_name_is_kept_once() {
    let (mut filler, told) = filler(Form::Packed);
    filler.take(Event::Apply(function("hello", 1)));
    filler.take(Event::Apply(function("hello", 2)));
    filler.take(Event::Delete(function("hello", 3)));
    assert_eq!(*told.borrow(), ["hello 0→1", "hello 1→2", "hello 2→0"]);
    assert!(filler.store.names().is_empty());
}
