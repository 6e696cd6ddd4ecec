//! Tells that files of a project were saved: once, when an editor has done with them.

use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

/// Editors write a file in several steps: a save is over when nothing has happened for so long...
const QUIET: Duration = Duration::from_millis(25);
/// ... or when it has taken so long.
const LONGEST: Duration = Duration::from_millis(250);

/// Watches folders.
pub(crate) struct Saves {
    watcher: RecommendedWatcher,
    watched: HashSet<PathBuf>,
    changes: watch::Receiver<()>,
}

impl Saves {
    pub(crate) fn new() -> notify::Result<Self> {
        let (sender, changes) = watch::channel(());
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if is_change(&event) {
                sender.send_replace(());
            }
        })?;
        Ok(Self { watcher, watched: HashSet::new(), changes })
    }

    /// Watches exactly these folders, each by itself.
    pub(crate) fn follow(&mut self, folders: Vec<PathBuf>) -> notify::Result<()> {
        let folders: HashSet<PathBuf> = folders.into_iter().collect();
        for gone in self.watched.difference(&folders) {
            // A folder that is gone took its watch along.
            self.watcher.unwatch(gone).ok();
        }
        for new in folders.difference(&self.watched) {
            match self.watcher.watch(new, RecursiveMode::NonRecursive) {
                Err(error) if new.exists() => return Err(error),
                // It went in this moment: its parent tells.
                _ => {}
            }
        }
        self.watched = folders;
        Ok(())
    }

    /// Waits for a save.
    pub(crate) async fn next(&mut self) {
        if self.changes.changed().await.is_err() {
            // The watcher lives as long as this.
            return std::future::pending().await;
        }
        let longest = Instant::now() + LONGEST;
        loop {
            let quiet = (Instant::now() + QUIET).min(longest);
            match timeout_at(quiet, self.changes.changed()).await {
                Ok(Ok(())) if Instant::now() < longest => {}
                _ => return,
            }
        }
    }
}

/// That a file was read, by us for one, changes nothing. After an error something may have been missed.
fn is_change(event: &notify::Result<notify::Event>) -> bool {
    !matches!(event, Ok(event) if matches!(event.kind, EventKind::Access(_)))
}

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, CreateKind};

    use super::*;

    #[test]
    fn reading_is_no_change() {
        assert!(!is_change(&Ok(notify::Event::new(EventKind::Access(AccessKind::Read)))));
        assert!(is_change(&Ok(notify::Event::new(EventKind::Create(CreateKind::File)))));
        assert!(is_change(&Err(notify::Error::generic("the queue ran over"))));
    }

    #[tokio::test]
    async fn a_save_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("main.py");
        std::fs::write(&file, "x = 1").unwrap();
        let mut saves = Saves::new().unwrap();
        saves.follow(vec![folder.path().to_owned(), "/nowhere/at/all".into()]).unwrap();
        // As editors do it: another file, under a new name.
        std::fs::write(folder.path().join("main.py.new"), "x = 2").unwrap();
        std::fs::rename(folder.path().join("main.py.new"), &file).unwrap();
        tokio::time::timeout(Duration::from_secs(120), saves.next()).await.unwrap();
    }
}
