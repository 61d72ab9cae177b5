//! Judgement: what is decided once the whole record has been read.

use std::collections::HashSet;
use std::io::{BufRead, Seek};

use election::ballot::Opening;
use election::definition::{self, Contest, Definition, Eligibility};
use election::ids::{ElectionId, LedgerId};
use proof::{Hash, NodePublicKey};

use crate::acts::State;
use crate::again::{gather, look_again};
use crate::checkpoints::Known;
use crate::count::Recount;
use crate::evidence::Evidence;
use crate::form::{End, Published, PublishedContest};
use crate::outcome::{Counted, Places, draw_order, outcome, places};
use crate::pass::{Pass, Rest};
use crate::receipts::Receipts;
use crate::report::{Check, Facts, Finding, Report, Sentence, Verdict, Verdicts};
use crate::run::{AuditError, Kept};
use crate::signed::{Signed, signed};

/// Everything that is decided once the whole record is known.
pub fn judge<R: BufRead + Seek>(
    mut pass: Pass,
    rest: Rest,
    record: &mut R,
    receipts: &Receipts<'_>,
    kept: &[Kept],
) -> Result<Report, AuditError> {
    check_digest(&mut pass, &rest);
    check_definition(&mut pass);
    check_roll(&mut pass);
    pass.acts.check_epochs(&pass.header, &mut pass.verdicts);
    let known = Known { header: &pass.header, acts: &pass.acts, roots: &pass.roots };
    known.check_published(&rest.checkpoints, &mut pass.verdicts);
    known.check_kept(kept, &mut pass.verdicts);
    let missing = receipts.check(&pass.header, &pass.acts, &pass.seen, &mut pass.verdicts);

    let voters = check_counts(&mut pass, &rest, record)?;
    check_publication(&mut pass, &rest);
    let outcomes = recounted(&pass);
    let evidence = if missing.is_empty() { Vec::new() } else { gather(&pass, &rest, &missing, record)? };
    let signed = signed(&pass.acts, &rest, kept, receipts);
    Ok(report(pass, signed, voters, outcomes, evidence))
}

pub fn form_failed(mut pass: Pass, finding: Finding) -> Report {
    let mut verdicts = Verdicts::new();
    verdicts.fail(Check::Form, finding);
    for check in Check::ALL {
        verdicts.skip(*check, "the file is not complete and well-formed");
    }
    pass.verdicts = verdicts;
    pass.voters = None;
    report(pass, Vec::new(), None, Vec::new(), Vec::new())
}

fn report(
    pass: Pass,
    signed: Vec<Signed>,
    voters: Option<u64>,
    outcomes: Vec<Sentence>,
    evidence: Vec<Evidence>,
) -> Report {
    let Pass { header, verdicts, acts, roots, .. } = pass;
    let hex = |bytes: &[u8]| data_encoding::HEXLOWER.encode(bytes);
    let record = Facts {
        ledger: hex(&header.ledger),
        election: hex(&header.election),
        slug: header.slug,
        definition_hash: header.definition_hash.to_hex(),
        leaves: header.leaves,
        ballots: header.ballots,
        voters,
        root: roots.get(&header.leaves).map(Hash::to_hex),
        keys: acts.epochs.iter().flat_map(|epoch| &epoch.nodes).map(|node| hex(&node.key)).collect(),
    };
    let checks = verdicts.into_reports();
    let clean = checks.iter().all(|check| check.verdict != Verdict::Failed);
    Report { clean, record, signed, checks, outcomes, evidence }
}

/// Check 2.
fn check_digest(pass: &mut Pass, rest: &Rest) {
    let End { sha256, node, .. } = &rest.end;
    let mut fail = |what: &str| pass.verdicts.fail(Check::Digest, Finding::new(what));
    if *sha256 != rest.digest {
        fail("the file was changed after it was made: its hash is another");
    }
    match pass.acts.last_key(*node) {
        None => fail("it is signed by a node that no act names"),
        Some(key) => {
            if !is_end_signed(&rest.end, &key) {
                fail("its signature does not hold");
            }
        }
    }
}

/// Whether the end of a record is signed by this key.
pub fn is_end_signed(end: &End, key: &NodePublicKey) -> bool {
    let message = [&b"hustings record v1\n"[..], &end.sha256.0].concat();
    key.verify(&message, &end.signature).is_ok()
}

/// Check 3.
fn check_definition(pass: &mut Pass) {
    let Pass { header, verdicts, definition, .. } = pass;
    let mut fail = |what: &str| verdicts.fail(Check::Definition, Finding::new(what));
    if pass.definition_hash != header.definition_hash {
        fail("its hash is not that of the header");
    }
    if pass.acts.opened.is_some_and(|opened| opened.definition != header.definition_hash) {
        fail("another definition was opened");
    }
    if header.shard != 0 || header.secrecy != "open" {
        fail("the header names a shard or a secrecy that this version does not have");
    }
    let Some(definition) = definition else { return };
    if definition.slug.as_str() != header.slug {
        fail("its slug is not that of the header");
    }
    if ElectionId::derive(LedgerId(header.ledger), &definition.slug).0 != header.election {
        fail("the election id does not follow from ledger and slug");
    }
}

/// Check 4, but for the lines themselves.
fn check_roll(pass: &mut Pass) {
    let is_list = pass.definition.as_ref().map(|definition| definition.eligibility == Eligibility::List);
    if is_list.is_some_and(|is_list| is_list != (pass.header.roll > 0)) {
        pass.verdicts
            .fail(Check::Roll, Finding::new("there is a roll without a list, or a list without a roll"));
    }
    if pass.acts.opened.is_some_and(|opened| opened.roll != pass.roll_commitment) {
        pass.verdicts.fail(Check::Roll, Finding::new("another roll was opened"));
    }
}

/// Checks 11 and 13 to 16. Returns how many voters there are.
fn check_counts<R: BufRead + Seek>(
    pass: &mut Pass,
    rest: &Rest,
    record: &mut R,
) -> Result<Option<u64>, AuditError> {
    let (Some(definition), Some(voters), Some(mut recount)) =
        (pass.definition.take(), pass.voters.take(), pass.recount.take())
    else {
        use Check::*;
        for check in [Ballots, Eligibility, Once, Time, Turnout, Tally, Draw, Outcome] {
            pass.verdicts.skip(check, "there is no valid definition to count by");
        }
        return Ok(None);
    };
    let (voters, twice) = voters.finish(&mut recount);
    if !twice.is_empty() {
        let finding = |leaf, ballot| Finding::at_ballot(leaf, ballot, "its voter has a ballot already");
        let mut seen = HashSet::new();
        look_again(record, &pass.header, |leaf, ballot, opening| {
            let tag =
                opening.ok().and_then(|opening| Opening::parse(opening).ok()).map(|it| it.fields.voter.0);
            if let Some(tag) = tag.filter(|tag| twice.contains(tag))
                && !seen.insert(tag)
            {
                pass.verdicts.fail(Check::Once, finding(leaf, ballot));
            }
        })?;
    }
    if let Some(closed) = pass.acts.closed
        && (closed.ballots, closed.voters) != (recount.all.ballots, voters)
    {
        let what = format!(
            "it counts {} ballots of {} voters, and there are {} of {voters}",
            closed.ballots, closed.voters, recount.all.ballots
        );
        pass.verdicts.fail(Check::Turnout, Finding::at_leaf(closed.leaf, what));
    }
    check_tally(pass, &definition, &recount, voters, &rest.result);
    check_outcomes(pass, &definition, &rest.result);
    (pass.definition, pass.recount) = (Some(definition), Some(recount));
    Ok(Some(voters))
}

/// Check 14.
fn check_tally(pass: &mut Pass, definition: &Definition, recount: &Recount, voters: u64, result: &Published) {
    let mut fail = |what: String| pass.verdicts.fail(Check::Tally, Finding::new(what));
    for (what, published, counted) in [
        ("ballots", result.ballots, recount.all.ballots),
        ("voters", result.voters, voters),
        ("weight", result.weight, recount.all.weight),
    ] {
        if published != counted {
            fail(format!("{what}: {published} published, {counted} recounted"));
        }
    }
    if result.eligible != pass.eligible {
        fail("the number or weight of those eligible is not that of the roll".to_owned());
    }
    if result.contests.len() != definition.contests.len() {
        fail("the result has other contests than the definition".to_owned());
    }
    for (index, published) in result.contests.iter().enumerate().take(definition.contests.len()) {
        let counted = recount.contest(definition, index);
        for (published, counted) in published.counts.iter().zip(&counted.counts) {
            if published != counted {
                let (id, choice) = (&definition.contests[index].id, &counted.choice);
                let (published, counted) = (published.votes, counted.votes);
                fail(format!(
                    "contest `{id}`, choice `{choice}`: {published} published, {counted} recounted"
                ));
            }
        }
        let rest = |contest: &PublishedContest| PublishedContest {
            counts: Vec::new(),
            outcome: None,
            ..contest.clone()
        };
        if published.counts.len() != counted.counts.len() || rest(published) != rest(&counted) {
            fail(format!(
                "contest `{}`: blanks, groups, title or method differ",
                definition.contests[index].id
            ));
        }
    }
}

/// Checks 15 and 16, on the counts as published.
fn check_outcomes(pass: &mut Pass, definition: &Definition, result: &Published) {
    let fits = result.contests.len() == definition.contests.len()
        && result
            .contests
            .iter()
            .zip(&definition.contests)
            .all(|(published, contest)| published.counts.len() == contest.choices.len());
    if !fits {
        pass.verdicts.skip(Check::Draw, "the published counts are not those of the contests");
        pass.verdicts.skip(Check::Outcome, "the published counts are not those of the contests");
        return;
    }
    let eligible = pass.eligible.map_or(0, |eligible| eligible.weight);
    let mut has_tie = false;
    for (contest, published) in definition.contests.iter().zip(&result.contests) {
        let votes: Vec<u64> = published.counts.iter().map(|count| count.votes).collect();
        let counted = Counted { contest, votes: &votes, weight: result.weight, eligible };
        let contest_places = contest.method.has_seats().then(|| places(counted));
        let is_tie = contest_places.as_ref().is_some_and(|places| !places.tied.is_empty());
        has_tie |= is_tie;
        let lot = published_lot(pass, published, contest_places.as_ref().filter(|_| is_tie), counted);
        check_outcome(pass, definition, published, counted, lot.as_deref());
    }
    if let Some(finding) = pass.acts.drawn_fault() {
        pass.verdicts.fail(Check::Draw, finding);
    }
    let drawn = pass.acts.drawn;
    if let Some(drawn) = drawn.filter(|_| !has_tie) {
        pass.verdicts.fail(Check::Draw, Finding::at_leaf(drawn.leaf, "there was no tie to draw"));
    }
    let needs_draw = has_tie && definition.draw != definition::Draw::None && drawn.is_none();
    if needs_draw && pass.acts.state == State::Published {
        pass.verdicts.fail(Check::Draw, Finding::new("it was published without the draw that its tie needs"));
    }
}

/// The tied choices that the published outcome says the lot elected; check 15 compares them with the lot drawn again.
/// `None` where nothing was drawn.
fn published_lot(
    pass: &mut Pass,
    published: &PublishedContest,
    tie: Option<&Places>,
    counted: Counted<'_>,
) -> Option<Vec<usize>> {
    let (tie, outcome) = (tie?, published.outcome.as_ref()?);
    let contest = counted.contest;
    let drawn = pass.acts.drawn;
    if outcome.kind != "drawn" && drawn.is_none() {
        return None;
    }
    let index_of = |id: &String| contest.choices.iter().position(|choice| choice.id == *id);
    let lot: Vec<usize> = outcome.winners.iter().skip(tie.elected.len()).filter_map(index_of).collect();
    match drawn {
        None => {
            let what = format!("contest `{}`: no act tells of its draw", contest.id);
            pass.verdicts.fail(Check::Draw, Finding::new(what));
        }
        Some(drawn) if outcome.kind == "drawn" => {
            let order = draw_order(contest, &drawn.seed, &drawn.closing_root.0);
            let first = order.into_iter().filter(|choice| tie.tied.contains(choice)).take(tie.open_seats);
            if first.collect::<Vec<_>>() != lot {
                let what = format!("contest `{}`: the lot, drawn again, elects others", contest.id);
                pass.verdicts.fail(Check::Draw, Finding::at_leaf(drawn.leaf, what));
            }
        }
        Some(_) => {}
    }
    Some(lot)
}

/// Check 16 on one contest.
fn check_outcome(
    pass: &mut Pass,
    definition: &Definition,
    published: &PublishedContest,
    counted: Counted<'_>,
    lot: Option<&[usize]>,
) {
    let id = &counted.contest.id;
    let mut fail =
        |what: String| pass.verdicts.fail(Check::Outcome, Finding::new(format!("contest `{id}`: {what}")));
    let expected = pass.acts.state.is_over().then(|| outcome(counted, definition.draw, lot));
    match (&published.outcome, expected) {
        (None, None) => {}
        (None, Some(_)) => fail("it has no outcome".to_owned()),
        (Some(_), None) => fail("it has an outcome, and the vote is not closed".to_owned()),
        (Some(published), Some(expected)) => {
            if published.sentence != expected.sentence {
                fail(format!(
                    "\"{}\" published, \"{}\" follows from the counts",
                    published.sentence, expected.sentence
                ));
            } else if *published != expected {
                fail("kind, winners, tied, needed, base or points do not follow from the counts".to_owned());
            }
            if let Some(lot) = lot
                && let Places { tied, open_seats, .. } = places(counted)
                && !is_lot_of(lot, &tied, open_seats)
            {
                fail("the lot elected others than the tied, or too many or too few".to_owned());
            }
        }
    }
}

/// As many different choices as seats, all of them tied.
fn is_lot_of(lot: &[usize], tied: &[usize], open_seats: usize) -> bool {
    let is_different = (1..lot.len()).all(|at| !lot[..at].contains(&lot[at]));
    lot.len() == open_seats && is_different && lot.iter().all(|choice| tied.contains(choice))
}

/// Check 17.
fn check_publication(pass: &mut Pass, rest: &Rest) {
    let state = pass.acts.state.name();
    if rest.result.state != state {
        let what = format!("the result is of an election that is {}, and it is {state}", rest.result.state);
        pass.verdicts.fail(Check::Publication, Finding::new(what));
    }
    if let Some((leaf, hash)) = pass.acts.published
        && hash != rest.result_hash
    {
        pass.verdicts.fail(Check::Publication, Finding::at_leaf(leaf, "another result was published"));
    }
}

/// Outcomes of the recount itself, for people.
fn recounted(pass: &Pass) -> Vec<Sentence> {
    let (Some(definition), Some(recount)) = (&pass.definition, &pass.recount) else { return Vec::new() };
    if !pass.acts.state.is_over() {
        return Vec::new();
    }
    let eligible = pass.eligible.map_or(0, |eligible| eligible.weight);
    let sentence = |(index, contest): (usize, &Contest)| {
        let votes = &recount.all.contests[index].votes;
        let counted = Counted { contest, votes, weight: recount.all.weight, eligible };
        let drawn = pass.acts.drawn.filter(|_| contest.method.has_seats());
        let lot = drawn.map(|drawn| {
            let Places { tied, open_seats, .. } = places(counted);
            let order = draw_order(contest, &drawn.seed, &drawn.closing_root.0);
            order.into_iter().filter(|choice| tied.contains(choice)).take(open_seats).collect::<Vec<_>>()
        });
        let sentence = outcome(counted, definition.draw, lot.as_deref()).sentence;
        Sentence { contest: contest.id.clone(), title: contest.title.clone(), sentence }
    };
    definition.contests.iter().enumerate().map(sentence).collect()
}
