//! loom's atomics, with every operation a point where any other thread may come first.
//!
//! loom reduces the interleavings it runs to those that differ in dependent operations, and judges
//! dependence by the last access to an object alone. A thread that reads a word and then exchanges
//! it hides, by its own read, that another thread's read came before the exchange; the model then
//! never runs the other order. Here each operation first touches one object that all share, so
//! that all operations depend on each other and nothing is left out.
//!
//! Models of other crates use them as well.

#![expect(
    missing_docs,
    reason = "these are the methods of loom's atomics, and so the standard library's"
)]

use loom::sync::atomic::Ordering;

loom::lazy_static! {
    /// Touched by every operation; its value means nothing.
    static ref TURN: loom::sync::atomic::AtomicUsize = loom::sync::atomic::AtomicUsize::new(0);
}

/// Lets any thread that is at an operation go first.
fn take_turn() {
    // Relaxed: it must order nothing, or the model would hide missing orderings.
    TURN.fetch_add(1, Ordering::Relaxed);
}

macro_rules! method {
    (load $value:ty) => {
        pub fn load(&self, order: Ordering) -> $value {
            take_turn();
            self.0.load(order)
        }
    };
    (store $value:ty) => {
        pub fn store(&self, value: $value, order: Ordering) {
            take_turn();
            self.0.store(value, order);
        }
    };
    (swap $value:ty) => {
        pub fn swap(&self, value: $value, order: Ordering) -> $value {
            take_turn();
            self.0.swap(value, order)
        }
    };
    (fetch_add $value:ty) => {
        pub fn fetch_add(&self, value: $value, order: Ordering) -> $value {
            take_turn();
            self.0.fetch_add(value, order)
        }
    };
    (fetch_sub $value:ty) => {
        pub fn fetch_sub(&self, value: $value, order: Ordering) -> $value {
            take_turn();
            self.0.fetch_sub(value, order)
        }
    };
    (fetch_max $value:ty) => {
        pub fn fetch_max(&self, value: $value, order: Ordering) -> $value {
            take_turn();
            self.0.fetch_max(value, order)
        }
    };
    (fetch_or $value:ty) => {
        pub fn fetch_or(&self, value: $value, order: Ordering) -> $value {
            take_turn();
            self.0.fetch_or(value, order)
        }
    };
    (fetch_and $value:ty) => {
        pub fn fetch_and(&self, value: $value, order: Ordering) -> $value {
            take_turn();
            self.0.fetch_and(value, order)
        }
    };
    (fetch_update $value:ty) => {
        pub fn fetch_update(
            &self,
            set_order: Ordering,
            fetch_order: Ordering,
            update: impl FnMut($value) -> Option<$value>,
        ) -> Result<$value, $value> {
            take_turn();
            self.0.fetch_update(set_order, fetch_order, update)
        }
    };
    (compare_exchange $value:ty) => {
        pub fn compare_exchange(
            &self,
            current: $value,
            new: $value,
            success: Ordering,
            failure: Ordering,
        ) -> Result<$value, $value> {
            take_turn();
            self.0.compare_exchange(current, new, success, failure)
        }
    };
}

macro_rules! atomics {
    ($($name:ident of $value:ty: $($method:ident)*;)*) => {$(
        #[derive(Debug, Default)]
        pub struct $name(loom::sync::atomic::$name);

        impl $name {
            pub fn new(value: $value) -> Self {
                Self(loom::sync::atomic::$name::new(value))
            }

            $(method! { $method $value })*
        }
    )*};
}

atomics! {
    AtomicBool of bool: load store swap compare_exchange;
    AtomicU8 of u8: swap compare_exchange;
    AtomicU32 of u32: load store;
    AtomicU64 of u64: load store fetch_add fetch_update;
    AtomicUsize of usize: load store swap fetch_add fetch_sub fetch_max fetch_or fetch_and compare_exchange;
}
