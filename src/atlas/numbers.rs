//! Numbers of as many bytes as they need (LEB128), and texts behind their length.

/// Appends a number: seven bits a byte, the lowest first, the highest bit set where more follow.
pub(super) fn unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
        out.push(value as u8 & 0x7f | 0x80);
        value >>= 7;
    }
    #[expect(clippy::cast_possible_truncation, reason = "what is left has seven bits")]
    out.push(value as u8);
}

/// Appends a number that is near zero on either side: its sign is the lowest bit.
pub(super) fn signed(out: &mut Vec<u8>, value: i32) {
    unsigned(out, (value << 1 ^ value >> 31).cast_unsigned().into());
}

/// Appends a text behind its length.
pub(super) fn text(out: &mut Vec<u8>, text: &str) {
    unsigned(out, text.len() as u64);
    out.extend(text.as_bytes());
}

/// Bytes that are taken front to back. Every method gives `None` where they are not what is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Bytes<'a> {
        Bytes { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(len)?;
        self.rest = rest;
        Some(taken)
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    pub(super) fn u64(&mut self) -> Option<u64> {
        let (mut value, mut shift) = (0_u64, 0_u32);
        loop {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            value |= bits.checked_shl(shift).filter(|shifted| shifted >> shift == bits)?;
            if byte < 0x80 {
                return Some(value);
            }
            shift += 7;
        }
    }

    #[inline]
    pub(super) fn u32(&mut self) -> Option<u32> {
        // Most have one byte.
        match self.rest.split_first() {
            Some((first, rest)) if *first < 0x80 => {
                self.rest = rest;
                Some(u32::from(*first))
            }
            _ => self.u64()?.try_into().ok(),
        }
    }

    #[inline]
    pub(super) fn i32(&mut self) -> Option<i32> {
        let value = self.u32()?;
        Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed())
    }

    pub(super) fn usize(&mut self) -> Option<usize> {
        self.u64()?.try_into().ok()
    }

    pub(super) fn text(&mut self) -> Option<&'a str> {
        let len = self.usize()?;
        str::from_utf8(self.take(len)?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive_and_too_long_ones_are_refused() {
        let numbers = [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX];
        let mut out = Vec::new();
        for number in &numbers {
            unsigned(&mut out, *number);
        }
        let signs = [0, 1, -1, 63, -64, 64, i32::MAX, i32::MIN];
        for number in &signs {
            signed(&mut out, *number);
        }
        text(&mut out, "é");
        let mut bytes = Bytes::new(&out);
        assert_eq!(numbers.map(|_| bytes.u64()), numbers.map(Some));
        assert_eq!(signs.map(|_| bytes.i32()), signs.map(Some));
        assert_eq!((bytes.text(), bytes.is_empty(), bytes.byte()), (Some("é"), true, None));
        assert_eq!(Bytes::new(&[0x80; 12]).u64(), None);
        assert_eq!(Bytes::new(&[0xff; 9]).u64(), None);
        assert_eq!(Bytes::new(&[0xff, 0xff, 0xff, 0xff, 0x1f]).u32(), None);
        assert_eq!(Bytes::new(&[2, 0xff, 0xff]).text(), None);
    }
}
