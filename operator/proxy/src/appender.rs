//! Log lines on their way out: gathered in memory, written by a thread of their own, and lost rather than waited for.
//!
//! Standard output of a container is a pipe that somebody else empties. A request must never wait for that somebody.

use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long lines are gathered before they are written together.
const GATHER: Duration = Duration::from_millis(20);

/// Takes lines from any thread without waiting; cloning shares it.
#[derive(Clone, Debug)]
pub struct Appender(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told when lines lie ready, when there are many of them, and when they must go now.
    ready: Condvar,
    /// Told when all that was there has been written.
    written: Condvar,
    /// Bytes that may lie ready.
    bound: usize,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    /// The writer is at lines that it took.
    writing: bool,
    /// These lines wait for no others.
    urgent: bool,
    /// Lines for which there was no room, since this was last told.
    lost: u64,
}

impl Appender {
    /// Starts the thread that writes to `out`. At most about `bound` bytes wait for it.
    pub fn start(out: impl Write + Send + 'static, bound: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            ready: Condvar::new(),
            written: Condvar::new(),
            bound: bound.max(1),
        });
        let mine = Arc::clone(&shared);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || mine.write(out))?;
        Ok(Self(shared))
    }

    /// Has `line` add a whole line, its end included. False: there is no room, and it was not called.
    pub fn append(&self, line: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut state = self.0.lock();
        if state.lines.len() >= self.0.bound {
            state.lost += 1;
            return false;
        }
        let before = state.lines.len();
        line(&mut state.lines);
        // Woken for the first one; and again, once, where gathering on would fill the room.
        let half = self.0.bound / 2;
        let wake = before == 0 || (before < half && state.lines.len() >= half);
        drop(state);
        if wake {
            self.0.ready.notify_one();
        }
        true
    }

    /// Waits until everything that was appended is written, for as long as `most`.
    pub fn flush(&self, most: Duration) {
        let mut state = self.0.lock();
        state.urgent = true;
        self.0.ready.notify_one();
        let done = self
            .0
            .written
            .wait_timeout_while(state, most, |state| !state.lines.is_empty() || state.lost > 0 || state.writing);
        drop(done);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, mut out: impl Write) {
        let mut taken = Vec::new();
        loop {
            let lost = {
                let state = self.lock();
                let state = self
                    .ready
                    .wait_while(state, |state| state.lines.is_empty() && state.lost == 0)
                    .unwrap_or_else(PoisonError::into_inner);
                let gathering = |state: &mut State| !state.urgent && state.lines.len() < self.bound / 2;
                let gathered = self.ready.wait_timeout_while(state, GATHER, gathering);
                let (mut state, _) = gathered.unwrap_or_else(PoisonError::into_inner);
                std::mem::swap(&mut taken, &mut state.lines);
                state.writing = true;
                std::mem::take(&mut state.lost)
            };
            if lost > 0 {
                taken.extend_from_slice(
                    format!(r#"{{"level":"WARN","target":"log","message":"log lines were lost: whoever reads them is slower than they come","lost":{lost}}}"#)
                        .as_bytes(),
                );
                taken.push(b'\n');
            }
            // Nobody is left to be told that standard output is gone.
            out.write_all(&taken).and_then(|()| out.flush()).ok();
            taken.clear();
            let mut state = self.lock();
            state.writing = false;
            if state.lines.is_empty() && state.lost == 0 {
                state.urgent = false;
                self.written.notify_all();
            }
        }
    }
}

/// One event of a logger, written as one line.
impl Write for &Appender {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.append(|lines| lines.extend_from_slice(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What was written, and a gate that a writer waits at.
    #[derive(Clone, Default)]
    struct Out(Arc<Gate>);

    #[derive(Default)]
    struct Gate {
        /// What came, and whether it is shut.
        state: Mutex<(Vec<u8>, bool)>,
        opened: Condvar,
    }

    impl Out {
        fn shut(&self, shut: bool) {
            self.0.state.lock().unwrap().1 = shut;
            self.0.opened.notify_all();
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.state.lock().unwrap().0.clone()).unwrap()
        }
    }

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let state = self.0.state.lock().unwrap();
            let mut state = self.0.opened.wait_while(state, |(_, shut)| *shut).unwrap();
            state.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_come_out_whole_and_in_order() {
        let out = Out::default();
        let appender = Appender::start(out.clone(), 1 << 20).unwrap();
        for number in 0..100 {
            assert!(appender.append(|lines| writeln!(lines, "{number}").unwrap()));
        }
        appender.flush(Duration::from_secs(20));
        assert_eq!(out.text(), (0..100).map(|number| format!("{number}\n")).collect::<String>());
    }

    #[test]
    fn a_reader_that_stops_costs_lines_and_nobody_waits() {
        let out = Out::default();
        out.shut(true);
        let appender = Appender::start(out.clone(), 100).unwrap();
        let taken = (0..1000).filter(|_| appender.append(|lines| lines.extend_from_slice(b"0123456789\n"))).count();
        // What lies ready, and what the writer may have taken before.
        assert!((10..=30).contains(&taken), "{taken}");
        out.shut(false);
        appender.flush(Duration::from_secs(20));
        appender.append(|lines| lines.extend_from_slice(b"after\n"));
        appender.flush(Duration::from_secs(20));
        let text = out.text();
        let lost =
            text.split("\"lost\":").skip(1).map(|rest| rest.split('}').next().unwrap().parse::<usize>().unwrap());
        assert_eq!(lost.sum::<usize>(), 1000 - taken, "{text}");
        assert!(text.contains("after\n"), "{text}");
    }
}
