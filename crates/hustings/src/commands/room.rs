//! `room …`: one join code for several elections, and what its screen shows.

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::{CodeArg, RoomCreateArgs, RoomRemoveArgs, RoomScreenArgs};
use crate::client::{Client, segment};
use crate::exit::Exit;
use crate::output::{Form, note};

pub fn create(args: RoomCreateArgs, client: &Client, form: Form) -> Result<Exit> {
    let body = json!({"title": args.title, "pace": args.pace, "elections": args.elections});
    let room = client.post("/api/v1/rooms", Some(&body))?;
    form.result(&room, || {
        format!("Room `{}` has the code {}.", args.title, room["code"].as_str().unwrap_or("?"))
    });
    let code = room["code"].as_str().unwrap_or_default();
    note(format!("Voters: {base}/j/{code}\nScreen: {base}/r/{code}/screen", base = client.base()));
    Ok(Exit::Ok)
}

pub fn show(args: CodeArg, client: &Client, form: Form) -> Result<Exit> {
    let room = client.get(&room_path(&args.code, ""))?;
    form.result(&room, || room_text(&room));
    Ok(Exit::Ok)
}

pub fn screen(args: RoomScreenArgs, client: &Client, form: Form) -> Result<Exit> {
    let mut body = json!({"show": args.show});
    if let Some(election) = &args.election {
        body["election"] = json!(election);
    }
    let room = client.post(&room_path(&args.room.code, "/screen"), Some(&body))?;
    form.result(&room, || match &args.election {
        Some(election) => format!("The screen shows: {} of `{election}`.", args.show),
        None => format!("The screen shows: {}.", args.show),
    });
    Ok(Exit::Ok)
}

pub fn lock(args: CodeArg, client: &Client, form: Form) -> Result<Exit> {
    let room = client.post(&room_path(&args.code, "/lock"), None)?;
    form.result(&room, || "Joining is locked: who joins from now on cannot vote here.".to_owned());
    Ok(Exit::Ok)
}

pub fn unlock(args: CodeArg, client: &Client, form: Form) -> Result<Exit> {
    let room = client.post(&room_path(&args.code, "/unlock"), None)?;
    form.result(&room, || "Everybody with the code can join.".to_owned());
    Ok(Exit::Ok)
}

pub fn remove(args: RoomRemoveArgs, client: &Client, form: Form) -> Result<Exit> {
    let slug = &args.election.slug;
    let room =
        client.post(&room_path(&args.room.code, &format!("/elections/{}/remove", segment(slug))), None)?;
    form.result(&room, || format!("`{slug}` is no longer in the room."));
    Ok(Exit::Ok)
}

fn room_path(code: &str, rest: &str) -> String {
    format!("/api/v1/rooms/{}{rest}", segment(code))
}

fn room_text(room: &Value) -> String {
    let text = |key: &str| room[key].as_str().unwrap_or("-").to_owned();
    let mut lines = format!("{}  ({}, pace {})\n", text("title"), text("code"), text("pace"));
    let screen = &room["screen"];
    lines += &format!("screen: {}", screen["show"].as_str().unwrap_or("-"));
    match screen["election"].as_str() {
        Some(election) => lines += &format!(" {election}\n"),
        None => lines.push('\n'),
    }
    if let Some(since) = room["locked_at"].as_str() {
        lines += &format!("joining locked since {since}\n");
    }
    for election in room["elections"].as_array().into_iter().flatten() {
        let slug = election.as_str().or(election["slug"].as_str()).unwrap_or("?");
        lines += &format!("  {slug}\n");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_reads_as_a_list() {
        let room = json!({"code": "ABC234", "title": "Demo", "pace": "own",
            "elections": ["sandwich", {"slug": "hero"}], "screen": {"show": "results", "election": "hero"},
            "locked_at": "2027-03-01T18:00:00.000Z"});
        insta::assert_snapshot!(room_text(&room), @r"
        Demo  (ABC234, pace own)
        screen: results hero
        joining locked since 2027-03-01T18:00:00.000Z
          sandwich
          hero
        ");
    }
}
