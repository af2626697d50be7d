//! Inputs made of seeds: each of its number alone, so that it can be made again.
//!
//! Formats of this kind are tables of numbers that say where and how many things are, so most changes are to aligned words: values that are seldom expected, values of other words, small steps.

use crate::{join, split};

/// Numbers that look like any others, from a first one (xorshift64*).
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16;
        usize::try_from(value).unwrap_or(0) % sides.max(1)
    }
}

/// The input of that number: a seed with a few changes, of a pair in either file or in both.
pub fn input(seeds: &[Vec<u8>], pair: bool, number: u64) -> Vec<u8> {
    let mut dice = Dice(number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    dice.throw(1);
    let seed = &seeds[dice.throw(seeds.len())];
    let other = &seeds[dice.throw(seeds.len())];
    if !pair {
        return changed(seed, other, &mut dice);
    }
    let ((first, second), (other_first, other_second)) = (split(seed), split(other));
    let which = dice.throw(5);
    let first = if which == 0 { first.to_vec() } else { changed(first, other_first, &mut dice) };
    let second = if which > 1 { second.to_vec() } else { changed(second, other_second, &mut dice) };
    join(&first, &second)
}

fn changed(seed: &[u8], other: &[u8], dice: &mut Dice) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    let often = [1, 1, 2, 3, 5, 8, 20];
    for _ in 0..often[dice.throw(often.len())] {
        change(&mut bytes, other, dice);
    }
    bytes
}

/// Numbers that are seldom expected.
const WORDS: [u64; 14] = [
    0,
    1,
    2,
    0x1f,
    0x7f,
    0xff,
    0x7fff,
    0xffff,
    0x00ff_ffff,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_ffff,
    1 << 63,
    u64::MAX,
];

fn change(bytes: &mut Vec<u8>, other: &[u8], dice: &mut Dice) {
    // Headers decide more than what follows.
    let near = if dice.throw(4) == 0 { 128.min(bytes.len()) } else { bytes.len() };
    let at = dice.throw(near);
    let width = [1, 2, 4, 4, 8][dice.throw(5)];
    let word = at / width * width..at / width * width + width;
    match dice.throw(13) {
        0 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << dice.throw(8)),
        1 => bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = dice.throw(256) as u8),
        2 | 3 => {
            let big = dice.throw(4) == 0;
            if let Some(word) = bytes.get_mut(word) {
                put(word, WORDS[dice.throw(WORDS.len())], big);
            }
        }
        4 | 5 => {
            let (big, step) = (dice.throw(4) == 0, dice.throw(33) as u64);
            if let Some(word) = bytes.get_mut(word) {
                let old = number(word, big);
                put(word, old.wrapping_add(step).wrapping_sub(16), big);
            }
        }
        // A word from elsewhere: an offset or an index that means something.
        6 => {
            let from = dice.throw(bytes.len()) / width * width;
            let piece = bytes.get(from..from + width).unwrap_or_default().to_vec();
            overwrite(bytes, word.start, &piece);
        }
        7 => bytes.truncate(if dice.throw(4) == 0 { at } else { bytes.len() }),
        8 => {
            let (from, len) = (dice.throw(bytes.len()), 1 << dice.throw(9));
            let piece: Vec<u8> = bytes.iter().skip(from).take(len).copied().collect();
            overwrite(bytes, at, &piece);
        }
        // A piece twice, or not at all: counts no longer fit.
        9 => {
            let len = (1 << dice.throw(8)).min(bytes.len() - at);
            let piece = bytes[at..at + len].to_vec();
            let keep = if dice.throw(2) == 0 { at + len } else { at };
            bytes.splice(at..keep, piece.into_iter().take(if keep == at { len } else { 0 }));
        }
        10 => {
            let (len, value) = (1 << dice.throw(7), [0, 0xff, 0x80, b'0'][dice.throw(4)]);
            bytes.iter_mut().skip(at).take(len).for_each(|byte| *byte = value);
        }
        11 => {
            let len = 1 << dice.throw(10);
            let piece: Vec<u8> = other.iter().skip(at).take(len).copied().collect();
            overwrite(bytes, at, &piece);
        }
        // Digits of access strings and of JSON.
        _ => {
            let digit = bytes.iter().skip(at).position(u8::is_ascii_digit).map(|far| at + far);
            if let Some(at) = digit {
                bytes[at] = b'0' + dice.throw(10) as u8;
            }
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, piece: &[u8]) {
    bytes.iter_mut().skip(at).zip(piece).for_each(|(to, from)| *to = *from);
}

fn number(word: &[u8], big: bool) -> u64 {
    let add = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
    if big { word.iter().fold(0, add) } else { word.iter().rev().fold(0, add) }
}

fn put(word: &mut [u8], value: u64, big: bool) {
    let bytes = value.to_le_bytes();
    if big {
        word.iter_mut().rev().zip(bytes).for_each(|(to, from)| *to = from);
    } else {
        word.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    }
}
