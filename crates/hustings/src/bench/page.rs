//! As much of a page as a phone needs: its forms, its files, where it leads.

/// The value of the attribute that `before` ends in, `data-events="` for example.
pub fn attribute(page: &str, before: &str) -> Option<String> {
    let rest = &page[page.find(before)? + before.len()..];
    Some(unescape(&rest[..rest.find('"')?]))
}

/// Names and values of the hidden inputs of the form with this action.
pub fn hidden_fields(page: &str, action: &str) -> Option<Vec<(String, String)>> {
    let rest = &page[page.find(&format!("action=\"{action}\""))?..];
    let form = &rest[..rest.find("</form>")?];
    let inputs = form.split("<input type=\"hidden\" ").skip(1);
    inputs.map(|input| Some((attribute(input, "name=\"")?, attribute(input, "value=\"")?))).collect()
}

/// Name and value of every radio button.
pub fn choices(page: &str) -> Vec<(String, String)> {
    let inputs = page.split("type=\"radio\"").skip(1);
    inputs.filter_map(|input| Some((attribute(input, "name=\"")?, attribute(input, "value=\"")?))).collect()
}

pub fn title(page: &str) -> &str {
    let title = page.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    title.map_or("a page without a title", |(title, _)| title)
}

pub fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    lines(head).find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Adds the cookies that an answer sets, in the place of older ones of their names.
pub fn keep_cookies(head: &str, cookies: &mut Vec<(String, String)>) {
    for line in lines(head) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if !name.eq_ignore_ascii_case("set-cookie") {
            continue;
        }
        let pair = value.split(';').next().unwrap_or_default().trim();
        if let Some((name, value)) = pair.split_once('=') {
            cookies.retain(|(known, _)| known != name);
            cookies.push((name.to_owned(), value.to_owned()));
        }
    }
}

/// A form as browsers send it (URL Standard, section 5.2).
pub fn encode(fields: &[(String, String)]) -> String {
    let pairs = fields.iter().map(|(name, value)| format!("{}={}", percent(name), percent(value)));
    pairs.collect::<Vec<_>>().join("&")
}

fn lines(head: &str) -> impl Iterator<Item = &str> {
    head.split("\r\n").take_while(|line| !line.is_empty())
}

fn percent(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' | b'_' | b'.' | b'*' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

fn unescape(text: &str) -> String {
    text.replace("&#34;", "\"").replace("&quot;", "\"").replace("&#38;", "&").replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<title>Lunch</title><form action="/a" method="post"><input type="hidden" name="x" value="1">
        </form><form action="/b" method="post"><input type="hidden" name="form" value="a&#38;b">
        <input type="radio" name="c.one" value="pizza"><input type="hidden" name="key" value="k"></form>"#;

    #[test]
    fn a_form_is_sent_back_as_it_was_served() {
        let fields = hidden_fields(PAGE, "/b").unwrap();
        assert_eq!(encode(&fields), "form=a%26b&key=k");
        assert_eq!(choices(PAGE), [("c.one".to_owned(), "pizza".to_owned())]);
        assert_eq!(hidden_fields(PAGE, "/c"), None);
        assert_eq!(title(PAGE), "Lunch");
    }

    #[test]
    fn cookies_are_kept_and_replaced() {
        let mut cookies = Vec::new();
        keep_cookies(
            "HTTP/1.1 200 OK\r\nSet-Cookie: a=1; Path=/\r\nset-cookie: b=2\r\n\r\nset-cookie: c=3",
            &mut cookies,
        );
        keep_cookies("HTTP/1.1 200 OK\r\nset-cookie: a=4\r\n\r\n", &mut cookies);
        assert_eq!(cookies, [("b".to_owned(), "2".to_owned()), ("a".to_owned(), "4".to_owned())]);
        assert_eq!(header("HTTP/1.1 303\r\nLocation: /e/x\r\n\r\n", "location"), Some("/e/x"));
    }
}
