//! An allocator that counts beside the same that does not: CPU time of the thread, in one process and so one layout of
//! the program.
#![expect(unsafe_code, reason = "an allocator is unsafe to implement")]

use std::alloc::{GlobalAlloc, Layout};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use bench_workload::{AllocationRun, Turns, thread_cpu_ns};
use clap::Parser;
use ringlight_alloc::RinglightAllocator;
use ringlight_context::switch;
use serde_json::Value;

use crate::print_line;

const PAIRS_COUNT: u32 = 100_000;
const PARSES_COUNT: u32 = 20;

/// Measures what counting costs around an allocator.
#[derive(Debug, Parser)]
pub struct Arguments {
    /// How often each way has its turn.
    rounds: usize,
}

impl Arguments {
    /// Measures and prints.
    ///
    /// # Errors
    /// Nobody reads standard output.
    pub fn run<A: GlobalAlloc>(&self, global: &Switched<A>) -> Result<()> {
        let pair = pairs(self.rounds, &global.plain, &global.counting);
        let text = document();
        print_line(&AllocationRun {
            pair,
            json: json(self.rounds, global, &text),
            document_bytes: text.len(),
            document_allocations: allocations(global, &text),
        })
    }
}

/// An allocator that counts, or does not.
pub struct Switched<A> {
    plain: A,
    counting: RinglightAllocator<A>,
    is_counting: AtomicBool,
}

impl<A> Switched<A> {
    /// The same allocator, twice.
    pub const fn new(plain: A, inner: A) -> Self {
        Self {
            plain,
            counting: RinglightAllocator::new(inner),
            is_counting: AtomicBool::new(false),
        }
    }

    #[inline]
    fn is_counting(&self) -> bool {
        // Relaxed: one thread sets it and allocates.
        self.is_counting.load(Ordering::Relaxed)
    }
}

// SAFETY: either way everything is done by the inner allocator, which has no state in the value.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Switched<A> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if self.is_counting() {
            // SAFETY: the caller keeps the contract of the same function.
            unsafe { self.counting.alloc(layout) }
        } else {
            // SAFETY: as above.
            unsafe { self.plain.alloc(layout) }
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if self.is_counting() {
            // SAFETY: the caller keeps the contract of the same function.
            unsafe { self.counting.alloc_zeroed(layout) }
        } else {
            // SAFETY: as above.
            unsafe { self.plain.alloc_zeroed(layout) }
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        if self.is_counting() {
            // SAFETY: the caller keeps the contract of the same function.
            unsafe { self.counting.dealloc(memory, layout) }
        } else {
            // SAFETY: as above.
            unsafe { self.plain.dealloc(memory, layout) }
        }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        if self.is_counting() {
            // SAFETY: the caller keeps the contract of the same function.
            unsafe { self.counting.realloc(memory, layout, new_size) }
        } else {
            // SAFETY: as above.
            unsafe { self.plain.realloc(memory, layout, new_size) }
        }
    }
}

/// An allocation of 64 bytes and its deallocation.
fn pairs(rounds: usize, plain: &impl GlobalAlloc, counting: &impl GlobalAlloc) -> Turns {
    let mut ways: [&mut dyn FnMut() -> f64; 3] = [
        &mut || timed(PAIRS_COUNT, || pair(plain)),
        &mut || timed(PAIRS_COUNT, || pair(counting)),
        &mut || in_span(|| timed(PAIRS_COUNT, || pair(counting))),
    ];
    Turns::take(rounds, &mut ways)
}

#[inline]
fn pair<A: GlobalAlloc>(allocator: &A) {
    let layout = black_box(Layout::new::<[u64; 8]>());
    // SAFETY: the layout has a size.
    let memory = unsafe { allocator.alloc(layout) };
    // SAFETY: the memory was just allocated with this layout.
    unsafe { allocator.dealloc(black_box(memory), layout) };
}

/// A document that is parsed to a `serde_json::Value`, which is dropped.
fn json<A>(rounds: usize, global: &Switched<A>, text: &str) -> Turns {
    let run = |is_counting| {
        global.is_counting.store(is_counting, Ordering::Relaxed);
        let nanos = timed(PARSES_COUNT, || parse(text));
        global.is_counting.store(false, Ordering::Relaxed);
        nanos
    };
    let mut ways: [&mut dyn FnMut() -> f64; 3] =
        [&mut || run(false), &mut || run(true), &mut || {
            in_span(|| run(true))
        }];
    Turns::take(rounds, &mut ways)
}

fn parse(text: &str) {
    let value: Option<Value> = serde_json::from_str(black_box(text)).ok();
    drop(black_box(value));
}

/// How often memory is allocated for it.
fn allocations<A>(global: &Switched<A>, text: &str) -> u64 {
    global.is_counting.store(true, Ordering::Relaxed);
    let _ = switch(true);
    parse(text);
    let counts = switch(false).unwrap_or_default();
    global.is_counting.store(false, Ordering::Relaxed);
    counts.alloc_count
}

/// Objects with texts, numbers, lists and objects in them, as an API answers with.
fn document() -> String {
    let mut text = String::from("[");
    for id in 0..200_u32 {
        let comma = if id == 0 { "" } else { "," };
        // Writing to a string does not fail.
        let _ = write!(
            text,
            r#"{comma}{{"id":{id},"name":"customer number {id}","active":{},"balance":{}.25,"#,
            id % 3 == 0,
            id * 7
        );
        text.push_str(r#""tags":["new","wholesale","north"],"address":{"street":"1 Long Street","#);
        text.push_str(r#""city":"Springfield","location":[47.37,8.54]},"note":null}"#);
    }
    text.push(']');
    text
}

fn in_span<R>(body: impl FnOnce() -> R) -> R {
    let _ = switch(true);
    let result = body();
    let _ = switch(false);
    result
}

/// Nanoseconds of CPU time that one run takes, of so many.
fn timed(count: u32, run: impl Fn()) -> f64 {
    let began_ns = thread_cpu_ns();
    for _ in 0..count {
        run();
    }
    (thread_cpu_ns() - began_ns) as f64 / f64::from(count)
}

#[cfg(test)]
mod tests {
    use std::alloc::System;

    use super::*;

    #[test]
    fn the_document_is_json_and_allocates() {
        let text = document();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value.as_array().map(Vec::len), Some(200));
    }

    #[test]
    fn each_way_is_measured_in_each_round() {
        let global = Switched::new(System, System);
        for turns in [
            pairs(2, &global.plain, &global.counting),
            json(2, &global, &document()),
        ] {
            assert_eq!(turns.ways_ns.len(), 3);
            for way_ns in &turns.ways_ns {
                assert!(way_ns.len() == 2 && way_ns.iter().all(|ns| *ns > 0.0));
            }
        }
        assert!(!global.is_counting());
    }
}
