//! Which process the runtime is now. A runtime that ended and came back has lost its code, and may have come back before
//! anybody asked; its listening socket tells: the kernel gives every socket a number of its own, and the agent sees the
//! sockets of its network namespace.
//!
//! The kernel is asked by netlink for the listening sockets of one port. `/proc/net/tcp` says the same, but walks the
//! whole machine's table of connections for it: 50 µs against 4 ms, and this is asked during every load.

use std::collections::BTreeSet;
use std::io;
use std::sync::OnceLock;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};
use serde::{Deserialize, Serialize};

const FAMILIES: [u8; 2] = [AddressFamily::INET.as_raw() as u8, AddressFamily::INET6.as_raw() as u8];
const TCP: u8 = 6;
/// The state `LISTEN`, as a bit.
const LISTEN: u32 = 1 << 10;
/// Netlink's fixed words: ask by family; this is a request, and for all that match.
const BY_FAMILY: u16 = 20;
const REQUEST_DUMP: u16 = 0x301;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// Bytes of a message's header, and of the whole request.
const HEADER: usize = 16;
const QUESTION: usize = HEADER + 56;
/// Where a socket's number stands in an answer.
const INODE: usize = HEADER + 68;
/// Answers read at most: each holds dozens of sockets.
const MAX_ANSWERS: usize = 16;

/// The runtime as one process (or several that share a port), told apart from the one before it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Incarnation {
    boot: String,
    sockets: BTreeSet<u32>,
}

impl Incarnation {
    /// Who listens on this port; none when nobody does, or the kernel does not say.
    pub fn listening_on(port: u16) -> Option<Self> {
        let sockets =
            listeners(port).inspect_err(|error| tracing::debug!(%error, "the kernel shows no sockets")).ok()?;
        if sockets.is_empty() {
            return None;
        }
        Some(Self { boot: boot().to_owned(), sockets })
    }

    /// Whether the same process still listens. Of several that share a port, one that was there is enough.
    pub fn is(&self, other: &Self) -> bool {
        self.boot == other.boot && !self.sockets.is_disjoint(&other.sockets)
    }
}

/// The machine's boot: with it, the numbers of sockets start anew.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        id.trim_end().to_owned()
    })
}

fn listeners(port: u16) -> io::Result<BTreeSet<u32>> {
    let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
    let mut found = BTreeSet::new();
    for family in FAMILIES {
        sendto(&socket, &question(family, port), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        for _ in 0..MAX_ANSWERS {
            let mut answer = [0; 8 << 10];
            // The kernel has answered before the question returned: there is nothing to wait for.
            let (length, _) = recv(&socket, &mut answer, RecvFlags::DONTWAIT)?;
            if !read(&answer[..length], &mut found)? {
                break;
            }
        }
    }
    Ok(found)
}

/// "All sockets of this family that listen on this port", as `sock_diag(7)` has it.
fn question(family: u8, port: u16) -> [u8; QUESTION] {
    let mut bytes = [0; QUESTION];
    let mut at = 0;
    let mut put = |value: &[u8]| {
        bytes[at..at + value.len()].copy_from_slice(value);
        at += value.len();
    };
    put(&(QUESTION as u32).to_ne_bytes());
    put(&BY_FAMILY.to_ne_bytes());
    put(&REQUEST_DUMP.to_ne_bytes());
    put(&[0; 8]);
    put(&[family, TCP, 0, 0]);
    put(&LISTEN.to_ne_bytes());
    put(&port.to_be_bytes());
    // Any peer, any address, any interface, and no cookie.
    put(&[0; 2 + 32 + 4]);
    put(&[0xff; 8]);
    bytes
}

/// Takes the numbers from one answer. Says whether more may follow.
fn read(mut answer: &[u8], found: &mut BTreeSet<u32>) -> io::Result<bool> {
    while answer.len() >= HEADER {
        let length = u32_at(answer, 0).ok_or(io::ErrorKind::InvalidData)? as usize;
        let kind = u16::from_ne_bytes([answer[4], answer[5]]);
        let message = answer.get(..length.max(HEADER)).ok_or(io::ErrorKind::InvalidData)?;
        match kind {
            DONE => return Ok(false),
            ERROR => return Err(io::Error::other("the kernel does not answer for sockets")),
            _ => found.extend(u32_at(message, INODE)),
        }
        answer = answer.get(message.len().next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn another_socket_on_the_same_port_is_another_incarnation() {
        for address in ["127.0.0.1", "::1"] {
            let listener = TcpListener::bind((address, 0)).unwrap();
            let port = listener.local_addr().unwrap().port();
            let first = Incarnation::listening_on(port).unwrap();
            assert!(first.is(&Incarnation::listening_on(port).unwrap()));
            drop(listener);
            assert_eq!(Incarnation::listening_on(port), None);
            let _listener = TcpListener::bind((address, port)).unwrap();
            assert!(!first.is(&Incarnation::listening_on(port).unwrap()));
        }
    }

    #[test]
    fn connections_are_not_taken_for_listeners() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let _connections: Vec<_> = (0..20)
            .map(|_| (std::net::TcpStream::connect(("127.0.0.1", port)).unwrap(), listener.accept().unwrap()))
            .collect();
        assert_eq!(Incarnation::listening_on(port).unwrap().sockets.len(), 1);
    }

    #[test]
    fn answers_that_make_no_sense_are_errors_or_nothing() {
        let mut found = BTreeSet::new();
        let mut long = [0; 40];
        long[..4].copy_from_slice(&1000u32.to_ne_bytes());
        assert!(read(&long, &mut found).is_err());
        assert!(read(&[0; 40], &mut found).is_ok() && read(&[1; 7], &mut found).is_ok());
        assert!(found.is_empty());
    }
}
