//! Which process the runtime is now. A runtime that ended and came back has lost its code, and may have come back before
//! anybody asked; its listening socket tells: the kernel gives every socket a number of its own, and the agent sees the
//! sockets of its network namespace.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};

use serde::{Deserialize, Serialize};

/// State `LISTEN` in the kernel's table.
const LISTEN: &str = "0A";
/// Lines read of a table: listening sockets come first.
const MAX_LINES: usize = 4096;

/// The runtime as one process (or several that share a port), told apart from the one before it.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct Incarnation {
    boot: String,
    sockets: BTreeSet<u64>,
}

impl Incarnation {
    /// Who listens on this port; none when nobody does, or the kernel's table cannot be read.
    pub fn listening_on(port: u16) -> Option<Self> {
        let mut sockets = BTreeSet::new();
        for table in ["/proc/self/net/tcp", "/proc/self/net/tcp6"] {
            let Ok(file) = std::fs::File::open(table) else { continue };
            let lines = BufReader::new(file).lines().skip(1).take(MAX_LINES).map_while(Result::ok);
            for (state, local, inode) in lines.filter_map(|line| parse(&line)) {
                if state != LISTEN {
                    // From here on come connections, of which there may be many.
                    break;
                }
                if local == port {
                    sockets.insert(inode);
                }
            }
        }
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        (!sockets.is_empty()).then_some(Self { boot, sockets })
    }

    /// Whether the same process still listens. Of several that share a port, one that was there is enough.
    pub fn is(&self, other: &Self) -> bool {
        self.boot == other.boot && !self.sockets.is_disjoint(&other.sockets)
    }
}

/// State, local port and inode of one line of the table.
fn parse(line: &str) -> Option<(String, u16, u64)> {
    let mut fields = line.split_ascii_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?.to_owned();
    let inode = fields.nth(5)?.parse().ok()?;
    let port = u16::from_str_radix(local.rsplit(':').next()?, 16).ok()?;
    Some((state, port, inode))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn another_socket_on_the_same_port_is_another_incarnation() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let first = Incarnation::listening_on(port).unwrap();
        assert!(first.is(&Incarnation::listening_on(port).unwrap()));
        drop(listener);
        assert_eq!(Incarnation::listening_on(port), None);
        let _listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        assert!(!first.is(&Incarnation::listening_on(port).unwrap()));
    }

    #[test]
    fn a_line_of_the_table_is_read() {
        let line =
            "   0: 0100007F:22B8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4321 1 0 100 0";
        assert_eq!(parse(line), Some(("0A".into(), 8888, 4321)));
        assert_eq!(parse("nonsense"), None);
    }
}
