//! Seeded bytes: pure noise, and examples mangled in the ways that files and networks mangle.

/// SplitMix64 (Steele, Lea, Flood 2014): a seed gives the same bytes on every machine.
#[derive(Debug, Clone)]
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Noise {
        Noise(seed)
    }

    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub fn below(&mut self, end: usize) -> usize {
        (self.word() % end as u64) as usize
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.word() as u8).collect()
    }
}

/// One of `examples` with a few accidents, or now and then noise alone.
pub fn mangled(noise: &mut Noise, examples: &[Vec<u8>]) -> Vec<u8> {
    if examples.is_empty() || noise.below(16) == 0 {
        let length = noise.below(300);
        return noise.bytes(length);
    }
    let mut bytes = examples[noise.below(examples.len())].clone();
    for _ in 0..1 + noise.below(4) {
        accident(noise, &mut bytes, examples);
    }
    bytes
}

fn accident(noise: &mut Noise, bytes: &mut Vec<u8>, examples: &[Vec<u8>]) {
    const TELLING: &[&[u8]] = &[
        b"\0",
        b"\xFF",
        b"\x80",
        b"-1",
        b"18446744073709551616",
        b"\"",
        b"{",
        b"]",
        b"\n",
        b"null",
        b"1e400",
    ];
    if bytes.is_empty() {
        bytes.push(0);
    }
    let at = noise.below(bytes.len());
    match noise.below(7) {
        0 => bytes[at] ^= 1 << noise.below(8),
        1 => bytes.truncate(at),
        2 => {
            bytes.remove(at);
        }
        3 => {
            let word = TELLING[noise.below(TELLING.len())];
            bytes.splice(at..at, word.iter().copied());
        }
        4 => {
            let end = at + noise.below(bytes.len() - at) + 1;
            let twice = bytes[at..end].to_vec();
            bytes.splice(at..at, twice);
        }
        5 => bytes[at] = noise.word() as u8,
        _ => {
            let other = &examples[noise.below(examples.len())];
            let from = noise.below(other.len().max(1)).min(other.len());
            bytes.truncate(at);
            bytes.extend_from_slice(&other[from..]);
        }
    }
}
