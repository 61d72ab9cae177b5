//! Voters: they cast, wait, lose answers, ask again, click twice, change their minds, and come late.

use crate::ballots::{Papers, Wish, draw_choices};
use crate::model::{Model, Stage};
use crate::random::Random;
use election::IdempotencyKey;

/// Voters of one bulk request, about.
const CHUNK_VOTERS_MAX: u64 = 300;

#[derive(Debug)]
pub struct People {
    random: Random,
    keys: u64,
    /// Wishes to be sent again at or after a step.
    again: Vec<(u64, Wish)>,
}

impl People {
    pub fn new(random: Random) -> Self {
        People { random, keys: 0, again: Vec::new() }
    }

    /// The wishes sent in this step; two equal ones are a double click.
    pub fn wishes(&mut self, model: &Model, step: u64) -> Vec<Wish> {
        let mut wishes = self.due(step);
        if model.elections.is_empty() {
            return wishes;
        }
        for _ in 0..self.random.below(6) {
            let wish = self.wish(model);
            if self.random.one_in(10) {
                wishes.push(wish.clone());
                if self.random.one_in(3) {
                    wishes.push(self.changed(model, &wish));
                }
            }
            wishes.push(wish);
        }
        wishes
    }

    /// Ballots of one bulk request: some voters twice, some keys twice.
    pub fn chunk(&mut self, model: &Model, election: usize) -> Vec<Wish> {
        let voters = model.elections[election].plan.voters.len() as u64;
        let lines = self.random.between(1, voters.min(CHUNK_VOTERS_MAX) + 10);
        let mut wishes: Vec<Wish> = Vec::new();
        for _ in 0..lines {
            let again =
                (!wishes.is_empty() && self.random.one_in(12)).then(|| self.random.index(wishes.len()));
            wishes.push(match again {
                Some(line) if self.random.one_in(3) => self.changed(model, &wishes[line].clone()),
                Some(line) => wishes[line].clone(),
                None => self.wish_in(model, election),
            });
        }
        wishes
    }

    /// An election to send a bulk request to.
    pub fn bulk_election(&mut self, model: &Model) -> Option<usize> {
        let open = open_elections(model);
        (!open.is_empty()).then(|| *self.random.pick(&open))
    }

    /// No answer came: the voter asks again, mostly.
    pub fn has_no_answer(&mut self, wish: &Wish, step: u64) {
        if !self.random.one_in(8) {
            let due = step + self.random.between(1, 30);
            self.again.push((due, wish.clone()));
        }
    }

    /// The answer came; some ask again all the same, or with another ballot under the same key.
    pub fn has_answer(&mut self, model: &Model, wish: &Wish, step: u64) {
        if wish.election >= model.elections.len() || !self.random.one_in(8) {
            return;
        }
        let wish = if self.random.one_in(3) { self.changed(model, wish) } else { wish.clone() };
        let due = step + self.random.between(1, 60);
        self.again.push((due, wish));
    }

    /// Everything that somebody still wants to send, whatever its time.
    pub fn rest(&mut self) -> Vec<Wish> {
        std::mem::take(&mut self.again).into_iter().map(|(_, wish)| wish).collect()
    }

    /// Whether this paper is spoilt on its way.
    pub fn is_rubbish(&mut self) -> bool {
        self.random.permille(60)
    }

    /// A key nobody has used.
    pub fn fresh_key(&mut self) -> IdempotencyKey {
        self.keys += 1;
        IdempotencyKey::from_text(&format!("request {}", self.keys))
    }

    fn due(&mut self, step: u64) -> Vec<Wish> {
        let (due, later) = std::mem::take(&mut self.again).into_iter().partition(|(at, _)| *at <= step);
        self.again = later;
        let due: Vec<(u64, Wish)> = due;
        due.into_iter().map(|(_, wish)| wish).collect()
    }

    fn wish(&mut self, model: &Model) -> Wish {
        let open = open_elections(model);
        let election = if open.is_empty() || self.random.one_in(15) {
            self.random.index(model.elections.len())
        } else {
            *self.random.pick(&open)
        };
        self.wish_in(model, election)
    }

    fn wish_in(&mut self, model: &Model, election: usize) -> Wish {
        let plan = &model.elections[election].plan;
        let voter = self.random.index(plan.voters.len());
        let has_group = !plan.is_list && plan.groups > 0 && !self.random.one_in(4);
        let group = has_group.then(|| u16::try_from(self.random.below(plan.groups.into())).expect("small"));
        let key = if self.random.one_in(3) { IdempotencyKey::NONE } else { self.fresh_key() };
        let choices = draw_choices(&mut self.random, plan);
        Wish { election, voter, key, choices, group }
    }

    /// The same voter and key with another ballot.
    fn changed(&mut self, model: &Model, wish: &Wish) -> Wish {
        let choices = draw_choices(&mut self.random, &model.elections[wish.election].plan);
        Wish { choices, ..wish.clone() }
    }
}

fn open_elections(model: &Model) -> Vec<usize> {
    let is_open = |index: &usize| model.elections[*index].stage == Stage::Open;
    (0..model.elections.len()).filter(is_open).collect()
}

/// The wish behind a paper, if a person would send it again: rubbish is not.
pub fn wish_of(papers: &Papers, paper: usize) -> Option<Wish> {
    let paper = papers.get(paper);
    paper.is_sound.then(|| paper.wish.clone())
}
