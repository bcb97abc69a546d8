//! MP3 files, decoded by symphonia.

use super::{
    codec::{Codec, Interleaved, well_known::CODEC_ID_MP3},
    mpeg::Frames,
};
use crate::paper::data::file::Refusal;

/// Reads the samples of a file.
///
/// Every frame must be whole and must decode: a file that is cut or has a corrupted frame is an
/// error, not a shorter recording.
pub(super) fn read(file: &[u8]) -> Result<Interleaved, Refusal> {
    let Frames { first, frames, added: [before, after] } = Frames::parse(file)?;
    let samples = first.samples() as u64;
    let (channels, rate) = (first.channels, first.rate);
    let codec = Codec { id: CODEC_ID_MP3, channels, rate, packet: samples };
    let mut read = codec.decode(frames.into_iter()).map_err(Refusal::Damaged)?;
    let end = read.samples.len().saturating_sub(after * channels);
    read.samples.truncate(end);
    read.samples.drain(..end.min(before * channels));
    Ok(read)
}
