//! An HTTPTrigger and what it leads to, to an Ingress and shares.

use muon_crds::ConditionType;
use muon_crds::http_trigger::{HTTPTriggerSpec, Ingress, Share};
use muon_crds::{condition, words};

use super::{IngressPlan, Observed, Valid};
use crate::finding::Invalid;
use crate::meta::Owner;

/// Checks what the schema cannot. What only keeps requests from being served now is a finding, and the Ingress is
/// there nevertheless.
pub fn validate(observed: &Observed) -> Result<Valid, Invalid> {
    let spec = &observed.object.spec;
    if let Some(why) = &observed.unreadable {
        return Err(Invalid::stalled(ConditionType::Accepted, "InvalidRoute", why.clone()));
    }
    let mut findings = Vec::new();
    findings.extend(observed.winner.as_ref().map(|winner| {
        let message = format!("the HTTPTrigger {winner} is older and has this route: change or delete one of the two");
        Invalid::stalled(ConditionType::Accepted, "Conflict", message)
    }));
    findings.extend(functions(observed));

    let class = spec.ingress.as_ref().map(|asked| asked.class_name.clone().or_else(|| observed.default_class.clone()));
    if class == Some(None) {
        let message = "spec.ingress names no class and the cluster has no default IngressClass: set spec.ingress.className, or mark a class as the default";
        findings.push(Invalid::waiting(ConditionType::IngressReady, "NoIngressClass", message));
    }
    let ingress = match (&spec.ingress, class.flatten(), &observed.winner) {
        (Some(asked), Some(class), None) => Some(plan(spec, asked, class)?),
        _ => None,
    };
    let share = |function: &super::Selected| Share {
        name: function.name.clone(),
        weight: i32::try_from(function.weight).unwrap_or(i32::MAX),
    };
    Ok(Valid {
        owner: Owner::of(&observed.object),
        ingress,
        shares: observed.functions.iter().map(share).collect(),
        findings,
    })
}

fn functions(observed: &Observed) -> Option<Invalid> {
    let spec = &observed.object.spec.function;
    if observed.functions.is_empty() {
        let message = match &spec.name {
            Some(name) => format!("waiting for the Function {name}: there is none in this namespace"),
            None => "waiting for Functions: the selector selects none in this namespace".to_owned(),
        };
        return Some(Invalid::waiting(ConditionType::Resolved, "FunctionNotFound", message));
    }
    if let Some((name, bad)) =
        observed.functions.iter().find_map(|function| Some((&function.name, function.bad_weight.as_ref()?)))
    {
        let message = format!("Function {name}: {bad}");
        return Some(Invalid::stalled(ConditionType::Resolved, "InvalidWeight", message));
    }
    if observed.functions.iter().all(|function| function.weight == 0) {
        let message = format!("every selected Function has weight 0: set the annotation {} of one", words::WEIGHT);
        return Some(Invalid::stalled(ConditionType::Resolved, "NoWeight", message));
    }
    // A function that was served and is being updated goes on serving: the route stays ready.
    let was_ready = observed
        .object
        .status
        .as_ref()
        .is_some_and(|status| condition::is_true(&status.conditions, ConditionType::Ready));
    let serves = |function: &super::Selected| function.ready || was_ready && function.serving;
    let waits_for = observed.functions.iter().find(|function| function.weight > 0 && !serves(function))?;
    let message = match &waits_for.message {
        Some(said) => format!("the Function {} is not ready: {said}", waits_for.name),
        None => format!("the Function {} is not ready yet", waits_for.name),
    };
    Some(Invalid::waiting(ConditionType::Resolved, "FunctionNotReady", message))
}

fn plan(spec: &HTTPTriggerSpec, asked: &Ingress, class: String) -> Result<IngressPlan, Invalid> {
    let stalled = |reason, message: String| Err(Invalid::stalled(ConditionType::IngressReady, reason, message));
    if let Some(key) = asked.annotations.keys().find(|key| key.starts_with("muon.dev/")) {
        let message = format!("spec.ingress.annotations: {key} is Muon's own; remove it");
        return stalled("InvalidAnnotations", message);
    }
    let (path, path_type) = ingress_path(spec);
    if let Some(part) = ["%2f", "%2F", "//", "/./", "/../"].into_iter().find(|part| path.contains(part)) {
        let message = format!(
            "spec: an Ingress cannot have a path with {part:?} in it; change the path, or leave out spec.ingress"
        );
        return stalled("InvalidPath", message);
    }
    Ok(IngressPlan {
        class,
        path,
        path_type,
        host: spec.host.clone(),
        annotations: asked.annotations.clone(),
        tls: asked.tls.as_ref().map(|tls| tls.secret_name.clone()),
    })
}

/// The path of the Ingress: a pattern becomes the directory before its first parameter; the proxy does the rest.
fn ingress_path(spec: &HTTPTriggerSpec) -> (String, &'static str) {
    let (path, path_type) = match (&spec.path, &spec.path_prefix) {
        (Some(path), _) => (path, "Exact"),
        (None, Some(prefix)) => (prefix, "Prefix"),
        (None, None) => return ("/".to_owned(), "Prefix"),
    };
    match path.split_once('{') {
        None => (path.clone(), path_type),
        Some((before, _)) => {
            let directory = before.rfind('/').map_or("/", |end| &before[..=end]);
            (directory.to_owned(), "Prefix")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(spec: &str, path: &str, path_type: &str) {
        let spec: HTTPTriggerSpec = serde_yaml::from_str(&format!("{{function: {{name: f}}, {spec}}}")).unwrap();
        assert_eq!(ingress_path(&spec), (path.to_owned(), if path_type == "Exact" { "Exact" } else { "Prefix" }));
    }

    #[test]
    fn an_ingress_leads_everything_that_the_route_may_match() {
        check("path: /hello", "/hello", "Exact");
        check("path: /", "/", "Exact");
        check("pathPrefix: /api/", "/api/", "Prefix");
        check("path: '/users/{id}'", "/users/", "Prefix");
        check("path: '/files/v{n}/x'", "/files/", "Prefix");
        check("path: '/{any}'", "/", "Prefix");
        check("pathPrefix: '/t/{tenant}/'", "/t/", "Prefix");
    }
}
