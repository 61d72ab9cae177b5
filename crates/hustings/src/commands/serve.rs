//! `serve`: one durable node until a signal ends it.

use anyhow::Result;
use clap::ArgMatches;
use node::OfficerToken;
use serde_json::json;

use crate::addresses;
use crate::cli::ServeArgs;
use crate::config;
use crate::exit::{Exit, Failure};
use crate::hosting::{self, Hosted, StopSignals};
use crate::output::{Form, note, thousands};

pub fn run(args: ServeArgs, matches: &ArgMatches, form: Form) -> Result<Exit> {
    let config = config::settle(args.config, matches)?.check()?;
    hosting::log_to_stderr(&config)?;
    let officer_token = officer_token_from_environment()?;
    let stop = StopSignals::catch()?;
    // The port first: a taken one is told at once, and the data folder stays untouched.
    let listener = hosting::listen(config.listen)?;
    let data = config.data.clone();
    let hosted = match config.cluster.clone() {
        None => hosting::host(config, listener, officer_token)?,
        Some(settings) => hosting::host_in_cluster(config, &settings, args.first, listener, officer_token)?,
    };
    announce(&hosted, &data, form);
    stop.wait();
    note("Stopping: answering what was accepted.");
    hosted.stop()?;
    note("Stopped.");
    Ok(Exit::Ok)
}

/// The token officers show, where the environment sets it.
pub fn officer_token_from_environment() -> Result<Option<OfficerToken>> {
    match std::env::var("HUSTINGS_OFFICER_TOKEN") {
        Ok(text) if !text.trim().is_empty() => {
            let token = OfficerToken::new(text.trim().to_owned())
                .map_err(|why| Failure::usage(format!("HUSTINGS_OFFICER_TOKEN cannot be used: {why}")))?;
            Ok(Some(token))
        }
        _ => Ok(None),
    }
}

fn announce(hosted: &Hosted, data: &std::path::Path, form: Form) {
    let url = addresses::base_url(hosted.scheme, local_address(hosted));
    let pairing = hosted.pairing_code();
    let value = json!({
        "url": url, "public_url": hosted.base_url(), "data": data, "room_for_people": hosted.room,
        "zmq": hosted.zmq_address(), "officer_token": hosted.new_officer_token, "pairing_code": pairing,
        "cluster": hosted.cluster.as_ref().map(|cluster| json!({
            "name": cluster.name, "node": cluster.node, "node_address": cluster.node_address,
            "join_key": cluster.new_join_key.as_ref().map(|key| key.as_str()),
        })),
    });
    form.result(&value, || {
        let mut text = format!("Hustings listens on {url}  (data: {})\n", data.display());
        if hosted.base_url() != url {
            text += &format!("Voters:  {}\n", hosted.base_url());
        }
        text += &format!(
            "Officer: {}/admin  (pairing code {pairing}, once, for ten minutes)\n",
            hosted.base_url()
        );
        if let Some(cluster) = &hosted.cluster {
            text += &format!(
                "Cluster: {}, server {}, reached by the others at {}\n",
                cluster.name, cluster.node, cluster.node_address
            );
        }
        if let Some(zmq) = hosted.zmq_address() {
            text += &format!("ZeroMQ:  {zmq}\n");
        }
        text += &format!("Room for about {} people at once.\n", thousands(hosted.room));
        if let Some((cluster, key)) =
            hosted.cluster.as_ref().and_then(|cluster| Some((cluster, cluster.new_join_key.as_ref()?)))
        {
            let key = key.as_str();
            text += &format!(
                "\nJoin key, shown this once; who has it can add servers:\n\n    {key}\n\n\
                 On each further machine: HUSTINGS_JOIN_KEY={key} hustings serve --cluster {}\n",
                cluster.name
            );
        }
        if let Some(token) = &hosted.new_officer_token {
            text += &format!(
                "\nOfficer token, shown this once; keep it safe:\n\n    {token}\n\n\
                 Commands take it from the environment: export HUSTINGS_OFFICER_TOKEN={token}\n"
            );
        }
        text
    });
}

/// The bound address; for all interfaces the loopback one, which always works here.
fn local_address(hosted: &Hosted) -> std::net::SocketAddr {
    hosted.addresses.last().copied().unwrap_or(hosted.address())
}
