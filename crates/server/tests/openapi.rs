//! The OpenAPI file says what the code does: the same routes, codes, and fields in answers.

mod common;

use common::{Reply, Site, lunch};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn document() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn the_file_has_exactly_the_routes_of_the_code() {
    let document = document();
    let documented: BTreeSet<String> = document["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, methods)| {
            methods.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let routed: BTreeSet<String> =
        server::ROUTES.iter().filter(|route| route.is_api).map(|route| format!("{route:?}")).collect();
    assert_eq!(documented, routed);
}

#[test]
fn the_file_knows_every_code_and_its_references_lead_somewhere() {
    let document = document();
    let listed =
        document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
    let listed: BTreeSet<&str> = listed.iter().map(|code| code.as_str().unwrap()).collect();
    let known: BTreeSet<&str> = server::problem::CODES.iter().map(|code| code.name).collect();
    assert_eq!(listed, known);
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    for reference in references {
        assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
    }
}

fn collect_references<'d>(value: &'d Value, found: &mut Vec<&'d str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| collect_references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

/// What is wrong with `value` by `schema`: types, required and unknown members, enums, patterns by eye only.
fn faults(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        return faults(document, document.pointer(&reference[1..]).unwrap(), value, at);
    }
    if let Some(branches) = schema["oneOf"].as_array() {
        let fitting = branches.iter().filter(|branch| faults(document, branch, value, at).is_empty()).count();
        return if fitting == 1 { Vec::new() } else { vec![format!("{at}: fits {fitting} forms")] };
    }
    let mut found = Vec::new();
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let allowed: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).collect(),
        _ => vec![kind],
    };
    if !allowed.contains(&kind) {
        found.push(format!("{at}: is {kind}, not {allowed:?}"));
    }
    if schema.get("const").is_some_and(|only| only != value) {
        found.push(format!("{at}: is not {}", schema["const"]));
    }
    if schema["enum"].as_array().is_some_and(|listed| !listed.contains(value)) {
        found.push(format!("{at}: {value} is not listed"));
    }
    if let Some(members) = value.as_object() {
        let empty = serde_json::Map::new();
        let properties = schema["properties"].as_object().unwrap_or(&empty);
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                found.push(format!("{at}: `{name}` is missing"));
            }
        }
        for (name, member) in members {
            match properties.get(name) {
                Some(schema) => found.extend(faults(document, schema, member, &format!("{at}.{name}"))),
                None if schema["additionalProperties"] == json!(false) => {
                    found.push(format!("{at}: `{name}` is not documented"));
                }
                None => {}
            }
        }
    }
    for (place, item) in value.as_array().into_iter().flatten().enumerate() {
        found.extend(faults(document, &schema["items"], item, &format!("{at}[{place}]")));
    }
    found
}

struct Checker {
    document: Value,
    seen: BTreeMap<String, u16>,
}

impl Checker {
    /// The answer to `method path` (as in the file) fits what the file says for its status.
    #[track_caller]
    fn check(&mut self, method: &str, path: &str, reply: &Reply) -> Value {
        let operation = &self.document["paths"][path][method.to_lowercase()];
        let mut response = &operation["responses"][reply.status.to_string()];
        if let Some(reference) = response["$ref"].as_str() {
            response = self.document.pointer(&reference[1..]).unwrap();
        }
        let content_type = reply.header("content-type").split(';').next().unwrap();
        let media = &response["content"][content_type];
        assert!(media.is_object(), "{method} {path}: {} {content_type} is not documented", reply.status);
        self.seen.insert(format!("{} {path}", method.to_uppercase()), reply.status);
        if !content_type.ends_with("json") || content_type.ends_with("x-ndjson") {
            return Value::Null;
        }
        let body = reply.json();
        let found = faults(&self.document, &media["schema"], &body, "body");
        assert!(found.is_empty(), "{method} {path}: {found:#?} in {body}");
        body
    }
}

#[test]
fn answers_have_the_fields_that_the_file_says() {
    let site = Site::new();
    let mut checker = Checker { document: document(), seen: BTreeMap::new() };
    let mut definition = lunch("lunch", "on-reveal");
    definition["groups"] = json!(["North", "South"]);
    definition["contest"].as_array_mut().unwrap().push(json!({
        "id": "fence", "title": "A fence", "method": "motion", "majority": ">=2/3", "quorum": 1 }));
    definition["contest"].as_array_mut().unwrap().push(json!({
        "id": "mood", "title": "How is it?", "method": "rating" }));
    definition["contest"][0]["order"] = json!("shuffled");
    let created = site.officer_post("/api/v1/elections", definition);
    checker.check("POST", "/api/v1/elections", &created);
    checker.check("POST", "/api/v1/elections", &site.officer_post("/api/v1/elections", json!({})));
    for act in ["open", "pause", "open", "hide", "reveal", "hide", "reveal"] {
        checker.check("POST", &format!("/api/v1/elections/{{slug}}/{act}"), &site.act("lunch", act));
    }
    let at = |rest: &str| format!("/api/v1/elections/lunch{rest}");
    let named = |rest: &str| format!("/api/v1/elections/{{slug}}{rest}");
    let session = site.request("POST", &at("/sessions")).send();
    let token = checker.check("POST", &named("/sessions"), &session)["token"].as_str().unwrap().to_owned();
    let choices = json!({ "meal": ["pizza"], "fence": ["yes"], "mood": ["4"] });
    let receipt = site.cast("lunch", &token, choices.clone());
    let leaf = checker.check("POST", &named("/ballots"), &receipt)["leaf_index"].clone();
    checker.check("POST", &named("/ballots"), &site.cast("lunch", &token, choices.clone()));
    checker.check("POST", &named("/ballots"), &site.cast("lunch", "x", choices.clone()));
    let line = json!({ "voter": "v1", "choices": choices, "group": "North" }).to_string();
    let bulk = site.request("POST", &at("/ballots/bulk")).officer().body("application/x-ndjson", line).send();
    checker.check("POST", &named("/ballots/bulk"), &bulk);
    let answer: Value = serde_json::from_slice(&bulk.body).unwrap();
    let bulk_schema = json!({ "$ref": "#/components/schemas/BulkAnswer" });
    assert_eq!(faults(&checker.document, &bulk_schema, &answer, "line"), Vec::<String>::new());
    let own = site.request("GET", &at("/ballot")).bearer(&token).send();
    checker.check("GET", &named("/ballot"), &own);
    checker.check("GET", &named("/record"), &site.get(&at("/record")));
    for (rest, path) in [
        ("", String::new()),
        ("/results", "/results".to_owned()),
        ("/checkpoint", "/checkpoint".to_owned()),
        ("/proof/{index}", format!("/proof/{leaf}")),
        ("/proof/{index}", "/proof/0".to_owned()),
        ("/consistency", "/consistency?from=1".to_owned()),
        ("/tile/{level}/{index}", "/tile/0/0".to_owned()),
        ("/tile/{level}/{index}/{width}", "/tile/0/0/2".to_owned()),
    ] {
        checker.check("GET", &named(rest), &site.get(&at(&path)));
    }
    let extend = site.officer_post(&at("/extend"), json!({ "closes_at": "2099-01-01T00:00:00Z" }));
    checker.check("POST", &named("/extend"), &extend);
    checker.check(
        "POST",
        &named("/draw"),
        &site.officer_post(&at("/draw"), json!({ "seed": "00".repeat(32) })),
    );
    checker.check("POST", &named("/run-off"), &site.act("lunch", "run-off"));
    checker.check("POST", &named("/close"), &site.act("lunch", "close"));
    checker.check("GET", &named("/record"), &site.get(&at("/record")));
    checker.check("GET", &named("/results"), &site.get(&at("/results")));
    checker.check("POST", &named("/run-off"), &site.act("lunch", "run-off"));
    checker.check("POST", &named("/publish"), &site.act("lunch", "publish"));
    checker.check("POST", &named("/cancel"), &site.act("lunch", "cancel"));
    checker.check("POST", &named("/rehearse"), &site.act("lunch", "rehearse"));
    checker.check("POST", &named("/repeat"), &site.act("lunch", "repeat"));
    let room = site.officer_post("/api/v1/rooms", json!({ "title": "Hall", "elections": ["lunch"] }));
    let code = checker.check("POST", "/api/v1/rooms", &room)["code"].as_str().unwrap().to_owned();
    checker.check("GET", "/api/v1/rooms/{code}", &site.get(&format!("/api/v1/rooms/{code}")));
    let screen = site.officer_post(&format!("/api/v1/rooms/{code}/screen"), json!({ "show": "black" }));
    checker.check("POST", "/api/v1/rooms/{code}/screen", &screen);
    let added = site.officer_post(&format!("/api/v1/rooms/{code}/elections"), json!({ "slug": "lunch-2" }));
    checker.check("POST", "/api/v1/rooms/{code}/elections", &added);
    let at = |rest: &str| format!("/api/v1/rooms/{code}{rest}");
    let locked = site.officer_post(&at("/lock"), json!({}));
    let locked_at = checker.check("POST", "/api/v1/rooms/{code}/lock", &locked)["locked_at"].clone();
    assert!(locked_at.is_string());
    let unlocked = site.officer_post(&at("/unlock"), json!({}));
    let unlocked = checker.check("POST", "/api/v1/rooms/{code}/unlock", &unlocked);
    assert_eq!(unlocked["locked_at"], Value::Null);
    let remove = "/api/v1/rooms/{code}/elections/{slug}/remove";
    let removed = site.officer_post(&at("/elections/lunch-2/remove"), json!({}));
    assert_eq!(checker.check("POST", remove, &removed)["elections"].as_array().unwrap().len(), 1);
    checker.check("POST", remove, &site.officer_post(&at("/elections/lunch-2/remove"), json!({})));
    checker.check("POST", remove, &site.officer_post(&at("/elections/nowhere/remove"), json!({})));
    for body in [&b"\xff\xd8\xff"[..], b"<svg/>"] {
        let picture = site.request("POST", "/api/v1/pictures").officer().body("image/jpeg", body).send();
        checker.check("POST", "/api/v1/pictures", &picture);
    }
    checker.check("POST", "/api/v1/clock/confirm", &site.officer_post("/api/v1/clock/confirm", json!({})));
    for act in ["promote", "remove", "transfer", "drain"] {
        let refused = site.officer_post(&format!("/api/v1/cluster/{act}"), json!({ "node": 1 }));
        checker.check("POST", &format!("/api/v1/cluster/{act}"), &refused);
    }
    for path in [
        "/api/v1",
        "/api/v1/cluster",
        "/api/v1/elections",
        "/api/v1/status",
        "/openapi.json",
        "/livez",
        "/readyz",
        "/metrics",
    ] {
        checker.check("GET", path, &site.get(path));
    }
    let unseen: Vec<String> = server::ROUTES
        .iter()
        .filter(|route| route.is_api && !route.path.ends_with("/events"))
        .map(|route| format!("{route:?}"))
        .filter(|route| !checker.seen.contains_key(route))
        .collect();
    assert_eq!(unseen, Vec::<String>::new(), "every operation is asked once");
}

#[test]
fn the_examples_of_the_file_fit_their_schemas() {
    let document = document();
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        for example in schema["examples"].as_array().into_iter().flatten() {
            assert_eq!(faults(&document, schema, example, name), Vec::<String>::new());
        }
    }
}
