//! What a panic of the function leaves for the log: its words, its place, its stack.

use std::backtrace::Backtrace;
use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};

/// A panic, caught.
pub(crate) struct Panicked {
    pub message: String,
    pub stack: String,
}

thread_local! {
    static LAST: RefCell<Option<Panicked>> = const { RefCell::new(None) };
}

/// Takes over what is done with panics of threads that answer requests; others are printed as ever.
pub(crate) fn install() {
    let printed = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() != Some("request") {
            printed(info);
            return;
        }
        let words = info.payload().downcast_ref::<&str>().map(|text| (*text).to_owned());
        let words = words.or_else(|| info.payload().downcast_ref::<String>().cloned());
        let place = info.location().map(|at| format!("at {}:{}\n", at.file(), at.line())).unwrap_or_default();
        let stack = place + &own(&Backtrace::force_capture().to_string());
        let message = words.unwrap_or_else(|| "a panic without words".to_owned());
        LAST.with(|last| *last.borrow_mut() = Some(Panicked { message, stack }));
    }));
}

/// Runs what may panic.
pub(crate) fn caught<T>(what: impl FnOnce() -> T) -> Result<T, Panicked> {
    panic::catch_unwind(AssertUnwindSafe(what)).map_err(|_| {
        let last = LAST.with(|last| last.borrow_mut().take());
        last.unwrap_or_else(|| Panicked { message: "a panic".to_owned(), stack: String::new() })
    })
}

/// The frames of a stack that are neither the standard library's nor ours.
fn own(stack: &str) -> String {
    let mut lines = Vec::new();
    let mut kept = false;
    for line in stack.lines() {
        let line = line.trim();
        if let Some((_, frame)) = line.split_once(": ").filter(|(number, _)| number.parse::<u32>().is_ok()) {
            let plain = frame.trim_start_matches('<');
            kept = !["std::", "core::", "alloc::", "muon::", "rust_", "__", "_start", "start_thread", "clone"]
                .iter()
                .any(|theirs| plain.starts_with(theirs));
            if kept {
                lines.push(frame.to_owned());
            }
        } else if kept {
            lines.push(format!("    {line}"));
        }
    }
    lines.join("\n")
}
