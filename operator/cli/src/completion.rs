//! Completion: shells, and kubectl, ask the program itself what may follow. Names come from the cluster that the line
//! being typed is for.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args, ValueEnum};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::{Bash, EnvCompleter, Fish, Zsh};
use clap_complete::{CompleteEnv, engine};
use kube::Api;
use kube::api::{DynamicObject, ListParams};

use crate::connection::Connection;
use crate::failure::Failure;
use crate::kinds::Kind;
use crate::output;

/// Arguments of `muon completion`.
#[derive(Args, Debug)]
pub struct Arguments {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

/// The variable with which a shell asks.
const ASKED: &str = "MUON_COMPLETE";
/// Whoever presses a key waits so long, and not longer.
const WITHIN: Duration = Duration::from_secs(2);
/// Names asked for at most.
const NAMES: u32 = 500;

/// Writes what a shell reads at its start.
pub(crate) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let shell: &dyn EnvCompleter = match arguments.shell {
        Shell::Bash => &Bash,
        Shell::Zsh => &Zsh,
        Shell::Fish => &Fish,
    };
    let mut script = Vec::new();
    let written = shell.write_registration(ASKED, "muon", "muon", "muon", &mut script);
    written.map_err(|error| Failure::Failed(format!("completion: {error}")))?;
    output::write_bytes(&script)
}

/// Answers a shell, if it was one that started this program; then the process ends.
pub fn answer_shell(words: impl Fn() -> clap::Command) {
    CompleteEnv::with_factory(words).var(ASKED).complete();
}

/// Answers kubectl, which runs `kubectl_complete-muon` with what was typed behind `kubectl muon`: one candidate a line, and
/// that files are none.
pub fn answer_kubectl(mut words: clap::Command, typed: Vec<OsString>) -> String {
    let mut line: Vec<OsString> = vec!["muon".into()];
    line.extend(typed);
    let last = line.len() - 1;
    let candidates = engine::complete(&mut words, line, last, None).unwrap_or_default();
    let mut text: String = candidates
        .iter()
        .filter(|candidate| !candidate.is_hide_set())
        .map(|candidate| {
            let help =
                candidate.get_help().map(|help| format!("\t{}", help.to_string().lines().next().unwrap_or_default()));
            format!("{}{}\n", candidate.get_value().to_string_lossy(), help.unwrap_or_default())
        })
        .collect();
    text.push_str(":4\n");
    text
}

/// Names of objects of one kind.
pub(crate) fn names(kind: Kind) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &std::ffi::OsStr| candidates(&[(kind, "")], &current.to_string_lossy()))
}

/// Names of functions, and `kind/name` of the others.
pub(crate) fn targets() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &std::ffi::OsStr| {
        let current = current.to_string_lossy().into_owned();
        match current.split_once('/').and_then(|(kind, _)| Some((kind, Kind::parse(kind)?))) {
            Some((word, kind)) => candidates(&[(kind, &format!("{word}/"))], &current),
            None => {
                let words = ["function/", "route/", "package/", "environment/"].into_iter();
                let words = words.filter(|word| word.starts_with(&*current)).map(CompletionCandidate::new);
                candidates(&[(Kind::Function, "")], &current).into_iter().chain(words).collect()
            }
        }
    })
}

/// What there is in the cluster. Nothing is said where nothing can be read: a completion has no place for it.
fn candidates(kinds: &[(Kind, &str)], current: &str) -> Vec<CompletionCandidate> {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return Vec::new() };
    let typed: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let asked = async {
        let session = scan(&typed).open().await.ok()?;
        let mut found = Vec::new();
        for (kind, before) in kinds {
            let api: Api<DynamicObject> =
                Api::namespaced_with(session.client.clone(), &session.namespace, &kind.resource());
            let listed = api.list_metadata(&ListParams::default().limit(NAMES)).await.ok()?;
            found.extend(
                listed.items.into_iter().filter_map(|object| Some(format!("{before}{}", object.metadata.name?))),
            );
        }
        Some(found)
    };
    let found = runtime.block_on(async { tokio::time::timeout(WITHIN, asked).await.ok().flatten() });
    found
        .unwrap_or_default()
        .into_iter()
        .filter(|name| name.starts_with(current))
        .map(CompletionCandidate::new)
        .collect()
}

/// The cluster that a line being typed is for.
fn scan(typed: &[String]) -> Connection {
    let value = |names: &[&str]| {
        let at = |(index, word): (usize, &String)| {
            names.iter().find_map(|name| match word.strip_prefix(name)? {
                "" => typed.get(index + 1).cloned(),
                rest => rest.strip_prefix('=').map(str::to_owned),
            })
        };
        typed.iter().enumerate().filter_map(at).next()
    };
    Connection {
        namespace: value(&["--namespace", "-n"]),
        context: value(&["--context"]),
        kubeconfig: value(&["--kubeconfig"]).map(Into::into),
        impersonate: value(&["--as"]),
    }
}

#[cfg(test)]
mod tests {
    use clap::Subcommand as _;

    use super::*;

    #[test]
    fn kubectl_is_told_commands_and_flags() {
        let words = || crate::Command::augment_subcommands(clap::Command::new("muon"));
        let told = answer_kubectl(words(), vec!["de".into()]);
        let names: Vec<&str> = told.lines().map(|line| line.split('\t').next().unwrap()).collect();
        assert_eq!(names, ["deploy", "describe", "delete", ":4"]);
        assert!(answer_kubectl(words(), vec!["deploy".into(), "--dry".into()]).starts_with("--dry-run\t"));
        assert!(answer_kubectl(words(), vec!["get".into(), "-o".into(), "y".into()]).starts_with("yaml\t"));
    }

    #[test]
    fn the_line_says_which_cluster() {
        let typed: Vec<String> =
            ["muon", "--", "muon", "get", "-n", "team", "--context=other", "fn"].map(str::to_owned).into();
        let found = scan(&typed);
        assert_eq!((found.namespace.as_deref(), found.context.as_deref()), (Some("team"), Some("other")));
        assert!(scan(&["muon".to_owned(), "-n".to_owned()]).namespace.is_none());
    }
}
