//! Going on at another server of the cluster, where each has an address of its own: what a page takes along, and the way
//! in at the other end.

use super::session::forged;
use super::{OrPage, Page, Refusal, see_other};
use crate::adopt::{FIELD, fields};
use crate::input::Input;

/// What a page takes along.
#[derive(Debug)]
pub struct Elsewhere {
    /// Scheme and authority of the other servers.
    pub others: Vec<String>,
    /// What this browser's cookies say, for forms; cookies themselves stay with their host.
    pub fields: Vec<(String, String)>,
    pub path: String,
}

impl Elsewhere {
    /// `None` where all servers have one address, or there is one only.
    pub fn of(input: &Input) -> Option<Elsewhere> {
        let members = input.app.members();
        if members.others.is_empty() {
            return None;
        }
        let path = input.uri.path();
        let is_officers = path.starts_with("/admin") || path.starts_with("/cluster");
        let mut fields = fields(&input.app, &input.headers, input.caller.is_secure, is_officers);
        if let Some(token) = input.new_voter.get() {
            let name = format!("{FIELD}voter");
            fields.retain(|(known, _)| *known != name);
            fields.push((name, token.clone()));
        }
        Some(Elsewhere { others: members.others.clone(), fields, path: page_of(path) })
    }

    /// The other servers, for the script.
    pub fn joined(&self) -> String {
        self.others.join(" ")
    }
}

/// The page that a path leads to when it is asked for: some of the officers' take forms only.
fn page_of(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    match parts[..] {
        ["admin", kind @ ("e" | "r"), name, ..] if parts.get(3) != Some(&"remote") => {
            format!("/admin/{kind}/{name}")
        }
        ["admin", "r", ..] => path.to_owned(),
        ["admin", ..] => "/admin".to_owned(),
        ["cluster", ..] => "/cluster".to_owned(),
        _ => path.to_owned(),
    }
}

/// Takes over who comes from another server's page, with what its form brought along, and leads to the page it names.
/// The fields have become cookies before this is asked.
pub async fn go_on(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let (input, form) = input.with_form().await?;
    if !input.is_own_page() {
        return Err(Refusal::new(&input, forged()));
    }
    let path = form.get("path");
    let is_path = path.starts_with('/') && !path.starts_with("//") && !path.contains(['\\', '?', '#']);
    Ok(see_other(if is_path && path.is_ascii() { path } else { "/" }))
}

#[cfg(test)]
mod tests {
    use super::page_of;

    #[test]
    fn addresses_that_take_forms_lead_to_their_pages() {
        for (path, page) in [
            ("/e/lunch/review", "/e/lunch/review"),
            ("/admin/polls", "/admin"),
            ("/admin/e/lunch/open", "/admin/e/lunch"),
            ("/admin/r/ABC/next", "/admin/r/ABC"),
            ("/admin/r/ABC/remote", "/admin/r/ABC/remote"),
            ("/cluster/remove", "/cluster"),
        ] {
            assert_eq!(page_of(path), page);
        }
    }
}
