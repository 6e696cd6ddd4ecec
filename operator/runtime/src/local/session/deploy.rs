//! One function, from its files to what is served of it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use muon_crds::values::Variable;
use muon_crds::wire::LoadRequest;
use muon_crds::{Function, FunctionStatus, Mode, Serving, names};
use muon_order::{Load, Order};
use muon_plan::function::at_start;

use super::Session;
use crate::local::folder::{Archive, FolderError};
use crate::local::language::{Language, LanguageError};
use crate::local::pod::{Pod, PodError};
use crate::local::project::{Code, LocalFunction};
use crate::local::terminal::{Tone, placed};
use crate::local::values::{Unresolved, Values};
use crate::local::{routes, sources};

/// Time that importing a function's code may take.
const LOAD: Duration = Duration::from_secs(60);
/// Processes of one function at most, whatever its scaling says: this is one machine.
const MOST: i32 = 4;
/// A request that is looked at with a debugger takes its time.
const DEBUGGED_SECONDS: i32 = 3600;
/// After a switch, requests that were just on their way to the pod before.
const ON_THE_WAY: Duration = Duration::from_secs(1);

/// Why a function is not served as its files say.
#[derive(thiserror::Error, Debug)]
pub(super) enum DeployError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    #[error(transparent)]
    Language(#[from] LanguageError),
    #[error(transparent)]
    Pod(#[from] PodError),
    #[error("{0}")]
    NoSpare(String),
    /// Said with the places of the project's files.
    #[error("{0}")]
    Load(String),
}

/// A function as its files have it now.
pub(super) struct Wanted {
    pub(super) function: LocalFunction,
    pub(super) archive: Archive,
    pub(super) serving: Serving,
    /// What only a starting process reads.
    pub(super) start_env: BTreeMap<String, String>,
    pub(super) debug: Option<u16>,
}

impl Session {
    pub(super) fn wanted(&self, function: &LocalFunction, values: &Values, at: u16) -> Result<Wanted, DeployError> {
        let spec = &function.object.spec;
        let archive = self.place.pack(&function.code)?;
        let environment = sources::environment(function.language.name());
        let early = |name: &str| environment.as_ref().is_some_and(|it| at_start(name, &it.spec.runtime));
        let (start, env): (Vec<Variable>, Vec<Variable>) =
            values.resolve(&spec.env)?.into_iter().partition(|variable| early(&variable.name));
        let start_env: BTreeMap<String, String> = start.into_iter().map(|it| (it.name, it.value)).collect();
        let debug = self.options.debug.map(|port| port.saturating_add(at));
        // All that decides what runs, in the order of the operator's revision.
        let parts = serde_json::json!([archive.digest, spec.entrypoint, function.language.name(), start_env]);
        let revision = names::short_hash(parts.to_string().as_bytes());
        let serving = Serving {
            revision: names::revision_with(&revision, &env),
            digest: archive.digest.clone(),
            mode: Mode::Pool,
            environment: pool_name(function.language, &start_env),
            entrypoint: spec.entrypoint.clone(),
            concurrency: spec.concurrency.max(1),
            timeout_seconds: if debug.is_some() { DEBUGGED_SECONDS } else { spec.timeout_seconds.max(1) },
            max: if debug.is_some() { 1 } else { spec.scaling.max.clamp(1, MOST) },
            env,
        };
        Ok(Wanted { function: function.clone(), archive, serving, start_env, debug })
    }

    /// Loads the code into a spare process, and only then lets requests go there. Code that cannot be loaded is served
    /// only where there was none before it: then its error is what requests are told.
    pub(super) async fn deploy(&self, wanted: Wanted) -> (Wanted, Result<(), DeployError>) {
        let outcome = self.load(&wanted).await;
        let (pod, outcome) = match outcome {
            Ok(pod) => (Some(pod), Ok(())),
            Err((pod, error)) => (pod, Err(error)),
        };
        // With a debugger, what was served before has ended already.
        let nothing_before = wanted.debug.is_some() || !self.serves(wanted.name());
        if outcome.is_ok() || (pod.is_some() && nothing_before) {
            let origin = self.place.origin(&wanted.function.code);
            let before = self.cluster.serve(wanted.object(), origin, pod.as_ref().map(|hand| &*hand.pod));
            if let Some(hand) = pod {
                hand.let_go();
            }
            before.into_iter().for_each(retire);
        }
        (wanted, outcome)
    }

    async fn load(&self, wanted: &Wanted) -> Result<InHand, (Option<InHand>, DeployError)> {
        let pod = InHand { pod: self.process(wanted).await.map_err(|error| (None, error))?, held: true };
        pod.pod.speaks_for(wanted.name(), &self.place.origin(&wanted.function.code));
        let Serving { revision, digest, entrypoint, env, .. } = &wanted.serving;
        let order = self.signer.sign(&Order::Load(Load {
            pod_uid: Some(pod.pod.uid.clone()),
            namespace: routes::NAMESPACE.to_owned(),
            function_uid: format!("function-{}", wanted.name()),
            revision: revision.clone(),
            digest: digest.clone(),
            until: None,
        }));
        let request = LoadRequest {
            order,
            store: self.store_url.clone(),
            entrypoint: entrypoint.clone(),
            function: wanted.name().to_owned(),
            namespace: routes::NAMESPACE.to_owned(),
            timeout_ms: u64::try_from(LOAD.as_millis()).unwrap_or(u64::MAX),
            env: env.clone(),
            // It is loaded before a request asks for it.
            trace: None,
        };
        match pod.pod.agent.load(request).await {
            Ok(_) => Ok(pod),
            Err(error) => {
                let said = placed(&pod.pod.speaker(), &error.to_string());
                let said = located(&said, &wanted.archive.files, &shown_below(&wanted.function.code));
                Err((Some(pod), DeployError::Load(said)))
            }
        }
    }

    /// A process without code: a spare, or with a debugger a new one in the place of the old.
    async fn process(&self, wanted: &Wanted) -> Result<Arc<Pod>, DeployError> {
        let language = wanted.function.language;
        let Some(port) = wanted.debug else {
            let Some(pool) = self.pools.get(&wanted.serving.environment) else {
                // There is none because its language cannot start: this says why.
                language.start(&self.place.folder, None).await?;
                return Err(DeployError::NoSpare(
                    "its runtime could not be started: save again to try again".to_owned(),
                ));
            };
            return pool.take(&self.cluster).await.map_err(DeployError::NoSpare);
        };
        let start = language.start(&self.place.folder, Some(port)).await?;
        for before in self.cluster.remove(wanted.name()) {
            before.kill().await;
        }
        // The same for the same project: whoever maps paths in a debugger does so once.
        let project = names::short_hash(self.place.folder.as_os_str().as_encoded_bytes());
        let place = sources::cached("debug").map_err(LanguageError::Sources)?.join(project).join(wanted.name());
        let pod = self.machine.start(wanted.name(), &start, &wanted.start_env, Some(&place)).await?;
        let (code, origin) = (pod.code(), self.place.origin(&wanted.function.code));
        let told = format!(
            "{}: its debugger listens on 127.0.0.1:{port}; {} runs as {}",
            wanted.name(),
            origin.display(),
            code.display()
        );
        self.terminal.say(Tone::Good, &told);
        self.cluster.add(&wanted.serving.environment, Arc::clone(&pod), false);
        Ok(pod)
    }
}

impl Wanted {
    /// The Function as the operator would leave it.
    pub(super) fn object(&self) -> Function {
        let status = FunctionStatus { serving: Some(self.serving.clone()), ..FunctionStatus::default() };
        Function { status: Some(status), ..self.function.object.clone() }
    }

    pub(super) fn name(&self) -> &str {
        &self.function.name
    }
}

/// A pod that nobody else knows of: ended, when whoever holds it gives up.
struct InHand {
    pod: Arc<Pod>,
    held: bool,
}

impl InHand {
    fn let_go(mut self) {
        self.held = false;
    }
}

impl Drop for InHand {
    fn drop(&mut self) {
        if self.held {
            let pod = Arc::clone(&self.pod);
            tokio::spawn(async move { pod.kill().await });
        }
    }
}

/// Lets a pod finish what it has.
pub(super) fn retire(pod: Arc<Pod>) {
    tokio::spawn(async move {
        tokio::time::sleep(ON_THE_WAY).await;
        pod.stop().await;
    });
}

/// Spares are of one kind: the language, and what its process starts with.
fn pool_name(language: Language, env: &BTreeMap<String, String>) -> String {
    match env.is_empty() {
        true => language.name().to_owned(),
        false => format!("{}-{}", language.name(), names::short_hash(format!("{env:?}").as_bytes())),
    }
}

/// What the names of a function's files are shown below.
fn shown_below(code: &Code) -> String {
    match code {
        Code::Inline { manifest, .. } => format!("{manifest}: "),
        Code::Folder(name) if name == "." => String::new(),
        Code::Folder(name) => format!("{name}/"),
    }
}

/// Lines that begin with a file of the package, with where that file is.
fn located(text: &str, files: &[String], origin: &str) -> String {
    let lines = text.lines().map(|line| {
        let ours = line.split_once(':').is_some_and(|(file, _)| files.iter().any(|known| known == file));
        if ours { format!("{origin}{line}") } else { line.to_owned() }
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_file_where_it_is() {
        let files = ["main.py".to_owned()];
        let said = "main.py:3, in <module>: import nothing\nModuleNotFoundError: nothing";
        let shown = located(said, &files, "hello/");
        assert_eq!(shown, "hello/main.py:3, in <module>: import nothing\nModuleNotFoundError: nothing");
        assert!(located(said, &files, "first.yaml: ").starts_with("first.yaml: main.py:3"));
        assert_eq!(located("other.py:1: x", &files, "hello/"), "other.py:1: x");
    }

    #[test]
    fn processes_that_start_alike_are_one_pool() {
        let env = BTreeMap::from([("NODE_OPTIONS".to_owned(), "--no-warnings".to_owned())]);
        assert_eq!(pool_name(Language::Node, &BTreeMap::new()), "node");
        assert_ne!(pool_name(Language::Node, &env), "node");
        assert_eq!(pool_name(Language::Node, &env), pool_name(Language::Node, &env.clone()));
    }
}
