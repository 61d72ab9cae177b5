//! Server-Sent Events as a client reads them (WHATWG HTML, section 9.2.6), and a follower that reconnects.

use std::io::{BufRead, BufReader, Read};
use std::time::Duration;

/// One event: its type (`message` where none is named), its data and the id to resume after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: String,
    pub data: String,
    pub id: Option<String>,
}

/// A line of an event stream may be this long; a longer one ends the stream.
const LINE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Events of one connection, in order. `None` when the stream ends.
#[derive(Debug)]
pub struct Events<R> {
    lines: BufReader<R>,
    last_id: Option<String>,
    /// The server's wish for the pause before a reconnect.
    pub retry: Option<Duration>,
}

impl<R: Read> Events<R> {
    pub fn new(stream: R, last_id: Option<String>) -> Self {
        Self { lines: BufReader::new(stream), last_id, retry: None }
    }

    /// The id to give as `Last-Event-ID` when connecting again.
    pub fn last_id(&self) -> Option<&str> {
        self.last_id.as_deref()
    }

    /// The next event; an event that breaks off at the end of the stream is dropped, as the standard says.
    pub fn next(&mut self) -> std::io::Result<Option<Event>> {
        let (mut kind, mut data) = (String::new(), None::<String>);
        loop {
            let Some(line) = self.line()? else {
                return Ok(None);
            };
            if line.is_empty() {
                match data.take() {
                    Some(data) => return Ok(Some(self.event(kind, data))),
                    None => kind.clear(),
                }
                continue;
            }
            let (field, value) = match line.split_once(':') {
                Some((field, value)) => (field, value.strip_prefix(' ').unwrap_or(value)),
                None => (line.as_str(), ""),
            };
            match field {
                "event" => kind = value.to_owned(),
                "data" => match &mut data {
                    Some(data) => {
                        data.push('\n');
                        data.push_str(value);
                    }
                    None => data = Some(value.to_owned()),
                },
                "id" if !value.contains('\0') => self.last_id = Some(value.to_owned()),
                "retry" => self.retry = value.parse().ok().map(Duration::from_millis).or(self.retry),
                _ => {}
            }
        }
    }

    fn event(&self, kind: String, data: String) -> Event {
        let kind = if kind.is_empty() { "message".to_owned() } else { kind };
        Event { kind, data, id: self.last_id.clone() }
    }

    fn line(&mut self) -> std::io::Result<Option<String>> {
        let mut line = String::new();
        if self.lines.by_ref().take(LINE_BYTES_MAX).read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if !line.ends_with('\n') {
            return Ok(None);
        }
        line.truncate(line.trim_end_matches(['\r', '\n']).len());
        Ok(Some(line))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(stream: &str) -> Vec<Event> {
        let mut events = Events::new(stream.as_bytes(), None);
        std::iter::from_fn(|| events.next().expect("readable")).collect()
    }

    #[test]
    fn events_have_a_kind_data_and_the_last_id() {
        let events = all(
            "retry: 500\n\nid: 7\nevent: results\ndata: {\"a\":1}\ndata: 2\n\n: heartbeat\n\ndata:x\r\n\r\n",
        );
        let event =
            |kind: &str, data: &str| Event { kind: kind.into(), data: data.into(), id: Some("7".into()) };
        assert_eq!(events, vec![event("results", "{\"a\":1}\n2"), event("message", "x")]);
    }

    #[test]
    fn an_event_that_breaks_off_is_dropped() {
        assert_eq!(all("data: whole\n\ndata: half\n").len(), 1);
        assert_eq!(all("data: whole\n\ndata: ha").len(), 1);
    }

    #[test]
    fn the_servers_pause_is_kept() {
        let mut events = Events::new("retry: 500\ndata: x\n\n".as_bytes(), None);
        events.next().expect("readable");
        assert_eq!(events.retry, Some(Duration::from_millis(500)));
    }
}
