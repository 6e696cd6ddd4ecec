//! CPU time as the kernel accounts it, and a fixed share of the processors: cgroups, of either version.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::Error;

/// The share of a group that nobody weighed, in the terms of either version.
const EVEN: (&str, &str) = ("1024", "100");

/// A group of processes.
#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    /// Its folder where processors are shared out.
    cpu: PathBuf,
    /// Its folder where their time is counted: the same in version 2.
    accounting: PathBuf,
    unified: bool,
}

impl Cgroup {
    /// The group at this path below the root.
    pub(crate) fn at(path: &str) -> Result<Self, Error> {
        let path = path.trim_start_matches('/');
        let mounts = fs::read_to_string("/proc/self/mounts")?;
        let root = |controller: &str| {
            mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>()).find_map(|words| match words[..] {
                [_, place, "cgroup", options, ..] if options.split(',').any(|option| option == controller) => {
                    Some(PathBuf::from(place))
                }
                _ => None,
            })
        };
        if let (Some(cpu), Some(accounting)) = (root("cpu"), root("cpuacct")) {
            return Ok(Self { cpu: cpu.join(path), accounting: accounting.join(path), unified: false });
        }
        let place = mounts
            .lines()
            .filter(|line| line.split(' ').nth(2) == Some("cgroup2"))
            .find_map(|line| line.split(' ').nth(1))
            .ok_or_else(|| Error::Cgroup("no hierarchy of cgroups is mounted".into()))?;
        let folder = PathBuf::from(place).join(path);
        Ok(Self { cpu: folder.clone(), accounting: folder, unified: true })
    }

    /// The group of a pod, found below the cluster's own.
    pub(crate) fn of_pod(cluster: &str, uid: &str) -> Result<Self, Error> {
        let root = Self::at(&format!("{cluster}/kubepods"))?;
        let name = format!("pod{uid}");
        let mut folders = vec![PathBuf::new()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(root.cpu.join(&folder)).into_iter().flatten().flatten() {
                let below = folder.join(entry.file_name());
                if entry.file_name().to_str() == Some(&name) {
                    return Ok(root.below(&below));
                }
                // Quality classes lie one level deep, pods below them; nothing of a pod is searched.
                if entry.path().is_dir() && below.components().count() < 2 {
                    folders.push(below);
                }
            }
        }
        Err(Error::Cgroup(format!("there is none of pod {uid} below {}", root.cpu.display())))
    }

    fn below(&self, path: &Path) -> Self {
        Self { cpu: self.cpu.join(path), accounting: self.accounting.join(path), unified: self.unified }
    }

    /// Makes a group inside this one; it goes with the value.
    pub(crate) fn inside(&self, name: &str) -> Result<Owned, Error> {
        Owned::make(self.below(Path::new(name)))
    }

    /// CPU time used so far by all that is in it.
    pub(crate) fn used(&self) -> Result<Duration, Error> {
        let read = |name: &str| {
            let path = self.accounting.join(name);
            fs::read_to_string(&path).map_err(|error| Error::Cgroup(format!("{}: {error}", path.display())))
        };
        let text = if self.unified { read("cpu.stat")? } else { read("cpuacct.usage")? };
        let number = |text: &str| text.trim().parse::<u64>().ok();
        let used = if self.unified {
            let line = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
            line.and_then(number).map(Duration::from_micros)
        } else {
            number(&text).map(Duration::from_nanos)
        };
        used.ok_or_else(|| Error::Cgroup(format!("{} says no CPU time", self.accounting.display())))
    }

    /// The processes in it and below.
    pub(crate) fn members(&self) -> Vec<u32> {
        let mut found = Vec::new();
        let mut folders = vec![self.cpu.clone()];
        while let Some(folder) = folders.pop() {
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            found.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
            let entries = fs::read_dir(&folder).into_iter().flatten().flatten();
            folders.extend(entries.map(|entry| entry.path()).filter(|path| path.is_dir()));
        }
        found
    }

    /// Resident memory of its processes, in bytes.
    pub(crate) fn resident(&self) -> f64 {
        let resident = |pid: u32| {
            let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
            line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0)
        };
        self.members().into_iter().map(resident).sum::<f64>() * 1024.0
    }

    fn folders(&self) -> Vec<&Path> {
        let mut folders = vec![self.cpu.as_path()];
        if self.accounting != self.cpu {
            folders.push(&self.accounting);
        }
        folders
    }

    /// Moves a process into it, with all its threads.
    pub(crate) fn take(&self, pid: u32) -> Result<(), Error> {
        for folder in self.folders() {
            fs::write(folder.join("cgroup.procs"), pid.to_string())
                .map_err(|error| Error::Cgroup(format!("{}: {error}", folder.display())))?;
        }
        Ok(())
    }
}

/// A group that was made here and is removed with this value.
#[derive(Debug)]
pub(crate) struct Owned(Cgroup);

impl std::ops::Deref for Owned {
    type Target = Cgroup;

    fn deref(&self) -> &Cgroup {
        &self.0
    }
}

impl Owned {
    fn make(group: Cgroup) -> Result<Self, Error> {
        let told = |path: &Path, error: std::io::Error| Error::Cgroup(format!("{}: {error}", path.display()));
        if let (true, Some(parent)) = (group.unified, group.cpu.parent()) {
            let path = parent.join("cgroup.subtree_control");
            fs::write(&path, "+cpu").map_err(|error| told(&path, error))?;
        }
        for folder in group.folders() {
            fs::create_dir_all(folder).map_err(|error| told(folder, error))?;
        }
        let (file, weight) = if group.unified { ("cpu.weight", EVEN.1) } else { ("cpu.shares", EVEN.0) };
        let path = group.cpu.join(file);
        fs::write(&path, weight).map_err(|error| told(&path, error))?;
        Ok(Self(group))
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        // What is still inside goes to where it came from, or the group could not go; one that stays harms nobody.
        for pid in self.0.members() {
            if let Ok(root) = Cgroup::at("") {
                let _ = root.take(pid);
            }
        }
        for folder in self.0.folders() {
            let _ = fs::remove_dir(folder);
        }
    }
}

/// CPU time of some groups from a moment on.
pub(crate) struct Meter<'a> {
    groups: &'a [Cgroup],
    begun: Instant,
    before: Duration,
}

impl<'a> Meter<'a> {
    /// Begins now.
    pub(crate) fn start(groups: &'a [Cgroup]) -> Result<Self, Error> {
        Ok(Self { groups, begun: Instant::now(), before: used(groups)? })
    }

    /// CPU time used since.
    pub(crate) fn used(&self) -> Result<Duration, Error> {
        Ok(used(self.groups)?.saturating_sub(self.before))
    }

    /// Processors used since: 1 is one of them all the time.
    pub(crate) fn processors(&self) -> Result<f64, Error> {
        Ok(self.used()?.as_secs_f64() / self.begun.elapsed().as_secs_f64())
    }
}

fn used(groups: &[Cgroup]) -> Result<Duration, Error> {
    groups.iter().map(Cgroup::used).sum()
}
