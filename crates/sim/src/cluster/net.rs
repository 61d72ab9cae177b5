//! The network between nodes: late, out of order, twice, never, and cut in one direction or both.

use super::ClusterSim;
use cluster::NodeId;
use node::replica::{Input, Letter};

impl ClusterSim {
    pub(super) fn send(&mut self, from: NodeId, letters: Vec<Letter>) {
        for Letter { to, lane, bytes } in letters {
            self.digest.update(&bytes);
            self.stats.note("letter");
            let random = &mut self.chance.net;
            let is_calm = !self.is_under_load;
            let copies = match random.below(1_000) {
                0..20 if !is_calm => {
                    self.stats.note("fault: letter lost");
                    0
                }
                20..35 if !is_calm => {
                    self.stats.note("fault: letter twice");
                    2
                }
                _ => 1,
            };
            for _ in 0..copies {
                let delay = match random.below(100) {
                    0 if !is_calm => {
                        self.stats.note("fault: letter late");
                        random.below(60)
                    }
                    1..10 => 1,
                    _ => 0,
                };
                self.sent += 1;
                self.wire.insert((self.step + 1 + delay, self.sent), (from, to, lane as u8, bytes.clone()));
            }
        }
    }

    /// What is due goes into the inboxes of those who hear it.
    pub(super) fn deliver(&mut self) {
        let later = self.wire.split_off(&(self.step + 1, 0));
        let due = std::mem::replace(&mut self.wire, later);
        for (_, (from, to, lane, bytes)) in due {
            let is_cut = self.cuts.contains_key(&(from, to));
            if let Some(place) = self.places.get_mut(&to)
                && place.replica.is_some()
                && !is_cut
            {
                place.inbox.push(Input::Letter { from, lane, bytes });
            }
        }
    }
}
