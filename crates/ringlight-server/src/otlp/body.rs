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

/// Decompresses gzip, any number of members, to at most `max` bytes. Blocks.
///
/// What grows large is measured before it is kept, so that a bomb costs time and no memory, and
/// large requests take no more than their size.
pub(super) fn gunzip(compressed: &[u8], memory: &Memory, max: usize) -> Result<Buffer, BodyError> {
    let mut buffer = Buffer::new(memory, max);
    if compressed.is_empty() {
        return Ok(buffer);
    }
    let mut decoder = MultiGzDecoder::new(compressed);
    let mut chunk = [0; 16 * 1024];
    while buffer.as_slice().len() < UNMEASURED_BYTES {
        match read(&mut decoder, &mut chunk)? {
            0 => return Ok(buffer),
            length => buffer.append(&chunk[..length])?,
        }
    }
    let mut size = buffer.as_slice().len();
    loop {
        match read(&mut decoder, &mut chunk)? {
            0 => break,
            length => size += length,
        }
        if size > max {
            return Err(BodyError::TooLarge);
        }
    }
    // A decoder cannot go back, so all is read again, to where it has room as a whole.
    drop(buffer);
    let mut buffer = Buffer::new(memory, max);
    buffer.reserve(size)?;
    let mut decoder = MultiGzDecoder::new(compressed);
    loop {
        match read(&mut decoder, &mut chunk)? {
            0 => return Ok(buffer),
            length => buffer.append(&chunk[..length])?,
        }
    }
}

fn read(decoder: &mut MultiGzDecoder<&[u8]>, chunk: &mut [u8]) -> Result<usize, BodyError> {
    loop {
        match decoder.read(chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(|_| BodyError::Corrupt),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_gzip_takes_the_memory_of_its_content_and_bombs_take_none() {
        use std::io::Write as _;
        let gzip = |bytes: &[u8]| {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(bytes).unwrap();
            encoder.finish().unwrap()
        };
        let content: Vec<u8> = (0..5_000_000_u32).map(|i| (i / 7) as u8).collect();
        let memory = Memory::new(content.len());
        let members = [gzip(&content[..1_500_000]), gzip(&content[1_500_000..])].concat();
        for compressed in [gzip(&content), members] {
            let buffer = gunzip(&compressed, &memory, content.len()).unwrap();
            assert!(buffer.as_slice() == content);
            assert_eq!(memory.used(), content.len());
            drop(buffer);
            let refused = gunzip(&compressed, &memory, content.len() - 1);
            assert_eq!(refused.unwrap_err(), BodyError::TooLarge);
            let cut = &compressed[..compressed.len() - 5];
            let refused = gunzip(cut, &memory, content.len());
            assert_eq!(refused.unwrap_err(), BodyError::Corrupt);
        }
        assert_eq!(memory.used(), 0);
    }
}
