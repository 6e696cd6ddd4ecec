//! Every order in which things can happen to one pod: two proxies (each the home of one function), the API server, the
//! pod's agent and the operator, with requests that arrive late or never, or whose answers are lost, proxies that crash at any
//! step and come back without memory (or never), watches that lag, and time that passes between any two of them. One
//! pod is enough: a ledger treats each by itself.
//!
//! The transitions of the proxies are the production code of [`super::Ledger`]; the rest is modelled. All states are
//! visited, breadth first, so what is found wrong is told with a shortest way to it.

mod explore;

use explore::explore;

use super::*;

/// Time stands still from here on, but for one leap to [`END`], when all leases are over and nothing new begins.
const LAST: u64 = 2;
const END: u64 = 9;
const TERMS: Terms = Terms { lease: 1, least: 1, grace: 0 };
const UID: &str = "pod";
const NAMES: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Labels {
    Free,
    Reserved(Reserved),
    /// By a function, named by its home.
    Claimed(usize),
    Retiring,
    Deleted,
}

/// A request to the API server or the agent, from a proxy that may have crashed since.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Flight {
    from: usize,
    what: What,
    /// What its sender will hear; none: it has not arrived.
    won: Option<bool>,
    /// Its sender crashed or waited no longer: nobody hears the answer.
    deaf: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum What {
    Step(Step),
    /// The claim of a pod that was taken.
    Claim(Reserved),
    /// A free pod is claimed without a reservation.
    Direct,
    /// An order to load.
    Load,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Home {
    ledger: Ledger,
    /// The labels as its watch has told them.
    view: Labels,
    /// It was taken out of this reservation, and its claim is not settled.
    taken: Option<Reserved>,
    /// It counts the pod as its function's: an order to load may be sent (again) while it does.
    ours: bool,
    /// Its function's requests are sent to the pod.
    sends: bool,
    gone: bool,
}

impl Home {
    fn new(at: usize, view: Labels) -> Self {
        let ours = view == Labels::Claimed(at);
        Home { ledger: Ledger::new(NAMES[at], TERMS), view, taken: None, ours, sends: false, gone: false }
    }

    fn loses(&mut self) {
        (self.taken, self.ours, self.sends) = (None, false, false);
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct World {
    now: u64,
    labels: Labels,
    /// Whose code is inside.
    inside: Option<usize>,
    /// An order for another function's code came when there was some inside, and the pod was to stay.
    twice: bool,
    homes: [Home; 2],
    flights: Vec<Flight>,
    faults: Faults,
}

/// What may (still) happen. The proxies are alike, so it is `a` that everything goes wrong for, and `b` that claims pods
/// which are free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Faults {
    direct: bool,
    crashes: u8,
    /// Answers that nobody hears.
    losses: u8,
}

/// What happened, to the proxy or the request of this number.
#[derive(Clone, Copy, Debug)]
struct Event {
    what: &'static str,
    number: usize,
}

const NEW_TAKES: &str = "takes it";
const NEW_CLAIMS: &str = "claims it free";
const FAULT_CRASHES: &str = "crashes";
const FAULT_GOES: &str = "crashes for good";
const FAULT_UNHEARD: &str = "is not answered";

impl Event {
    /// No fault, and no new request: what goes on by itself.
    fn is_fair(self) -> bool {
        ![NEW_TAKES, NEW_CLAIMS, FAULT_CRASHES, FAULT_GOES, FAULT_UNHEARD].contains(&self.what)
    }

    fn tell(self, world: &World) -> String {
        match self.what {
            "arrives" | "never arrives" | "is answered" | FAULT_UNHEARD => {
                let Flight { from, what, won, .. } = &world.flights[self.number];
                format!("{what:?} of {} {} ({won:?})", NAMES[*from], self.what)
            }
            what => format!("{} {what}", NAMES[self.number]),
        }
    }
}

/// Deliberate mistakes, which must be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mistake {
    None,
    /// What nobody remembers is made free, not retired.
    FreesOrphans,
    /// A pod that is being given back is taken all the same.
    TakesWhatLeaves,
    /// A pod that was taken is given back when its time is over.
    FreesTaken,
    /// A claim of a free pod does not test that it is free.
    ClaimsUntested,
    /// Nobody looks after pods of proxies that are gone.
    NoHeirs,
}

struct Model(Mistake);

impl Model {
    /// Every state that may come next, and what happened.
    fn next(&self, world: &World) -> Vec<(Event, World)> {
        let mut all = Vec::new();
        let mut add = |what: &'static str, number: usize, mut next: World| {
            next.flights.sort();
            next.flights.dedup();
            if next != *world {
                all.push((Event { what, number }, next));
            }
        };
        let mut later = world.clone();
        later.now = if world.now < LAST { world.now + 1 } else { END };
        add("time passes", 0, later);
        for at in (0..2).filter(|at| !world.homes[*at].gone) {
            self.at_home(world, at, &mut add);
        }
        for (number, flight) in world.flights.iter().enumerate() {
            let mut next = world.clone();
            match flight.won {
                None => {
                    self.arrive(&mut next, number);
                    add("arrives", number, next);
                    if flight.deaf {
                        let mut next = world.clone();
                        next.flights.remove(number);
                        add("never arrives", number, next);
                    }
                }
                Some(won) => {
                    next.flights.remove(number);
                    answered(&mut next, flight, Some(won));
                    add("is answered", number, next);
                }
            }
            if world.faults.losses > 0 && !flight.deaf && flight.from == 0 {
                let mut next = world.clone();
                next.faults.losses -= 1;
                match flight.won {
                    Some(_) => drop(next.flights.remove(number)),
                    None => next.flights[number].deaf = true,
                }
                answered(&mut next, flight, None);
                add(FAULT_UNHEARD, number, next);
            }
        }
        // The operator: what retires goes, and what has been claimed and can serve nobody.
        let broken = matches!((&world.labels, world.inside), (Labels::Claimed(of), Some(inside)) if *of != inside);
        if world.labels == Labels::Retiring || broken {
            let mut next = world.clone();
            next.labels = Labels::Deleted;
            add("the operator deletes", 0, next);
        }
        all
    }

    fn at_home(&self, world: &World, at: usize, add: &mut impl FnMut(&'static str, usize, World)) {
        let home = &world.homes[at];
        let mut next = world.clone();
        next.watch(at);
        add("sees", at, next);

        let mut next = world.clone();
        self.keep(&mut next, at);
        add("looks after its reservations", at, next);

        if let Some(next) = self.taken(world, at) {
            add(NEW_TAKES, at, next);
        }
        // A proxy does not claim and reserve one pod at once.
        let idle = !home.ours && home.ledger.holds.is_empty() && !world.has(at, |what| *what == What::Direct);
        if at == 1 && world.faults.direct && home.view == Labels::Free && idle && world.now < END {
            let mut next = world.clone();
            next.send(at, What::Direct);
            add(NEW_CLAIMS, at, next);
        }
        if let Some(reserved) = &home.taken
            && !world.has(at, |what| matches!(what, What::Claim(_)))
        {
            let mut next = world.clone();
            next.send(at, What::Claim(reserved.clone()));
            add("claims what it took", at, next);
        }
        if home.ours && !home.sends && !world.has(at, |what| *what == What::Load) {
            let mut next = world.clone();
            next.send(at, What::Load);
            add("orders a load", at, next);
        }
        if at == 0 && world.faults.crashes > 0 {
            add(FAULT_CRASHES, at, world.crashed(at, false));
            add(FAULT_GOES, at, world.crashed(at, true));
        }
    }

    fn keep(&self, world: &mut World, at: usize) {
        let claiming = world.has(at, |what| *what == What::Direct);
        let Home { ledger, view, .. } = &mut world.homes[at];
        let view = view.clone();
        let reserved = if let Labels::Reserved(reserved) = &view { Some(reserved) } else { None };
        ledger.forget(|_| reserved);
        if reserved.is_none() && view != Labels::Free {
            return;
        }
        let heir = self.0 != Mistake::NoHeirs;
        let seen = Seen { uid: UID, reserved, open: reserved.is_none() && !claiming, old: false, heir };
        // There is always another one, so that this one may be reserved; it is of no interest.
        let other = Seen { uid: "other", reserved: None, open: true, old: true, heir };
        let seats = usize::from(world.now < END);
        let mut steps = ledger.next(&[seen, other], seats, world.now);
        if let (Mistake::FreesTaken, Some(Hold::Used(reserved))) = (self.0, ledger.holds.get(UID))
            && reserved.until < world.now
        {
            steps.push((UID, Step::Return(reserved.clone())));
        }
        for (_, step) in steps {
            let step = match step {
                Step::Retire(reserved) if self.0 == Mistake::FreesOrphans => Step::Return(reserved),
                step => step,
            };
            world.send(at, What::Step(step));
        }
    }

    fn taken(&self, world: &World, at: usize) -> Option<World> {
        let mut next = world.clone();
        let home = &mut next.homes[at];
        let Labels::Reserved(shown) = home.view.clone() else { return None };
        let leaving = self.0 == Mistake::TakesWhatLeaves
            && home.ledger.holds.get(UID) == Some(&Hold::Busy)
            && world.has(at, |what| *what == What::Step(Step::Return(shown.clone())));
        let reserved = home.ledger.take(UID, world.now).or(leaving.then_some(shown))?;
        (home.taken, home.ours) = (Some(reserved), true);
        next.send(at, What::Load);
        Some(next)
    }

    /// A request arrives where it was sent.
    fn arrive(&self, world: &mut World, number: usize) {
        let Flight { from, what, deaf, .. } = world.flights[number].clone();
        let found = world.labels.clone();
        let reserved = |was: &Reserved| found == Labels::Reserved(was.clone());
        let (fits, then) = match &what {
            What::Load => (world.load(from), found.clone()),
            What::Claim(was) => (reserved(was), Labels::Claimed(from)),
            What::Direct => (
                found == Labels::Free
                    || self.0 == Mistake::ClaimsUntested && !matches!(found, Labels::Deleted | Labels::Claimed(_)),
                Labels::Claimed(from),
            ),
            What::Step(Step::Reserve(then)) => (found == Labels::Free, Labels::Reserved(then.clone())),
            What::Step(Step::Return(was)) => (reserved(was), Labels::Free),
            What::Step(Step::Retire(was)) => (reserved(was), Labels::Retiring),
        };
        if fits {
            world.labels = then;
        }
        if deaf {
            world.flights.remove(number);
        } else if what == What::Load {
            // Nothing else that happens depends on when its answer is heard.
            let flight = world.flights.remove(number);
            answered(world, &flight, Some(fits));
        } else {
            world.flights[number].won = Some(fits);
        }
    }
}

/// A proxy hears how its request ended; none: it will never know.
fn answered(world: &mut World, flight: &Flight, won: Option<bool>) {
    if flight.deaf {
        return;
    }
    let (now, at) = (world.labels.clone(), flight.from);
    let home = &mut world.homes[at];
    match &flight.what {
        What::Load => home.sends = home.ours && won == Some(true),
        What::Direct => home.ours |= won == Some(true),
        // What is not known is tried again.
        What::Claim(_) if won.is_none() => return,
        What::Claim(_) => {
            home.taken = None;
            home.ledger.settled(UID);
            if won == Some(false) {
                home.loses();
            }
        }
        What::Step(step) => {
            let outcome = if won == Some(true) { Outcome::Done } else { Outcome::Failed };
            home.ledger.end(UID, step, outcome);
        }
    }
    if won == Some(true) && flight.what != What::Load {
        // The answer is entered ahead of the watch, unless that has told more already.
        home.view = now;
    }
}

impl World {
    fn start(faults: Faults) -> Self {
        let homes = [0, 1].map(|at| Home::new(at, Labels::Free));
        World { now: 0, labels: Labels::Free, inside: None, twice: false, homes, flights: Vec::new(), faults }
    }

    fn send(&mut self, from: usize, what: What) {
        self.flights.push(Flight { from, what, won: None, deaf: false });
    }

    fn has(&self, from: usize, is: impl Fn(&What) -> bool) -> bool {
        self.flights.iter().any(|flight| flight.from == from && !flight.deaf && is(&flight.what))
    }

    fn watch(&mut self, at: usize) {
        let home = &mut self.homes[at];
        home.view = self.labels.clone();
        // What was taken is the function's while it is shown as reserved, or as claimed for it.
        let reserved = matches!(&self.labels, Labels::Reserved(_)) && home.ours;
        home.ours = reserved || self.labels == Labels::Claimed(at);
        home.sends &= home.ours;
    }

    fn crashed(&self, at: usize, gone: bool) -> World {
        let mut next = self.clone();
        next.faults.crashes -= 1;
        // It comes back when it has listed the pods. What it finds claimed it sends to once it has asked for a load.
        next.homes[at] = Home { gone, ..Home::new(at, self.labels.clone()) };
        next.flights.retain_mut(|flight| {
            let keep = flight.from != at || flight.won.is_none();
            flight.deaf |= flight.from == at;
            keep
        });
        next
    }

    /// The agent's rule: it takes one load, for one function.
    fn load(&mut self, function: usize) -> bool {
        if self.labels == Labels::Deleted {
            return false;
        }
        let inside = *self.inside.get_or_insert(function);
        self.twice |= inside != function && self.labels != Labels::Retiring;
        inside == function
    }

    /// What is wrong with this state.
    fn wrong(&self) -> Option<&'static str> {
        let lost = |(at, home): (usize, &Home)| home.sends && self.inside != Some(at);
        let on_its_way = self.flights.iter().any(|flight| flight.what == What::Load && flight.won.is_none());
        match (&self.labels, self.inside) {
            _ if self.twice => Some("a pod is loaded twice"),
            _ if self.homes.iter().enumerate().any(lost) => Some("requests are sent to another function's code"),
            (Labels::Free, Some(_)) => Some("a free pod has code inside"),
            (Labels::Free, None) if on_its_way => Some("a free pod is about to be loaded"),
            (Labels::Claimed(of), Some(inside)) if *of != inside => Some("a function claimed another one's code"),
            _ => None,
        }
    }

    /// All that can happen has happened: the pod is claimed, free or deleted, and nobody remembers anything of it.
    fn is_settled(&self) -> bool {
        matches!(self.labels, Labels::Free | Labels::Claimed(_) | Labels::Deleted)
            && self.homes.iter().all(|home| home.gone || home.ledger.holds.is_empty() && home.taken.is_none())
    }

    /// Somebody is left to do what is to be done.
    fn is_served(&self) -> bool {
        self.homes.iter().any(|home| !home.gone)
    }
}

fn holds(faults: Faults) {
    let explored = explore(Mistake::None, faults);
    if let Some(wrong) = explored.wrong {
        panic!("{wrong}");
    }
    assert!(explored.states > 50_000, "{} states: the model does not move", explored.states);
}

#[test]
fn no_crash_has_a_pod_loaded_twice_or_lost() {
    holds(Faults { direct: true, crashes: 1, losses: 0 });
}

#[test]
fn no_lost_answer_has_a_pod_loaded_twice_or_lost() {
    holds(Faults { direct: false, crashes: 0, losses: 1 });
}

#[test]
fn mistakes_are_found() {
    for (mistake, told) in [
        (Mistake::FreesOrphans, "a free pod is about to be loaded"),
        (Mistake::TakesWhatLeaves, "a free pod is about to be loaded"),
        (Mistake::FreesTaken, "a free pod is about to be loaded"),
        (Mistake::ClaimsUntested, "a function claimed another one's code"),
        (Mistake::NoHeirs, "nothing can end this"),
    ] {
        let direct = mistake == Mistake::ClaimsUntested;
        let wrong = explore(mistake, Faults { direct, crashes: 1, losses: 0 }).wrong.unwrap_or_default();
        assert!(wrong.starts_with(told), "{mistake:?}: {wrong}");
    }
}
