//! What is said of an HTTPTrigger.

use muon_crds::http_trigger::HTTPTriggerSpec;
use muon_crds::words::GATEWAY_SERVICE;
use muon_crds::{Condition, ConditionType, HTTPTriggerStatus, condition};

use super::{Observed, Valid};
use crate::conditions::{self, Said, no, unknown, yes};
use crate::finding::{Invalid, Report};

/// The status after a visit that ended with `outcome`.
pub fn report(observed: &Observed, outcome: Result<&Valid, &Invalid>, now: &str) -> Report<HTTPTriggerStatus> {
    let object = &observed.object;
    let old = object.status.clone().unwrap_or_default();
    let findings = match outcome {
        Ok(valid) => valid.findings.iter().cloned().chain(propagating(observed, valid)).collect(),
        Err(invalid) => vec![invalid.clone()],
    };
    let url = url(observed);
    let mut said = conditions::summary(findings.first(), "Served", format!("requests are served at {url}"));
    let mut kinds = vec![
        (ConditionType::Accepted, "Accepted", "every proxy has the route"),
        (ConditionType::Resolved, "Resolved", "its functions are there"),
    ];
    if object.spec.ingress.is_some() {
        kinds.push((ConditionType::IngressReady, "Applied", "the Ingress is as asked for"));
    }
    said.extend(kinds.into_iter().map(|(kind, reason, message)| {
        detail(kind, outcome, &findings, &old.conditions).unwrap_or_else(|| yes(kind, reason, message))
    }));

    let generation = object.metadata.generation;
    let conditions = conditions::merge(&old.conditions, said, generation, now);
    let notes = conditions::notes(&old.conditions, &conditions, "Route");
    let functions = outcome.map_or(old.functions, |valid| valid.shares.clone());
    Report {
        status: HTTPTriggerStatus { observed_generation: generation, conditions, url: Some(url), functions },
        notes,
    }
}

/// What a detailed condition says, if it is not simply true.
fn detail(
    kind: ConditionType,
    outcome: Result<&Valid, &Invalid>,
    findings: &[Invalid],
    old: &[Condition],
) -> Option<Said> {
    if let Some(finding) = findings.iter().find(|finding| finding.condition == kind) {
        return Some(no(kind, finding.reason, finding.message.clone()));
    }
    match outcome {
        Ok(valid) if kind == ConditionType::IngressReady && valid.ingress.is_none() => {
            Some(no(kind, "NotMade", "there is no Ingress while another trigger has the route"))
        }
        Ok(_) => None,
        // The visit ended before it came to this one.
        Err(_) => {
            Some(conditions::again(old, kind).unwrap_or_else(|| unknown(kind, "NotChecked", "not looked at yet")))
        }
    }
}

/// The route is in place when every ready proxy has passed the object's version: now, or when this generation was
/// last said to be accepted.
fn propagating(observed: &Observed, valid: &Valid) -> Option<Invalid> {
    if valid.findings.iter().any(|finding| finding.condition == ConditionType::Accepted) {
        return None;
    }
    let meta = &observed.object.metadata;
    let version = meta.resource_version.as_ref().and_then(|version| version.parse::<u64>().ok());
    let passed = matches!((version, observed.watermark), (Some(version), Some(seen)) if seen >= version);
    let accepted = observed.object.status.as_ref().is_some_and(|status| {
        condition::find(&status.conditions, ConditionType::Accepted)
            .is_some_and(|accepted| accepted.status == "True" && accepted.observed_generation == meta.generation)
    });
    let message = match observed.watermark {
        _ if passed || accepted => return None,
        Some(_) => "waiting for every proxy to apply the route",
        None => "waiting for a proxy: none is ready",
    };
    Some(Invalid::waiting(ConditionType::Accepted, "Propagating", message))
}

/// Where the trigger answers: through its Ingress, or inside the cluster.
fn url(observed: &Observed) -> String {
    let spec: &HTTPTriggerSpec = &observed.object.spec;
    let path = spec.path.as_ref().or(spec.path_prefix.as_ref()).map_or("/", String::as_str);
    let namespace = observed.object.metadata.namespace.as_deref().unwrap_or_default();
    let tls = spec.ingress.as_ref().is_some_and(|ingress| ingress.tls.is_some());
    let published = observed.address.as_ref().filter(|_| spec.ingress.is_some());
    match spec.host.as_ref().or(published) {
        Some(host) if tls => format!("https://{host}{path}"),
        Some(host) => format!("http://{}{path}", bracketed(host)),
        None => format!("http://{GATEWAY_SERVICE}.{namespace}{path}"),
    }
}

/// An IPv6 address stands in brackets in a URL.
fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}
