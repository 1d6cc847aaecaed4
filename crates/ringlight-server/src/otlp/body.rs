//! Request bodies within bounds: of one request, of all together, and of time.

use std::io::{self, Read as _};
use std::time::Duration;

use bytes::Bytes;
use flate2::bufread::MultiGzDecoder;
use http_body::Body;
use http_body_util::BodyExt as _;

use super::memory::{Buffer, Memory};

/// Decompressed bytes that are kept without knowing how many follow.
const UNMEASURED_BYTES: usize = 1024 * 1024;

/// Why a body was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BodyError {
    /// Larger than one request may be.
    TooLarge,
    /// All requests together would take too much memory.
    Memory,
    /// It took too long to arrive.
    Slow,
    /// The connection ended first.
    Incomplete,
    /// It does not decompress.
    Corrupt,
}

/// Reads a whole body of at most `max` bytes within `timeout`.
pub(super) async fn collect<B>(
    body: &mut B,
    memory: &Memory,
    max: usize,
    timeout: Duration,
) -> Result<Buffer, BodyError>
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut buffer = Buffer::new(memory, max);
    let all = async {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| BodyError::Incomplete)?;
            if let Some(data) = frame.data_ref() {
                buffer.append(data)?;
            }
        }
        Ok(())
    };
    match tokio::time::timeout(timeout, all).await {
        Ok(Ok(())) => Ok(buffer),
        Ok(Err(error)) => Err(error),
        Err(_) => Err(BodyError::Slow),
    }
}

/// Reads up to `max` more bytes and throws them away, so that a client which sends its whole
/// request before it looks for an answer finds one instead of a reset connection.
pub(super) async fn drain<B>(body: &mut B, max: usize, timeout: Duration)
where
    B: Body<Data = Bytes> + Unpin,
{
    let mut left = max;
    let all = async {
        while let Some(Ok(frame)) = body.frame().await {
            let size = frame.data_ref().map_or(0, Bytes::len);
            let Some(rest) = left.checked_sub(size) else {
                break;
            };
            left = rest;
        }
    };
    // Whether it ended, was too much or too slow makes no difference to the answer.
    let _ = tokio::time::timeout(timeout, all).await;
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Gzip,
    Zstd,
}

impl Encoding {
    /// The encoding of a name that HTTP and gRPC both have.
    pub(super) fn from_name(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"gzip") {
            Some(Self::Gzip)
        } else if name.eq_ignore_ascii_case(b"zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    fn decoder(self, compressed: &[u8]) -> Result<Decoder<'_>, BodyError> {
        Ok(match self {
            Self::Gzip => Decoder::Gzip(MultiGzDecoder::new(compressed)),
            Self::Zstd => {
                // It fails only for lack of memory.
                let decoder = zstd::stream::read::Decoder::with_buffer(compressed);
                let mut decoder = decoder.map_err(|_| BodyError::Memory)?;
                decoder
                    .window_log_max(ZSTD_WINDOW_LOG_MAX)
                    .map_err(|_| BodyError::Corrupt)?;
                Decoder::Zstd(decoder)
            }
        })
    }
}

/// 8 MiB, which every decoder of Zstandard must take and no encoder for the web may exceed (RFC 9659). It is beside
/// the memory that requests share, and taken once at most for each processor.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

enum Decoder<'a> {
    Gzip(MultiGzDecoder<&'a [u8]>),
    Zstd(zstd::stream::read::Decoder<'static, &'a [u8]>),
}

impl Decoder<'_> {
    fn read(&mut self, chunk: &mut [u8]) -> Result<usize, BodyError> {
        loop {
            let read = match self {
                Self::Gzip(decoder) => decoder.read(chunk),
                Self::Zstd(decoder) => decoder.read(chunk),
            };
            match read {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map_err(|_| BodyError::Corrupt),
            }
        }
    }
}

/// Decompresses any number of gzip members or Zstandard frames to at most `max` bytes. Blocks.
///
/// What grows large is measured before it is kept, so that a bomb costs time and no memory, and
/// large requests take no more than their size.
pub(super) fn decompress(
    encoding: Encoding,
    compressed: &[u8],
    memory: &Memory,
    max: usize,
) -> Result<Buffer, BodyError> {
    let mut buffer = Buffer::new(memory, max);
    if compressed.is_empty() {
        return Ok(buffer);
    }
    let mut decoder = encoding.decoder(compressed)?;
    let mut chunk = [0; 16 * 1024];
    while buffer.as_slice().len() < UNMEASURED_BYTES {
        match decoder.read(&mut chunk)? {
            0 => return Ok(buffer),
            length => buffer.append(&chunk[..length])?,
        }
    }
    let mut size = buffer.as_slice().len();
    loop {
        match decoder.read(&mut chunk)? {
            0 => break,
            length => size += length,
        }
        if size > max {
            return Err(BodyError::TooLarge);
        }
    }
    // A decoder cannot go back, so all is read again, to where it has room as a whole.
    drop((buffer, decoder));
    let mut buffer = Buffer::new(memory, max);
    buffer.reserve(size)?;
    let mut decoder = encoding.decoder(compressed)?;
    loop {
        match decoder.read(&mut chunk)? {
            0 => return Ok(buffer),
            length => buffer.append(&chunk[..length])?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_content_takes_the_memory_of_its_size_and_bombs_take_none() {
        use std::io::Write as _;
        let gzip = |bytes: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let zstd = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
        let content: Vec<u8> = (0..5_000_000_u32).map(|i| (i / 7) as u8).collect();
        let (front, back) = content.split_at(1_500_000);
        let memory = Memory::new(content.len());
        for (encoding, compressed) in [
            (Encoding::Gzip, gzip(&content)),
            (Encoding::Gzip, [gzip(front), gzip(back)].concat()),
            (Encoding::Zstd, zstd(&content)),
            (Encoding::Zstd, [zstd(front), zstd(back)].concat()),
        ] {
            let check = |compressed: &[u8], max| decompress(encoding, compressed, &memory, max);
            let buffer = check(&compressed, content.len()).unwrap();
            assert!(buffer.as_slice() == content);
            assert_eq!(memory.used(), content.len());
            drop(buffer);
            let refused = check(&compressed, content.len() - 1);
            assert_eq!(refused.unwrap_err(), BodyError::TooLarge);
            let refused = check(&compressed[..compressed.len() - 5], content.len());
            assert_eq!(refused.unwrap_err(), BodyError::Corrupt);
        }
        assert_eq!(memory.used(), 0);
    }

    #[test]
    fn fault_24_a_window_larger_than_a_decoder_must_take_is_refused() {
        use std::io::Write as _;
        let content = vec![7; 100_000];
        let check = |window_log, expected: Option<BodyError>| {
            let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            encoder.window_log(window_log).unwrap();
            encoder.write_all(&content).unwrap();
            // Written before its end is known, so that its window is the declared one.
            encoder.flush().unwrap();
            let compressed = encoder.finish().unwrap();
            let memory = Memory::new(1 << 20);
            let read = decompress(Encoding::Zstd, &compressed, &memory, content.len());
            assert_eq!(read.as_ref().err(), expected.as_ref(), "{window_log}");
            if let Ok(buffer) = read {
                assert!(buffer.as_slice() == content);
            }
        };
        check(23, None);
        check(24, Some(BodyError::Corrupt));
        check(27, Some(BodyError::Corrupt));
    }
}
