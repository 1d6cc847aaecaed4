//! What is counted, against an allocator below that sees every call.

mod oracle;

use std::alloc::Layout;
use std::cell::RefCell;
use std::hint::black_box;
use std::sync::mpsc;

use oracle::{Calls, Oracle, calls};
use ringlight_alloc::RinglightAllocator;
use ringlight_context::{Counts, switch};

#[global_allocator]
static ALLOCATOR: RinglightAllocator<Oracle> = RinglightAllocator::new(Oracle);

fn counts(of: Counts) -> [u64; 4] {
    let Counts {
        alloc_count,
        alloc_bytes,
        dealloc_count,
        dealloc_bytes,
    } = of;
    [alloc_count, alloc_bytes, dealloc_count, dealloc_bytes]
}

/// Runs `body` as if in a span, makes sure that what is counted are the calls the oracle saw, and gives these.
fn in_span<R>(body: impl FnOnce() -> R) -> (R, Calls) {
    let _ = switch(true);
    let (result, seen) = calls(body);
    let counted = switch(false);
    assert_eq!(counts(counted.unwrap_or_default()), seen.counts());
    (result, seen)
}

#[test]
fn allocations_and_deallocations_are_counted() {
    let (kept, seen) = in_span(|| {
        drop(black_box(Box::new([0_u8; 24])));
        black_box(Vec::<u64>::with_capacity(100))
    });
    assert_eq!((seen.alloc, seen.dealloc), (2, 1));
    assert_eq!((seen.bytes_given, seen.bytes_taken), (824, 24));
    let ((), seen) = in_span(|| drop(kept));
    assert_eq!(seen.counts(), [0, 0, 1, 800]);
}

#[test]
fn nothing_is_counted_outside_of_spans() {
    let _ = switch(false);
    let ((), seen) = calls(|| drop(black_box(vec![1_u8; 10])));
    assert_eq!(seen.counts(), [1, 10, 1, 10]);
    assert_eq!(switch(false), None);
}

#[test]
fn fault_41_realloc_is_the_inner_allocators() {
    let (mut grown, seen) = in_span(|| {
        let mut vec = black_box(Vec::<u8>::with_capacity(100));
        vec.reserve_exact(5000);
        vec.push(1);
        vec
    });
    assert_eq!((seen.alloc, seen.realloc, seen.dealloc), (1, 1, 0));
    assert_eq!(seen.counts(), [2, 5100, 1, 100]);
    let ((), seen) = in_span(|| {
        grown.shrink_to_fit();
        black_box(&mut grown);
    });
    assert_eq!((seen.realloc, seen.counts()), (1, [1, 1, 1, 5000]));
}

#[test]
fn fault_41_alloc_zeroed_is_the_inner_allocators() {
    let ((), seen) = in_span(|| drop(black_box(vec![0_u8; 1 << 20])));
    assert_eq!((seen.alloc, seen.alloc_zeroed), (0, 1));
    assert_eq!(seen.counts(), [1, 1 << 20, 1, 1 << 20]);
}

/// It is counted before it is asked for.
#[test]
fn what_is_small_is_counted_though_it_fails() {
    let layout = Layout::from_size_align(8, 1 << 62).unwrap();
    let ((), seen) = calls(|| {
        let _ = switch(true);
        // SAFETY: the layout has a size.
        let memory = unsafe { std::alloc::alloc(layout) };
        let counted = switch(false);
        assert!(memory.is_null());
        assert_eq!(counts(counted.unwrap_or_default()), [1, 8, 0, 0]);
    });
    assert_eq!((seen.failed, seen.alloc), (1, 0));
}

#[test]
fn what_is_large_and_fails_is_not_counted() {
    let ((), seen) = in_span(|| {
        let mut vec = black_box(Vec::<u8>::new());
        assert!(vec.try_reserve_exact(isize::MAX as usize).is_err());
        vec.reserve_exact(8);
        assert!(vec.try_reserve_exact(isize::MAX as usize).is_err());
        black_box(&mut vec);
    });
    assert_eq!(seen.failed, 2);
    assert_eq!(seen.counts(), [1, 8, 1, 8]);
}

#[test]
fn fault_41_memory_is_charged_to_the_thread_that_frees_it() {
    let (sender, receiver) = mpsc::channel::<Vec<u8>>();
    let freeing = std::thread::spawn(move || {
        let sent = receiver.recv().unwrap();
        in_span(|| drop(sent)).1
    });
    let (vec, given) = in_span(|| black_box(Vec::with_capacity(77)));
    sender.send(vec).unwrap();
    let freed = freeing.join().unwrap();
    assert_eq!(given.counts(), [1, 77, 0, 0]);
    assert_eq!(freed.counts(), [0, 0, 1, 77]);
}

/// Tells, as it is dropped, what was counted meanwhile.
struct AtTheEnd(mpsc::Sender<Calls>, Vec<u8>);

impl Drop for AtTheEnd {
    fn drop(&mut self) {
        let freed = std::mem::take(&mut self.1);
        let ((), seen) = in_span(|| {
            drop(freed);
            drop(black_box(vec![0_u8; 64]));
            let mut vec = black_box(vec![1_u8; 3]);
            vec.reserve_exact(997);
            black_box(&mut vec);
        });
        // Nobody is left to be told if the test has failed.
        let _ = self.0.send(seen);
    }
}

#[test]
fn fault_41_destructors_of_thread_locals_may_allocate_and_free() {
    thread_local! {
        static FIRST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
        static LAST: RefCell<Option<AtTheEnd>> = const { RefCell::new(None) };
    }
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        FIRST.set(Some(AtTheEnd(sender.clone(), black_box(vec![0; 10]))));
        // In use, too, before the other is dropped.
        in_span(|| drop(black_box(Box::new(1))));
        LAST.set(Some(AtTheEnd(sender, black_box(vec![0; 10]))));
    })
    .join()
    .unwrap();
    let seen: Vec<_> = receiver.iter().map(Calls::counts).collect();
    assert_eq!(seen, [[3, 64 + 3 + 1000, 4, 10 + 64 + 3 + 1000]; 2]);
}
