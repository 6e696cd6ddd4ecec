//! Bytes at rest, side by side on a few large boards.
//!
//! Ten thousand small pieces that stay, allocated one by one among many that go, would pin the heap: after a storm of
//! changes it is several times as large as what is in it, and stays so. Here the pieces have boards of their own. A
//! board of which much has gone is cleared: its owner moves what is left, and the board is used again.

/// Bytes of a board; a larger piece has a board to itself.
const BOARD: usize = 256 * 1024;

/// Boards, and what lies on them.
#[derive(Debug, Default)]
pub struct Shelf {
    boards: Vec<Board>,
    /// The board that new pieces are put on.
    open: Option<u32>,
    /// Boards with nothing on them.
    empty: Vec<u32>,
}

#[derive(Debug, Default)]
struct Board {
    bytes: Vec<u8>,
    /// Bytes that are still somebody's.
    live: usize,
}

/// Where a piece lies. Good for the shelf that gave it, until it is taken away or moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spot {
    board: u32,
    at: u32,
    len: u32,
}

impl Shelf {
    /// Puts a piece on the shelf; none when it is larger than any object can be.
    pub fn put(&mut self, piece: &[u8]) -> Option<Spot> {
        let len = u32::try_from(piece.len()).ok()?;
        let has_room = |board: &Board| board.bytes.len() + piece.len() <= board.bytes.capacity();
        let number = match self.open.filter(|open| self.board(*open).is_some_and(has_room)) {
            Some(open) => open,
            None => self.fresh(piece.len())?,
        };
        let board = self.boards.get_mut(number as usize)?;
        let at = u32::try_from(board.bytes.len()).ok()?;
        board.bytes.extend_from_slice(piece);
        board.live += piece.len();
        Some(Spot { board: number, at, len })
    }

    fn board(&self, number: u32) -> Option<&Board> {
        self.boards.get(number as usize)
    }

    /// A board with room for a piece of this length; an ordinary one stays open for those that follow.
    fn fresh(&mut self, len: usize) -> Option<u32> {
        if len > BOARD {
            return self.add(len);
        }
        // What was taken off an open board cleared nothing; it is closed now.
        if let Some(full) = self.open.take().filter(|full| self.board(*full).is_some_and(|board| board.live == 0)) {
            self.clear(full);
        }
        let number = match self.empty.pop() {
            Some(number) => number,
            None => self.add(BOARD)?,
        };
        self.open = Some(number);
        Some(number)
    }

    fn add(&mut self, capacity: usize) -> Option<u32> {
        let board = Board { bytes: Vec::with_capacity(capacity), live: 0 };
        // The place of a board that was larger than others, and was given back.
        let gap = self.boards.iter().position(|board| board.bytes.capacity() == 0);
        let number = gap.unwrap_or(self.boards.len());
        match self.boards.get_mut(number) {
            Some(place) => *place = board,
            None => self.boards.push(board),
        }
        u32::try_from(number).ok()
    }

    /// The piece that lies there.
    pub fn get(&self, spot: Spot) -> Option<&[u8]> {
        let (at, len) = (spot.at as usize, spot.len as usize);
        self.board(spot.board)?.bytes.get(at..at + len)
    }

    /// Takes a piece away. Says so when its board is worth clearing: of what lay on it, a quarter is gone.
    #[must_use = "a board that is never cleared stays for ever"]
    pub fn take(&mut self, spot: Spot) -> Option<Clearing> {
        let is_open = self.open == Some(spot.board);
        let board = self.boards.get_mut(spot.board as usize)?;
        board.live = board.live.saturating_sub(spot.len as usize);
        if board.live == 0 && !is_open {
            self.clear(spot.board);
            return None;
        }
        let worth = !is_open && board.live * 4 < board.bytes.len() * 3;
        worth.then_some(Clearing(spot.board))
    }

    /// Moves a piece off the board that is being cleared; where it lies then. Pieces of other boards stay.
    pub fn rescue(&mut self, spot: Spot, clearing: &Clearing) -> Option<Spot> {
        if spot.board != clearing.0 {
            return None;
        }
        let piece = self.get(spot)?.to_vec();
        let moved = self.put(&piece)?;
        if let Some(board) = self.boards.get_mut(spot.board as usize) {
            board.live = board.live.saturating_sub(spot.len as usize);
        }
        Some(moved)
    }

    /// Ends a clearing, after every piece was rescued.
    pub fn cleared(&mut self, clearing: Clearing) {
        self.clear(clearing.0);
    }

    /// Makes a board empty. Few are kept for what comes; a larger one than others is given back at once.
    fn clear(&mut self, number: u32) {
        let spare = self.empty.len() * 8 > self.boards.len();
        let Some(board) = self.boards.get_mut(number as usize) else { return };
        board.live = 0;
        if spare || board.bytes.capacity() != BOARD {
            board.bytes = Vec::new();
        } else {
            board.bytes.clear();
            self.empty.push(number);
        }
    }

    /// Bytes that the boards take up.
    pub fn size(&self) -> usize {
        self.boards.iter().map(|board| board.bytes.capacity()).sum()
    }
}

/// A board to be cleared: whoever knows the spots has to [`Shelf::rescue`] each of them.
#[derive(Debug)]
pub struct Clearing(u32);

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use proptest::prelude::*;

    fn settle(shelf: &mut Shelf, spots: &mut HashMap<u8, Spot>, clearing: Option<Clearing>) {
        let Some(clearing) = clearing else { return };
        for spot in spots.values_mut() {
            if let Some(moved) = shelf.rescue(*spot, &clearing) {
                *spot = moved;
            }
        }
        shelf.cleared(clearing);
    }

    proptest! {
        #[test]
        fn what_was_put_is_there_until_it_is_taken(
            steps in prop::collection::vec((any::<u8>(), prop::option::of(0usize..40_000)), 0..400),
        ) {
            let (mut shelf, mut spots) = (Shelf::default(), HashMap::new());
            let mut model: HashMap<u8, Vec<u8>> = HashMap::new();
            for (number, (key, length)) in steps.into_iter().enumerate() {
                if let Some(old) = spots.remove(&key) {
                    model.remove(&key);
                    let clearing = shelf.take(old);
                    settle(&mut shelf, &mut spots, clearing);
                }
                if let Some(length) = length {
                    // Now and then one that is larger than a board.
                    let piece = vec![number as u8; if number % 50 == 0 { length * 20 } else { length }];
                    spots.insert(key, shelf.put(&piece).unwrap());
                    model.insert(key, piece);
                }
            }
            for (key, piece) in &model {
                prop_assert_eq!(shelf.get(spots[key]), Some(piece.as_slice()));
            }
        }
    }

    #[test]
    fn a_storm_of_changes_leaves_no_more_than_there_is() {
        let (mut shelf, mut spots) = (Shelf::default(), HashMap::new());
        for number in 0..200u8 {
            spots.insert(number, shelf.put(&[number; 10_000]).unwrap());
        }
        for round in 0..20_000usize {
            let key = (round * 7 % 200) as u8;
            let clearing = shelf.take(spots.remove(&key).unwrap());
            settle(&mut shelf, &mut spots, clearing);
            spots.insert(key, shelf.put(&[key; 10_000]).unwrap());
        }
        assert!(shelf.size() <= 2 * 200 * 10_000, "{} bytes for {}", shelf.size(), 200 * 10_000);
        assert!(spots.iter().all(|(key, spot)| shelf.get(*spot) == Some(&[*key; 10_000][..])));
    }
}
