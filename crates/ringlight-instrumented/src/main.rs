//! Functions with `#[ringlight::instrument]`, of each kind there is, in a program that does not depend on `tracing`, starts
//! telemetry that goes nowhere, and has a channel.
//!
//! It is built with the feature `profiling`, without, each also with the features that are on by default, and with what there
//! is more, and the binary searched for the names given here and those of modules. What the functions give is the exit code, so that none of them is optimized away.
#![forbid(unsafe_code)]

use std::hint::black_box;
use std::pin::{Pin, pin};
use std::process::ExitCode;
use std::task::{Context, Poll, Waker};

#[global_allocator]
#[cfg(not(feature = "everything"))]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[global_allocator]
#[cfg(feature = "everything")]
static ALLOCATOR: ringlight::RinglightAllocator<mimalloc::MiMalloc> =
    ringlight::RinglightAllocator::new(mimalloc::MiMalloc);

#[derive(Debug)]
struct Counter(u8);

impl Counter {
    #[ringlight::instrument(name = "span-of-a-method", ret, fields(field_of_a_method = 1))]
    fn add(&mut self, by: u8) -> u8 {
        self.0 += by;
        self.0
    }
}

#[ringlight::instrument(
    name = "span-of-a-function",
    target = "target-of-a-function",
    level = "debug",
    err
)]
#[inline(never)]
fn parse(text: &str) -> Result<u8, std::num::ParseIntError> {
    text.parse()
}

#[ringlight::instrument(name = "span-of-an-async-function", redact(secret))]
async fn wait(secret: &str) -> usize {
    std::future::ready(secret.len()).await
}

#[ringlight::instrument(name = "span-of-a-boxed-future", skip_all)]
fn boxed(count: u8) -> Pin<Box<dyn Future<Output = u8>>> {
    Box::pin(async move { count })
}

fn main() -> ExitCode {
    let nothing: [(&str, &str); 0] = [];
    let builder = ringlight::builder().environment(nothing);
    let telemetry = builder.log_format(ringlight::LogFormat::Off).build();
    let (sender, mut receiver) = ringlight::channel::mpsc::named::<u8>("channel", 1);
    if telemetry.is_err() || sender.try_send(1).is_err() || receiver.try_recv().is_err() {
        return ExitCode::FAILURE;
    }
    let mut counter = Counter(black_box(1));
    let mut sum = counter.add(2);
    sum += parse(black_box("4")).unwrap_or(0);
    let mut context = Context::from_waker(Waker::noop());
    if let Poll::Ready(length) = pin!(wait(black_box("12345678"))).poll(&mut context) {
        sum += u8::try_from(length).unwrap_or(0);
    }
    if let Poll::Ready(count) = boxed(black_box(16)).as_mut().poll(&mut context) {
        sum += count;
    }
    ExitCode::from(sum)
}
