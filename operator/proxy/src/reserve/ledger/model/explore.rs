//! All states of the model, breadth first: whether one is wrong, and whether each can still end well.

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use super::{Event, Faults, Mistake, Model, World};

/// How the exploration ended.
#[derive(Debug)]
pub(super) struct Explored {
    pub(super) states: usize,
    pub(super) wrong: Option<String>,
}

pub(super) fn explore(mistake: Mistake, faults: Faults) -> Explored {
    let model = Model(mistake);
    let start = Rc::new(World::start(faults));
    let mut numbers: HashMap<Rc<World>, usize> = HashMap::from([(Rc::clone(&start), 0)]);
    let mut worlds = vec![start];
    let mut came: Vec<Option<(usize, Event)>> = vec![None];
    // For each state, those from which it is reached by what goes on by itself.
    let mut from: Vec<Vec<u32>> = vec![Vec::new()];
    let mut at = 0;
    while let Some(world) = worlds.get(at).cloned() {
        if let Some(wrong) = world.wrong() {
            let wrong = Some(format!("{wrong}:\n  {}", way(&worlds, &came, at)));
            return Explored { states: worlds.len(), wrong };
        }
        for (event, next) in model.next(&world) {
            let number = numbers.get(&next).copied().unwrap_or_else(|| {
                let next = Rc::new(next);
                numbers.insert(Rc::clone(&next), worlds.len());
                worlds.push(next);
                came.push(Some((at, event)));
                from.push(Vec::new());
                worlds.len() - 1
            });
            if event.is_fair() {
                from[number].push(at as u32);
            }
        }
        at += 1;
    }
    // Backwards from what is settled: every state must be on a way there.
    let mut good: Vec<bool> = worlds.iter().map(|world| world.is_settled()).collect();
    let mut queue: VecDeque<usize> = (0..worlds.len()).filter(|at| good[*at]).collect();
    while let Some(at) = queue.pop_front() {
        for before in from[at].iter().map(|before| *before as usize) {
            if !std::mem::replace(&mut good[before], true) {
                queue.push_back(before);
            }
        }
    }
    let lost = (0..worlds.len()).find(|at| !good[*at] && worlds[*at].is_served());
    let wrong = lost.map(|at| format!("nothing can end this: {:?}\n  {}", worlds[at], way(&worlds, &came, at)));
    Explored { states: worlds.len(), wrong }
}

/// What happened on the way to a state.
fn way(worlds: &[Rc<World>], came: &[Option<(usize, Event)>], mut at: usize) -> String {
    let mut steps = Vec::new();
    while let Some((before, event)) = came[at] {
        steps.push(event.tell(&worlds[before]));
        at = before;
    }
    steps.reverse();
    steps.join("\n  ")
}
