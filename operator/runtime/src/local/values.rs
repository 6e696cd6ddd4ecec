//! Pure: the variables of a function, with the values that this machine has for them.

use std::collections::BTreeMap;

use muon_crds::values::{EnvVar, KeyRef, Variable};
use muon_plan::expand::expand;
use muon_plan::function::MAX_BYTES;

/// What stands for the objects of a cluster: by name, then by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pub(crate) config_maps: BTreeMap<String, BTreeMap<String, String>>,
    pub(crate) secrets: BTreeMap<String, BTreeMap<String, String>>,
    /// `--secrets`: `<name>/<key>`, for both kinds, before what manifests say.
    pub(crate) files: BTreeMap<String, BTreeMap<String, String>>,
    /// `--env-file`: for every function, before what its manifest says.
    pub(crate) env: BTreeMap<String, String>,
}

/// Variables that cannot be resolved: one line each.
#[derive(thiserror::Error, Clone, Debug, PartialEq, Eq)]
#[error("{}", .0.join("\n"))]
pub(crate) struct Unresolved(pub(crate) Vec<String>);

impl Values {
    /// The variables of a function, in their order, each known to those below it.
    pub(crate) fn resolve(&self, env: &[EnvVar]) -> Result<Vec<Variable>, Unresolved> {
        let mut done: Vec<Variable> = Vec::new();
        let mut missing = Vec::new();
        for variable in env.iter().filter(|variable| !self.env.contains_key(&variable.name)) {
            match self.value(variable, &done) {
                Ok(Some(value)) => done.push(Variable { name: variable.name.clone(), value }),
                Ok(None) => {}
                Err(message) => missing.push(message),
            }
        }
        let given = self.env.iter().map(|(name, value)| Variable { name: name.clone(), value: value.clone() });
        done.extend(given);
        if missing.is_empty() { Ok(done) } else { Err(Unresolved(missing)) }
    }

    fn value(&self, variable: &EnvVar, above: &[Variable]) -> Result<Option<String>, String> {
        let name = &variable.name;
        let from = variable.value_from.as_ref();
        let (kind, of, key) = match from.map(|from| (&from.secret_key_ref, &from.config_map_key_ref)) {
            Some((Some(key), _)) => ("Secret", &self.secrets, key),
            Some((None, Some(key))) => ("ConfigMap", &self.config_maps, key),
            _ => {
                let text = variable.value.as_deref().unwrap_or_default();
                let known = |wanted: &str| {
                    let above = above.iter().find(|it| it.name == wanted).map(|it| it.value.as_str());
                    self.env.get(wanted).map(String::as_str).or(above)
                };
                let expanded =
                    expand(text, known, MAX_BYTES).ok_or_else(|| format!("{name}: its value is over 32 KiB"))?;
                return Ok(Some(expanded));
            }
        };
        let KeyRef { name: object, key, optional } = key;
        let held = [&self.files, of].into_iter().find_map(|of| of.get(object)?.get(key));
        match held {
            Some(value) => Ok(Some(value.clone())),
            None if *optional => Ok(None),
            None => Err(format!(
                "{name}: nothing here has the key {key} of the {kind} {object}: put it into the file {object}/{key} of the \
                 folder that --secrets names, or the line {name}=... into the file that --env-file names"
            )),
        }
    }
}

/// Reads `NAME=value` lines: empty ones and those that begin with `#` are none; `export` before a name and one pair of quotes
/// around a value are taken off.
pub(crate) fn env_file(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut found = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let (name, value) =
            line.split_once('=').ok_or_else(|| format!("line {}: NAME=value is expected", number + 1))?;
        let (name, value) = (name.trim(), value.trim());
        let named = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
        if name.is_empty() || !name.chars().all(named) {
            return Err(format!("line {}: {name:?} is no name of a variable", number + 1));
        }
        let quoted = ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote));
        found.insert(name.to_owned(), quoted.unwrap_or(value).to_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn env(values: serde_json::Value) -> Vec<EnvVar> {
        serde_json::from_value(values).unwrap()
    }

    fn map(of: &[(&str, &[(&str, &str)])]) -> BTreeMap<String, BTreeMap<String, String>> {
        let inner =
            |pairs: &[(&str, &str)]| pairs.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect();
        of.iter().map(|(name, pairs)| ((*name).into(), inner(pairs))).collect()
    }

    #[test]
    fn values_mean_what_they_mean_in_a_pod() {
        let values = Values {
            config_maps: map(&[("settings", &[("greeting", "good day")])]),
            secrets: map(&[("login", &[("token", "from the manifest")])]),
            files: map(&[("login", &[("token", "mocked")])]),
            env: BTreeMap::from([("STAGE".to_owned(), "local".to_owned())]),
        };
        let wanted = env(json!([
            {"name": "STAGE", "value": "sample"},
            {"name": "GREETING", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "greeting"}}},
            {"name": "SIGN", "value": "$(GREETING), $(STAGE), $(NOBODY)"},
            {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "login", "key": "token"}}},
            {"name": "MAYBE", "valueFrom": {"secretKeyRef": {"name": "login", "key": "other", "optional": true}}},
        ]));
        let found: Vec<String> =
            values.resolve(&wanted).unwrap().into_iter().map(|it| format!("{}={}", it.name, it.value)).collect();
        assert_eq!(found, ["GREETING=good day", "SIGN=good day, local, $(NOBODY)", "TOKEN=mocked", "STAGE=local"]);
    }

    #[test]
    fn every_value_that_is_missing_is_named_with_what_to_do() {
        let wanted = env(json!([
            {"name": "A", "valueFrom": {"secretKeyRef": {"name": "login", "key": "a"}}},
            {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "settings", "key": "b"}}},
        ]));
        let said = Values::default().resolve(&wanted).unwrap_err().to_string();
        assert!(said.contains("login/a") && said.contains("ConfigMap settings") && said.lines().count() == 2, "{said}");
    }

    #[test]
    fn lines_of_a_file_are_variables() {
        let found = env_file("# notes\n\nA=1\nexport B = 'two words'\nC=\"x=y\"\nD=\n").unwrap();
        let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(found, [("A", "1"), ("B", "two words"), ("C", "x=y"), ("D", "")]);
        assert!(env_file("A=1\nnonsense").unwrap_err().starts_with("line 2"));
        assert!(env_file("A B=1").unwrap_err().contains("no name"));
    }
}
