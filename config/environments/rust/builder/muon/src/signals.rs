//! The end that Kubernetes asks for. The standard library knows no signals: the four calls are the C library's.

#![allow(unsafe_code)]

use std::ffi::c_int;

const SIGINT: c_int = 2;
const SIGTERM: c_int = 15;
const SIG_BLOCK: c_int = 0;

/// As large as the C library's, and larger.
#[repr(C, align(16))]
struct Set([u64; 32]);

extern "C" {
    fn sigemptyset(set: *mut Set) -> c_int;
    fn sigaddset(set: *mut Set, signal: c_int) -> c_int;
    fn pthread_sigmask(how: c_int, set: *const Set, before: *mut Set) -> c_int;
    fn sigwait(set: *const Set, signal: *mut c_int) -> c_int;
}

/// Both signals, held back from this thread and from those that it starts: call it before any.
pub(crate) struct Held(Set);

pub(crate) fn hold() -> Held {
    let mut set = Set([0; 32]);
    // SAFETY: the set is ours and large enough; a null pointer says that the mask before is not wanted.
    unsafe {
        sigemptyset(&mut set);
        sigaddset(&mut set, SIGTERM);
        sigaddset(&mut set, SIGINT);
        pthread_sigmask(SIG_BLOCK, &set, std::ptr::null_mut());
    }
    Held(set)
}

impl Held {
    /// Returns when one of them has come.
    pub(crate) fn wait(&self) {
        let mut signal = 0;
        // SAFETY: both point to memory of ours that lives longer than the call.
        while unsafe { sigwait(&self.0, &mut signal) } != 0 {}
    }
}
