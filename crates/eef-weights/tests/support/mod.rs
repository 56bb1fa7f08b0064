//! Damage, and how much memory reading it takes; tests of other crates use it too.
#![expect(unsafe_code, reason = "an allocator that counts hands everything on to the system's")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use proptest::prelude::*;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static MOST: Cell<usize> = const { Cell::new(0) };
}

/// Counts what this thread holds.
struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = HELD.try_with(|held| {
            held.set(held.get() + layout.size());
            let _ = MOST.try_with(|most| most.set(most.get().max(held.get())));
        });
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let _ = HELD.try_with(|held| held.set(held.get().saturating_sub(layout.size())));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What a call gives, and the most bytes that it held at once.
pub fn measured<T>(call: impl FnOnce() -> T) -> (T, usize) {
    let before = HELD.get();
    MOST.set(before);
    let result = call();
    (result, MOST.get() - before)
}

/// Beyond the file's own size.
pub const ALLOWANCE: usize = 1 << 20;

/// Overwrites, cuts, and repeats parts of a file's first `n` bytes.
pub fn damaged(bytes: &[u8], n: usize, changes: &[(usize, u8, u8)]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for (place, kind, byte) in changes {
        let at = place % n.min(bytes.len()).max(1);
        match kind % 5 {
            0 if at < bytes.len() => bytes[at] = *byte,
            1 if at < bytes.len() => bytes[at] ^= 1 << (byte % 8),
            2 => bytes.truncate(at),
            // Lengths and counts are eight bytes: make one enormous.
            3 if at + 8 <= bytes.len() => bytes[at..at + 8].fill(*byte | 0x70),
            _ => {
                let piece =
                    bytes[at.min(bytes.len())..].iter().copied().take(16).collect::<Vec<_>>();
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), piece);
            }
        }
    }
    bytes
}

pub fn changes() -> impl Strategy<Value = Vec<(usize, u8, u8)>> {
    prop::collection::vec((any::<usize>(), any::<u8>(), any::<u8>()), 1..6)
}
