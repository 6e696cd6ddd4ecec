//! `muon test`: sends a project's recorded requests, to the project run here or to a cluster, and compares the replies.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use muon_proxy::AccessLog;
use reqwest::Client;

use super::LocalError;
use super::flags::TestFlags;
use super::folder::Place;
use super::recorded::expect::Expect;
use super::recorded::junit::{self, Case, Suite};
use super::recorded::{Body, Reply, Request, Step, Unreadable, http_file, yaml_file};
use super::session::{Options, Session};
use super::terminal::{Terminal, Tone};
use crate::shutdown::Shutdown;

/// Folders of a project in which requests are recorded.
const FOLDERS: [&str; 2] = ["tests", "test"];
/// Time for one whole reply.
const PATIENCE: Duration = Duration::from_secs(90);
/// Bytes of a reply that are looked at.
const MAX_REPLY: usize = 16 << 20;

/// Why the requests could not be sent at all.
#[derive(thiserror::Error, Debug)]
pub(crate) enum TestError {
    #[error(
        "there are no recorded requests: write them to tests/*.http or tests/*.yaml in {0}, or name files with --file"
    )]
    Nothing(PathBuf),
    #[error("none of the recorded requests has {0:?} in its name")]
    NoneNamed(String),
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{path}: {source}")]
    File { path: PathBuf, source: Unreadable },
    #[error("--url {url}: {message}")]
    Url { url: String, message: String },
    #[error("no client for HTTP: {0}")]
    Client(reqwest::Error),
    #[error("interrupted")]
    Interrupted,
}

/// A file of recorded requests.
struct Recorded {
    name: String,
    folder: PathBuf,
    steps: Vec<Step>,
}

/// Whether all replies were as expected.
pub(crate) async fn run(flags: TestFlags) -> Result<bool, LocalError> {
    let shutdown = Shutdown::on_signal().map_err(LocalError::Signals)?;
    let terminal = Terminal::stdout();
    let mut recorded = read(&flags)?;
    if let Some(only) = &flags.only {
        for file in &mut recorded {
            file.steps.retain(|step| step.name.contains(only));
        }
        recorded.retain(|file| !file.steps.is_empty());
        if recorded.is_empty() {
            return Err(TestError::NoneNamed(only.clone()).into());
        }
    }
    tokio::select! {
        done = tested(&flags, &recorded, &terminal) => {
            let suites = done?;
            if let Some(path) = &flags.junit {
                let written = std::fs::write(path, junit::document(&suites));
                written.map_err(|source| TestError::Io { path: path.clone(), source })?;
            }
            Ok(summed(&terminal, &suites))
        }
        () = shutdown.requested() => Err(TestError::Interrupted.into()),
    }
}

/// Sends everything: to the URL, or to the project run here.
async fn tested(flags: &TestFlags, recorded: &[Recorded], terminal: &Terminal) -> Result<Vec<Suite>, LocalError> {
    if let Some(url) = &flags.url {
        let wrong = |message: &str| TestError::Url { url: url.clone(), message: message.to_owned() };
        let base = url.trim_end_matches('/');
        let (scheme, rest) = base.split_once("://").ok_or_else(|| wrong("a URL begins with http:// or https://"))?;
        if !matches!(scheme, "http" | "https") || rest.is_empty() {
            return Err(wrong("a URL begins with http:// or https:// and names a host").into());
        }
        return Ok(sent(base, recorded, terminal).await?);
    }
    let options = Options {
        path: flags.project.path.clone(),
        port: 0,
        env_file: flags.project.env_file.clone(),
        secrets: flags.project.secrets.clone(),
        debug: None,
        access_log: AccessLog::None,
    };
    let mut session = Session::start(options, terminal.clone()).await?;
    let report = session.reload().await?;
    for (name, why) in &report.failed {
        terminal.say(Tone::Error, &format!("{name}: not loaded: {why}"));
    }
    let suites = sent(&format!("http://{}", session.address), recorded, terminal).await;
    session.stop().await;
    Ok(suites?)
}

async fn sent(base: &str, recorded: &[Recorded], terminal: &Terminal) -> Result<Vec<Suite>, TestError> {
    // A redirect is an answer like any other; a proxy of this shell's is for other things.
    let client = Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy().timeout(PATIENCE).build();
    let client = client.map_err(TestError::Client)?;
    let mut suites = Vec::new();
    for file in recorded {
        terminal.say(Tone::Plain, &file.name);
        let mut suite = Suite { file: file.name.clone(), cases: Vec::new() };
        for step in &file.steps {
            let began = Instant::now();
            let failure = failure(&client, base, file, step).await;
            let case = Case { name: step.name.clone(), took: began.elapsed(), failure };
            show(terminal, step, &case);
            suite.cases.push(case);
        }
        suites.push(suite);
    }
    Ok(suites)
}

/// What is wrong with the replies to a step; none: nothing.
async fn failure(client: &Client, base: &str, file: &Recorded, step: &Step) -> Option<String> {
    let mut met = vec![false; step.expect.len()];
    for _ in 0..step.repeat {
        let reply = match reply(client, base, &file.folder, &step.request).await {
            Ok(reply) => reply,
            Err(message) => return Some(message),
        };
        let differences: Vec<Vec<String>> =
            step.expect.iter().map(|expect: &Expect| expect.differences(&reply)).collect();
        match differences.iter().position(Vec::is_empty) {
            Some(fit) => met[fit] = true,
            // The nearest of them says most.
            None => return differences.into_iter().min_by_key(Vec::len).map(|lines| lines.join("\n")),
        }
    }
    let never = met.iter().position(|met| !met)?;
    Some(format!("of {} replies, none was what expectAny[{never}] says", step.repeat))
}

async fn reply(client: &Client, base: &str, folder: &Path, request: &Request) -> Result<Reply, String> {
    let method = reqwest::Method::from_bytes(request.method.as_bytes()).map_err(|error| error.to_string())?;
    let mut call = client.request(method, format!("{base}{}", request.path));
    if let Some(host) = &request.host {
        call = call.header(http::header::HOST, host);
    }
    for (name, value) in &request.headers {
        call = call.header(name, value);
    }
    call = match &request.body {
        Body::None => call,
        Body::Text(text) => call.body(text.clone()),
        Body::File(name) => {
            let path = folder.join(name);
            call.body(std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?)
        }
    };
    let got = call.send().await.map_err(|error| told(&error))?;
    let headers = got
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    let status = got.status().as_u16();
    let mut body = Vec::new();
    let mut stream = got.bytes_stream();
    while let Some(bytes) = stream.next().await {
        body.extend_from_slice(&bytes.map_err(|error| format!("the reply broke off: {}", told(&error)))?);
        if body.len() > MAX_REPLY {
            return Err(format!("the reply has more than {MAX_REPLY} bytes"));
        }
    }
    Ok(Reply { status, headers, body })
}

/// An error with its causes: the first alone says only that something was sent.
fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}

fn show(terminal: &Terminal, step: &Step, case: &Case) {
    let took = case.took.as_millis();
    match &case.failure {
        None => terminal.say(Tone::Good, &format!("  ok      {} ({took} ms)", case.name)),
        Some(failure) => {
            let line = step.line.map(|line| format!(", line {line}")).unwrap_or_default();
            let lines: Vec<String> = failure.lines().map(|line| format!("          {line}")).collect();
            let text = format!("  FAILED  {} ({took} ms{line})\n{}", case.name, lines.join("\n"));
            terminal.say(Tone::Error, &text);
        }
    }
}

fn summed(terminal: &Terminal, suites: &[Suite]) -> bool {
    let all: usize = suites.iter().map(|suite| suite.cases.len()).sum();
    let failed: usize = suites.iter().map(Suite::failures).sum();
    let tone = if failed == 0 { Tone::Good } else { Tone::Error };
    terminal.say(tone, &format!("{all} requests: {} as expected, {failed} not", all - failed));
    failed == 0
}

/// All recorded requests: of the files that are named, or of the project's.
fn read(flags: &TestFlags) -> Result<Vec<Recorded>, LocalError> {
    let mut files = flags.file.clone();
    let project = Place::of(&flags.project.path).map_err(super::session::SessionError::Folder)?;
    if files.is_empty() {
        for folder in FOLDERS.map(|name| project.folder.join(name)) {
            // One that is not there holds none.
            let entries = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            files.extend(entries.map(|entry| entry.path()).filter(|path| path.is_file() && is_recorded(path)));
        }
        files.sort();
    }
    if files.is_empty() {
        return Err(TestError::Nothing(project.folder).into());
    }
    files.into_iter().map(|path| Ok(file(&project.folder, path)?)).collect()
}

fn is_recorded(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["http", "rest", "yaml", "yml"].iter().any(|known| extension == *known))
}

fn file(project: &Path, path: PathBuf) -> Result<Recorded, TestError> {
    let text = std::fs::read_to_string(&path).map_err(|source| TestError::Io { path: path.clone(), source })?;
    let yaml = path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml");
    let steps = if yaml { yaml_file::parse(&text) } else { http_file::parse(&text) };
    let steps = steps.map_err(|source| TestError::File { path: path.clone(), source })?;
    let name = path.strip_prefix(project).unwrap_or(&path).display().to_string();
    let folder = path.parent().unwrap_or(Path::new(".")).to_owned();
    Ok(Recorded { name, folder, steps })
}
