//! `hustings`: the command line of the voting system. Parses, dispatches, ends with a documented code.

mod addresses;
mod bench;
mod cli;
mod client;
mod clock;
mod clustering;
mod commands;
mod config;
mod definition;
mod exit;
mod hosting;
mod output;
mod qr;
mod sealing;
mod simulate;
mod sse;

use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _};

use cli::{
    Cli, ClockCommand, ClusterCommand, Command, ConfigCommand, PictureCommand, RoomCommand, TokenCommand,
};
use client::Client;
use exit::{Exit, print_error};
use output::Form;

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => error.exit(),
    };
    let json = cli.json;
    let cli = match cli {
        // Its children and its checks have exit codes of their own.
        Cli { command: Command::Bench(args), .. } => {
            return bench::run(args).unwrap_or_else(|error| {
                print_error(&error, json);
                exit::exit_of(&error).into()
            });
        }
        cli => cli,
    };
    match run(cli, &matches) {
        Ok(exit) => exit.into(),
        Err(error) => {
            print_error(&error, json);
            exit::exit_of(&error).into()
        }
    }
}

fn run(cli: Cli, matches: &ArgMatches) -> Result<Exit> {
    let form = if cli.json { Form::Json } else { Form::People };
    let client = || Client::new(&cli.server);
    match cli.command {
        Command::Demo(args) if args.cluster => commands::demo_cluster::run(args, cli.server, form),
        Command::Demo(args) => commands::demo::run(args, cli.server, form),
        Command::Poll(args) => commands::poll::run(args, cli.server, form),
        Command::Serve(args) => commands::serve::run(args, innermost(matches), form),
        Command::Election(command) => commands::election::run(command, &client()?, form),
        Command::Vote(args) => commands::vote::run(args, &client()?, form),
        Command::Room(RoomCommand::Create(args)) => commands::room::create(args, &client()?, form),
        Command::Room(RoomCommand::Show(args)) => commands::room::show(args, &client()?, form),
        Command::Room(RoomCommand::Screen(args)) => commands::room::screen(args, &client()?, form),
        Command::Room(RoomCommand::Lock(args)) => commands::room::lock(args, &client()?, form),
        Command::Room(RoomCommand::Unlock(args)) => commands::room::unlock(args, &client()?, form),
        Command::Room(RoomCommand::Remove(args)) => commands::room::remove(args, &client()?, form),
        Command::Picture(PictureCommand::Add(args)) => commands::picture::add(args, &client()?, form),
        Command::Cluster(ClusterCommand::Recover(args)) => commands::recover::run(args, form),
        Command::Cluster(command) => commands::cluster::run(command, &client()?, form),
        Command::Status => commands::status::show(&client()?, form),
        Command::Clock(ClockCommand::Confirm) => commands::status::confirm_clock(&client()?, form),
        Command::Config(ConfigCommand::Show(args)) => commands::config::show(args, innermost(matches), form),
        Command::Audit(args) => commands::audit::run(args, form),
        Command::Evidence(args) => commands::audit::check_evidence(args, form),
        Command::Token(TokenCommand::Mint(args)) => commands::token::mint(args, form),
        Command::Restore(args) => commands::restore::run(args, form),
        Command::Backup(args) => commands::backup::run(args, form),
        Command::Watch(args) => commands::watch::run(args, &client()?, form),
        Command::Mirror(args) => commands::mirror::run(args, cli.server, form),
        Command::Doctor(args) => commands::doctor::run(args, innermost(matches), form),
        Command::Bench(_) => unreachable!("handed over in `main`"),
        Command::Completions { shell } => Ok(completions(shell)),
    }
}

/// The matches of the subcommand that was called, where the origin of each of its values can be read.
fn innermost(matches: &ArgMatches) -> &ArgMatches {
    match matches.subcommand() {
        Some((_, inner)) => innermost(inner),
        None => matches,
    }
}

fn completions(shell: clap_complete::Shell) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "hustings", &mut script);
    output::bytes(&script);
    Exit::Ok
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
