//! Memory that a kernel's pointers can name: below 4 GiB where they have four bytes.

use std::ops::{Deref, DerefMut};

/// Zeros at first.
#[derive(Debug)]
pub(super) enum Memory {
    /// Anywhere.
    High(Box<[u8]>),
    /// Mapped where four bytes reach.
    Low(*mut u8, usize),
}

impl Memory {
    /// That many bytes, for pointers of `pointer` bytes.
    #[allow(unsafe_code, reason = "where memory is to be is asked of the kernel")]
    pub(super) fn new(bytes: usize, pointer: u32) -> Memory {
        if pointer == 8 {
            return Memory::High(vec![0; bytes].into());
        }
        // Every test thread has its own: the kernel finds the place.
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | LOW;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: new memory is mapped, over nothing that is there.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        assert!(at != libc::MAP_FAILED, "there is memory below 4 GiB");
        Memory::Low(at.cast(), bytes)
    }
}

#[cfg(target_arch = "x86_64")]
const LOW: i32 = libc::MAP_32BIT;
#[cfg(not(target_arch = "x86_64"))]
const LOW: i32 = 0;

impl Drop for Memory {
    #[allow(unsafe_code, reason = "it is mapped")]
    fn drop(&mut self) {
        if let Memory::Low(at, bytes) = self {
            // SAFETY: it was mapped by `new`, and nothing borrows it.
            unsafe { libc::munmap(at.cast(), *bytes) };
        }
    }
}

impl Deref for Memory {
    type Target = [u8];

    #[allow(unsafe_code, reason = "it is mapped")]
    fn deref(&self) -> &[u8] {
        match self {
            Memory::High(bytes) => bytes,
            // SAFETY: it is mapped as long as this lives.
            Memory::Low(at, bytes) => unsafe { std::slice::from_raw_parts(*at, *bytes) },
        }
    }
}

impl DerefMut for Memory {
    #[allow(unsafe_code, reason = "it is mapped")]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Memory::High(bytes) => bytes,
            // SAFETY: it is mapped as long as this lives, and borrowed once.
            Memory::Low(at, bytes) => unsafe { std::slice::from_raw_parts_mut(*at, *bytes) },
        }
    }
}
