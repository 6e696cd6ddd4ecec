//! One process that is measured: started by us, ended with us, weighed by the kernel.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::error::ScaleError;

/// A process is quiet when it used less than this share of a core for [`QUIET_FOR`].
const QUIET_SHARE: f64 = 0.03;
const QUIET_FOR: Duration = Duration::from_secs(2);
/// The unit of the kernel's accounting in /proc.
const TICKS_PER_SECOND: f64 = 100.0;

/// A running process of ours; killed when dropped.
pub(super) struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    /// Starts it; what it says goes to `<name>.log` in `dir`.
    pub(super) fn start(name: &'static str, command: &mut Command, dir: &Path) -> Result<Self, ScaleError> {
        let log = File::options().create(true).append(true).open(dir.join(format!("{name}.log")))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .map_err(|source| ScaleError::Start { name, source })?;
        Ok(Self { name, child })
    }

    /// Its id.
    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Whether it still runs.
    pub(super) fn check(&mut self) -> Result<(), ScaleError> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(ScaleError::Ended { name: self.name, status }),
        }
    }

    /// Memory that it holds now, and the most that it held since [`Self::forget_peak`], in MB.
    pub(super) fn memory(&self) -> Result<Memory, ScaleError> {
        let status = self.read("status")?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.map(|kib| kib * 1024.0 / 1e6).ok_or(ScaleError::Proc { name: self.name, what: "its memory" })
        };
        Ok(Memory { resident: field("VmRSS")?, peak: field("VmHWM")? })
    }

    /// Has the kernel begin anew with the peak.
    pub(super) fn forget_peak(&self) -> Result<(), ScaleError> {
        Ok(std::fs::write(format!("/proc/{}/clear_refs", self.pid()), "5")?)
    }

    /// Seconds of processor time it has used.
    pub(super) fn processor(&self) -> Result<f64, ScaleError> {
        let stat = self.read("stat")?;
        // The name in parentheses may hold anything; 14 and 15 are counted from the line's beginning.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let ticks: Option<f64> = after.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().ok()).sum();
        ticks.map(|ticks| ticks / TICKS_PER_SECOND).ok_or(ScaleError::Proc { name: self.name, what: "its time" })
    }

    /// Waits until it has nothing more to do.
    pub(super) async fn quiet(&mut self, within: Duration) -> Result<(), ScaleError> {
        let deadline = Instant::now() + within;
        let mut before = self.processor()?;
        loop {
            tokio::time::sleep(QUIET_FOR).await;
            self.check()?;
            let now = self.processor()?;
            if now - before < QUIET_SHARE * QUIET_FOR.as_secs_f64() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(ScaleError::Waited { what: format!("the {} to be quiet", self.name), within });
            }
            before = now;
        }
    }

    fn read(&self, what: &str) -> Result<String, ScaleError> {
        Ok(std::fs::read_to_string(format!("/proc/{}/{what}", self.pid()))?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Megabytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    /// Now.
    pub(super) resident: f64,
    /// At most.
    pub(super) peak: f64,
}
