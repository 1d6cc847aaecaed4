//! What no layer wants is recorded beside layers as it is without any: nothing is allocated.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod work;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Identity, Layer as _, SubscriberExt as _};

#[test]
fn recording_past_layers_allocates_nothing() {
    let layer = Identity::new().with_filter(LevelFilter::OFF);
    work::check(ringlight::builder().beside(|registry| registry.with(layer)));
}
