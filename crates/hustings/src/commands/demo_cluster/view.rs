//! What the demo of a cluster shows: on a terminal, as a line, as JSON.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;
use serde_json::{Value, json};

use super::{SERVERS, Seen};
use crate::commands::watch::body_lines;
use crate::output::thousands;

const KEYS: &str = "k kill the leader   1 2 3 kill or start that server   t let another lead   q end";

pub fn draw(frame: &mut Frame, seen: &Seen) {
    let rows = u16::try_from(SERVERS).expect("three") + 2;
    let [head, servers, votes, news, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(rows),
        Constraint::Min(5),
        Constraint::Length(6),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let dim = Style::new().add_modifier(Modifier::DIM);
    frame.render_widget(
        Paragraph::new(vec![Line::styled("Three servers, one vote", bold), Line::raw(figures(seen))]),
        head,
    );
    let mut lines = vec![Line::styled("    server  role      votes at                         log", dim)];
    lines.extend((0..SERVERS).map(|number| Line::raw(server_line(seen, number))));
    frame.render_widget(Paragraph::new(lines), servers);
    frame.render_widget(Paragraph::new(body_lines(&seen.results, votes.width)), votes);
    let told = seen.news.iter().map(|line| Line::raw(format!("· {line}")));
    frame.render_widget(Paragraph::new(told.collect::<Vec<_>>()), news);
    frame.render_widget(Paragraph::new(KEYS).style(dim), foot);
}

fn figures(seen: &Seen) -> String {
    let voters = &seen.voters;
    let mut text = format!(
        "{} votes acknowledged   last one {:.1} s ago",
        thousands(voters.acknowledged),
        voters.since_last.as_secs_f64()
    );
    if let Some(gap) = voters.gap_of_fault {
        text += &format!("   longest wait since then {:.1} s", gap.as_secs_f64());
    }
    text
}

fn server_line(seen: &Seen, number: usize) -> String {
    let address = &seen.addresses[number];
    let mut nodes = seen.cluster["nodes"].as_array().into_iter().flatten();
    let node = nodes.rfind(|node| node["address"] == **address);
    let role = match (seen.runs[number], node.and_then(|node| node["role"].as_str())) {
        (false, _) => "killed",
        (true, Some(role)) => role,
        (true, None) => "starting",
    };
    let position = node.and_then(|node| node["position"].as_u64()).map_or("-".to_owned(), thousands);
    let id = node.and_then(|node| node["id"].as_u64()).map_or("-".to_owned(), |id| id.to_string());
    format!(" {}  {id:<6}  {role:<8}  {address:<30}   {position}", number + 1)
}

/// One line for programs and logs.
pub fn line(seen: &Seen) -> String {
    let leader = seen.cluster["leader"].as_u64().map_or("nobody".to_owned(), |id| format!("server {id}"));
    let running = seen.runs.iter().filter(|runs| **runs).count();
    format!("{leader} leads, {running} of {SERVERS} run; {}\n", figures(seen))
}

pub fn json(seen: &Seen) -> Value {
    json!({
        "leader": seen.cluster["leader"], "running": seen.runs, "addresses": seen.addresses,
        "acknowledged": seen.voters.acknowledged, "since_last_ms": seen.voters.since_last.as_millis() as u64,
        "longest_gap_ms": seen.voters.longest_gap.as_millis() as u64,
        "gap_of_fault_ms": seen.voters.gap_of_fault.map(|gap| gap.as_millis() as u64),
        "results": seen.results,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::demo_cluster::voters::Figures;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use std::time::Duration;

    #[test]
    fn the_screen_shows_who_leads_who_is_dead_and_that_votes_go_on() {
        let node = |id: u64, role: &str, port: u16| json!({"id": id, "role": role, "address": format!("http://192.0.2.7:{port}"), "position": 1234});
        let seen = Seen {
            cluster: json!({"leader": 3, "nodes": [node(1, "follower", 8700), node(2, "follower", 8701), node(3, "leader", 8702)]}),
            results: json!({"contests": [{"title": "Still?", "counts": [{"name": "Yes", "votes": 5}, {"name": "No", "votes": 1}]}]}),
            runs: [false, true, true],
            addresses: [8700, 8701, 8702].map(|port| format!("http://192.0.2.7:{port}")).to_vec(),
            voters: Figures {
                acknowledged: 1234,
                since_last: Duration::from_millis(100),
                longest_gap: Duration::from_millis(800),
                gap_of_fault: Some(Duration::from_millis(800)),
            },
            news: vec![
                "killed the server at http://192.0.2.7:8700 (kill -9)".to_owned(),
                "server 3 leads".to_owned(),
            ],
        };
        let mut terminal = Terminal::new(TestBackend::new(86, 21)).expect("a screen");
        terminal.draw(|frame| draw(frame, &seen)).expect("drawn");
        insta::assert_snapshot!(terminal.backend());
        insta::assert_snapshot!(line(&seen), @"server 3 leads, 2 of 3 run; 1,234 votes acknowledged   last one 0.1 s ago   longest wait since then 0.8 s");
    }
}
