//! The generator measured against a server that does nothing: its own cost per request.

use std::process::Command;
use std::time::Duration;

use super::drive::{Next, Traffic, drive};
use super::machine::Machine;
use super::process::{Running, free_address};
use super::report::{Aim, Report};
use super::{Context, responder};

#[derive(clap::Args, Debug)]
pub struct GeneratorArgs {
    #[arg(long, default_value_t = 256)]
    pub connections: usize,
    #[arg(long, default_value_t = 4)]
    pub secs: u64,
}

struct Fixed(Vec<u8>);

impl Traffic for Fixed {
    fn next(&mut self, _: usize, request: &mut Vec<u8>) -> Next {
        if request.is_empty() {
            request.extend_from_slice(&self.0);
        }
        Next::Send
    }

    fn answered(&mut self, _: usize, _: &[u8], _: u16, _: &[u8]) {}
}

pub fn run(context: &Context, args: &GeneratorArgs) -> anyhow::Result<Report> {
    let secs = context.size(args.secs, 1);
    let mut report = Report::new("generator", &Machine::read(context.folder()));
    report.method(format!(
        "a server process that answers 201 with {} bytes and does nothing else; {} keep-alive connections, closed \
         loop, {secs} s",
        responder::BODY_BYTES, args.connections
    ));
    let address = free_address()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["bench", "responder", "--listen", &address.to_string()]);
    let mut server = Running::start("the responder", &mut command)?;
    server.wait_until(Duration::from_secs(10), || std::net::TcpStream::connect(address).is_ok())?;

    let load = drive(address, args.connections, Some(Duration::from_secs(secs)), &mut Fixed(request()))?;
    report.figure("requests", load.per_second(), "/s");
    report.aimed("generator, each request", load.generator_micros_each(), "us of a core", Aim::AtMost(7.0));
    let server_each = server.cpu_time().as_secs_f64() * 1e6 / load.answers.max(1) as f64;
    report.figure("responder, each request", server_each, "us of a core");
    report.latencies("answer", &load.latencies, None);
    report.check("every answer is 201", load.all_answered(201), load.statuses());
    Ok(report)
}

/// As long as a vote with its token.
fn request() -> Vec<u8> {
    let body = r#"{"choices":{"winner":["alpha"]}}"#;
    let token = "A".repeat(63);
    let length = body.len();
    format!(
        "POST /api/v1/elections/bench/ballots HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer \
         {token}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, SocketAddr};

    #[test]
    fn the_generator_counts_every_answer_of_a_plain_responder() {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            responder::serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), |address| {
                sender.send(address).unwrap()
            })
        });
        struct Hundred(Fixed, u32);
        impl Traffic for Hundred {
            fn next(&mut self, lane: usize, request: &mut Vec<u8>) -> Next {
                self.1 += 1;
                if self.1 > 100 { Next::Done } else { self.0.next(lane, request) }
            }
            fn answered(&mut self, _: usize, _: &[u8], status: u16, body: &[u8]) {
                assert_eq!((status, body.len()), (201, responder::BODY_BYTES));
            }
        }
        let load = drive(receiver.recv().unwrap(), 7, None, &mut Hundred(Fixed(request()), 0)).unwrap();
        assert_eq!(load.answers, 100);
        assert_eq!(load.latencies.count(), 100);
        assert!(load.all_answered(201));
    }
}
