//! As much of HTTP/1.1 as the load generator needs: where an answer ends, and a blocking client for single calls.

use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Read, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};

const CALL_TIMEOUT: Duration = Duration::from_secs(120);

/// A complete answer at the start of the bytes parsed.
pub struct Parsed {
    pub status: u16,
    pub body: Body,
    /// Bytes up to the end of the answer.
    pub length: usize,
}

pub enum Body {
    /// From here to the end of the answer.
    Plain { from: usize, to: usize },
    /// It came in chunks and was put together in the buffer given.
    Decoded,
}

impl Body {
    pub fn of<'a>(&self, bytes: &'a [u8], decoded: &'a [u8]) -> &'a [u8] {
        match self {
            Self::Plain { from, to } => &bytes[*from..*to],
            Self::Decoded => decoded,
        }
    }
}

#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
}

/// The first answer in `bytes`, or `None` while its end has not come.
pub fn parse(bytes: &[u8], decoded: &mut Vec<u8>) -> anyhow::Result<Option<Parsed>> {
    let Some((status, framing, head)) = parse_head(bytes)? else { return Ok(None) };
    match framing {
        Framing::Length(length) if bytes.len() >= head + length => {
            let length = head + length;
            Ok(Some(Parsed { status, body: Body::Plain { from: head, to: length }, length }))
        }
        Framing::Length(_) => Ok(None),
        Framing::Chunked => {
            decoded.clear();
            let end = decode_chunks(&bytes[head..], decoded)?;
            Ok(end.map(|end| Parsed { status, body: Body::Decoded, length: head + end }))
        }
    }
}

/// Status, framing and length of the head, its empty line included.
fn parse_head(bytes: &[u8]) -> anyhow::Result<Option<(u16, Framing, usize)>> {
    if bytes.len() < 16 {
        return Ok(None);
    }
    if !bytes.starts_with(b"HTTP/1.1 ") {
        bail!("not an HTTP/1.1 answer: {}", String::from_utf8_lossy(&bytes[..16]));
    }
    let status = bytes[9..12].iter().fold(0, |sum, digit| sum * 10 + u16::from(digit.wrapping_sub(b'0')));
    let mut framing = Framing::Length(0);
    let mut from = 12;
    loop {
        let Some(line_end) = bytes[from..].iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let line = &bytes[from..from + line_end];
        from += line_end + 1;
        match line.first() {
            Some(b'\r') | None => return Ok(Some((status, framing, from))),
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(line, b"content-length:") {
                    framing = Framing::Length(decimal(value));
                }
            }
            Some(b't' | b'T') => {
                if value_of(line, b"transfer-encoding:").is_some_and(|value| contains(value, b"chunked")) {
                    framing = Framing::Chunked;
                }
            }
            Some(_) => {}
        }
    }
}

fn value_of<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn decimal(text: &[u8]) -> usize {
    text.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit.wrapping_sub(b'0')))
}

pub fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Appends the chunks' content to `decoded`; gives the end of the last chunk, or `None` while it has not come.
fn decode_chunks(mut bytes: &[u8], decoded: &mut Vec<u8>) -> anyhow::Result<Option<usize>> {
    let whole = bytes.len();
    loop {
        let Some(line_end) = bytes.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
        let line = bytes[..line_end].trim_ascii();
        let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
        let text = std::str::from_utf8(digits).context("chunk length")?;
        let length = usize::from_str_radix(text, 16).with_context(|| format!("chunk length `{text}`"))?;
        let from = line_end + 1;
        let Some(chunk) = bytes.get(from..from + length) else { return Ok(None) };
        let Some(rest) = bytes.get(from + length + 2..) else { return Ok(None) };
        decoded.extend_from_slice(chunk);
        bytes = rest;
        if length == 0 {
            return Ok(Some(whole - bytes.len()));
        }
    }
}

/// One call on a connection of its own: status and body.
pub fn call(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&str>,
) -> anyhow::Result<(u16, Vec<u8>)> {
    let (status, mut answer) = open(address, method, path, token, body)?;
    let mut text = Vec::new();
    answer.read_to_end(&mut text).with_context(|| format!("answer to {method} {path}"))?;
    Ok((status, text))
}

/// Streams the answer to a GET into a file; gives its bytes.
pub fn download(address: SocketAddr, path: &str, token: Option<&str>, file: &Path) -> anyhow::Result<u64> {
    let (status, mut answer) = open(address, "GET", path, token, None)?;
    if status != 200 {
        let mut text = String::new();
        answer.take(4096).read_to_string(&mut text)?;
        bail!("GET {path} answered {status}: {text}");
    }
    let mut file = BufWriter::with_capacity(1 << 20, File::create(file)?);
    let bytes = std::io::copy(&mut answer, &mut file).with_context(|| format!("answer to GET {path}"))?;
    file.flush()?;
    Ok(bytes)
}

fn open(
    address: SocketAddr,
    method: &str,
    path: &str,
    token: Option<&str>,
    body: Option<&str>,
) -> anyhow::Result<(u16, Box<dyn Read>)> {
    let mut stream = TcpStream::connect(address).with_context(|| format!("cannot reach {address}"))?;
    stream.set_read_timeout(Some(CALL_TIMEOUT))?;
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    if let Some(token) = token {
        request.push_str(&format!("authorization: Bearer {token}\r\n"));
    }
    if let Some(body) = body {
        request.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    } else if method != "GET" {
        request.push_str("content-length: 0\r\n");
    }
    request.push_str("\r\n");
    request.push_str(body.unwrap_or_default());
    stream.write_all(request.as_bytes())?;
    let mut reader = BufReader::with_capacity(1 << 16, stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if reader.read_until(b'\n', &mut head).with_context(|| format!("answer to {method} {path}"))? == 0 {
            bail!("{method} {path}: the connection was closed without an answer");
        }
    }
    let Some((status, framing, _)) = parse_head(&head)? else { bail!("{method} {path}: no complete head") };
    let body: Box<dyn Read> = match framing {
        Framing::Length(length) => Box::new(reader.take(length as u64)),
        Framing::Chunked => Box::new(Chunks { reader, left: 0, is_over: false }),
    };
    Ok((status, body))
}

/// Reads a body sent in chunks.
struct Chunks<R> {
    reader: R,
    left: usize,
    is_over: bool,
}

impl<R: std::io::BufRead> Read for Chunks<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let invalid = |what: &str| std::io::Error::new(std::io::ErrorKind::InvalidData, what.to_owned());
        if self.is_over {
            return Ok(0);
        }
        if self.left == 0 {
            let mut line = String::new();
            self.reader.read_line(&mut line)?;
            if line == "\r\n" {
                line.clear();
                self.reader.read_line(&mut line)?;
            }
            self.left = usize::from_str_radix(line.trim(), 16).map_err(|_| invalid("chunk length"))?;
            self.is_over = self.left == 0;
        }
        let wanted = out.len().min(self.left);
        let read = self.reader.read(&mut out[..wanted])?;
        if read == 0 && wanted > 0 {
            return Err(invalid("the connection was closed within a chunk"));
        }
        self.left -= read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Option<(u16, String, usize)> {
        let mut decoded = Vec::new();
        let parsed = parse(text.as_bytes(), &mut decoded).unwrap()?;
        let body = String::from_utf8(parsed.body.of(text.as_bytes(), &decoded).to_vec()).unwrap();
        Some((parsed.status, body, parsed.length))
    }

    #[test]
    fn an_answer_ends_where_its_length_says_and_never_before() {
        let text = "HTTP/1.1 201 Created\r\ncontent-type: a/b\r\nContent-Length: 5\r\n\r\nhello";
        for end in 0..text.len() {
            assert_eq!(parsed(&text[..end]), None, "{end}");
        }
        assert_eq!(parsed(text), Some((201, "hello".to_owned(), text.len())));
        assert_eq!(parsed(&format!("{text}HTTP/1.1 2")), Some((201, "hello".to_owned(), text.len())));
    }

    #[test]
    fn an_answer_in_chunks_is_put_together() {
        let text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nA;x=y\r\n, chunked!\r\n0\r\n\r\n";
        for end in 0..text.len() {
            assert_eq!(parsed(&text[..end]), None, "{end}");
        }
        assert_eq!(parsed(text), Some((200, "hello, chunked!".to_owned(), text.len())));
    }

    #[test]
    fn a_body_in_chunks_is_read_to_its_end() {
        let mut chunks =
            Chunks { reader: "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n".as_bytes(), left: 0, is_over: false };
        let mut text = String::new();
        chunks.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello!");
    }
}
