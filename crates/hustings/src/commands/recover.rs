//! `cluster recover`: the majority of a cluster is lost for good, and one server that is left goes on as a new cluster.
//!
//! Whatever was acknowledged is on a majority of the disks; with a majority gone, nobody can know that all of it is on the
//! one that is left. So nothing here happens by itself or quietly: the act is named for what it costs, the new cluster has
//! a name of its own, so that the two never mix, and its epoch stands in every later record with the reason.

use std::path::Path;

use anyhow::Result;
use cluster::net::JoinKey;
use election::command::EpochReason;
use ledger::{FileStorage, LedgerOptions, LogPoint, Position, ReplicatedLedger, ReplicatedLog as _};
use node::cluster_shell::Place;
use node::folder::DataFolder;
use node::refound;
use serde_json::json;

use crate::cli::RecoverArgs;
use crate::clustering::JOIN_KEY_FILE;
use crate::commands::backup::{LEDGER_FOLDER, SECRET_FILE, new_folder, read_if_there};
use crate::commands::manifest::{ledger_failure, no_data_folder};
use crate::commands::restore::{Founded, NewCluster, copy_rest, is_fresh, not_started_yet};
use crate::exit::{Exit, Failure};
use crate::hosting::node_failure;
use crate::output::{Form, note, thousands};

/// What a survivor has.
struct Survivor {
    place: Place,
    /// Keeps the folder to this process.
    _log: ReplicatedLedger<FileStorage>,
    known_committed: Position,
    last: LogPoint,
    last_term: u64,
}

pub fn run(args: RecoverArgs, form: Form) -> Result<Exit> {
    let survivor = look(&args.data)?;
    let Survivor { place, known_committed, last, last_term, .. } = &survivor;
    let uncertain = last.position.0.saturating_sub(known_committed.0);
    let mut value = json!({"data": args.data, "cluster": place.name, "log": place.ledger, "node": place.node,
        "known_committed": known_committed.0, "last": last.position.0, "last_term": last_term,
        "uncertain": uncertain});
    let mut text = format!(
        "Server {} of the cluster `{}`: its log ends with entry {} of term {last_term}.\n\
         Entries up to {} are known to have been committed; of the {} behind them nobody here can tell.\n",
        place.node,
        place.name,
        thousands(last.position.0),
        thousands(known_committed.0),
        thousands(uncertain),
    );
    let (Some(into), true) = (&args.into, args.i_know_that_votes_may_be_lost) else {
        form.result(&value, || text);
        return Err(look_first(&args).into());
    };
    if !is_fresh(into) {
        let sentence = format!("`{}` is not empty, and a recovery never goes over data", into.display());
        return Err(Failure::usage(sentence).hint("Name a folder that is not there yet.").into());
    }
    let made = recover(&survivor, &args.data, into)?;
    Place { recovered_into: Some(into.display().to_string()), ..survivor.place.clone() }
        .write(&DataFolder::new(&args.data))
        .map_err(node_failure)?;
    value["into"] = json!(into);
    value["epoch"] = json!(made.epoch);
    value["new_log"] = json!(made.log);
    value["position"] = json!(made.copied.written.position.0);
    text += &format!(
        "\n{}: the new cluster `{}` of this one server, epoch {} begins (reason: recovered)\n\n\
         VOTES MAY BE LOST. Everything that this server's log held is in. What the lost servers had acknowledged behind \
         entry {} is gone, and nobody can tell how much that is; voters who hold a receipt for it can prove it.\n",
        into.display(),
        place.name,
        made.epoch,
        thousands(last.position.0),
    );
    form.result(&value, || text);
    note(format!("Start it with: hustings serve --cluster {} --data {}", place.name, into.display()));
    note("The other servers of the old cluster never run again: each joins this one with an empty folder.");
    note(format!(
        "Keep `{}` as it is: it shows what was there. It does not start any more.",
        args.data.display()
    ));
    note("Tell everybody who relies on the vote. Every later record shows the new epoch and why it began.");
    Ok(Exit::Ok)
}

/// Nothing was done: what to compare, and what the act would be.
fn look_first(args: &RecoverArgs) -> Failure {
    let data = args.data.display();
    Failure::usage("nothing was changed: this gives up what only the lost servers had")
        .code("recovery_not_confirmed")
        .hint(format!(
            "First try to bring a majority back: with it nothing is lost. If that is impossible, look at every server \
             that is left, take the one with the highest last term and among those the highest last entry, and run \
             there: hustings cluster recover --data {data} --into NEW --i-know-that-votes-may-be-lost"
        ))
}

/// Takes the folder, and reads it as a start would.
fn look(data: &Path) -> Result<Survivor> {
    let folder = DataFolder::new(data);
    if !folder.has_ledger() {
        return Err(no_data_folder(data).into());
    }
    let Some(place) = Place::read(&folder).map_err(node_failure)? else {
        let sentence = format!("`{}` holds the ledger of a server alone", data.display());
        return Err(Failure::usage(sentence)
            .code("not_a_cluster")
            .hint("It needs no majority: start it with `hustings serve`.")
            .into());
    };
    refuse_recovered(&place, data)?;
    let known_committed = refound::known_committed(&folder).map_err(node_failure)?;
    let storage = folder.disks().map_err(node_failure)?.ledger;
    let (log, recovery) =
        ReplicatedLedger::open(storage, LedgerOptions::STANDARD, |_| Ok::<_, ledger::LedgerError>(()))
            .map_err(ledger_failure)?;
    if let Some(cut) = recovery.cut {
        note(cut.to_string());
    }
    let last = log.last();
    let last_term = log.term(last.position).unwrap_or(0);
    Ok(Survivor { place, _log: log, known_committed, last, last_term })
}

/// A folder from which another one was recovered must not run again.
pub fn refuse_recovered(place: &Place, data: &Path) -> Result<(), Failure> {
    let Some(into) = &place.recovered_into else { return Ok(()) };
    Err(Failure::usage(format!(
        "the cluster `{}` in `{}` was given up: it goes on in `{into}`, under a new epoch",
        place.name,
        data.display()
    ))
    .code("cluster_recovered")
    .hint(format!("Start that one: hustings serve --cluster {} --data {into}", place.name)))
}

fn recover(survivor: &Survivor, data: &Path, into: &Path) -> Result<Founded> {
    let name = survivor
        .place
        .name
        .parse()
        .map_err(|_| Failure::new(Exit::Damaged, "the cluster's name is damaged"))?;
    let needed = |file: &str| -> Result<_> {
        read_if_there(&data.join(file))?.ok_or_else(|| {
            let sentence = format!("`{}` is missing from `{}`", file, data.display());
            Failure::new(Exit::Damaged, sentence).hint("Put it back from a backup.").into()
        })
    };
    let (secret, join_key) = (needed(SECRET_FILE)?, needed(JOIN_KEY_FILE)?);
    let join_key = std::str::from_utf8(&join_key).ok().and_then(|text| JoinKey::from_text(text.trim()).ok());
    let join_key = join_key.ok_or_else(|| Failure::new(Exit::Damaged, "the kept join key is damaged"))?;
    new_folder(into)?;
    copy_rest(data, into)?;
    let new = NewCluster {
        name: &name,
        founder: not_started_yet(),
        secret: Some(&secret),
        join_key: &join_key,
        reason: EpochReason::Recovered,
    };
    new.found(&data.join(LEDGER_FOLDER), survivor.last.position, into)
}
