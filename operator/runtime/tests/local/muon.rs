//! The program under test, its project, and requests to it. Everything is waited for by what it says and answers.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Far more than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// A folder with files, gone with its test.
pub struct Project(tempfile::TempDir);

impl Project {
    pub fn new(files: &[(&str, &str)]) -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            project.write(name, text);
        }
        project
    }

    pub fn path(&self) -> String {
        self.0.path().canonicalize().unwrap().display().to_string()
    }

    /// Saves a file, whole at once as editors do.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.path().join(name)).unwrap()
    }

    /// `muon` with its working directory here, and a cache that all tests share.
    fn muon(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_muon"));
        command
            .args(words)
            .current_dir(self.0.path())
            .env("XDG_CACHE_HOME", Path::new(env!("CARGO_TARGET_TMPDIR")).join("cache"));
        command
    }
}

/// `muon test`, to its end: the exit code, and all that it said.
pub fn muon_test(project: &Project, more: &[&str]) -> (Option<i32>, String) {
    let mut words = vec!["test"];
    words.extend(more);
    let ended = project.muon(&words).output().unwrap();
    let said = [ended.stdout, ended.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (ended.status.code(), said)
}

/// A running `muon run`.
pub struct Muon {
    child: Child,
    said: Arc<(Mutex<String>, Condvar)>,
    address: String,
}

impl Muon {
    pub fn run(project: &Project, more: &[&str]) -> Self {
        let mut words = vec!["run", "--port", "0"];
        words.extend(more);
        let mut child = project.muon(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::new((Mutex::new(String::new()), Condvar::new()));
        let (out, errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        gather(out, Arc::clone(&said));
        gather(errors, Arc::clone(&said));
        let mut muon = Self { child, said, address: String::new() };
        let told = muon.says("listening on http://");
        let after = told.split("listening on http://").nth(1).unwrap();
        muon.address = after.split(';').next().unwrap().to_owned();
        muon
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Waits until it has said this; all that it has said.
    pub fn says(&self, text: &str) -> String {
        let (said, told) = &*self.said;
        let said = said.lock().unwrap();
        let (said, late) = told.wait_timeout_while(said, PATIENCE, |said| !whole_lines(said).contains(text)).unwrap();
        assert!(!late.timed_out(), "it never said {text:?}:\n{said}");
        said.clone()
    }

    pub fn get(&self, path: &str, host: Option<&str>) -> (u16, String) {
        get(&self.address, path, host.unwrap_or(&self.address))
    }

    /// Asks without waiting for the answer.
    pub fn ask(&self, path: &'static str) -> (String, JoinHandle<(u16, String)>) {
        let address = self.address.clone();
        let asked = address.clone();
        (address, std::thread::spawn(move || get(&asked, path, &asked)))
    }

    pub fn answers(&self, path: &str, body: &str) {
        self.answers_so(path, |answer| *answer == (200, body.to_owned()));
    }

    pub fn answers_with(&self, path: &str, status: u16) {
        self.answers_so(path, |(got, _)| *got == status);
    }

    fn answers_so(&self, path: &str, wanted: impl Fn(&(u16, String)) -> bool) {
        let began = Instant::now();
        loop {
            let answer = self.get(path, None);
            if wanted(&answer) {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "{path}: {answer:?}\n{}", self.said.0.lock().unwrap());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Processes that it has started.
    pub fn children(&self) -> Vec<u32> {
        let id = self.child.id();
        let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
        children.split_whitespace().map(|id| id.parse().unwrap()).collect()
    }

    /// Ctrl-C.
    pub fn stop(mut self) -> ExitStatus {
        let id = rustix::process::Pid::from_raw(self.child.id() as i32).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::INT).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Muon {
    fn drop(&mut self) {
        // Over already, unless the test has failed.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Waits until a process is gone: one that was killed is there until somebody has taken notice.
pub fn is_gone(id: u32) {
    let began = Instant::now();
    while Path::new(&format!("/proc/{id}")).exists() {
        assert!(began.elapsed() < PATIENCE, "the process {id} is left");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn whole_lines(said: &str) -> &str {
    said.rfind('\n').map_or("", |end| &said[..end])
}

fn gather(stream: impl std::io::Read + Send + 'static, said: Arc<(Mutex<String>, Condvar)>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let (said, told) = &*said;
            said.lock().unwrap().push_str(&format!("{line}\n"));
            told.notify_all();
        }
    });
}

/// One request on a connection of its own.
fn get(address: &str, path: &str, host: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, body.to_owned())
}
