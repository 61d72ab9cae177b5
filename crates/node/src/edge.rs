//! The edge: where requests become ballots. One per worker, no locks: it draws nonces, makes tags, checks tokens.

use crate::core::{ChunkBallot, PreparedBallot, PreparedChunk};
use crate::identity::{Keys, is_officer, tag_of_number, tag_of_text};
use crate::shell::Shared;
use crate::token::{Token, TokenError, TokenKind};
use crate::views::ElectionHandle;
use election::ballot::{Extras, OpeningFields, write_opening};
use election::definition::Eligibility;
use election::{EncodedAnswers, Hlc, IdempotencyKey, Rejection, UnixMillis, Voter};
use proof::{LeafKind, leaf_hash};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// One id on a list, with its weight.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedVoter {
    pub id: String,
    pub weight: u32,
}

/// A voter as a token shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShownVoter {
    pub voter: Voter,
    /// Unix second at which the token was given out; [`ElectionHandle::admits`] says whether that was in time.
    pub issued: u32,
}

/// An officer's browser, known to be logged in once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfficerSession {
    /// Tells two sessions apart.
    pub number: u64,
    pub begun: UnixMillis,
}

/// Sessions are numbered in blocks of this many, so that their voters fill bit sets densely.
const SESSIONS_A_BLOCK: u64 = 1 << 16;
/// Lines of a bulk request that share one look at the clock.
const LINE_STAMPS: u64 = 256;
/// Form tokens are cut to this many bytes.
const FORM_BYTES: usize = 16;

#[derive(Debug)]
pub struct Edge {
    shared: Arc<Shared>,
    rng: StdRng,
    numbers: Numbers,
    line_stamps: std::ops::Range<u64>,
}

/// Deals session numbers: a random block, then one after the other.
#[derive(Debug)]
pub struct Numbers {
    next: u64,
}

impl Numbers {
    /// Nothing dealt yet.
    pub fn new() -> Self {
        Numbers { next: 0 }
    }

    /// The next number. Blocks are drawn from 2^47, so two dealers meet with a chance that can be neglected.
    pub fn deal(&mut self, rng: &mut impl Rng) -> u64 {
        if self.next.is_multiple_of(SESSIONS_A_BLOCK) {
            self.next = (rng.next_u64() >> 17) * SESSIONS_A_BLOCK;
        }
        self.next += 1;
        self.next - 1
    }
}

impl Default for Numbers {
    fn default() -> Self {
        Self::new()
    }
}

impl Edge {
    pub(crate) fn new(shared: Arc<Shared>, seed: [u8; 32]) -> Self {
        Edge { shared, rng: StdRng::from_seed(seed), numbers: Numbers::new(), line_stamps: 0..0 }
    }

    fn keys(&self) -> &Keys {
        &self.shared.keys
    }

    /// A new voter's token: for one open election, or, with `None`, a browser session good for all of them. None is
    /// given out for an election that nobody may join any more.
    pub fn new_session(&mut self, election: Option<&ElectionHandle>) -> Result<String, Rejection> {
        if let Some(election) =
            election.filter(|election| election.definition.eligibility != Eligibility::Open)
        {
            return Err(Rejection::ListOnly(election.slug.clone()));
        }
        let number = self.numbers.deal(&mut self.rng);
        let kind = if election.is_some() { TokenKind::Voter } else { TokenKind::Session };
        let token = Token::new(kind, election.map(|election| election.id), number, self.shared.now());
        election.map_or(Ok(()), |election| election.admits(token.issued))?;
        Ok(token.sign(self.keys().tokens()))
    }

    /// A token for somebody on the list. Weak by design: whoever knows the id gets it.
    pub fn list_token(&mut self, election: &ElectionHandle, voter_id: &str) -> Result<String, Rejection> {
        let voter = self.voter_by_text(election, voter_id)?;
        let Some(number) = voter.number else { return Err(Rejection::NotOnList(election.slug.clone())) };
        let token = Token::new(TokenKind::Voter, Some(election.id), number, self.shared.now());
        Ok(token.sign(self.keys().tokens()))
    }

    /// A token for a program that casts for the voters it names.
    pub fn gateway_token(&self, election: &ElectionHandle) -> String {
        Token::new(TokenKind::Gateway, Some(election.id), 0, self.shared.now()).sign(self.keys().tokens())
    }

    /// Who shows this token in this election. Cost: two keyed hashes.
    pub fn verify_voter(&self, token: &str, election: &ElectionHandle) -> Result<ShownVoter, TokenError> {
        let token = Token::verify(token, self.keys().tokens())?;
        if token.election.is_some_and(|id| id != election.id) {
            return Err(TokenError::OtherElection);
        }
        let (number, issued) = (Some(token.number), token.issued);
        match (&election.roll, token.kind) {
            (_, TokenKind::Gateway | TokenKind::Officer) => Err(TokenError::OtherKind),
            (Some(_), TokenKind::Session) => Err(TokenError::OtherElection),
            (Some(roll), TokenKind::Voter) => {
                let entry = roll.entry(token.number).ok_or(TokenError::Unknown)?;
                Ok(ShownVoter { voter: Voter { tag: entry.voter, number }, issued })
            }
            (None, TokenKind::Voter | TokenKind::Session) => {
                let tag = tag_of_number(&election.tag_key, token.number);
                Ok(ShownVoter { voter: Voter { tag, number }, issued })
            }
        }
    }

    /// Whether this is a session token of ours, good for open elections; its number tells two sessions apart.
    pub fn verify_session(&self, token: &str) -> Result<u64, TokenError> {
        let token = Token::verify(token, self.keys().tokens())?;
        if token.kind == TokenKind::Session { Ok(token.number) } else { Err(TokenError::OtherKind) }
    }

    pub fn verify_gateway(&self, token: &str, election: &ElectionHandle) -> Result<(), TokenError> {
        let token = Token::verify(token, self.keys().tokens())?;
        match (token.kind, token.election) {
            (TokenKind::Gateway, Some(id)) if id == election.id => Ok(()),
            (TokenKind::Gateway, _) => Err(TokenError::OtherElection),
            _ => Err(TokenError::OtherKind),
        }
    }

    pub fn verify_officer(&self, token: &str) -> Result<(), TokenError> {
        let is_ours = is_officer(token, &self.shared.directory.load().officer);
        if is_ours { Ok(()) } else { Err(TokenError::Unknown) }
    }

    /// A session of an officer's browser, good on every node of the cluster and over restarts, until the officer token
    /// becomes another one.
    pub fn new_officer_session(&mut self) -> String {
        let number = self.officer_mark() << 32 | self.rng.next_u64() >> 32;
        Token::new(TokenKind::Officer, None, number, self.shared.now()).sign(self.keys().tokens())
    }

    /// Whether this is such a session, and since when. How long it is good for is for the caller to say.
    pub fn verify_officer_session(&self, token: &str) -> Result<OfficerSession, TokenError> {
        let Token { kind, number, issued, .. } = Token::verify(token, self.keys().tokens())?;
        match kind {
            TokenKind::Officer if number >> 32 == self.officer_mark() => {
                Ok(OfficerSession { number, begun: UnixMillis(u64::from(issued) * 1000) })
            }
            TokenKind::Officer => Err(TokenError::Unknown),
            _ => Err(TokenError::OtherKind),
        }
    }

    /// Changes with the officer token: the first 32 bits of its hash.
    fn officer_mark(&self) -> u64 {
        let directory = self.shared.directory.load();
        u64::from_str_radix(directory.officer.get(..8).unwrap_or_default(), 16).unwrap_or(0)
    }

    /// A voter named by text: an id on the list, or whatever a gateway calls its callers.
    pub fn voter_by_text(&self, election: &ElectionHandle, text: &str) -> Result<Voter, Rejection> {
        let tag = tag_of_text(&election.tag_key, text);
        match &election.roll {
            None => Ok(Voter { tag, number: None }),
            Some(roll) => {
                let number = roll.number(&tag).ok_or_else(|| Rejection::NotOnList(election.slug.clone()))?;
                Ok(Voter { tag, number: Some(number) })
            }
        }
    }

    /// Index of a named group, for ballots that carry one.
    pub fn group_by_name(&self, election: &ElectionHandle, name: &str) -> Result<u16, Rejection> {
        let index = election.definition.groups.iter().position(|group| group == name);
        let index = index.ok_or_else(|| Rejection::NoSuchGroup(name.chars().take(60).collect()))?;
        Ok(u16::try_from(index).expect("GROUPS_MAX fits in 16 bits"))
    }

    /// Anti-forgery token of a form: bound to a session and a purpose.
    pub fn form_token(&self, session: &str, purpose: &str) -> String {
        let mac = self.keys().forms().mac(&[session.as_bytes(), &[0], purpose.as_bytes()]);
        data_encoding::BASE64URL_NOPAD.encode(&mac[..FORM_BYTES])
    }

    pub fn verify_form_token(&self, token: &str, session: &str, purpose: &str) -> bool {
        self.form_token(session, purpose).as_bytes().ct_eq(token.as_bytes()).into()
    }

    /// The next stamp: later than every one given so far.
    pub fn stamp(&self) -> Hlc {
        self.shared.stamp()
    }

    /// Makes a ballot ready: stamps it, draws its nonce, writes its opening, hashes its leaf.
    /// `group` is used where there is no list; on a list the voter's own counts.
    pub fn prepare(
        &mut self,
        election: &ElectionHandle,
        voter: Voter,
        key: IdempotencyKey,
        answers: &EncodedAnswers,
        group: Option<u16>,
    ) -> PreparedBallot {
        let stamp = self.stamp();
        let mut opening = Vec::new();
        self.write(&mut opening, election, voter, key, answers, group, stamp);
        let leaf = leaf_hash(LeafKind::Ballot, &opening);
        PreparedBallot {
            election: election.index,
            stamp,
            number: voter.number,
            tag: voter.tag,
            key,
            opening,
            leaf,
        }
    }

    /// An empty chunk for one bulk request.
    pub fn new_chunk(&mut self, election: &ElectionHandle, with_receipts: bool) -> PreparedChunk {
        // Stamps reserved for an earlier chunk would say that this one arrived then.
        self.line_stamps = 0..0;
        PreparedChunk { election: election.index, bytes: Vec::new(), ballots: Vec::new(), with_receipts }
    }

    /// Adds a ballot to a chunk, as [`Edge::prepare`] makes one alone.
    pub fn prepare_line(
        &mut self,
        chunk: &mut PreparedChunk,
        election: &ElectionHandle,
        voter: Voter,
        key: IdempotencyKey,
        answers: &EncodedAnswers,
        group: Option<u16>,
    ) {
        let stamp = self.line_stamp();
        let start = chunk.bytes.len();
        self.write(&mut chunk.bytes, election, voter, key, answers, group, stamp);
        let leaf = leaf_hash(LeafKind::Ballot, &chunk.bytes[start..]);
        chunk.ballots.push(ChunkBallot {
            stamp,
            number: voter.number,
            tag: voter.tag,
            key,
            leaf,
            start: u32::try_from(start).expect("a chunk is limited"),
            length: u32::try_from(chunk.bytes.len() - start).expect("a chunk is limited"),
        });
    }

    /// A stamp for a line: the clock is read once for a few hundred of them.
    fn line_stamp(&mut self) -> Hlc {
        if self.line_stamps.is_empty() {
            let first = self.shared.stamps(LINE_STAMPS).0;
            self.line_stamps = first..first + LINE_STAMPS;
        }
        Hlc(self.line_stamps.next().expect("just filled"))
    }

    #[allow(clippy::too_many_arguments)] // an opening has that many fields
    fn write(
        &mut self,
        bytes: &mut Vec<u8>,
        election: &ElectionHandle,
        voter: Voter,
        key: IdempotencyKey,
        answers: &EncodedAnswers,
        group: Option<u16>,
        stamp: Hlc,
    ) {
        let entry = election.roll.as_ref().and_then(|roll| roll.entry(voter.number?));
        let (weight, group) = entry.map_or((1, group), |entry| (entry.weight, entry.group));
        let mut nonce = [0; 32];
        self.rng.fill_bytes(&mut nonce);
        let extras = Extras { weight, group, stamp: Some(stamp), click: None };
        let fields = OpeningFields { nonce, election: election.id, shard: 0, voter: voter.tag, key, extras };
        write_opening(bytes, &fields, answers.as_bytes());
    }
}
