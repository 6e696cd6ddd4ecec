//! A pod of this machine: the runtime as a process, and its agent, as tasks of ours.
//!
//! Every pod has an address of its own in 127.77.0.0/16, so that the agents' port can be one for all, as in a cluster.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use muon_agent::status::RuntimeState;
use muon_agent::unpack::{self, Limits};
use muon_agent::{Agent, Settings, server, watch as agent_watch};
use muon_order::Verifier;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::language::Start;
use super::terminal::{Speaker, Terminal};

/// A runtime must answer within this time.
const PATIENCE: Duration = Duration::from_secs(60);
/// What requests in flight may take when a process is to end.
pub(crate) const GRACE: Duration = Duration::from_secs(10);
/// Addresses that are tried for a new pod.
const TRIES: u16 = 64;
/// Bytes of one line that are shown.
const MAX_LINE: usize = 64 << 10;
/// Variables of this shell that a runtime gets too: what it needs to start, and nothing that a pod would not know.
const INHERITED: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
];

/// Why there is no pod.
#[derive(thiserror::Error, Debug)]
pub(crate) enum PodError {
    #[error("cannot start {program}: {source}")]
    Spawn { program: PathBuf, source: io::Error },
    #[error("cannot make a place for a process: {0}")]
    Place(#[from] io::Error),
    #[error("no address of 127.77.0.0/16 is free for port {0}: something listens on it at every address")]
    NoAddress(u16),
    #[error("the runtime {0} before it answered: what it said stands above")]
    Ended(String),
    #[error("the runtime did not answer within {} s", PATIENCE.as_secs())]
    Late,
}

/// What all pods share.
pub(crate) struct Machine {
    pub(crate) agent_port: u16,
    pub(crate) terminal: Terminal,
    pub(crate) project: PathBuf,
    verifier: Verifier,
    root: tempfile::TempDir,
    next: AtomicU16,
    /// Has the kernel end a process with this one, however this one ends.
    bond: Option<PathBuf>,
}

/// One pod.
pub(crate) struct Pod {
    pub(crate) uid: String,
    pub(crate) ip: Ipv4Addr,
    pub(crate) port: u16,
    pub(crate) agent: Arc<Agent>,
    speaker: Arc<Mutex<Speaker>>,
    folder: PathBuf,
    /// The next process of the function takes the same folder.
    lasting: bool,
    group: Option<Pid>,
    ended: watch::Receiver<Option<String>>,
    tasks: Vec<tokio::task::AbortHandle>,
}

impl Machine {
    pub(crate) async fn new(project: PathBuf, verifier: Verifier, terminal: Terminal) -> Result<Self, PodError> {
        // A port that is free here now: pods take it at other addresses, and go on to the next where it is not.
        let first = TcpListener::bind((Ipv4Addr::new(127, 77, 0, 1), 0)).await?;
        let bond = std::env::var_os("PATH").and_then(|path| {
            std::env::split_paths(&path).map(|folder| folder.join("setpriv")).find(|program| program.is_file())
        });
        Ok(Self {
            agent_port: first.local_addr()?.port(),
            terminal,
            project,
            verifier,
            root: tempfile::Builder::new().prefix("muon-run-").tempdir()?,
            next: AtomicU16::new(1),
            bond,
        })
    }

    /// Starts a pod and waits until its runtime answers. `env`: what only a starting process reads; `place`: its folder, which
    /// no other process uses now and which stays, where a debugger has to find the code again.
    pub(crate) async fn start(
        &self,
        name: &str,
        start: &Start,
        env: &BTreeMap<String, String>,
        place: Option<&Path>,
    ) -> Result<Arc<Pod>, PodError> {
        let (number, ip, listener) = self.address().await?;
        let port = TcpListener::bind((ip, 0)).await?.local_addr()?.port();
        let uid = format!("pod-{number}");
        let folder = place.map_or_else(|| self.root.path().join(&uid), Path::to_owned);
        if place.is_some() && folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        let (code, agent_dir) = (folder.join("code"), folder.join("agent"));
        for place in [&code, &agent_dir] {
            std::fs::create_dir_all(place)?;
        }
        // Node looks for dependencies in every folder above the code.
        let modules = self.project.join("node_modules");
        if modules.is_dir() {
            symlink(modules, folder.join("node_modules"))?;
        }
        let agent = Arc::new(Agent::start(Settings {
            port: self.agent_port,
            verifier: self.verifier.clone(),
            pod_uid: uid.clone(),
            runtime: SocketAddr::from((ip, port)),
            template: None,
            code_dir: code,
            agent_dir,
            max_archive: 128 << 20,
            limits: Limits::default(),
            drain_grace: Duration::ZERO,
            crash_window: Duration::from_secs(600),
        }));
        let mut child = self.spawn(start, env, ip, port)?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let speaker = Arc::new(Mutex::new(Speaker { name: name.to_owned(), paths: None }));
        for stream in [child.stdout.take().map(boxed), child.stderr.take().map(boxed)].into_iter().flatten() {
            // It ends with the process, and those that hold its output.
            tokio::spawn(pass_on(stream, Arc::clone(&speaker), self.terminal.clone()));
        }
        let (sender, ended) = watch::channel(None);
        tokio::spawn(async move {
            let how = match child.wait().await {
                Ok(status) => format!("ended ({status})"),
                Err(error) => format!("is lost ({error})"),
            };
            sender.send_replace(Some(how));
        });
        let watching = tokio::spawn(agent_watch::watch(Arc::clone(&agent)));
        let serving = tokio::spawn(server::serve(listener, Arc::clone(&agent), std::future::pending()));
        let pod = Pod {
            uid,
            ip,
            port,
            agent,
            speaker,
            folder,
            lasting: place.is_some(),
            group,
            ended,
            tasks: vec![watching.abort_handle(), serving.abort_handle()],
        };
        pod.up().await?;
        Ok(Arc::new(pod))
    }

    /// The next address at which the agents' port is free.
    async fn address(&self) -> Result<(u16, Ipv4Addr, TcpListener), PodError> {
        for _ in 0..TRIES {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let [high, low] = number.to_be_bytes();
            let ip = Ipv4Addr::new(127, 77, high, low);
            match TcpListener::bind((ip, self.agent_port)).await {
                Ok(listener) => return Ok((number, ip, listener)),
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
                // The first and the last address of the net, where the kernel minds.
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(PodError::NoAddress(self.agent_port))
    }

    fn spawn(&self, start: &Start, env: &BTreeMap<String, String>, ip: Ipv4Addr, port: u16) -> Result<Child, PodError> {
        let mut command = match &self.bond {
            Some(bond) => {
                let mut command = Command::new(bond);
                command.args(["--pdeathsig", "KILL", "--"]).arg(&start.program);
                command
            }
            None => Command::new(&start.program),
        };
        command
            .args(&start.arguments)
            .current_dir(self.root.path())
            .env_clear()
            .envs(INHERITED.iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .envs(&start.env)
            .envs(env)
            .env("MUON_ADDRESS", ip.to_string())
            .env("MUON_PORT", port.to_string())
            .env("MUON_GRACE_SECONDS", GRACE.as_secs().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C in the terminal is for us alone: requests in flight are finished first.
            .process_group(0)
            .kill_on_drop(true);
        command.spawn().map_err(|source| PodError::Spawn { program: start.program.clone(), source })
    }
}

impl Pod {
    /// Until the runtime answers.
    async fn up(&self) -> Result<(), PodError> {
        let mut status = self.agent.watch();
        let mut ended = self.ended.clone();
        tokio::select! {
            up = status.wait_for(|status| status.runtime == RuntimeState::Up) => {
                // The sender lives as long as the agent.
                let _ = up;
                Ok(())
            }
            how = ended.wait_for(Option::is_some) => {
                Err(PodError::Ended(how.ok().and_then(|how| how.clone()).unwrap_or_default()))
            }
            () = tokio::time::sleep(PATIENCE) => Err(PodError::Late),
        }
    }

    /// Waits for the end of its process, and says how that was.
    pub(crate) async fn ended(&self) -> String {
        let mut ended = self.ended.clone();
        let how = ended.wait_for(Option::is_some).await;
        how.ok().and_then(|how| how.clone()).unwrap_or_default()
    }

    /// From now on it speaks for this function, whose code is made of what is there.
    pub(crate) fn speaks_for(&self, function: &str, origin: &Path) {
        let paths = Some((self.code(), origin.to_owned()));
        *self.speaker_mut() = Speaker { name: function.to_owned(), paths };
    }

    /// Where its code is unpacked.
    pub(crate) fn code(&self) -> PathBuf {
        self.folder.join("code").join(unpack::PACKAGE)
    }

    pub(crate) fn speaker(&self) -> Speaker {
        self.speaker_mut().clone()
    }

    fn speaker_mut(&self) -> MutexGuard<'_, Speaker> {
        self.speaker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the process to end once its requests have; what it leaves after that goes at once.
    pub(crate) async fn stop(&self) {
        self.signal(Signal::TERM);
        if tokio::time::timeout(GRACE + Duration::from_secs(1), self.ended()).await.is_err() {
            self.kill().await;
        }
    }

    /// Ends the process at once, and waits for that.
    pub(crate) async fn kill(&self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    /// The process and those that it started.
    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group.filter(|_| self.ended.borrow().is_none()) {
            // It may have ended in this moment.
            kill_process_group(group, signal).ok();
        }
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        for task in &self.tasks {
            task.abort();
        }
        if !self.lasting {
            // What is left goes with the folder of them all.
            std::fs::remove_dir_all(&self.folder).ok();
        }
    }
}

type Stream = Box<dyn AsyncRead + Send + Unpin>;

fn boxed(stream: impl AsyncRead + Send + Unpin + 'static) -> Stream {
    Box::new(stream)
}

/// Shows what a process writes, line by line.
async fn pass_on(stream: Stream, speaker: Arc<Mutex<Speaker>>, terminal: Terminal) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let show = |line: &mut Vec<u8>| {
        let speaker = speaker.lock().unwrap_or_else(PoisonError::into_inner).clone();
        terminal.runtime(&speaker, String::from_utf8_lossy(line).trim_end_matches(['\r', '\n']));
        line.clear();
    };
    while let Ok(bytes) = stream.fill_buf().await {
        if bytes.is_empty() {
            break;
        }
        let room = bytes.len().min(MAX_LINE - line.len());
        let end = bytes[..room].iter().position(|byte| *byte == b'\n').map_or(room, |end| end + 1);
        line.extend_from_slice(&bytes[..end]);
        stream.consume(end);
        if line.ends_with(b"\n") || line.len() >= MAX_LINE {
            show(&mut line);
        }
    }
    if !line.is_empty() {
        show(&mut line);
    }
}
