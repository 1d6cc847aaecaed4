//! What counting costs around the system's allocator.

use std::alloc::System;

use bench_pairs::allocations::{Arguments, Switched};
use clap::Parser as _;

#[global_allocator]
static ALLOCATOR: Switched<System> = Switched::new(System, System);

fn main() -> anyhow::Result<()> {
    Arguments::parse().run(&ALLOCATOR)
}
