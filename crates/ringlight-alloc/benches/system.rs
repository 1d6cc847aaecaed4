//! What counting costs around the system's allocator: `cargo bench -p ringlight-alloc --bench system`.

mod measured;

use measured::Switched;
use std::alloc::System;

#[global_allocator]
static ALLOCATOR: Switched<System> = Switched::new(System, System);

fn main() {
    measured::report(&ALLOCATOR);
}
