//! `watch SLUG`: an election live in the terminal, over Server-Sent Events. A full-screen view on a terminal,
//! else one line per change, or the events as they come with `--json`.

use std::io::IsTerminal as _;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use ratatui::crossterm::event::{self, Event as Input, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Wrap};
use ratatui::{DefaultTerminal, Frame};
use serde_json::Value;

use crate::cli::WatchArgs;
use crate::client::{Client, election_path};
use crate::clock;
use crate::commands::results::{sentences, title};
use crate::exit::{Exit, Failure};
use crate::output::{self, Form, count, note, thousands};
use crate::sse::Events;

const FRAME_EVERY: Duration = Duration::from_millis(100);
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(15);

pub fn run(args: WatchArgs, client: &Client, form: Form) -> Result<Exit> {
    let slug = args.election.slug;
    let election = client.get(&election_path(&slug, ""))?;
    let definition = if election["definition"].is_object() { &election["definition"] } else { &election };
    let name = title(definition).to_owned();
    let news = follow(client.clone(), slug.clone());
    if form.is_json() || args.plain || !std::io::stdout().is_terminal() {
        return lines(&news, form);
    }
    let mut terminal = ratatui::try_init().context("cannot use the terminal; try --plain")?;
    let result = screen(&mut terminal, &news, &name, &slug);
    ratatui::restore();
    result
}

/// What the follower tells the view.
enum News {
    /// A snapshot: the results as they stand.
    Results(Value),
    /// The connection is gone; a new one is being made.
    Lost(String),
    /// There will be nothing more.
    Refused(anyhow::Error),
}

/// Follows the feed on a thread of its own, reconnecting where it left off.
fn follow(client: Client, slug: String) -> Receiver<News> {
    let (sender, receiver) = channel();
    thread::spawn(move || follow_until_refused(&client, &slug, &sender));
    receiver
}

fn follow_until_refused(client: &Client, slug: &str, news: &Sender<News>) {
    let path = election_path(slug, "/events");
    let mut last_id: Option<String> = None;
    let mut pause = RECONNECT_PAUSE;
    loop {
        let mut headers = vec![("accept", "text/event-stream")];
        if let Some(id) = &last_id {
            headers.push(("last-event-id", id));
        }
        let lost = match client.stream(&path, &headers) {
            Ok(stream) => {
                pause = RECONNECT_PAUSE;
                let mut events = Events::new(stream, last_id.clone());
                let ended = pass_on(&mut events, news);
                last_id = events.last_id().map(str::to_owned);
                pause = events.retry.unwrap_or(pause);
                match ended {
                    Ok(()) => return,
                    Err(why) => why,
                }
            }
            Err(error) if is_passing(&error) => format!("{error:#}"),
            Err(error) => {
                let _ = news.send(News::Refused(error));
                return;
            }
        };
        if news.send(News::Lost(lost)).is_err() {
            return;
        }
        thread::sleep(pause);
        pause = (pause * 2).min(RECONNECT_PAUSE_MAX);
    }
}

/// Passes snapshots on. `Ok`: nobody listens any more; `Err`: the stream ended.
fn pass_on<R: std::io::Read>(events: &mut Events<R>, news: &Sender<News>) -> Result<(), String> {
    loop {
        match events.next() {
            Ok(Some(event)) => {
                if let Some(results) = snapshot(&event.data)
                    && news.send(News::Results(results)).is_err()
                {
                    return Ok(());
                }
            }
            Ok(None) => return Err("the server ended the feed".to_owned()),
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn is_passing(error: &anyhow::Error) -> bool {
    let failure = error.downcast_ref::<Failure>();
    failure.is_some_and(|failure| matches!(failure.exit, Exit::Unreachable | Exit::Unavailable))
}

/// The results inside an event, whether they are the whole of it or a member.
fn snapshot(data: &str) -> Option<Value> {
    let value: Value = serde_json::from_str(data).ok()?;
    match &value["results"] {
        results if results.is_object() => Some(results.clone()),
        _ => value["state"].is_string().then_some(value),
    }
}

/// Whether nothing more will come: published, cancelled, or closed with its outcome shown.
fn is_final(results: &Value) -> bool {
    match results["state"].as_str() {
        Some("published" | "cancelled") => true,
        Some("closed") => !sentences(results).is_empty(),
        _ => false,
    }
}

fn lines(news: &Receiver<News>, form: Form) -> Result<Exit> {
    let mut last = String::new();
    for news in news {
        match news {
            News::Results(results) => {
                let line = line(&results);
                if form.is_json() {
                    output::data(&results.to_string());
                } else if line != last {
                    output::data(&line);
                    last = line;
                }
                if is_final(&results) {
                    return Ok(Exit::Ok);
                }
            }
            News::Lost(why) => note(format!("Connection lost ({why}); trying again.")),
            News::Refused(error) => return Err(error),
        }
    }
    Ok(Exit::Ok)
}

/// `open  12 ballots  Ann 7, Bob 5`, and the outcome where there is one.
fn line(results: &Value) -> String {
    let state = results["state"].as_str().unwrap_or("?");
    let mut text = format!("{state}  {}", count(results["ballots"].as_u64().unwrap_or(0), "ballot"));
    if results["counts_visible"] != Value::Bool(false) {
        for contest in results["contests"].as_array().into_iter().flatten() {
            let counts: Vec<String> =
                counts(contest).map(|(name, votes)| format!("{name} {votes}")).collect();
            text += &format!("  {}", counts.join(", "));
        }
    }
    if is_final(results) {
        text += &format!("  {}", sentences(results).join(". "));
    }
    text
}

fn counts(contest: &Value) -> impl Iterator<Item = (&str, u64)> {
    contest["counts"].as_array().into_iter().flatten().map(|count| {
        let name = count["name"].as_str().or(count["choice"].as_str()).unwrap_or("?");
        (name, count["votes"].as_u64().unwrap_or(0))
    })
}

fn screen(terminal: &mut DefaultTerminal, news: &Receiver<News>, name: &str, slug: &str) -> Result<Exit> {
    let mut results = Value::Null;
    let mut trouble: Option<String> = None;
    loop {
        let now = clock::wall();
        terminal
            .draw(|frame| draw(frame, name, slug, &results, trouble.as_deref(), now))
            .context("cannot draw on the terminal; try --plain")?;
        match news.recv_timeout(FRAME_EVERY) {
            Ok(News::Results(newer)) => {
                results = newer;
                trouble = None;
            }
            Ok(News::Lost(why)) => trouble = Some(format!("Connection lost ({why}); trying again.")),
            Ok(News::Refused(error)) => return Err(error),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => thread::sleep(FRAME_EVERY),
        }
        if wants_to_leave()? {
            return Ok(Exit::Ok);
        }
    }
}

fn wants_to_leave() -> Result<bool> {
    while event::poll(Duration::ZERO).context("cannot read the keyboard")? {
        if let Input::Key(key) = event::read().context("cannot read the keyboard")? {
            let interrupted = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
            if interrupted || matches!(key.code, KeyCode::Char('q') | KeyCode::Esc) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn draw(frame: &mut Frame, name: &str, slug: &str, results: &Value, trouble: Option<&str>, now: Timestamp) {
    let [head, body, foot] =
        Layout::vertical([Constraint::Length(3), Constraint::Min(1), Constraint::Length(1)])
            .areas(frame.area());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let head_lines =
        vec![Line::styled(name.to_owned(), bold), Line::raw(status(slug, results, now)), Line::raw("")];
    frame.render_widget(Paragraph::new(head_lines), head);
    frame.render_widget(Paragraph::new(body_lines(results, body.width)).wrap(Wrap { trim: false }), body);
    let foot_line = trouble.unwrap_or("q leaves; the election goes on");
    frame.render_widget(Paragraph::new(foot_line).style(Style::new().add_modifier(Modifier::DIM)), foot);
}

fn status(slug: &str, results: &Value, now: Timestamp) -> String {
    let Some(state) = results["state"].as_str() else {
        return format!("{slug}: waiting for the first news");
    };
    let ballots = results["ballots"].as_u64().unwrap_or(0);
    let voters = results["voters"].as_u64().unwrap_or(ballots);
    let mut text = format!("{state}   {}   {}", count(voters, "voter"), count(ballots, "ballot"));
    if let Some(closes) = results["closes_at"].as_str().and_then(|text| text.parse::<Timestamp>().ok())
        && matches!(state, "open" | "paused")
    {
        let left = (closes.as_second() - now.as_second()).max(0);
        text += &format!("   closes in {}:{:02}:{:02}", left / 3_600, left / 60 % 60, left % 60);
    }
    text
}

pub(super) fn body_lines(results: &Value, width: u16) -> Vec<Line<'static>> {
    if results["counts_visible"] == Value::Bool(false) {
        return vec![Line::raw("The counts are not shown yet.")];
    }
    let mut lines = Vec::new();
    for contest in results["contests"].as_array().into_iter().flatten() {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        lines.push(Line::styled(title(contest).to_owned(), bold));
        if let Some(sentence) = contest["outcome"]["sentence"].as_str() {
            lines.push(Line::raw(sentence.to_owned()));
        }
        lines.extend(bars(contest, width));
        lines.push(Line::raw(""));
    }
    lines
}

/// One line per choice: name, votes, bar. The number carries the meaning, the bar decorates.
fn bars(contest: &Value, width: u16) -> Vec<Line<'static>> {
    let all: Vec<(&str, u64)> = counts(contest).collect();
    let most = all.iter().map(|(_, votes)| *votes).max().unwrap_or(0).max(1);
    let name_width = all.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let votes_width = thousands(most).len();
    let room = u64::from(width).saturating_sub((name_width + votes_width + 6) as u64).max(1);
    all.into_iter()
        .map(|(name, votes)| {
            let text = format!("  {name:<name_width$}  {:>votes_width$}  ", thousands(votes));
            let cells = if votes == 0 { 0 } else { (votes * room / most).max(1) };
            Line::from(vec![Span::raw(text), Span::raw("█".repeat(cells as usize))])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use serde_json::json;

    fn results(state: &str) -> Value {
        let outcome = json!({"kind": "winner", "sentence": "The winner is Ann with 7 votes"});
        json!({"state": state, "ballots": 8, "voters": 8, "closes_at": "2027-03-01T18:00:00Z", "contests": [{
            "id": "chair", "title": "Who chairs?", "counts": [{"choice": "ann", "name": "Ann", "votes": 7},
            {"choice": "bob", "name": "Bob", "votes": 1}], "outcome": if state == "closed" { outcome } else { Value::Null }}]})
    }

    #[test]
    fn a_line_says_state_turnout_and_counts() {
        insta::assert_snapshot!(line(&results("open")), @"open  8 ballots  Ann 7, Bob 1");
        insta::assert_snapshot!(line(&results("closed")), @"closed  8 ballots  Ann 7, Bob 1  The winner is Ann with 7 votes");
    }

    #[test]
    fn it_ends_when_nothing_more_will_come() {
        assert!(!is_final(&results("open")));
        assert!(is_final(&results("closed")));
        assert!(is_final(&json!({"state": "cancelled"})));
        let hidden = json!({"state": "closed", "counts_visible": false});
        assert!(!is_final(&hidden), "the outcome comes with the publication");
    }

    #[test]
    fn a_snapshot_is_the_event_or_a_member_of_it() {
        assert_eq!(snapshot(r#"{"state":"open"}"#), Some(json!({"state": "open"})));
        assert_eq!(snapshot(r#"{"at":1,"results":{"state":"open"}}"#), Some(json!({"state": "open"})));
        assert_eq!(snapshot("hello"), None);
    }

    #[test]
    fn the_screen_shows_bars() {
        let now: Timestamp = "2027-03-01T17:58:30Z".parse().expect("a time");
        let mut terminal = Terminal::new(TestBackend::new(50, 10)).expect("a screen");
        terminal.draw(|frame| draw(frame, "Board", "board", &results("open"), None, now)).expect("drawn");
        insta::assert_snapshot!(terminal.backend(), @r#"
        "Board                                             "
        "open   8 voters   8 ballots   closes in 0:01:30   "
        "                                                  "
        "Who chairs?                                       "
        "  Ann  7  ████████████████████████████████████████"
        "  Bob  1  █████                                   "
        "                                                  "
        "                                                  "
        "                                                  "
        "q leaves; the election goes on                    "
        "#);
    }
}
