//! Label selectors, as Kubernetes means them.

use std::collections::BTreeMap;

use muon_crds::http_trigger::Selector;

/// Whether all requirements hold for these labels. An empty selector selects nothing: it would select everything.
/// An operator that we do not know holds for nothing.
pub fn selects(selector: &Selector, labels: &BTreeMap<String, String>) -> bool {
    holds(selector, |key| labels.get(key).map(String::as_str))
}

/// The same, for labels however they are kept.
pub(crate) fn holds<'l>(selector: &Selector, label: impl Fn(&str) -> Option<&'l str>) -> bool {
    if selector.match_labels.is_empty() && selector.match_expressions.is_empty() {
        return false;
    }
    let same = selector.match_labels.iter().all(|(key, value)| label(key) == Some(value));
    same && selector.match_expressions.iter().all(|requirement| {
        let values = requirement.values.as_deref().unwrap_or_default();
        let label = label(&requirement.key);
        match requirement.operator.as_str() {
            "In" => label.is_some_and(|label| values.iter().any(|value| value == label)),
            "NotIn" => label.is_none_or(|label| !values.iter().any(|value| value == label)),
            "Exists" => label.is_some(),
            "DoesNotExist" => label.is_none(),
            _ => false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(selector: &str, labels: &str, expected: bool) {
        let selector: Selector = serde_yaml::from_str(selector).unwrap();
        let labels: BTreeMap<String, String> = serde_yaml::from_str(labels).unwrap();
        assert_eq!(selects(&selector, &labels), expected, "{selector:?} {labels:?}");
    }

    #[test]
    fn all_requirements_must_hold() {
        check("{matchLabels: {app: a}}", "{app: a, tier: x}", true);
        check("{matchLabels: {app: a}}", "{app: b}", false);
        check("{matchLabels: {app: a, tier: x}}", "{app: a}", false);
        check("{}", "{app: a}", false);
        let requirement =
            |operator: &str| format!("{{matchExpressions: [{{key: k, operator: {operator}, values: [a, b]}}]}}");
        for (operator, a, c, none) in [
            ("In", true, false, false),
            ("NotIn", false, true, true),
            ("Exists", true, true, false),
            ("DoesNotExist", false, false, true),
            ("Gt", false, false, false),
        ] {
            check(&requirement(operator), "{k: a}", a);
            check(&requirement(operator), "{k: c}", c);
            check(&requirement(operator), "{}", none);
        }
        check("{matchLabels: {app: a}, matchExpressions: [{key: k, operator: DoesNotExist}]}", "{app: a, k: v}", false);
    }
}
