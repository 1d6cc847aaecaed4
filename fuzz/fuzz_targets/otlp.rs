//! OTLP requests, protobuf and JSON: any bytes are a request or an error, and what is refused is
//! counted.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringlight_model::{Limits, Signal};
use ringlight_otlp::{Ignore, OtlpDecoder, json};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, request)) = bytes.split_first() else {
        return;
    };
    let signal = Signal::ALL[usize::from(choice / 2) % Signal::ALL.len()];
    let limits = Limits::default();
    let decoder = OtlpDecoder::new(limits);
    if choice % 2 == 0 {
        let _ = decoder.walk(signal, request, &mut Ignore);
    } else if let Ok(converted) = json::to_protobuf(signal, request, &limits) {
        // What the converter writes, the decoder reads.
        let read = decoder.walk(signal, &converted.request, &mut Ignore);
        assert!(read.is_ok(), "{read:?}");
    }
});
