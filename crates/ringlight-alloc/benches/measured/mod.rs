//! What is measured: CPU time of the thread, by rounds in which the ways to allocate take turns, in one process
//! and so one layout of the program.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
#![expect(
    clippy::expect_used,
    reason = "a benchmark may stop when its set-up fails"
)]

use std::alloc::{GlobalAlloc, Layout};
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use ringlight_alloc::RinglightAllocator;
use ringlight_context::switch;
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;

const ROUNDS_COUNT: usize = 101;
const PAIRS_COUNT: u32 = 100_000;
const PARSES_COUNT: u32 = 20;

/// An allocator that counts, or does not.
pub(crate) struct Switched<A> {
    plain: A,
    counting: RinglightAllocator<A>,
    is_counting: AtomicBool,
}

impl<A> Switched<A> {
    pub(crate) const fn new(plain: A, inner: A) -> Self {
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

/// Measures and prints.
pub(crate) fn report<A: GlobalAlloc>(global: &Switched<A>) {
    pairs(&global.plain, &global.counting);
    json(global);
}

/// An allocation of 64 bytes and its deallocation.
fn pairs(plain: &impl GlobalAlloc, counting: &impl GlobalAlloc) {
    let [plain, outside, inside] = rounds(&mut [
        &mut || timed(PAIRS_COUNT, || pair(plain)),
        &mut || timed(PAIRS_COUNT, || pair(counting)),
        &mut || in_span(|| timed(PAIRS_COUNT, || pair(counting))),
    ]);
    println!("64 bytes allocated and freed, ns:");
    print_row("not counted", &plain, &plain);
    print_row("counting, outside of spans", &outside, &plain);
    print_row("counting, in a span", &inside, &plain);
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
fn json<A>(global: &Switched<A>) {
    let text = document();
    let parse = || {
        let value: Value = serde_json::from_str(black_box(&text)).expect("it is JSON");
        drop(black_box(value));
    };
    let counting = |is_counting| global.is_counting.store(is_counting, Ordering::Relaxed);
    let run = |is_counting| {
        counting(is_counting);
        let nanos = timed(PARSES_COUNT, parse);
        counting(false);
        nanos
    };
    let [plain, outside, inside] =
        rounds(&mut [&mut || run(false), &mut || run(true), &mut || {
            in_span(|| run(true))
        }]);
    counting(true);
    let _ = switch(true);
    parse();
    let counts = switch(false).unwrap_or_default();
    counting(false);
    println!(
        "{} KiB of JSON parsed and dropped ({} allocations), ns:",
        text.len() / 1024,
        counts.alloc_count
    );
    print_row("not counted", &plain, &plain);
    print_row("counting, outside of spans", &outside, &plain);
    print_row("counting, in a span", &inside, &plain);
}

/// Objects with texts, numbers, lists and objects in them, as an API answers with.
fn document() -> String {
    let mut text = String::from("[");
    for id in 0..200_u32 {
        let comma = if id == 0 { "" } else { "," };
        write!(
            text,
            r#"{comma}{{"id":{id},"name":"customer number {id}","active":{},"balance":{}.25,"#,
            id % 3 == 0,
            id * 7
        )
        .expect("a text takes what is written");
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
    let began = cpu_nanos();
    for _ in 0..count {
        run();
    }
    (cpu_nanos() - began) as f64 / f64::from(count)
}

fn cpu_nanos() -> i64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

/// What each way takes, round by round. Each round begins with another one.
fn rounds<const N: usize>(ways: &mut [&mut dyn FnMut() -> f64; N]) -> [Vec<f64>; N] {
    let mut taken = [const { Vec::new() }; N];
    for round in 0..ROUNDS_COUNT {
        for turn in 0..N {
            let way = (round + turn) % N;
            taken[way].push(ways[way]());
        }
    }
    taken
}

/// The median, and that of the ratios to `plain` in the same round, with its 95 % confidence interval.
fn print_row(name: &str, taken: &[f64], plain: &[f64]) {
    let sorted = |mut values: Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values
    };
    let nanos = sorted(taken.to_vec());
    let ratios = sorted(taken.iter().zip(plain).map(|(a, b)| a / b).collect());
    let middle = ROUNDS_COUNT / 2;
    // By order statistics: the binomial distribution of the ranks.
    let spread = (0.98 * (ROUNDS_COUNT as f64).sqrt()).ceil() as usize;
    println!(
        "  {name:<27} {:>10.2}   {:>+6.2} % [{:+.2}, {:+.2}]",
        nanos[middle],
        percent(ratios[middle]),
        percent(ratios[middle - spread]),
        percent(ratios[middle + spread]),
    );
}

fn percent(ratio: f64) -> f64 {
    (ratio - 1.0) * 100.0
}
