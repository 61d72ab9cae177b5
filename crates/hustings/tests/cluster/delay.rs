//! A slow line: connections between machines go through this proxy on the bridge, which holds every piece back for a
//! while, in order. For kernels without `netem`.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::hall::{Hall, NODE_PORT};
use crate::support::now;

const FIRST_PORT: u16 = 20_000;

/// Port of the proxy on which connections to machine `place` come in.
pub fn port_of(place: usize) -> u16 {
    FIRST_PORT + u16::try_from(place).expect("few machines")
}

/// Listens until dropped.
#[derive(Debug)]
pub struct SlowLines {
    millis: Arc<AtomicU64>,
    is_over: Arc<AtomicBool>,
    addresses: Vec<String>,
}

impl SlowLines {
    pub fn new(hall: &Hall) -> Self {
        let (millis, is_over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
        let mut addresses = Vec::new();
        for (place, machine) in hall.machines.iter().enumerate() {
            let address = format!("{}:{}", hall.own_address(), port_of(place));
            let listener = TcpListener::bind(&address).expect("the proxy's port is free");
            let to = format!("{}:{NODE_PORT}", machine.address);
            let (millis, is_over) = (Arc::clone(&millis), Arc::clone(&is_over));
            addresses.push(address);
            thread::spawn(move || {
                for incoming in listener.incoming().flatten() {
                    if is_over.load(Ordering::Relaxed) {
                        return;
                    }
                    let (to, millis) = (to.clone(), Arc::clone(&millis));
                    thread::spawn(move || forward(incoming, &to, &millis));
                }
            });
        }
        Self { millis, is_over, addresses }
    }

    /// How long each piece is held back, one way.
    pub fn set(&self, delay: Duration) {
        self.millis.store(u64::try_from(delay.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Drop for SlowLines {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        for address in &self.addresses {
            // Wakes the listener, which ends.
            drop(TcpStream::connect(address));
        }
    }
}

fn forward(from: TcpStream, to: &str, millis: &Arc<AtomicU64>) {
    let Ok(to) = TcpStream::connect(to) else { return };
    let (Ok(from_too), Ok(to_too)) = (from.try_clone(), to.try_clone()) else { return };
    let back = Arc::clone(millis);
    let returning = thread::spawn(move || carry(to_too, from_too, &back));
    carry(from, to, millis);
    let _ = returning.join();
}

/// One thread reads and stamps, another one writes when the time has come.
fn carry(mut from: TcpStream, mut to: TcpStream, millis: &AtomicU64) {
    let (sender, pieces) = mpsc::sync_channel(1_024);
    let writer = thread::spawn(move || {
        for (due, bytes) in pieces {
            let bytes: Vec<u8> = bytes;
            thread::sleep(std::time::Instant::saturating_duration_since(&due, now()));
            if to.write_all(&bytes).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
    let mut piece = vec![0; 64 << 10];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        let due = now() + Duration::from_millis(millis.load(Ordering::Relaxed));
        if sender.send((due, piece[..read].to_vec())).is_err() {
            break;
        }
    }
    drop(sender);
    let _ = from.shutdown(Shutdown::Both);
    let _ = writer.join();
}
