//! `token mint`: voter tokens beside a running server, from the secret and a read of the ledger alone.

use std::path::Path;

use anyhow::{Context as _, Result};
use election::command::{Batch, Command, OfficerCommand};
use election::definition::{Definition, Eligibility};
use election::{ElectionId, LedgerId, UnixMillis};
use ledger::{FileStorage, Ledger, LedgerError, Threads};
use node::edge::Numbers;
use node::engine::KIND_COMMANDS;
use node::folder::DataFolder;
use node::token::{Token, TokenKind};
use std::io::{BufWriter, Write as _};

use crate::cli::MintArgs;
use crate::clock;
use crate::commands::manifest::{ledger_failure, no_data_folder};
use crate::exit::{Exit, Failure};
use crate::hosting::node_failure;
use crate::output::{Form, Progress};

/// A ledger that is being written may be read in the middle of a batch; then it is read again.
const ATTEMPTS_MAX: u32 = 5;

pub fn mint(args: MintArgs, form: Form) -> Result<Exit> {
    let folder = DataFolder::new(&args.data);
    if !folder.has_ledger() {
        return Err(no_data_folder(&args.data).into());
    }
    let keys = folder.existing_keys().map_err(node_failure)?;
    let (ledger, election) = find(&folder.ledger(), &args.election)?;
    let id = ElectionId::derive(ledger, &election.slug);
    let numbers = voter_numbers(&args, &election)?;
    let issued = UnixMillis(u64::try_from(clock::wall().as_millisecond()).unwrap_or(0));
    let tokens =
        numbers.map(|number| Token::new(TokenKind::Voter, Some(id), number, issued).sign(keys.tokens()));
    print(tokens, args.count, form)
}

/// An election as it was created.
struct Created {
    slug: election::Slug,
    eligibility: Eligibility,
    roll: u64,
}

/// Reads the ledger for the election's creation. Cost: one pass over the ledger.
fn find(folder: &Path, slug: &str) -> Result<(LedgerId, Created)> {
    let storage = FileStorage::new(folder).with_context(|| format!("cannot open `{}`", folder.display()))?;
    let mut attempt = 1;
    loop {
        let mut found = None;
        let read = Ledger::check(&storage, Threads::Helpers, |entry| {
            if entry.header.kind == KIND_COMMANDS && found.is_none() {
                found = created_in(entry.payload, slug);
            }
            Ok::<(), LedgerError>(())
        });
        match read {
            Ok(recovery) => {
                let found = found.ok_or_else(|| {
                    Failure::usage(format!("there is no election `{slug}` in this ledger"))
                        .hint("`hustings election list` shows what there is.")
                })?;
                return Ok((LedgerId(recovery.ledger.0), found));
            }
            Err(_) if attempt < ATTEMPTS_MAX => attempt += 1,
            Err(error) => return Err(ledger_failure(error).into()),
        }
    }
}

fn created_in(payload: &[u8], slug: &str) -> Option<Created> {
    Batch::new(payload).map_while(Result::ok).find_map(|logged| match logged.command {
        Command::Officer(command) => match *command {
            OfficerCommand::Create { definition, roll } => {
                let definition = Definition::from_json(&definition).ok()?;
                (definition.slug.as_str() == slug).then_some(Created {
                    slug: definition.slug,
                    eligibility: definition.eligibility,
                    roll: roll.len() as u64,
                })
            }
            _ => None,
        },
        Command::Cast(_) => None,
    })
}

/// Numbers of the voters that the tokens are for: listed ones in dealt order, else fresh sessions.
fn voter_numbers(args: &MintArgs, election: &Created) -> Result<Box<dyn Iterator<Item = u64>>> {
    if election.eligibility == Eligibility::List {
        if args.count > election.roll {
            let text = format!(
                "election `{}` has {} voters on its list, fewer than {}",
                args.election, election.roll, args.count
            );
            return Err(Failure::usage(text).into());
        }
        return Ok(Box::new(0..args.count));
    }
    let (mut numbers, mut rng) = (Numbers::new(), rand::rng());
    Ok(Box::new((0..args.count).map(move |_| numbers.deal(&mut rng))))
}

fn print(tokens: impl Iterator<Item = String>, count: u64, form: Form) -> Result<Exit> {
    let mut progress = Progress::new("minting");
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    for (index, token) in tokens.enumerate() {
        progress.at(index as u64, Some(count), "tokens");
        let written = match form {
            Form::People => writeln!(out, "{token}"),
            Form::Json => writeln!(out, "{}", serde_json::json!({"token": token})),
        };
        match written {
            Ok(()) => {}
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(Exit::Ok),
            Err(error) => return Err(error).context("cannot write to standard output"),
        }
    }
    out.flush().context("cannot write to standard output")?;
    Ok(Exit::Ok)
}
