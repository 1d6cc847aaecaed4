//! What a push costs: records of 96 bytes, drained by another thread, in nanoseconds a record.
#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]
fn main() {
    println!();
}
