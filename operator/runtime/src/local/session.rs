//! A project that runs here: the proxy, the pods, and what turns the project's files into what they serve.

mod deploy;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use muon_order::Signer;
use muon_proxy::{AccessLog, Appender, Config, Listeners, Proxy};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::cluster::Cluster;
use super::folder::{self, Archive, FolderError, Place};
use super::pod::{GRACE, Machine, PodError};
use super::pool::Pool;
use super::project::{Project, ProjectError};
use super::routes;
use super::store::LocalStore;
use super::terminal::{AccessLines, Terminal, Tone};
use super::values::{Values, env_file};
use deploy::{Wanted, retire};

/// Bytes of access log that may wait for the terminal.
const WAITING: usize = 1 << 20;

/// What a session is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) path: PathBuf,
    pub(crate) port: u16,
    pub(crate) env_file: Option<PathBuf>,
    pub(crate) secrets: Option<PathBuf>,
    /// Port of the first function's debugger.
    pub(crate) debug: Option<u16>,
    pub(crate) access_log: AccessLog,
}

/// Why a session cannot begin, or a project not be read.
#[derive(thiserror::Error, Debug)]
pub(crate) enum SessionError {
    #[error(transparent)]
    Project(#[from] ProjectError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error(transparent)]
    Pod(#[from] PodError),
    #[error("{path}: {message}")]
    EnvFile { path: PathBuf, message: String },
    #[error("cannot listen on 127.0.0.1:{port}: {source}; --port chooses another, 0 any")]
    Listen { port: u16, source: std::io::Error },
    #[error("the system gives no random numbers: {0}")]
    Random(String),
    #[error("the proxy cannot start: {0}")]
    Proxy(String),
}

/// A running project.
pub(crate) struct Session {
    pub(crate) address: SocketAddr,
    options: Options,
    place: Place,
    terminal: Terminal,
    machine: Arc<Machine>,
    cluster: Cluster,
    store: LocalStore,
    store_url: String,
    signer: Signer,
    pools: BTreeMap<String, Pool>,
    live: BTreeMap<String, Live>,
    notes: Vec<String>,
    stop: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

/// What is served of a function.
struct Live {
    revision: String,
    archive: Archive,
    /// Its code was loaded: it is worth keeping while what comes next is broken.
    good: bool,
}

/// What a look at the files came to.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// Functions that are served anew.
    pub(crate) changed: Vec<String>,
    /// Functions that are not, and why.
    pub(crate) failed: Vec<(String, String)>,
    pub(crate) took: Duration,
    pub(crate) lines: Vec<String>,
}

impl Session {
    /// Starts to listen; nothing is served yet.
    pub(crate) async fn start(options: Options, terminal: Terminal) -> Result<Self, SessionError> {
        let place = Place::of(&options.path)?;
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(|error| SessionError::Random(error.to_string()))?;
        let signer = |seed: &[u8]| Signer::from_seed(seed).map_err(|error| SessionError::Proxy(error.to_string()));
        let orders = signer(&seed)?;
        let listening = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await;
        let ingress = listening.map_err(|source| SessionError::Listen { port: options.port, source })?;
        let machine = Machine::new(place.folder.clone(), orders.verifier(), terminal.clone()).await?;
        let (store, store_url) = LocalStore::serve(orders.verifier()).await.map_err(PodError::Place)?;
        let log = Appender::start(AccessLines::new(terminal.clone()), WAITING).map_err(PodError::Place)?;
        let config = Config {
            agent_port: machine.agent_port,
            reserve: 0,
            drain_delay: Duration::ZERO,
            drain_timeout: GRACE,
            access_log: options.access_log,
            log: Some(log),
            ..Config::new("local", store_url.clone())
        };
        let cluster = Cluster::new(terminal.clone());
        let registry = prometheus::Registry::new();
        let proxy = Proxy::new(config, signer(&seed)?, Arc::new(cluster.clone()), &registry)
            .map_err(|error| SessionError::Proxy(error.to_string()))?;
        cluster.feed(Arc::clone(&proxy));
        let address = ingress.local_addr().map_err(PodError::Place)?;
        // Routes are all that is asked for here; the other ways into a proxy are open to nobody who does not know them.
        let other = || async { TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(PodError::Place) };
        let listeners = Listeners { gateway: other().await?, ingress, functions: other().await?, peer: other().await? };
        let (stop, stopped) = oneshot::channel::<()>();
        let serving = tokio::spawn(proxy.serve(listeners, async {
            // Stopped, or forgotten.
            stopped.await.ok();
        }));
        Ok(Self {
            address,
            options,
            place,
            terminal,
            machine: Arc::new(machine),
            cluster,
            store,
            store_url,
            signer: orders,
            pools: BTreeMap::new(),
            live: BTreeMap::new(),
            notes: Vec::new(),
            stop,
            serving,
        })
    }

    /// The folders in which a save may change something.
    pub(crate) fn folders(&self) -> Vec<PathBuf> {
        let mut folders = self.place.folders();
        folders.extend(self.secrets().iter().flat_map(|folder| folder::of_values(folder)));
        // A relative name of one part has an empty parent: it lies here.
        let beside = self.options.env_file.as_ref().and_then(|file| file.canonicalize().ok());
        folders.extend(beside.and_then(|file| file.parent().map(Path::to_owned)));
        folders
    }

    /// Makes what is served what the files say. Given up half-way, it leaves what was served before.
    pub(crate) async fn reload(&mut self) -> Result<Report, SessionError> {
        let began = Instant::now();
        let project = Project::read(&self.place.read()?)?;
        let values = self.values(&project)?;
        for note in &project.notes {
            if !self.notes.contains(note) {
                self.terminal.say(Tone::Warning, note);
            }
        }
        self.notes.clone_from(&project.notes);
        let mut report = Report::default();
        let mut wanted = Vec::new();
        for (at, function) in (0..).zip(&project.functions) {
            match self.wanted(function, &values, at) {
                Ok(found) => wanted.push(found),
                Err(error) => report.failed.push((function.name.clone(), error.to_string())),
            }
        }
        let kept = self.live.values().map(|live| &live.archive);
        let archives = wanted.iter().map(|wanted| &wanted.archive).chain(kept);
        self.store.replace(archives.map(|archive| (archive.digest.clone(), archive.bytes.clone())));
        self.cluster.route(routes::triggers(&project));
        wanted.retain(|wanted| match self.live.get(wanted.name()) {
            // The same code: what else its manifest says needs no new process.
            Some(live) if live.good && live.revision == wanted.serving.revision => {
                self.cluster.update(wanted.object());
                false
            }
            _ => true,
        });
        self.keep_pools(&wanted).await;
        let outcomes = join_all(wanted.into_iter().map(|wanted| self.deploy(wanted))).await;
        self.pools.values().for_each(|pool| pool.expect(0));
        for (wanted, outcome) in outcomes {
            let name = wanted.name().to_owned();
            let good = outcome.is_ok();
            match outcome {
                Ok(()) => report.changed.push(name.clone()),
                Err(error) => report.failed.push((name.clone(), error.to_string())),
            }
            if good || !self.live.get(&name).is_some_and(|live| live.good) {
                let Wanted { archive, serving, .. } = wanted;
                self.live.insert(name, Live { revision: serving.revision, archive, good });
            }
        }
        self.forget(&project);
        report.lines = routes::lines(&project, &format!("http://{}", self.address));
        report.took = began.elapsed();
        Ok(report)
    }

    /// Whether some code of the function is served.
    pub(crate) fn serves(&self, function: &str) -> bool {
        self.live.get(function).is_some_and(|live| live.good)
    }

    fn values(&self, project: &Project) -> Result<Values, SessionError> {
        let mut values = project.values.clone();
        if let Some(path) = self.options.env_file.clone().or_else(|| self.beside(".env")) {
            let failed = |message: String| SessionError::EnvFile { path: path.clone(), message };
            let text = std::fs::read_to_string(&path).map_err(|error| failed(error.to_string()))?;
            values.env = env_file(&text).map_err(failed)?;
        }
        if let Some(path) = self.secrets() {
            values.files = folder::values(&path)?;
        }
        Ok(values)
    }

    fn secrets(&self) -> Option<PathBuf> {
        self.options.secrets.clone().or_else(|| self.beside(".secrets"))
    }

    /// What the project has under this name, if anything.
    fn beside(&self, name: &str) -> Option<PathBuf> {
        Some(self.place.folder.join(name)).filter(|path| path.exists())
    }

    /// A pool for each kind of process that is needed; what no language can start is told by those that need it.
    async fn keep_pools(&mut self, wanted: &[Wanted]) {
        for one in wanted.iter().filter(|wanted| wanted.debug.is_none()) {
            let name = &one.serving.environment;
            if !self.pools.contains_key(name)
                && let Ok(start) = one.function.language.start(&self.place.folder, None).await
            {
                let (machine, cluster) = (Arc::clone(&self.machine), self.cluster.clone());
                let pool = Pool::new(name.clone(), machine, cluster, start, one.start_env.clone());
                self.pools.insert(name.clone(), pool);
            }
        }
        for (name, pool) in &self.pools {
            pool.expect(wanted.iter().filter(|wanted| wanted.serving.environment == *name).count());
        }
    }

    /// Ends what the project no longer has.
    fn forget(&mut self, project: &Project) {
        let gone: Vec<String> = self
            .live
            .keys()
            .filter(|name| !project.functions.iter().any(|function| function.name == **name))
            .cloned()
            .collect();
        for name in gone {
            self.live.remove(&name);
            self.cluster.remove(&name).into_iter().for_each(retire);
        }
    }

    /// Ends everything: requests in flight first.
    pub(crate) async fn stop(self) {
        let Self { stop, serving, pools, cluster, .. } = self;
        drop(pools);
        // It may have ended by itself.
        stop.send(()).ok();
        serving.await.ok();
        let pods = cluster.pods();
        join_all(pods.iter().map(|pod| pod.stop())).await;
    }
}
