//! Requests made smaller, and answers made whole again.

use std::fmt;
use std::io::{self, Read};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use flate2::{Compress, Crc, FlushCompress, Status};

/// How requests are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, which every OTLP backend takes.
    Gzip,
    /// Zstandard, smaller than gzip in an eighth of the time; many backends take it. With feature `zstd`.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Compression {
    /// The name in headers; nothing without compression.
    pub(crate) const fn name(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            #[cfg(feature = "zstd")]
            Self::Zstd => Some("zstd"),
        }
    }
}

/// Compressions of answers that are understood, as HTTP and gRPC list them.
pub(crate) const ACCEPTED: &str = if cfg!(feature = "zstd") {
    "gzip, zstd"
} else {
    "gzip"
};
pub(crate) const GRPC_ACCEPTED: &str = if cfg!(feature = "zstd") {
    "identity,gzip,zstd"
} else {
    "identity,gzip"
};

/// Contexts that are kept for the next request. As many attempts are under way at a time only while there
/// is much to send.
const IDLE_MAX: usize = 2;

/// Compresses requests. Contexts, which take up to a megabyte, are used again.
pub(crate) struct Compressor {
    compression: Compression,
    /// Room for one result, by which an allocation of the size of the request is saved, and a context.
    idle: Mutex<Vec<Context>>,
}

struct Context {
    codec: Codec,
    buffer: Vec<u8>,
}

enum Codec {
    Gzip(Compress),
    #[cfg(feature = "zstd")]
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    pub(crate) const fn new(compression: Compression) -> Self {
        Self {
            compression,
            idle: Mutex::new(Vec::new()),
        }
    }

    pub(crate) const fn compression(&self) -> Compression {
        self.compression
    }

    /// The bytes, compressed; nothing without compression.
    pub(crate) fn compress(&self, bytes: &[u8]) -> io::Result<Option<Bytes>> {
        let idle = self.idle().pop();
        let mut context = match (idle, self.compression) {
            (_, Compression::None) => return Ok(None),
            (Some(context), _) => context,
            (None, compression) => Context::new(compression)?,
        };
        context.compress(bytes)?;
        let compressed = Bytes::copy_from_slice(&context.buffer);
        let mut idle = self.idle();
        if idle.len() < IDLE_MAX {
            idle.push(context);
        }
        Ok(Some(compressed))
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Context>> {
        // A context is in it or not.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Compressor")
            .field(&self.compression)
            .finish()
    }
}

impl Context {
    fn new(compression: Compression) -> io::Result<Self> {
        Ok(Self {
            codec: match compression {
                #[cfg(feature = "zstd")]
                Compression::Zstd => Codec::Zstd(zstd::bulk::Compressor::new(ZSTD_LEVEL)?),
                _ => Codec::Gzip(Compress::new(flate2::Compression::new(GZIP_LEVEL), false)),
            },
            buffer: Vec::new(),
        })
    }

    fn compress(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.clear();
        match &mut self.codec {
            Codec::Gzip(deflate) => gzip(deflate, bytes, &mut self.buffer),
            #[cfg(feature = "zstd")]
            Codec::Zstd(zstd) => {
                self.buffer
                    .reserve(zstd::zstd_safe::compress_bound(bytes.len()));
                zstd.compress_to_buffer(bytes, &mut self.buffer).map(|_| ())
            }
        }
    }
}

/// One gzip member (RFC 1952): `flate2` has no encoder of it that can be used again.
fn gzip(deflate: &mut Compress, bytes: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    // The magic number, deflate, no flags, no time, no hint, no system.
    out.extend_from_slice(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    deflate.reset();
    loop {
        // It writes as far as there is capacity, and is called again for the rest.
        out.reserve(1024.max(bytes.len() / 4));
        let taken = deflate.total_in() as usize;
        match deflate.compress_vec(&bytes[taken..], out, FlushCompress::Finish)? {
            Status::StreamEnd => break,
            Status::Ok | Status::BufError => {}
        }
    }
    let mut crc = Crc::new();
    crc.update(bytes);
    out.extend_from_slice(&crc.sum().to_le_bytes());
    out.extend_from_slice(&crc.amount().to_le_bytes());
    Ok(())
}

/// Why an answer cannot be made whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It has more bytes than are read.
    TooLarge,
    /// It is not what its encoding says, or that is not known.
    Garbled,
}

/// An answer without its encoding, as far as `bytes_max`: what it becomes is never larger than that, whatever it
/// claims.
pub(crate) fn decompress(
    encoding: Option<&[u8]>,
    bytes: Bytes,
    bytes_max: usize,
) -> Result<Bytes, Unreadable> {
    let read = |reader: &mut dyn Read| {
        let mut whole = Vec::new();
        let read = reader.take(bytes_max as u64 + 1).read_to_end(&mut whole);
        if whole.len() > bytes_max {
            return Err(Unreadable::TooLarge);
        }
        read.map_err(|_| Unreadable::Garbled)?;
        Ok(whole.into())
    };
    match encoding {
        None | Some(b"" | b"identity") => Ok(bytes),
        Some(b"gzip" | b"x-gzip") => read(&mut flate2::bufread::MultiGzDecoder::new(&bytes[..])),
        #[cfg(feature = "zstd")]
        Some(b"zstd") => {
            let decoder = zstd::stream::read::Decoder::with_buffer(&bytes[..]);
            let mut decoder = decoder.map_err(|_| Unreadable::Garbled)?;
            // Larger windows would take more memory than the answer may have.
            let _ = decoder.window_log_max(WINDOW_LOG_MAX);
            read(&mut decoder)
        }
        Some(_) => Err(Unreadable::Garbled),
    }
}

/// 8 MiB, which every decoder of Zstandard must take (RFC 9659).
#[cfg(feature = "zstd")]
const WINDOW_LOG_MAX: u32 = 23;

/// Of 245 KB of spans gzip makes 73 KB at level 1 in 1.3 ms, 66 KB at level 4 in 4 ms, and 1 % less at its default, level
/// 6, in 9 ms.
const GZIP_LEVEL: u32 = 4;

/// Of the same spans Zstandard makes 62 KB in 0.5 ms; its default, level 3, takes half as long again for no less, since
/// half of what is left are random ids.
#[cfg(feature = "zstd")]
const ZSTD_LEVEL: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;

    const COMPRESSIONS: &[Compression] = &[
        Compression::Gzip,
        #[cfg(feature = "zstd")]
        Compression::Zstd,
    ];

    fn sample() -> Vec<u8> {
        let lines = (0..5_000).map(|n| format!("span {n} of service shop, {}\n", n * 7919 % 1009));
        lines.collect::<String>().into_bytes()
    }

    #[test]
    fn what_is_compressed_is_read_again_and_contexts_are_used_again() {
        for &compression in COMPRESSIONS {
            let compressor = Compressor::new(compression);
            let name = compression.name().map(str::as_bytes);
            for bytes in [sample(), Vec::new(), vec![7], sample()] {
                let small = compressor.compress(&bytes).unwrap().unwrap();
                assert!(bytes.len() < 100 || small.len() < bytes.len() / 3);
                let whole = decompress(name, small, bytes.len()).unwrap();
                assert_eq!(whole, bytes, "{compression:?}");
            }
            assert_eq!(compressor.idle().len(), 1, "{compression:?}");
        }
        let none = Compressor::new(Compression::None);
        assert_eq!(none.compress(&sample()).unwrap(), None);
    }

    #[test]
    fn an_answer_is_never_larger_than_its_limit() {
        let check = |encoding: &str, bytes: &[u8], expected: Result<usize, Unreadable>| {
            let bytes = Bytes::copy_from_slice(bytes);
            let read = decompress(Some(encoding.as_bytes()), bytes, 1 << 20);
            assert_eq!(read.map(|whole| whole.len()), expected, "{encoding}");
        };
        for &compression in COMPRESSIONS {
            let name = compression.name().unwrap();
            let compressor = Compressor::new(compression);
            let small = |size| compressor.compress(&vec![0; size]).unwrap().unwrap();
            check(name, &small(1 << 20), Ok(1 << 20));
            check(name, &small((1 << 20) + 1), Err(Unreadable::TooLarge));
            check(name, &small(64 << 20), Err(Unreadable::TooLarge));
            let whole = small(100_000);
            check(name, &whole[..whole.len() - 1], Err(Unreadable::Garbled));
            check(name, b"no such thing", Err(Unreadable::Garbled));
        }
        check("br", b"", Err(Unreadable::Garbled));
        #[cfg(not(feature = "zstd"))]
        check("zstd", b"", Err(Unreadable::Garbled));
        check("identity", b"as it is", Ok(8));
    }
}
