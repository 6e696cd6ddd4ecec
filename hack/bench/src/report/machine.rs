//! The machine that figures are of.

use serde::{Deserialize, Serialize};

/// What a reader must know of the machine.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
pub(crate) struct Machine {
    /// Processors.
    pub(crate) cores: usize,
    /// The processor's name.
    pub(crate) processor: String,
    /// Memory in GiB.
    pub(crate) memory_gib: f64,
    /// Kernel release.
    pub(crate) kernel: String,
}

impl Machine {
    /// Reads it from /proc.
    pub(crate) fn read() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            text.lines()
                .find(|line| line.starts_with(name))
                .and_then(|line| line.split(':').nth(1))
                .unwrap_or("?")
                .trim()
                .to_owned()
        };
        let kib: f64 = field(&read("/proc/meminfo"), "MemTotal")
            .split_whitespace()
            .next()
            .and_then(|kib| kib.parse().ok())
            .unwrap_or(0.0);
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: field(&read("/proc/cpuinfo"), "model name"),
            memory_gib: (kib / 1024.0 / 1024.0 * 10.0).round() / 10.0,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        }
    }
}

impl std::fmt::Display for Machine {
    fn fmt(&self, text: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(text, "{} cores of {}, {} GiB, Linux {}", self.cores, self.processor, self.memory_gib, self.kernel)
    }
}
