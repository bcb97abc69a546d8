//! WAV files: the chunks of RIFF, RF64 and BW64.
//!
//! Encoders that write to a pipe cannot correct the sizes in the header when they end; their data
//! reaches to the end of the file.

use super::codec::{Codec, Interleaved, well_known as codecs};
use crate::paper::data::file::Refusal;

/// The least size that an encoder writes when it does not know the size (0x7fff_f000 by SoX,
/// 0xffff_ffff by FFmpeg).
const UNKNOWN_SIZE: u64 = 0x7fff_0000;

/// Reads the samples of a file that begins as a WAV file.
pub(super) fn read(file: &[u8]) -> Result<Interleaved, Refusal> {
    let chunks = Chunks::parse(file)?;
    let format = Format::parse(chunks.format)?;
    let codec = format.codec()?;
    // An incomplete sample at the end is ignored.
    let data = &chunks.data[..chunks.data.len() / format.block * format.block];
    if format.is_24_in_32() && is_right_aligned(data) {
        let narrow: Vec<u8> =
            data.chunks_exact(4).flat_map(|sample| &sample[..3]).copied().collect();
        let codec = Codec { id: codecs::CODEC_ID_PCM_S24LE, ..codec };
        return decode(&codec, &narrow, 3 * format.channels);
    }
    decode(&codec, data, format.block)
}

fn decode(codec: &Codec, data: &[u8], block: usize) -> Result<Interleaved, Refusal> {
    codec.decode(data.chunks(block * codec.packet as usize)).map_err(Refusal::Damaged)
}

/// Returns whether samples of 24 bits fill the lower bytes of their 32. The standard aligns them left,
/// with a lowest byte of 0; some encoders align them right.
fn is_right_aligned(data: &[u8]) -> bool {
    let mut samples = data.chunks_exact(4);
    samples.clone().any(|sample| sample[0] != 0)
        && samples.all(|sample| matches!(sample[3], 0 | 0xff))
}

/// The chunks of a file that hold its audio.
struct Chunks<'f> {
    format: &'f [u8],
    data: &'f [u8],
}

impl<'f> Chunks<'f> {
    fn parse(file: &'f [u8]) -> Result<Self, Refusal> {
        let damaged = |found: String| Refusal::Damaged(found);
        let (mut format, mut data_size_64) = (None, None);
        let mut riff_size = u64::from(u32_at(file, 4));
        let mut at = 12;
        while let Some(header) = file.get(at..at + 8) {
            let (id, start, size) = (&header[..4], at + 8, u64::from(u32_at(header, 4)));
            let rest = file.get(start..).unwrap_or_default();
            if id == b"data" {
                let format = format.ok_or_else(|| damaged("no format before the data".into()))?;
                let size = data_size_64.filter(|_| size == u64::from(u32::MAX)).unwrap_or(size);
                let data = data(rest, size, riff_size, file.len() as u64).map_err(damaged)?;
                return Ok(Self { format, data });
            }
            let content = usize::try_from(size).ok().and_then(|size| rest.get(..size));
            let content = content.ok_or_else(|| {
                let (name, left) = (String::from_utf8_lossy(id), rest.len());
                damaged(format!("{left} of the {size} bytes of the chunk {name:?}"))
            })?;
            match id {
                b"fmt " => format = Some(content),
                b"ds64" if size >= 16 => {
                    riff_size = u64_at(content, 0);
                    data_size_64 = Some(u64_at(content, 8));
                }
                _ => {}
            }
            at = after(file, start + content.len());
        }
        Err(damaged("no data chunk".into()))
    }
}

/// The audio in `rest`, the bytes after the header of the data chunk, which states `size`.
fn data(rest: &[u8], size: u64, riff_size: u64, file: u64) -> Result<&[u8], String> {
    let left = rest.len() as u64;
    // The header of the file counts what follows its first 8 bytes.
    let header_fits = file == riff_size + 8 || file == riff_size + 9;
    let unfinished = size == 0 && left > 0 && !header_fits;
    if size > left && size < UNKNOWN_SIZE && !header_fits {
        return Err(format!("{left} of the {size} bytes of audio"));
    }
    let length = if unfinished { left } else { size.min(left) };
    Ok(&rest[..length as usize])
}

/// The position of the chunk after the one that ends at `end`: at the next even position, or, where
/// the encoder omitted the padding, at `end`.
fn after(file: &[u8], end: usize) -> usize {
    let known = [&b"data"[..], b"fmt ", b"fact", b"LIST"];
    let omitted = file.get(end..end + 4).is_some_and(|id| known.contains(&id));
    if omitted { end } else { end + end % 2 }
}

/// The content of the `fmt ` chunk.
struct Format {
    tag: u16,
    channels: usize,
    rate: u32,
    /// The number of bytes of a sample of all channels.
    block: usize,
    /// The number of bits of a sample of one channel that are in use.
    bits: usize,
}

const PCM: u16 = 0x0001;
const FLOAT: u16 = 0x0003;
const A_LAW: u16 = 0x0006;
const MU_LAW: u16 = 0x0007;
const EXTENSIBLE: u16 = 0xfffe;

impl Format {
    fn parse(content: &[u8]) -> Result<Self, Refusal> {
        let damaged = |found: String| Err(Refusal::Damaged(found));
        if content.len() < 16 {
            return damaged(format!("a format chunk of {} bytes", content.len()));
        }
        let u16_at = |at: usize| u16::from_le_bytes([content[at], content[at + 1]]);
        let (mut tag, channels) = (u16_at(0), usize::from(u16_at(2)));
        if tag == EXTENSIBLE {
            // The first two bytes of the format's identifier are the tag.
            let Some(sub_format) = content.get(24..26) else {
                return damaged(format!("an extensible format of {} bytes", content.len()));
            };
            tag = u16::from_le_bytes([sub_format[0], sub_format[1]]);
        }
        let is_extensible = u16_at(0) == EXTENSIBLE;
        let bits = usize::from(u16_at(if is_extensible { 18 } else { 14 }));
        let block = match u16_at(12) {
            0 => channels * bits.div_ceil(8),
            block => usize::from(block),
        };
        if channels == 0 || block == 0 {
            return damaged(format!("{channels} channels in blocks of {block} bytes"));
        }
        Ok(Self { tag, channels, rate: u32_at(content, 4), block, bits })
    }

    fn is_24_in_32(&self) -> bool {
        self.tag == PCM && self.bits == 24 && self.block == 4 * self.channels
    }

    fn codec(&self) -> Result<Codec, Refusal> {
        let Self { tag, channels, rate, block, bits } = *self;
        let not_supported = |form| Err(Refusal::NotSupported(form));
        let id = match (tag, block % channels, block / channels) {
            (PCM, 0, 1) => codecs::CODEC_ID_PCM_U8,
            (PCM, 0, 2) => codecs::CODEC_ID_PCM_S16LE,
            (PCM, 0, 3) => codecs::CODEC_ID_PCM_S24LE,
            (PCM, 0, 4) => codecs::CODEC_ID_PCM_S32LE,
            (FLOAT, 0, 4) => codecs::CODEC_ID_PCM_F32LE,
            (FLOAT, 0, 8) => codecs::CODEC_ID_PCM_F64LE,
            (A_LAW, 0, 1) => codecs::CODEC_ID_PCM_ALAW,
            (MU_LAW, 0, 1) => codecs::CODEC_ID_PCM_MULAW,
            (PCM | FLOAT | A_LAW | MU_LAW, ..) => {
                let name = tag_name(tag);
                let size = format!("{bits} bits, {channels} channels in {block} bytes");
                return not_supported(format!("{name}, {size}"));
            }
            _ => return not_supported(tag_name(tag)),
        };
        Ok(Codec { id, channels, rate, packet: (1 << 16) / channels as u64 + 1 })
    }
}

/// What a format tag stands for.
fn tag_name(tag: u16) -> String {
    let name = match tag {
        PCM => "integer samples",
        FLOAT => "float samples",
        A_LAW => "A-law",
        MU_LAW => "µ-law",
        0x0002 | 0x0011 => "ADPCM",
        0x0031 => "GSM 6.10",
        0x0040 | 0x0045 | 0x0064 | 0x0065 => "G.72x ADPCM",
        0x0050 => "MPEG audio in WAV",
        0x0055 => "MP3 in WAV",
        0x0160..=0x0163 => "Windows Media Audio",
        0x00ff | 0x1600 | 0x1601 => "AAC in WAV",
        _ => "WAV",
    };
    format!("{name} (format tag {tag:#06x})")
}

/// The number at a position, or 0 beyond the end.
fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
