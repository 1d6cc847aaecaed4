//! What counting costs around mimalloc: `cargo bench -p ringlight-alloc --bench mimalloc`.

mod measured;

use measured::Switched;
use mimalloc::MiMalloc;

#[global_allocator]
static ALLOCATOR: Switched<MiMalloc> = Switched::new(MiMalloc, MiMalloc);

fn main() {
    measured::report(&ALLOCATOR);
}
