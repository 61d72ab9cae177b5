//! Rooms: a join code, an order of elections, and what the screen shows.

use super::{Answer, json};
use crate::app::App;
use crate::input::Input;
use crate::problem::{self, Problem};
use crate::{auth, views, wire};
use election::Slug;
use election::room::{Pace, Room, RoomCode, Screen};
use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};
use node::OfficerRequest;
use std::sync::Arc;

pub async fn create(input: Input) -> Answer {
    let app = officers(&input)?;
    let bytes_max = app.limits().body_bytes_max;
    let body: wire::RoomRequest = input.json(bytes_max).await?;
    let (title, pace) = (body.title, body.pace.unwrap_or(Pace::Own));
    let request = OfficerRequest::CreateRoom { title, pace, elections: body.elections };
    let acted = app.node.act(request).await.map_err(|error| views::refusal(&error))?;
    let code = acted.room.expect("making a room answers with its code");
    let mut response = room_answer(&app, &code, StatusCode::CREATED)?;
    let place = HeaderValue::try_from(format!("/api/v1/rooms/{code}")).expect("a code is plain ASCII");
    response.headers_mut().insert(LOCATION, place);
    Ok(response)
}

pub async fn show(input: Input) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    let room = views::room(&input.app, input.param("code"))?;
    Ok(json(StatusCode::OK, &room_body(&input.app, &room)))
}

pub async fn screen(input: Input) -> Answer {
    let app = officers(&input)?;
    let code = views::room(&app, input.param("code"))?.code;
    let bytes_max = app.limits().body_bytes_max;
    let body: wire::ScreenRequest = input.json(bytes_max).await?;
    show_screen(&app, code.clone(), Screen { show: body.show, election: body.election }).await?;
    room_answer(&app, &code, StatusCode::OK)
}

pub async fn add_election(input: Input) -> Answer {
    let app = officers(&input)?;
    let code = views::room(&app, input.param("code"))?.code;
    let bytes_max = app.limits().body_bytes_max;
    let body: wire::RoomElectionRequest = input.json(bytes_max).await?;
    add(&app, code.clone(), body.slug).await?;
    room_answer(&app, &code, StatusCode::OK)
}

pub async fn remove_election(input: Input) -> Answer {
    let slug = views::election(&input.app, input.param("slug")).await.map(|election| election.slug.clone());
    act(input, |code| Ok(OfficerRequest::RemoveFromRoom { code, slug: slug? })).await
}

pub async fn lock(input: Input) -> Answer {
    act(input, |code| Ok(OfficerRequest::LockRoom(code))).await
}

pub async fn unlock(input: Input) -> Answer {
    act(input, |code| Ok(OfficerRequest::UnlockRoom(code))).await
}

/// An act on a room that takes no body.
async fn act(input: Input, request: impl FnOnce(RoomCode) -> Result<OfficerRequest, Problem>) -> Answer {
    let app = officers(&input)?;
    let code = views::room(&app, input.param("code"))?.code;
    let request = request(code.clone())?;
    let _: wire::NothingRequest = input.optional_json().await?;
    app.node.act(request).await.map_err(|error| views::refusal(&error))?;
    room_answer(&app, &code, StatusCode::OK)
}

pub async fn show_screen(app: &App, code: RoomCode, screen: Screen) -> Result<(), Problem> {
    let request = OfficerRequest::ShowScreen { code, screen };
    app.node.act(request).await.map(|_| ()).map_err(|error| views::refusal(&error))
}

pub async fn add(app: &App, code: RoomCode, slug: Slug) -> Result<(), Problem> {
    let request = OfficerRequest::AddToRoom { code, slug };
    app.node.act(request).await.map(|_| ()).map_err(|error| views::refusal(&error))
}

fn officers(input: &Input) -> Result<Arc<App>, Problem> {
    input.accepts_json()?;
    input.no_query()?;
    auth::officer(&input.app, &input.headers)?;
    Ok(Arc::clone(&input.app))
}

fn room_answer(app: &App, code: &RoomCode, status: StatusCode) -> Answer {
    let room = views::room(app, code.as_str()).map_err(|_| Problem::plain(&problem::INTERNAL))?;
    Ok(json(status, &room_body(app, &room)))
}

fn room_body<'a>(app: &App, room: &'a Room) -> wire::RoomBody<'a> {
    let line = |slug: &'a Slug| {
        let election = app.node.election(slug.as_str())?;
        let (title, state) = (election.definition.title.clone(), election.view().state.as_str());
        Some(wire::RoomElection { slug: slug.as_str(), title, state })
    };
    wire::RoomBody {
        code: room.code.as_str(),
        title: &room.title,
        pace: room.pace,
        elections: room.elections.iter().filter_map(line).collect(),
        screen: &room.screen,
        locked_at: room.locked_at.map(|at| at.to_string()),
        join_url: format!("{}/j/{}", app.base_url, room.code),
        screen_url: format!("{}/r/{}/screen", app.base_url, room.code),
    }
}
