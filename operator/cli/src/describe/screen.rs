//! The screen: what was told, and the facts that it rests on.

use std::fmt::Write as _;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt as _;
use muon_crds::condition::Condition;
use muon_crds::{Environment, Function, HTTPTrigger, Mode, Package, pods, words};

use super::verdict::{Answer, Told};
use super::{Facts, when};
use crate::get::columns::{leads_to, methods, since};
use crate::kinds::{Kind, Target};
use crate::output::{Cell, Table, Terminal, Tone, age, bytes, plain, short};

/// Revisions before the one that serves, shown at most.
const REVISIONS: usize = 3;
/// Pods shown at most.
const PODS: usize = 12;

/// The whole screen.
pub(crate) fn render(
    target: &Target,
    namespace: &str,
    facts: &Facts,
    told: &Told,
    now: Timestamp,
    terminal: Terminal,
) -> String {
    let mut screen = Screen { text: String::new(), terminal, now };
    screen.line(&format!("{}  in {namespace}", terminal.paint(Tone::Strong, &target.to_string())));
    screen.line("");
    screen.verdict(target.kind, told);
    screen.line("");
    if let Some(function) = &facts.function {
        screen.function(function, facts);
    } else if let Some(environment) = &facts.environment {
        screen.environment(environment);
    } else if let Some(package) = &facts.package {
        screen.package(package);
    }
    screen.routes(&facts.triggers, facts.function.as_ref());
    screen.conditions(&conditions(target.kind, facts), &told.why);
    screen.pods(&facts.pods);
    screen.revisions(facts.function.as_ref());
    screen.events(&facts.events);
    for unread in &facts.unread {
        screen.field("not read", unread);
    }
    screen.text
}

fn conditions(kind: Kind, facts: &Facts) -> Vec<Condition> {
    let found = match kind {
        Kind::Function => facts.function.as_ref().and_then(|it| it.status.as_ref()).map(|status| &status.conditions),
        Kind::HTTPTrigger => facts.triggers.first().and_then(|it| it.status.as_ref()).map(|status| &status.conditions),
        Kind::Package => facts.package.as_ref().and_then(|it| it.status.as_ref()).map(|status| &status.conditions),
        Kind::Environment => {
            facts.environment.as_ref().and_then(|it| it.status.as_ref()).map(|status| &status.conditions)
        }
    };
    found.cloned().unwrap_or_default()
}

struct Screen {
    text: String,
    terminal: Terminal,
    now: Timestamp,
}

impl Screen {
    fn line(&mut self, text: &str) {
        self.text.push_str(text.trim_end());
        self.text.push('\n');
    }

    /// A name in the margin and what it says; further lines stand below the first.
    fn field(&mut self, name: &str, text: &str) {
        let text = plain(text);
        let mut lines = text.trim_end().lines();
        let head = self.terminal.paint(Tone::Quiet, &format!("{name:<10}"));
        self.line(&format!("{head}{}", lines.next().unwrap_or_default()));
        for line in lines {
            self.line(&format!("{:<10}{line}", ""));
        }
    }

    fn verdict(&mut self, kind: Kind, told: &Told) {
        let question = match kind {
            Kind::Function => "Can I call it now?",
            Kind::HTTPTrigger => "Does it answer now?",
            Kind::Package => "Can it be loaded?",
            Kind::Environment => "Does it take code?",
        };
        let (tone, answer) = match told.callable {
            Answer::Yes => (Tone::Good, "yes"),
            Answer::Soon => (Tone::Wait, "not yet"),
            Answer::No => (Tone::Bad, "no"),
        };
        let answer = self.terminal.paint(tone, answer);
        self.line(&format!("{} {answer}", self.terminal.paint(Tone::Strong, question)));
        for why in &told.why {
            for line in plain(why).lines() {
                self.line(&format!("  {line}"));
            }
        }
        for todo in &told.todo {
            self.line(&format!("  {} {}", self.terminal.paint(Tone::Wait, "to do:"), plain(todo)));
        }
    }

    fn function(&mut self, function: &Function, facts: &Facts) {
        let (spec, status) = (&function.spec, function.status.clone().unwrap_or_default());
        let code = match (&spec.package, &facts.package) {
            (Some(name), None) => format!("Package {name}"),
            (None, None) => "in the Function".to_owned(),
            (named, Some(package)) => {
                let of = package.status.clone().unwrap_or_default();
                let mut text = match named {
                    Some(name) => format!("Package {name}"),
                    None => "in the Function".to_owned(),
                };
                if let (Some(digest), Some(size)) = (&of.digest, of.size_bytes) {
                    let _ = write!(text, ", {} of {}", bytes(size), short(digest));
                }
                if let Some(build) = &of.build {
                    let _ = write!(text, ", built by {}", build.job);
                }
                text
            }
        };
        self.field("code", &code);
        if let Some(pinned) = &spec.package_digest {
            self.field(
                "pinned",
                &format!("to {}: muon deploy, or spec.packageDigest left out, ends it", short(pinned)),
            );
        }
        let mut runs = format!("Environment {}", spec.environment);
        if let Some(environment) = facts.environment.as_ref().and_then(|environment| environment.status.as_ref()) {
            let _ = write!(runs, " ({} free pods)", environment.free);
        }
        if !spec.entrypoint.is_empty() {
            let _ = write!(runs, ", calls {}", spec.entrypoint);
        }
        self.field("runs in", &runs);
        if let Some(serving) = &status.serving {
            let of = match serving.mode {
                Mode::Pool => "pods of the pool",
                Mode::Deployment => "pods of its own",
            };
            self.field(
                "serves",
                &format!(
                    "revision {} of {}, in {of}, {} requests a pod at once, up to {} pods, within {} s",
                    serving.revision,
                    short(&serving.digest),
                    serving.concurrency,
                    serving.max,
                    serving.timeout_seconds
                ),
            );
        }
        if let Some(url) = &status.url {
            self.field("by name", &format!("{url}  (inside the cluster)"));
        }
    }

    fn environment(&mut self, environment: &Environment) {
        let spec = &environment.spec;
        self.field("runtime", &spec.runtime.image);
        if let Some(builder) = &spec.builder {
            self.field("builder", &builder.image);
        }
        self.field("pool", &format!("{} to {} free pods", spec.pool.min, spec.pool.max));
    }

    fn package(&mut self, package: &Package) {
        let status = package.status.clone().unwrap_or_default();
        self.field("for", &format!("Environment {}", package.spec.environment));
        if let Some(digest) = &status.digest {
            self.field("digest", digest);
        }
        if let Some(commit) = status.origin.as_ref().and_then(|origin| origin.commit.as_ref()) {
            self.field("commit", commit);
        }
        if let Some(build) = &status.build {
            self.field("build", &build.job);
        }
    }

    fn routes(&mut self, triggers: &[HTTPTrigger], function: Option<&Function>) {
        for trigger in triggers {
            let status = trigger.status.clone().unwrap_or_default();
            let url = status.url.unwrap_or_else(|| "(no URL yet)".to_owned());
            let mut text = format!("{} {url}  (route {}", methods(&trigger.spec), trigger.name_any());
            match function {
                None => {
                    let _ = write!(text, ", to {}", leads_to(&trigger.spec));
                }
                Some(function) => {
                    let whole: i32 = status.functions.iter().map(|share| share.weight).sum();
                    let own = status.functions.iter().find(|share| share.name == function.name_any());
                    if let Some(own) = own.filter(|_| status.functions.len() > 1 && whole > 0) {
                        let _ = write!(text, ", {} of {whole} requests", own.weight);
                    }
                }
            }
            self.field("route", &format!("{text})"));
        }
    }

    /// Those that do not say that all is well, but for what has been told above.
    fn conditions(&mut self, conditions: &[Condition], told: &[String]) {
        for condition in conditions {
            let well = match condition.type_.as_str() {
                "Ready" => true,
                "Reconciling" | "Stalled" => true,
                _ => condition.status == "True" || told.iter().any(|why| why.contains(&condition.message)),
            };
            if !well {
                self.field(&condition.type_, &format!("{}: {}", condition.reason, condition.message));
            }
        }
    }

    fn pods(&mut self, pods: &[Pod]) {
        if pods.is_empty() {
            return;
        }
        self.line("");
        let mut sorted: Vec<&Pod> = pods.iter().collect();
        sorted.sort_by_key(|pod| (pod.creation_timestamp().map(|time| time.0), pod.name_any()));
        let rows = sorted.iter().take(PODS).map(|pod| self.pod(pod)).collect();
        let table = Table { header: vec!["POD", "STATE", "READY", "RESTARTS", "REVISION", "AGE", "SAYS"], rows };
        let text = table.render(self.terminal);
        self.text.push_str(&text);
        if sorted.len() > PODS {
            self.line(&format!("and {} more", sorted.len() - PODS));
        }
    }

    fn pod(&self, pod: &Pod) -> Vec<Cell> {
        let label = |key: &str| pod.labels().get(key).cloned().unwrap_or_default();
        let containers = pod.status.as_ref().and_then(|status| status.container_statuses.as_ref());
        let restarts: i32 = containers.into_iter().flatten().map(|container| container.restart_count).sum();
        let ready = match pods::is_ready(pod) {
            true => Cell::new(Tone::Good, "yes"),
            false => Cell::new(Tone::Wait, "no"),
        };
        let state = match pod.metadata.deletion_timestamp {
            Some(_) => "going".to_owned(),
            None => label(words::STATE),
        };
        let restarts = Cell::new(if restarts > 0 { Tone::Bad } else { Tone::Plain }, restarts.to_string());
        let age = since(pod, self.now);
        vec![
            pod.name_any().into(),
            state.into(),
            ready,
            restarts,
            label(words::REVISION).into(),
            age.into(),
            trouble(pod).into(),
        ]
    }

    fn revisions(&mut self, function: Option<&Function>) {
        let Some(status) = function.and_then(|function| function.status.as_ref()) else { return };
        for past in status.revisions.iter().take(REVISIONS) {
            let until = past.until.parse::<Timestamp>().map(|until| age(until, self.now)).unwrap_or_default();
            self.field("before", &format!("revision {} of {}, until {until} ago", past.revision, short(&past.digest)));
        }
    }

    fn events(&mut self, events: &[Event]) {
        if events.is_empty() {
            return;
        }
        self.line("");
        let rows = events.iter().map(|event| {
            let warning = event.type_.as_deref() == Some("Warning");
            let ago = when(event).map(|when| age(when, self.now)).unwrap_or_default();
            let of = &event.involved_object;
            vec![
                ago.into(),
                format!(
                    "{}/{}",
                    of.kind.as_deref().unwrap_or_default().to_lowercase(),
                    of.name.as_deref().unwrap_or_default()
                )
                .into(),
                Cell::new(if warning { Tone::Bad } else { Tone::Plain }, event.reason.clone().unwrap_or_default()),
                event.message.as_deref().and_then(|message| message.lines().next()).unwrap_or_default().into(),
            ]
        });
        let table = Table { header: vec!["AGO", "OBJECT", "EVENT", "MESSAGE"], rows: rows.collect() };
        let text = table.render(self.terminal);
        self.text.push_str(&text);
    }
}

/// Why a container waits or ended, if it did not end well.
fn trouble(pod: &Pod) -> String {
    let Some(status) = &pod.status else { return String::new() };
    let all = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    for container in all {
        let state = container.state.as_ref();
        if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
            let reason = waiting.reason.as_deref().unwrap_or_default();
            if !matches!(reason, "ContainerCreating" | "PodInitializing" | "") {
                return format!("{}: {reason} {}", container.name, waiting.message.as_deref().unwrap_or_default());
            }
        }
        let ended = container.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        if let Some(ended) = ended.filter(|ended| ended.exit_code != 0) {
            return format!(
                "{} ended with {}",
                container.name,
                ended.reason.clone().unwrap_or_else(|| ended.exit_code.to_string())
            );
        }
    }
    let conditions = status.conditions.iter().flatten();
    let unscheduled = conditions.filter(|condition| condition.type_ == "PodScheduled" && condition.status == "False");
    unscheduled.filter_map(|condition| condition.message.clone()).next().unwrap_or_default()
}
