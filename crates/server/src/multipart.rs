//! Text fields of a posted form, also of one with files (RFC 7578), from a body that is at hand.

use crate::input::parse_form;
use std::collections::BTreeMap;

/// The fields by name; the last of equal names. `None` if the body is not what its content type says, or not text.
pub fn fields(content_type: &str, body: &[u8]) -> Option<BTreeMap<String, String>> {
    let (kind, parameters) = content_type.split_once(';').unwrap_or((content_type, ""));
    if kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Some(parse_form(body)?.into_iter().collect());
    }
    if !kind.trim().eq_ignore_ascii_case("multipart/form-data") {
        return None;
    }
    let boundary = parameters.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?;
    let boundary = boundary.trim_matches('"');
    if boundary.is_empty() || boundary.len() > 70 {
        return None;
    }
    let text = std::str::from_utf8(body).ok()?;
    let delimiter = format!("--{boundary}");
    let mut fields = BTreeMap::new();
    // Before the first delimiter stands nothing, after the last one `--`.
    for part in text.split(&delimiter).skip(1) {
        let Some(part) = part.strip_prefix("\r\n") else { break };
        let (head, content) = part.split_once("\r\n\r\n")?;
        let content = content.strip_suffix("\r\n")?;
        if let Some(name) = name_of(head) {
            fields.insert(name.to_owned(), content.to_owned());
        }
    }
    Some(fields)
}

/// The name in `Content-Disposition: form-data; name="receipt"`.
fn name_of(head: &str) -> Option<&str> {
    let is_disposition = |line: &&str| line.to_ascii_lowercase().starts_with("content-disposition:");
    let line = head.split("\r\n").find(is_disposition)?;
    line.split(';').find_map(|part| part.trim().strip_prefix("name=")).map(|name| name.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &str = "--x1\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.json\"\r\n\
         Content-Type: application/json\r\n\r\n{\"receipt\":1}\n\r\n\
         --x1\r\nContent-Disposition: form-data; name=\"receipt\"\r\n\r\n\r\n--x1--\r\n";

    #[test]
    fn a_form_with_a_file_is_read() {
        let fields = fields("multipart/form-data; boundary=x1", BODY.as_bytes()).unwrap();
        assert_eq!(fields["file"], "{\"receipt\":1}\n");
        assert_eq!(fields["receipt"], "");
    }

    #[test]
    fn a_plain_form_is_read_and_anything_else_refused() {
        assert_eq!(fields("application/x-www-form-urlencoded", b"receipt=%7B%7D").unwrap()["receipt"], "{}");
        assert!(fields("text/plain", b"receipt=1").is_none());
        assert!(fields("multipart/form-data", BODY.as_bytes()).is_none());
        assert!(fields("multipart/form-data; boundary=x1", b"--x1\r\nnothing").is_none());
        assert!(fields("multipart/form-data; boundary=x1", b"\xff").is_none());
    }
}
