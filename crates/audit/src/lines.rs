//! Reads a record line by line in large blocks, while a second thread hashes what was read.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;

use proof::{Hash, Sha256Stream};

/// Longest line that is read, in bytes.
pub const LINE_BYTES_MAX: usize = 16 << 20;

const BLOCK_BYTES: usize = 1 << 20;
/// Blocks read and not yet hashed, at most.
const BLOCKS_WAITING_MAX: usize = 4;

#[derive(Debug)]
pub enum LineError {
    Read(io::Error),
    TooLong,
    /// The file ends within a line.
    NoLineFeed,
}

/// Lines of a file, without their line feeds.
pub struct Lines<R> {
    source: R,
    /// Block being read from, and others to use again once nobody hashes them.
    blocks: Vec<Arc<Vec<u8>>>,
    /// Bytes of the current block that hold data.
    filled: usize,
    /// Start of the current line and of the next.
    line_start: usize,
    next_start: usize,
    /// Bytes of the current block that were handed to the digest.
    hashed: usize,
    at_end: bool,
    digest: Digest,
}

impl<R: Read> Lines<R> {
    /// Reads and hashes.
    pub fn new(source: R) -> Lines<R> {
        Lines::with(source, Digest::start())
    }

    /// Reads without hashing.
    pub fn unhashed(source: R) -> Lines<R> {
        Lines::with(source, Digest { parts: None, worker: None })
    }

    fn with(source: R, digest: Digest) -> Lines<R> {
        Lines {
            source,
            blocks: vec![Arc::new(vec![0; BLOCK_BYTES])],
            filled: 0,
            line_start: 0,
            next_start: 0,
            hashed: 0,
            at_end: false,
            digest,
        }
    }

    /// The next line, or `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<&[u8]>, LineError> {
        self.line_start = self.next_start;
        let mut searched = self.line_start;
        loop {
            if let Some(length) = find_line_feed(&self.blocks[0][searched..self.filled]) {
                let end = searched + length;
                self.next_start = end + 1;
                return Ok(Some(&self.blocks[0][self.line_start..end]));
            }
            let unfinished = self.filled - self.line_start;
            if self.at_end {
                return if unfinished == 0 { Ok(None) } else { Err(LineError::NoLineFeed) };
            }
            if unfinished > LINE_BYTES_MAX {
                return Err(LineError::TooLong);
            }
            self.refill()?;
            searched = self.line_start + unfinished;
        }
    }

    /// SHA-256 of everything before the line returned last. Nothing is hashed after that.
    ///
    /// # Panics
    /// If these lines are not hashed, or were asked before.
    pub fn digest_before_line(&mut self) -> Hash {
        self.digest.add(&self.blocks[0], self.hashed..self.line_start);
        self.digest.finish()
    }

    /// Moves the unfinished line to the front of a block nobody hashes, and reads on behind it.
    fn refill(&mut self) -> Result<(), LineError> {
        let current = self.blocks.swap_remove(0);
        self.digest.add(&current, self.hashed..self.line_start);
        let unfinished = self.line_start..self.filled;
        let mut block = self.take_free_block();
        let bytes = Arc::get_mut(&mut block).expect("a free block has one owner");
        bytes.resize(bytes.len().max(unfinished.len() + BLOCK_BYTES), 0);
        bytes[..unfinished.len()].copy_from_slice(&current[unfinished.clone()]);
        let read = read_some(&mut self.source, &mut bytes[unfinished.len()..]).map_err(LineError::Read)?;
        self.at_end = read == 0;
        self.filled = unfinished.len() + read;
        (self.line_start, self.next_start, self.hashed) = (0, 0, 0);
        self.blocks.push(current);
        self.blocks.push(block);
        let last = self.blocks.len() - 1;
        self.blocks.swap(0, last);
        Ok(())
    }

    fn take_free_block(&mut self) -> Arc<Vec<u8>> {
        match self.blocks.iter_mut().position(|block| Arc::get_mut(block).is_some()) {
            Some(free) => self.blocks.swap_remove(free),
            None => Arc::new(vec![0; BLOCK_BYTES]),
        }
    }
}

fn read_some(source: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    loop {
        match source.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Position of the first line feed. Eight bytes at a time: lines of a record are some 200 bytes long.
fn find_line_feed(bytes: &[u8]) -> Option<usize> {
    const LINE_FEEDS: u64 = u64::from_ne_bytes([b'\n'; 8]);
    const LOW: u64 = u64::from_ne_bytes([0x01; 8]);
    const HIGH: u64 = u64::from_ne_bytes([0x80; 8]);
    let mut at = 0;
    for word in bytes.chunks_exact(8) {
        let differing = u64::from_ne_bytes(word.try_into().expect("chunks of 8")) ^ LINE_FEEDS;
        if differing.wrapping_sub(LOW) & !differing & HIGH != 0 {
            break;
        }
        at += 8;
    }
    bytes[at..].iter().position(|byte| *byte == b'\n').map(|found| at + found)
}

/// A part of a block.
type Part = (Arc<Vec<u8>>, Range<usize>);

/// SHA-256 of the file on a thread of its own: about 100 ns a ballot, beside 450 for all the rest.
struct Digest {
    parts: Option<SyncSender<Part>>,
    worker: Option<JoinHandle<Hash>>,
}

impl Digest {
    fn start() -> Digest {
        let (parts, received) = sync_channel::<Part>(BLOCKS_WAITING_MAX);
        let worker = std::thread::spawn(move || {
            let mut stream = Sha256Stream::new();
            for (block, range) in received {
                stream.update(&block[range]);
            }
            stream.digest()
        });
        Digest { parts: Some(parts), worker: Some(worker) }
    }

    fn add(&self, block: &Arc<Vec<u8>>, range: Range<usize>) {
        if let Some(parts) = &self.parts {
            parts.send((Arc::clone(block), range)).expect("the worker lives until the channel is closed");
        }
    }

    fn finish(&mut self) -> Hash {
        drop(self.parts.take());
        let worker = self.worker.take().expect("the digest is asked for once");
        worker.join().expect("hashing does not panic")
    }
}

impl Drop for Digest {
    fn drop(&mut self) {
        drop(self.parts.take());
        if let Some(worker) = self.worker.take() {
            // The hash is of no interest any more, and a panic there has been printed.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::sha256;

    #[test]
    fn lines_of_every_length_come_out_and_the_digest_is_that_of_the_bytes_before() {
        let mut text = Vec::new();
        let mut expected = Vec::new();
        for length in (0..3_000).chain([BLOCK_BYTES - 1, BLOCK_BYTES, 3 * BLOCK_BYTES + 7, 0, 1]) {
            let line = vec![b'a' + (length % 26) as u8; length];
            text.extend_from_slice(&line);
            text.push(b'\n');
            expected.push(line);
        }
        let before_last = text.len() - 2;
        let mut lines = Lines::new(&text[..]);
        for line in &expected {
            assert_eq!(lines.next().unwrap(), Some(&line[..]));
        }
        assert_eq!(lines.digest_before_line(), sha256(&[&text[..before_last]]));
        assert_eq!(lines.next().unwrap(), None);
    }

    #[test]
    fn an_unfinished_last_line_is_an_error() {
        let mut lines = Lines::new(&b"one\ntwo"[..]);
        assert_eq!(lines.next().unwrap(), Some(&b"one"[..]));
        assert!(matches!(lines.next(), Err(LineError::NoLineFeed)));
    }
}
