//! The server: a thread for each connection, and one handler for all.

use std::env;
use std::io::{self, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::fd::FromRawFd;
use std::process::exit;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{self, Answered};
use crate::order;
use crate::request::Request;
use crate::response::{IntoResponse, Response};
use crate::{json, log, panics, signals};

/// Far above any function's concurrency.
const CONNECTIONS: usize = 2048;

/// A function, whatever it returns.
pub type Handler = Box<dyn Fn(&mut Request) -> Result<Response, String> + Send + Sync>;

/// Makes a [`Handler`] of a function.
#[doc(hidden)]
pub fn handler<R: IntoResponse>(function: impl Fn(&mut Request) -> R + Send + Sync + 'static) -> Handler {
    Box::new(move |request| function(request).into_response())
}

struct Server {
    handler: Handler,
    filepath: String,
    entrypoint: String,
    busy: Mutex<Busy>,
    quiet: Condvar,
}

#[derive(Default)]
struct Busy {
    connections: usize,
    requests: usize,
    stopping: bool,
}

/// Serves the function that `MUON_ENTRYPOINT` names on the socket that the launcher hands over; it never returns.
pub fn serve(functions: Vec<(&'static str, Handler)>) -> ! {
    let held = signals::hold();
    panics::install();
    let entrypoint = env::var("MUON_ENTRYPOINT").unwrap_or_default();
    let names: Vec<&str> = functions.iter().map(|(name, _)| *name).collect();
    let wanted = if entrypoint.is_empty() { "handle" } else { &entrypoint };
    let missing = format!("the crate has no function {wanted}; it has: {}", names.join(", "));
    let found = functions.into_iter().find(|(name, _)| *name == wanted);
    let Some((_, handler)) = found else { give_up("EntrypointNotFound", &missing) };
    let listener = match inherited() {
        Ok(listener) => listener,
        Err(error) => give_up("NoSocket", &format!("MUON_LISTEN_FD must name the listening socket: {error}")),
    };
    let filepath = env::var("MUON_PACKAGE").unwrap_or_default();
    let busy = Mutex::new(Busy::default());
    let server = Arc::new(Server { handler, filepath, entrypoint, busy, quiet: Condvar::new() });
    let accepting = Arc::clone(&server);
    thread::spawn(move || accepting.accept(&listener));
    held.wait();
    server.stop()
}

/// Tells the launcher, in the last line on stderr, why there is nothing to serve.
fn give_up(reason: &str, message: &str) -> ! {
    eprintln!("{}", json::object(&[("reason", reason), ("message", message)]));
    exit(1)
}

#[allow(unsafe_code)]
fn inherited() -> io::Result<TcpListener> {
    let number = env::var("MUON_LISTEN_FD").ok().and_then(|text| text.parse().ok());
    let number = number.ok_or_else(|| io::Error::other("it is not set"))?;
    // SAFETY: the launcher opened it for this program, and nothing else here uses it.
    Ok(unsafe { TcpListener::from_raw_fd(number) })
}

impl Server {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        loop {
            let Ok((stream, _)) = listener.accept() else {
                // Out of descriptors, most likely: some will be given back.
                thread::sleep(Duration::from_millis(10));
                continue;
            };
            if !self.change(|busy| {
                busy.connections < CONNECTIONS && {
                    busy.connections += 1;
                    true
                }
            }) {
                continue; // the caller sees a closed connection, and tries elsewhere
            }
            let server = Arc::clone(self);
            let serve = move || {
                let _ = server.connection(stream);
                server.change(|busy| busy.connections -= 1);
            };
            if thread::Builder::new().name("request".to_owned()).spawn(serve).is_err() {
                self.change(|busy| busy.connections -= 1);
            }
        }
    }

    fn change<T>(&self, what: impl FnOnce(&mut Busy) -> T) -> T {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        let value = what(&mut busy);
        self.quiet.notify_all();
        value
    }

    /// Answers one request after the other.
    fn connection(&self, stream: TcpStream) -> io::Result<()> {
        stream.set_nodelay(true)?;
        let is_loopback = stream.peer_addr().is_ok_and(|peer| peer.ip().to_canonical().is_loopback());
        let mut reader = BufReader::with_capacity(16 << 10, stream.try_clone()?);
        while http::wait(&mut reader)? {
            self.change(|busy| busy.requests += 1);
            let answered = self.request(reader, &stream, is_loopback);
            log::answering(None);
            let stopping = self.change(|busy| {
                busy.requests -= 1;
                busy.stopping
            });
            match answered? {
                Answered::Open(back) if !stopping => reader = back,
                _ => return Ok(()),
            }
        }
        Ok(())
    }

    fn request(&self, reader: BufReader<TcpStream>, stream: &TcpStream, is_loopback: bool) -> io::Result<Answered> {
        let mut exchange = http::read(reader, stream)?;
        let request = &mut exchange.request;
        let path = request.target.split('?').next().unwrap_or_default().to_owned();
        let response = match (request.method.as_str(), path.as_str()) {
            ("GET" | "HEAD", "/healthz") => Response::new(200).text("ok\n"),
            ("POST", "/v2/specialize" | "/specialize") => {
                order::answer(request, is_loopback, &self.filepath, &self.entrypoint)
            }
            _ => {
                log::answering(Some(request.id.clone()));
                let called = panics::caught(|| (self.handler)(request));
                called
                    .map_err(|panicked| failed(&request.id, "the handler panicked", &panicked.message, &panicked.stack))
                    .and_then(|value| {
                        value.map_err(|error| failed(&request.id, "the handler returned an error", &error, ""))
                    })
                    .unwrap_or_else(|answer| answer)
            }
        };
        exchange.answer(response, stream)
    }

    /// Finishes the requests in flight, but not longer than the grace period lasts.
    fn stop(&self) -> ! {
        let seconds = env::var("MUON_GRACE_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(25.0);
        let grace = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::from_secs(25));
        let deadline = Instant::now() + grace;
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        busy.stopping = true;
        while busy.requests > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                log::record("WARNING", "function", "the grace period is over; what still runs is cut off", &[]);
                break;
            }
            busy = self.quiet.wait_timeout(busy, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        exit(0)
    }
}

/// Logs an error of the user's code, and is the answer for it.
pub(crate) fn failed(id: &str, message: &str, error: &str, stack: &str) -> Response {
    let stack = ("traceback", stack);
    let more: &[(&str, &str)] = if stack.1.is_empty() { &[("error", error)] } else { &[("error", error), stack] };
    log::record("ERROR", "function", message, more);
    order::error(500, "function", "Exception", error, id, "yes")
}
