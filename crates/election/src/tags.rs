//! A set of voter tags, kept in ascending order with gaps between them.
//!
//! Tags are keyed hashes, hence spread evenly: a tag's leading bits say where in the table it belongs, and the few
//! tags that meet there stand in order beside each other. One look-up reads one or two cache lines that lie side by
//! side, a refused voter and a new one alike. Growing copies from one end to the other, which memory likes, and the
//! tags come out sorted. Nobody outside holds the key, so nobody can choose tags that crowd together.

use crate::ids::VoterTag;

/// Slots behind the last place a tag can belong to, for those that meet at the end; more are added when needed.
const TAIL_SLOTS: usize = 64;
const PLACES_FIRST: usize = 64;
/// The table grows by a half when three quarters are full: 21 to 32 bytes a tag.
const FULL_QUARTERS: usize = 3;

/// Cost: 21 to 32 bytes a tag; adding and asking read one or two cache lines.
#[derive(Clone, Default)]
pub struct TagSet {
    /// Tags in ascending order as numbers, zeros between them.
    slots: Vec<u128>,
    places: usize,
    count: usize,
    /// The tag of zeros stands for an empty slot, so it is kept apart.
    has_zero: bool,
}

impl std::fmt::Debug for TagSet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TagSet").field("count", &self.count).finish_non_exhaustive()
    }
}

impl TagSet {
    /// With room for `count` tags.
    pub fn with_capacity(count: usize) -> Self {
        let mut set = Self::default();
        set.resize((count * 4 / FULL_QUARTERS + 1).max(PLACES_FIRST));
        set
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn contains(&self, tag: &VoterTag) -> bool {
        let tag = number(tag);
        if tag == 0 {
            return self.has_zero;
        }
        !self.slots.is_empty() && self.slots[self.seek(tag)] == tag
    }

    /// Reads where the tag belongs, so that it is in the cache soon; the answer only keeps the read from being left out.
    pub fn touch(&self, tag: &VoterTag) -> usize {
        if self.slots.is_empty() { 0 } else { self.slots[place(number(tag), self.places)] as usize }
    }

    /// Adds a tag; false if it was there.
    pub fn insert(&mut self, tag: VoterTag) -> bool {
        let tag = number(&tag);
        if tag == 0 {
            let is_new = !std::mem::replace(&mut self.has_zero, true);
            self.count += usize::from(is_new);
            return is_new;
        }
        if self.count * 4 >= self.places * FULL_QUARTERS {
            self.resize((self.places + self.places / 2).max(PLACES_FIRST));
        }
        let at = self.seek(tag);
        if self.slots[at] == tag {
            return false;
        }
        let gap = self.slots[at..].iter().position(|slot| *slot == 0).expect("the last slot is empty");
        if at + gap + 1 == self.slots.len() {
            self.slots.extend([0; TAIL_SLOTS]);
        }
        self.slots.copy_within(at..at + gap, at + 1);
        self.slots[at] = tag;
        self.count += 1;
        true
    }

    /// All tags in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = VoterTag> {
        let zero = self.has_zero.then_some(VoterTag([0; 16]));
        let others = self.slots.iter().filter(|slot| **slot != 0);
        zero.into_iter().chain(others.map(|slot| VoterTag(slot.to_be_bytes())))
    }

    /// Where the tag stands, or would have to: the first slot from its place on that is empty or not below it.
    fn seek(&self, tag: u128) -> usize {
        let mut at = place(tag, self.places);
        // The last slot is always empty, so this ends.
        while self.slots[at] != 0 && self.slots[at] < tag {
            at += 1;
        }
        at
    }

    fn resize(&mut self, places: usize) {
        let slots = vec![0; places + TAIL_SLOTS];
        let old = std::mem::replace(&mut self.slots, slots);
        self.places = places;
        let mut free = 0;
        for tag in old.into_iter().filter(|slot| *slot != 0) {
            let at = place(tag, places).max(free);
            if at + 1 == self.slots.len() {
                self.slots.extend([0; TAIL_SLOTS]);
            }
            self.slots[at] = tag;
            free = at + 1;
        }
    }
}

fn number(tag: &VoterTag) -> u128 {
    u128::from_be_bytes(tag.0)
}

/// The tag's leading 64 bits, scaled to the table: a higher tag never has a lower place.
fn place(tag: u128, places: usize) -> usize {
    (((tag >> 64) * places as u128) >> 64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn tag(number: u64) -> VoterTag {
        VoterTag(crate::sha256(&[&number.to_be_bytes()])[..16].try_into().unwrap())
    }

    #[test]
    fn it_holds_what_was_added_and_gives_it_back_in_order() {
        let (mut set, mut plain) = (TagSet::default(), BTreeSet::new());
        for number in (0..20_000).chain(0..100) {
            let tag = tag(number % 15_000);
            assert_eq!(set.contains(&tag), plain.contains(&tag));
            assert_eq!(set.insert(tag), plain.insert(tag));
            assert!(set.contains(&tag));
        }
        assert_eq!(set.len(), plain.len());
        assert!(set.iter().eq(plain.iter().copied()));
        assert!(!set.contains(&tag(15_000)));
    }

    #[test]
    fn tags_of_zeros_and_ones_only_are_tags_like_others() {
        let mut set = TagSet::default();
        for tag in [VoterTag([0; 16]), VoterTag([255; 16])] {
            assert!(!set.contains(&tag));
            assert!(set.insert(tag));
            assert!(!set.insert(tag));
            assert!(set.contains(&tag));
        }
        assert!(set.iter().eq([VoterTag([0; 16]), VoterTag([255; 16])]));
    }

    #[test]
    fn tags_that_crowd_at_the_end_find_room() {
        let mut set = TagSet::default();
        for number in 1..1_000_u128 {
            assert!(set.insert(VoterTag((u128::MAX - number).to_be_bytes())));
        }
        assert_eq!(set.len(), 999);
        assert_eq!(set.iter().count(), 999);
    }
}
