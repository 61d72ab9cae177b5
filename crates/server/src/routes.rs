//! Every address of the server: one table, from which the router is built and with which the OpenAPI file is
//! compared.

use crate::api::{bulk, cluster, elections, evidence, operations, pictures, rooms};
use crate::app::App;
use crate::input::Input;
use crate::problem::{self, Problem};
use crate::{ballots, pages};
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One method of one path.
#[derive(Clone, Copy)]
pub struct Route {
    pub method: &'static str,
    /// As in the OpenAPI file, without the query.
    pub path: &'static str,
    /// A machine's address, described in the OpenAPI file; pages are not.
    pub is_api: bool,
    handler: fn() -> MethodRouter<Arc<App>>,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

macro_rules! routes {
    ($($kind:ident $method:ident $path:literal $handler:expr;)*) => {
        &[$(Route {
            method: routes!(@name $method),
            path: $path,
            is_api: routes!(@api $kind),
            handler: || $method($handler),
        }),*]
    };
    (@name get) => { "GET" };
    (@name post) => { "POST" };
    (@api api) => { true };
    (@api page) => { false };
}

/// The table.
pub const ROUTES: &[Route] = routes! {
    api get "/api/v1" operations::about;
    api get "/api/v1/elections" elections::list;
    api post "/api/v1/elections" elections::create;
    api get "/api/v1/elections/{slug}" elections::show;
    api post "/api/v1/elections/{slug}/open" elections::open;
    api post "/api/v1/elections/{slug}/pause" elections::pause;
    api post "/api/v1/elections/{slug}/close" elections::close;
    api post "/api/v1/elections/{slug}/reveal" elections::reveal;
    api post "/api/v1/elections/{slug}/hide" elections::hide;
    api post "/api/v1/elections/{slug}/publish" elections::publish;
    api post "/api/v1/elections/{slug}/cancel" elections::cancel;
    api post "/api/v1/elections/{slug}/extend" elections::extend;
    api post "/api/v1/elections/{slug}/draw" elections::draw;
    api post "/api/v1/elections/{slug}/rehearse" elections::rehearse;
    api post "/api/v1/elections/{slug}/repeat" elections::repeat;
    api post "/api/v1/elections/{slug}/run-off" elections::run_off;
    api post "/api/v1/elections/{slug}/sessions" elections::sessions;
    api post "/api/v1/elections/{slug}/ballots" cast;
    api post "/api/v1/elections/{slug}/ballots/bulk" bulk::cast;
    api get "/api/v1/elections/{slug}/ballot" elections::own_ballot;
    api get "/api/v1/elections/{slug}/results" elections::results;
    api get "/api/v1/elections/{slug}/events" elections::events;
    api get "/api/v1/elections/{slug}/record" evidence::record;
    api get "/api/v1/elections/{slug}/checkpoint" evidence::checkpoint;
    api get "/api/v1/elections/{slug}/proof/{index}" evidence::proof;
    api get "/api/v1/elections/{slug}/consistency" evidence::consistency;
    api get "/api/v1/elections/{slug}/tile/{level}/{index}" evidence::tile;
    api get "/api/v1/elections/{slug}/tile/{level}/{index}/{width}" evidence::tile;
    api post "/api/v1/rooms" rooms::create;
    api get "/api/v1/rooms/{code}" rooms::show;
    api post "/api/v1/rooms/{code}/screen" rooms::screen;
    api post "/api/v1/rooms/{code}/elections" rooms::add_election;
    api post "/api/v1/rooms/{code}/elections/{slug}/remove" rooms::remove_election;
    api post "/api/v1/rooms/{code}/lock" rooms::lock;
    api post "/api/v1/rooms/{code}/unlock" rooms::unlock;
    api post "/api/v1/pictures" pictures::add;
    api get "/api/v1/status" operations::status;
    api post "/api/v1/clock/confirm" operations::confirm_clock;
    api get "/api/v1/cluster" cluster::show;
    api post "/api/v1/cluster/promote" cluster::promote;
    api post "/api/v1/cluster/remove" cluster::remove;
    api post "/api/v1/cluster/transfer" cluster::transfer;
    api post "/api/v1/cluster/drain" cluster::drain;
    api get "/openapi.json" operations::openapi;
    api get "/livez" operations::livez;
    api get "/readyz" operations::readyz;
    api get "/metrics" operations::metrics;

    page get "/" pages::room::home;
    page get "/j" pages::room::enter_code;
    page get "/j/{code}" pages::room::join;
    page post "/j/{code}/another" pages::room::another;
    page get "/poll/{number}" pages::room::poll;
    page get "/r/{code}/screen" pages::screen::screen;
    page get "/r/{code}/overlay" pages::screen::overlay;
    page get "/r/{code}/embed" pages::screen::embed_room;
    page get "/r/{code}/events" pages::screen::events;
    page get "/e/{slug}/embed" pages::screen::embed_election;
    page get "/e/{slug}" pages::ballot::ballot;
    page get "/e/{slug}/enter" pages::ballot::begin_again;
    page post "/e/{slug}/enter" pages::casting::enter;
    page get "/e/{slug}/review" pages::casting::show_review;
    page post "/e/{slug}/review" pages::casting::review;
    page get "/e/{slug}/change" pages::ballot::begin_again;
    page post "/e/{slug}/change" pages::casting::change;
    page get "/e/{slug}/cast" pages::ballot::begin_again;
    page post "/e/{slug}/cast" pages::casting::cast;
    page post "/e/{slug}/another" pages::casting::another;
    page get "/e/{slug}/receipt" pages::receipt::receipt;
    page get "/e/{slug}/receipt.json" pages::receipt::download;
    page get "/e/{slug}/results" pages::results::results;
    page get "/e/{slug}/record" pages::record::record;
    page post "/e/{slug}/record" pages::record::check_receipt;
    page post "/go-on" pages::elsewhere::go_on;
    page post "/language" pages::choose_language;
    page get "/errors" pages::errors;
    page get "/assets/{name}" pages::asset;
    page get "/pictures/{name}" pictures::show;
    page get "/admin" pages::officer::front::front;
    page post "/admin/login" pages::officer::login::log_in;
    page post "/admin/pair" pages::officer::login::pair;
    page post "/admin/logout" pages::officer::login::log_out;
    page post "/admin/pairing-code" pages::officer::login::pairing_code;
    page post "/admin/polls" pages::officer::create::poll;
    page post "/admin/rooms" pages::officer::create::room;
    page post "/admin/files" pages::officer::create::upload;
    page get "/admin/e/{slug}" pages::officer::election::show;
    page get "/admin/e/{slug}/results.csv" pages::officer::export::results;
    page get "/admin/e/{slug}/results.json" pages::officer::export::results;
    page post "/admin/e/{slug}/{act}" pages::officer::election::act;
    page get "/admin/r/{code}" pages::officer::room::show;
    page get "/admin/r/{code}/remote" pages::officer::room::remote;
    page get "/admin/r/{code}/results.csv" pages::officer::export::room_results;
    page get "/cluster" pages::officer::cluster::show;
    page get "/cluster/{act}" pages::officer::cluster::begin_again;
    page post "/cluster/{act}" pages::officer::cluster::act;
    page post "/admin/r/{code}/{act}" pages::officer::room::act;
};

/// The router for all of [`ROUTES`].
pub fn router(app: Arc<App>) -> Router {
    let mut paths: BTreeMap<&str, MethodRouter<Arc<App>>> = BTreeMap::new();
    for route in ROUTES {
        let methods = paths.remove(route.path).unwrap_or_default();
        paths.insert(route.path, methods.merge((route.handler)()));
    }
    let mut router = Router::new();
    for (path, methods) in paths {
        router = router.route(path, methods);
    }
    router.fallback(not_found).method_not_allowed_fallback(method_not_allowed).with_state(app)
}

/// Ballots usually do not come this way: the worker answers them before it asks the router.
async fn cast(State(app): State<Arc<App>>, request: axum::extract::Request) -> Response {
    ballots::answer(&app, request).await.map(axum::body::Body::new)
}

fn is_for_machines(path: &str) -> bool {
    path.starts_with("/api") || ROUTES.iter().any(|route| route.is_api && route.path == path)
}

async fn not_found(input: Input) -> Response {
    let problem = Problem::plain(&problem::NOT_FOUND);
    if is_for_machines(input.uri.path()) { problem.into_response() } else { pages::refuse(&input, problem) }
}

/// The router adds the `Allow` header.
async fn method_not_allowed(input: Input) -> Response {
    let problem = Problem::plain(&problem::METHOD_NOT_ALLOWED);
    if is_for_machines(input.uri.path()) { problem.into_response() } else { pages::refuse(&input, problem) }
}
