//! All connections of clients: bounded together, and, when there are too many, ended fairly.
//!
//! A newcomer to a full house is let in by ending a connection that has no request in it: of a few picked by chance one
//! that never had a request, otherwise the one that has been quiet for longest. So whoever opens thousands and says
//! nothing, or says it slowly, loses connections of its own, and a client with a request to make gets in.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use futures::task::AtomicWaker;
use tokio::sync::Notify;

use crate::random;

/// Connections of which the one to end is picked.
const PICKED: usize = 32;
/// Stands for no place.
const NOWHERE: usize = usize::MAX;

/// Where the client of a connection is.
#[derive(Debug)]
pub(crate) struct Phase {
    /// Heads that came whole, ever.
    heads: AtomicU32,
    /// Requests that are over, ever.
    ended: AtomicU32,
    /// What comes belongs to a body or to a tunnel.
    open: AtomicBool,
    /// The last request's body has not been read to its end.
    unread: AtomicBool,
    born: Instant,
    /// When it last became quiet, in milliseconds of its life.
    quiet: AtomicU64,
    evicted: AtomicBool,
    task: AtomicWaker,
    place: AtomicUsize,
}

impl Phase {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            heads: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            open: AtomicBool::new(false),
            unread: AtomicBool::new(false),
            born: Instant::now(),
            quiet: AtomicU64::new(0),
            evicted: AtomicBool::new(false),
            task: AtomicWaker::new(),
            place: AtomicUsize::new(NOWHERE),
        })
    }

    /// A head has come whole: a request begins.
    pub(crate) fn head(&self) {
        self.heads.fetch_add(1, Ordering::Relaxed);
        self.open.store(false, Ordering::Relaxed);
    }

    /// What follows the head is its body, or a tunnel.
    pub(crate) fn body(&self) {
        self.open.store(true, Ordering::Relaxed);
    }

    /// The body is over.
    pub(crate) fn body_over(&self) {
        self.open.store(false, Ordering::Relaxed);
    }

    /// The request has a body.
    pub(crate) fn unread(&self) {
        self.unread.store(true, Ordering::Relaxed);
    }

    /// All of the request's body was read.
    pub(crate) fn read(&self) {
        self.unread.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is_unread(&self) -> bool {
        self.unread.load(Ordering::Relaxed)
    }

    /// A request is over, at this time.
    pub(crate) fn ended(&self, now: Instant) {
        let life = now.saturating_duration_since(self.born).as_millis();
        self.quiet.store(u64::try_from(life).unwrap_or(u64::MAX), Ordering::Relaxed);
        self.ended.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn heads(&self) -> u32 {
        self.heads.load(Ordering::Relaxed)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }

    /// Who drives the connection, to be woken when it has to end.
    pub(crate) fn driven_by(&self, task: &std::task::Waker) {
        self.task.register(task);
    }

    pub(crate) fn is_evicted(&self) -> bool {
        self.evicted.load(Ordering::Acquire)
    }

    /// How fit it is to be ended, the greater the fitter; none while a request is in it.
    fn fitness(&self, now: Instant) -> Option<(bool, u64)> {
        let heads = self.heads();
        if heads != self.ended.load(Ordering::Relaxed) {
            return None;
        }
        let life = u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX);
        Some((heads == 0, life.saturating_sub(self.quiet.load(Ordering::Relaxed))))
    }
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Crowd {
    members: Mutex<Vec<Arc<Phase>>>,
    most: usize,
    left: Notify,
}

/// A connection's place. Dropped, it is free.
#[derive(Debug)]
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    phase: Arc<Phase>,
}

impl Crowd {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { members: Mutex::default(), most: most.max(1), left: Notify::new() })
    }

    fn members(&self) -> MutexGuard<'_, Vec<Arc<Phase>>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a newcomer in, at another's cost where there is no room: then the second is true. Waits while all are busy.
    pub(crate) async fn enter(self: &Arc<Self>) -> (Place, bool) {
        loop {
            let left = self.left.notified();
            tokio::pin!(left);
            left.as_mut().enable();
            if let Some(entered) = self.try_enter() {
                return entered;
            }
            left.await;
        }
    }

    fn try_enter(self: &Arc<Self>) -> Option<(Place, bool)> {
        let mut members = self.members();
        let full = members.len() >= self.most;
        if full {
            let now = Instant::now();
            let picked = (0..PICKED).map(|_| (random::number() % members.len() as u64) as usize);
            let fit = picked.filter_map(|at| Some((members.get(at)?.fitness(now)?, at)));
            let (_, at) = fit.max()?;
            let phase = leave(&mut members, at)?;
            phase.evicted.store(true, Ordering::Release);
            phase.task.wake();
        }
        let phase = Phase::new();
        phase.place.store(members.len(), Ordering::Relaxed);
        members.push(Arc::clone(&phase));
        Some((Place { crowd: Arc::clone(self), phase }, full))
    }
}

/// Takes a member out; the last one gets its place.
fn leave(members: &mut Vec<Arc<Phase>>, at: usize) -> Option<Arc<Phase>> {
    if at >= members.len() {
        return None;
    }
    let phase = members.swap_remove(at);
    phase.place.store(NOWHERE, Ordering::Relaxed);
    if let Some(moved) = members.get(at) {
        moved.place.store(at, Ordering::Relaxed);
    }
    Some(phase)
}

impl Place {
    pub(crate) fn phase(&self) -> &Arc<Phase> {
        &self.phase
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut members = self.crowd.members();
        leave(&mut members, self.phase.place.load(Ordering::Relaxed));
        drop(members);
        // A request that ended makes no room by itself, but its connection's end does.
        self.crowd.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_asked_goes_first_and_who_is_busy_stays() {
        let crowd = Crowd::new(3);
        let enter = || crowd.try_enter().unwrap();
        let (busy, silent, served) = (enter().0, enter().0, enter().0);
        busy.phase().head();
        served.phase().head();
        served.phase().ended(Instant::now());
        // The picks are by chance; among 32 of 3 all are met but for a chance of one in 10^5.
        let (newcomer, made_room) = enter();
        assert!(made_room && silent.phase().is_evicted());
        newcomer.phase().head();
        let (last, _) = enter();
        assert!(served.phase().is_evicted() && !busy.phase().is_evicted());
        last.phase().head();
        assert!(crowd.try_enter().is_none(), "all have a request in them");
        drop(busy);
        let (after, made_room) = enter();
        assert!(!made_room && !after.phase().is_evicted());
        let members: Vec<_> = crowd.members().clone();
        assert_eq!(members.len(), 3);
        for (at, member) in members.iter().enumerate() {
            assert_eq!(member.place.load(Ordering::Relaxed), at);
        }
    }
}
