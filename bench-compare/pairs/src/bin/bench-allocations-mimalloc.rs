//! What counting costs around mimalloc.

use bench_pairs::allocations::{Arguments, Switched};
use clap::Parser as _;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: Switched<MiMalloc> = Switched::new(MiMalloc, MiMalloc);

fn main() -> anyhow::Result<()> {
    Arguments::parse().run(&ALLOCATOR)
}
