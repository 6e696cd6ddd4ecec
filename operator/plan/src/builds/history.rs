//! Which Jobs of a Package may go.

use super::seen::{Phase, SeenJob};

/// How many ended Jobs of a Package stay, with their logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History {
    /// Of those that came to a result.
    pub complete: usize,
    /// Of those that failed.
    pub failed: usize,
}

/// The Jobs of one Package that are to be deleted, `current` being the one that its spec asks for: what runs for an older
/// source, and what ended longest ago. The current one stays: that it failed is what keeps it from being made again.
pub fn superfluous<'a>(jobs: &'a [SeenJob], current: Option<&str>, history: History) -> Vec<&'a SeenJob> {
    let mut others: Vec<&SeenJob> =
        jobs.iter().filter(|job| Some(job.name.as_str()) != current && !job.terminating).collect();
    // The newest first; names part those of one second.
    others.sort_by(|a, b| b.created.cmp(&a.created).then_with(|| a.name.cmp(&b.name)));
    let mut room = history;
    let keeps = |left: &mut usize| {
        let keeps = *left > 0;
        *left = left.saturating_sub(1);
        keeps
    };
    if let Some(current) = jobs.iter().find(|job| Some(job.name.as_str()) == current) {
        match current.phase {
            Phase::Complete => drop(keeps(&mut room.complete)),
            Phase::Failed { .. } => drop(keeps(&mut room.failed)),
            Phase::Running => {}
        }
    }
    others.retain(|job| match job.phase {
        Phase::Running => true,
        Phase::Complete => !keeps(&mut room.complete),
        Phase::Failed { .. } => !keeps(&mut room.failed),
    });
    others
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(name: &str, created: i64, phase: Phase) -> SeenJob {
        SeenJob { name: name.to_owned(), created, phase, ..SeenJob::default() }
    }

    fn failed() -> Phase {
        Phase::Failed { reason: String::new(), message: String::new() }
    }

    #[test]
    fn what_runs_for_an_older_source_goes_and_so_does_what_ended_longest_ago() {
        let jobs = [
            job("old-running", 5, Phase::Running),
            job("oldest", 1, Phase::Complete),
            job("older", 2, Phase::Complete),
            job("newer", 3, Phase::Complete),
            job("bad-old", 1, failed()),
            job("bad-new", 4, failed()),
            job("current", 6, Phase::Running),
        ];
        let names = |current, complete, failed| {
            let mut names: Vec<&str> =
                superfluous(&jobs, current, History { complete, failed }).iter().map(|job| job.name.as_str()).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(names(Some("current"), 2, 1), ["bad-old", "old-running", "oldest"]);
        // The current one counts, and stays though others are newer.
        assert_eq!(names(Some("oldest"), 2, 1), ["bad-old", "current", "old-running", "older"]);
        assert_eq!(names(Some("bad-old"), 9, 1), ["bad-new", "current", "old-running"]);
        assert_eq!(names(None, 9, 9), ["current", "old-running"]);
    }

    #[test]
    fn what_is_going_already_is_left_alone() {
        let going = [SeenJob { terminating: true, ..job("a", 1, Phase::Running) }];
        assert!(superfluous(&going, None, History { complete: 0, failed: 0 }).is_empty());
    }
}
