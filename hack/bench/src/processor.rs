//! CPU time of processes, as the kernel accounts it.

use std::fs;

/// CPU time that a process has used, in nanoseconds: the sum over its threads.
///
/// `/proc/PID/task/*/schedstat` counts nanoseconds, where `/proc/PID/stat` counts ticks of 10 ms.
pub(crate) fn used_ns(pid: u32) -> u64 {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next().and_then(|ns| ns.parse::<u64>().ok()))
        .sum()
}

/// Processes whose command line is exactly these arguments (the program's directory aside).
pub(crate) fn find(program: &str, first_argument: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()))
        .filter(|pid| {
            let text = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let mut arguments = text.split(|byte| *byte == 0).map(String::from_utf8_lossy);
            let named = arguments.next().is_some_and(|path| path.rsplit('/').next() == Some(program));
            named && arguments.next().as_deref() == Some(first_argument)
        })
        .collect()
}

/// CPU time that several processes have used together, in nanoseconds.
pub(crate) fn used_by_all_ns(pids: &[u32]) -> u64 {
    pids.iter().map(|pid| used_ns(*pid)).sum()
}
