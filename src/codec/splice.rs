//! A new body out of an old one: copied runs of it with other values in between.

use super::Slot;
use std::ops::Range;

/// One part of a spliced body, in its order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// The old body from one edge to another.
    Run { from: Slot, to: Slot },
    /// The value of this number among those that were set.
    Added(u16),
}

/// The parts of a body; adjoining runs are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Splice {
    pieces: Vec<Piece>,
}

impl Splice {
    pub fn push(&mut self, piece: Piece) {
        match (self.pieces.last_mut(), &piece) {
            (Some(Piece::Run { to: end, .. }), Piece::Run { from, to }) if end == from => *end = *to,
            _ => self.pieces.push(piece),
        }
    }

    /// Calls `put` with each part's bytes: a range of the body, a range of the values set, or bytes of the splice.
    pub fn each(&self, slots: &[u32], added: &[Range<u32>], mut put: impl FnMut(Part)) {
        for piece in &self.pieces {
            match piece {
                Piece::Run { from, to } => {
                    put(Part::Body(slots[from.0 as usize] as usize..slots[to.0 as usize] as usize))
                }
                Piece::Added(i) => {
                    let r = &added[*i as usize];
                    put(Part::Added(r.start as usize..r.end as usize));
                }
            }
        }
    }
}

/// The bytes of one piece.
#[derive(Debug)]
pub enum Part {
    Body(Range<usize>),
    Added(Range<usize>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adjoining_runs_are_copied_as_one() {
        let mut s = Splice::default();
        s.push(Piece::Run { from: Slot(0), to: Slot(1) });
        s.push(Piece::Run { from: Slot(1), to: Slot(2) });
        s.push(Piece::Added(0));
        s.push(Piece::Run { from: Slot(2), to: Slot(3) });
        assert_eq!(s.pieces.len(), 3);
        let (body, added, mut out) = (b"abcdef", b"XY", Vec::new());
        s.each(&[0, 2, 4, 6], std::slice::from_ref(&(0..2)), |p| match p {
            Part::Body(r) => out.extend_from_slice(&body[r]),
            Part::Added(r) => out.extend_from_slice(&added[r]),
        });
        assert_eq!(out, b"abcdXYef");
    }
}
