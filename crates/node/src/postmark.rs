//! Letters that must not count twice, nor later than one that was written after them.
//!
//! A ballot without a key, and an officer's act, are done as often as they are put in order; and a ballot whose voter was
//! told that it is refused must not turn up after that. The network between nodes promises neither: a line breaks, a
//! new one is made, and what was on the old one may still come. So each such letter carries the sender's start, a
//! number that grows, and the term for whose leader it was written. The slip is the sender's own number for what is in
//! it, and comes back with what is returned: a receiver that has been started again may return the same twice.

use crate::letters::LetterError;
use bytes::{Buf, Bytes};
use cluster::NodeId;
use std::collections::{BTreeMap, VecDeque};

/// `start 8 | number 8 | term 8 | slip 8`, before the letter.
const POSTMARK_BYTES: usize = 32;
/// Starts of one sender that are remembered.
const STARTS_MAX: usize = 8;

/// A letter without its postmark.
#[derive(Debug)]
pub struct Opened {
    pub term: u64,
    pub slip: u64,
    pub letter: Bytes,
}

#[derive(Debug)]
pub struct Postmarks {
    start: u64,
    sent: u64,
    /// Of each sender, the last number of its latest starts. Which of two is the later one cannot be told: a letter of the
    /// earlier may be the first that comes. It does no harm: who waited for what it says went with the process.
    seen: BTreeMap<NodeId, VecDeque<(u64, u64)>>,
}

impl Postmarks {
    /// `start` is another number at each start of a node.
    pub fn new(start: u64) -> Self {
        Postmarks { start, sent: 0, seen: BTreeMap::new() }
    }

    /// Marks a letter for the leader of `term`.
    pub fn mark(&mut self, term: u64, slip: u64, letter: &Bytes) -> Bytes {
        self.sent += 1;
        let mut out = Vec::with_capacity(POSTMARK_BYTES + letter.len());
        for number in [self.start, self.sent, term, slip] {
            out.extend_from_slice(&number.to_be_bytes());
        }
        out.extend_from_slice(letter);
        out.into()
    }

    /// The letter with its term and its slip; `None` where it came before, or comes after a later one of its sender.
    pub fn open(&mut self, from: NodeId, mut bytes: Bytes) -> Result<Option<Opened>, LetterError> {
        if bytes.len() < POSTMARK_BYTES {
            return Err(LetterError("it has no postmark"));
        }
        let (start, number) = (bytes.get_u64(), bytes.get_u64());
        let (term, slip) = (bytes.get_u64(), bytes.get_u64());
        let seen = self.seen.entry(from).or_default();
        match seen.iter_mut().find(|(of, _)| *of == start) {
            Some((_, last)) if number <= *last => return Ok(None),
            Some((_, last)) => *last = number,
            None => {
                if seen.len() == STARTS_MAX {
                    seen.pop_front();
                }
                seen.push_back((start, number));
            }
        }
        Ok(Some(Opened { term, slip, letter: bytes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_letter_counts_once_and_in_its_order() {
        let from = NodeId(2);
        let (mut sender, mut receiver) = (Postmarks::new(7), Postmarks::new(8));
        let letters: Vec<Bytes> =
            (1..=3_u64).map(|term| sender.mark(term, 0, &Bytes::from(vec![term as u8]))).collect();
        let mut open =
            |letter: &Bytes| receiver.open(from, letter.clone()).unwrap().map(|opened| opened.term);
        assert_eq!(open(&letters[0]), Some(1));
        assert_eq!(open(&letters[0]), None, "twice");
        assert_eq!(open(&letters[2]), Some(3));
        assert_eq!(open(&letters[1]), None, "after a later one");
        let mut restarted = Postmarks::new(9);
        let first = restarted.mark(4, 0, &Bytes::new());
        assert_eq!(open(&first), Some(4), "a new start counts anew");
        let late = sender.mark(5, 0, &Bytes::new());
        assert_eq!(open(&late), Some(5), "and what was written before it is not taken for it");
        assert_eq!(open(&restarted.mark(6, 0, &Bytes::new())), Some(6));
        assert!(receiver.open(from, Bytes::from_static(b"short")).is_err());
    }
}
