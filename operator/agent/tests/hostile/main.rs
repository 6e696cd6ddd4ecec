//! Hostile archives, each given to a real agent in a process of its own. A family is a function that makes its archives,
//! byte by byte where a library would refuse to make them; the same ones every time.

#![allow(clippy::unwrap_used, clippy::panic)]

mod agents;
mod bombs;
mod case;
mod damage;
mod kinds;
mod names;
mod tamed;
#[path = "../../src/unpack/tests/tars.rs"]
mod tars;
mod tricks;
mod zip_lies;
#[path = "../../src/unpack/tests/zips.rs"]
mod zips;
mod zst_lies;
#[path = "../../src/unpack/tests/zstds.rs"]
mod zstds;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use agents::{Cost, World};
use case::Case;

/// All archives of a family, one after another.
fn check(family: &str, cases: Vec<Case>) {
    let world = World::new();
    let (mut worst, count) = (Cost::default(), cases.len());
    let mut wrong = 0;
    for case in cases {
        // All are tried: what is wrong with one says more beside the others.
        let Ok(cost) = catch_unwind(AssertUnwindSafe(|| world.check(case))) else {
            wrong += 1;
            continue;
        };
        worst.resident = worst.resident.max(cost.resident);
        worst.written = worst.written.max(cost.written);
        worst.time = worst.time.max(cost.time);
    }
    let (resident, written) = (worst.resident >> 10, worst.written >> 10);
    assert_eq!(wrong, 0, "of {count}");
    println!("{family}: {count} archives; at most {resident} KiB of memory, {written} KiB written, {:?}", worst.time);
}

macro_rules! families {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                check(stringify!($name), $name::family());
            }
        )*

    };
}

families! { bombs names tricks damage tamed kinds zip_lies zst_lies }

/// The bombs take long to make, and are not needed for this.
#[test]
fn there_are_many_and_no_two_are_the_same() {
    let small = [names::family, kinds::family, damage::family, tamed::family, zip_lies::family, zst_lies::family];
    let mut digests = BTreeMap::new();
    for case in small.iter().flat_map(|family| family()) {
        let name = format!("{}: {}", case.family, case.name);
        if let Some(other) = digests.insert(muon_crds::names::digest(&case.archive), name.clone()) {
            panic!("{name} is the same as {other}");
        }
    }
    assert!(digests.len() >= 250, "{}", digests.len());
}
