//! Valid inputs with small changes, as a function of a seed.

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Debug)]
pub struct Chance(u64);

impl Chance {
    /// The random numbers of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }
}

/// These bytes turn one valid text into another more often than random bytes do.
const PLAUSIBLE: &[u8] = b"0123456789-+.e[]{},:\"'&*!#|> \n\t";

/// One of the inputs after one to six changes: a byte is flipped, replaced, inserted or removed; the end is cut off;
/// a piece is repeated, or inserted from another input.
pub fn changed(chance: &mut Chance, inputs: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = inputs[chance.below(inputs.len())].clone();
    for _ in 0..=chance.below(6) {
        let at = chance.below(bytes.len());
        match chance.below(8) {
            _ if bytes.is_empty() => bytes.push(chance.below(256) as u8),
            0 => bytes[at] ^= 1 << chance.below(8),
            1 => bytes[at] = chance.below(256) as u8,
            2 => bytes[at] = PLAUSIBLE[chance.below(PLAUSIBLE.len())],
            3 => bytes.insert(at, PLAUSIBLE[chance.below(PLAUSIBLE.len())]),
            4 => drop(bytes.remove(at)),
            5 if chance.below(4) == 0 => bytes.truncate(at),
            5 | 6 => {
                let other = inputs[chance.below(inputs.len())].clone();
                splice(chance, &mut bytes, at, &other);
            }
            _ => {
                let own = bytes.clone();
                splice(chance, &mut bytes, at, &own);
            }
        }
    }
    bytes
}

fn splice(chance: &mut Chance, bytes: &mut Vec<u8>, at: usize, from: &[u8]) {
    let start = chance.below(from.len());
    let end = (start + 1 + chance.below(64)).min(from.len());
    let until = (at + chance.below(64)).min(bytes.len());
    bytes.splice(at..until, from[start..end].iter().copied());
}
