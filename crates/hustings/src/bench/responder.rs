//! A server that does nothing but answer: what the load generator, the kernel and HTTP's bytes cost without any vote.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};

const LISTENER: Token = Token(usize::MAX);
/// About the length of a receipt.
pub const BODY_BYTES: usize = 1500;

/// Answers every request whose bytes come in one read with 201 and `BODY_BYTES` of text, on one thread, for ever.
pub fn serve(address: SocketAddr, ready: impl FnOnce(SocketAddr)) -> anyhow::Result<()> {
    let mut listener = TcpListener::bind(address)?;
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    ready(listener.local_addr()?);
    let body = "x".repeat(BODY_BYTES);
    let answer = format!(
        "HTTP/1.1 201 Created\r\ncontent-type: application/json\r\ncontent-length: {BODY_BYTES}\r\ndate: Thu, 01 \
         Jan 1970 00:00:00 GMT\r\n\r\n{body}"
    );
    let (mut streams, mut next) = (HashMap::<usize, TcpStream>::new(), 0);
    let mut events = Events::with_capacity(512);
    let mut scratch = vec![0; 1 << 16];
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let _ = stream.set_nodelay(true);
                    poll.registry().register(&mut stream, Token(next), Interest::READABLE)?;
                    streams.insert(next, stream);
                    next += 1;
                }
                continue;
            }
            let Some(stream) = streams.get_mut(&event.token().0) else { continue };
            let is_open = match stream.read(&mut scratch) {
                Ok(0) => false,
                Ok(_) => stream.write_all(answer.as_bytes()).is_ok(),
                Err(error) => error.kind() == ErrorKind::WouldBlock,
            };
            if !is_open {
                streams.remove(&event.token().0);
            }
        }
    }
}
