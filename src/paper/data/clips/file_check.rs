//! Whether a media file can be decoded, as far as its first and last bytes tell.
//!
//! The check reads a few kilobytes of a file and decodes nothing.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::Path,
};

use super::ExclusionReason;
use crate::paper::data::content::LFS_POINTER;

/// The number of bytes that are read at an end of a file.
const WINDOW: usize = 4096;

/// The number of bytes in which the first frame of an MP3 is searched after its tags.
const LONG_WINDOW: usize = 1 << 16;

/// The least size that encoders write into a WAV file whose size they do not know.
const UNKNOWN_SIZE: u64 = 0x7fff_0000;

/// The length of the longest frame of an MP3.
const FRAME: u64 = 1441;

/// A check of a file's content, given its length and its first bytes.
type Check = fn(&mut File, u64, &[u8]) -> io::Result<Result<(), ExclusionReason>>;

/// Checks a WAV or MP3 file.
pub(super) fn check_audio(path: &Path) -> io::Result<Result<(), ExclusionReason>> {
    check(path, WINDOW, |file, length, start| {
        let is_wav = start.get(8..12) == Some(b"WAVE")
            && [b"RIFF", b"RF64", b"BW64"].iter().any(|magic| start.starts_with(*magic));
        if is_wav { Ok(check_wav(length, start)) } else { check_mp3(file, length, start) }
    })
}

/// Checks a JPEG or PNG file.
pub(super) fn check_picture(path: &Path) -> io::Result<Result<(), ExclusionReason>> {
    check(path, LFS_POINTER.len(), |file, length, start| {
        let end: &[u8] = match start {
            [0xff, 0xd8, 0xff, ..] => &[0xff, 0xd9],
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => b"IEND",
            _ => return Ok(Err(ExclusionReason::Damaged)),
        };
        // The end of the image is near the end of the file, unless a program added something.
        let mut tail = read_at(file, length.saturating_sub(WINDOW as u64), WINDOW)?;
        if !contains(&tail, end) {
            tail = read_at(file, 2, usize::MAX)?;
        }
        Ok(if contains(&tail, end) { Ok(()) } else { Err(ExclusionReason::Damaged) })
    })
}

fn check(path: &Path, start: usize, content: Check) -> io::Result<Result<(), ExclusionReason>> {
    let mut file = File::open(path)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() == 0 {
        return Ok(Err(ExclusionReason::Unreadable));
    }
    let start = read_at(&mut file, 0, start)?;
    if start.starts_with(LFS_POINTER) {
        return Ok(Err(ExclusionReason::LfsPointer));
    }
    content(&mut file, metadata.len(), &start)
}

fn read_at(file: &mut File, at: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(length.min(WINDOW) + 1);
    file.seek(SeekFrom::Start(at))?;
    file.take(length as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn contains(bytes: &[u8], pattern: &[u8]) -> bool {
    bytes.windows(pattern.len()).any(|window| window == pattern)
}

/// Follows the chunks to the samples, as far as they are in `start`.
fn check_wav(length: u64, start: &[u8]) -> Result<(), ExclusionReason> {
    let number = |at: usize| {
        let bytes = start.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        u64::from(bytes.map_or(0, u32::from_le_bytes))
    };
    let riff_ends_here = (length - 1..=length).contains(&(number(4) + 8));
    let (mut at, mut has_format) = (12_usize, false);
    while let Some(id) = start.get(at..at + 8) {
        let (size, content) = (number(at + 4), at as u64 + 8);
        let left = length - content.min(length);
        match &id[..4] {
            b"data" if !has_format => return Err(ExclusionReason::Damaged),
            b"data" if left == 0 || (size == 0 && riff_ends_here) => {
                return Err(ExclusionReason::Blank);
            }
            b"data" if size > left && size < UNKNOWN_SIZE && !riff_ends_here => {
                return Err(ExclusionReason::Damaged);
            }
            b"data" => return Ok(()),
            b"fmt " => has_format = true,
            _ => {}
        }
        if size > left {
            return Err(ExclusionReason::Damaged);
        }
        // Some encoders omit the padding after a chunk of odd size.
        let end = (content + size) as usize;
        let omitted = start.get(end..end + 4).is_some_and(|id| id == b"data");
        at = if omitted { end } else { end + end % 2 };
    }
    match (at as u64) + 8 <= length {
        true => Ok(()), // chunks of other content: the decoder finds the samples behind them
        false => Err(ExclusionReason::Damaged),
    }
}

/// Finds a frame after the tags.
fn check_mp3(
    file: &mut File,
    length: u64,
    start: &[u8],
) -> io::Result<Result<(), ExclusionReason>> {
    let (mut at, mut head) = (0, start[..start.len().min(10)].to_vec());
    while let [b'I', b'D', b'3', _, _, flags, a, b, c, d] = head[..] {
        let size = [a, b, c, d].iter().fold(0, |n, &byte| n << 7 | u64::from(byte & 0x7f));
        at += 10 + size + if flags & 0x10 != 0 { 10 } else { 0 };
        head = read_at(file, at, 10)?;
    }
    for window in [WINDOW, LONG_WINDOW] {
        let bytes = read_at(file, at, window)?;
        if at > 0 && (bytes.is_empty() || bytes.starts_with(b"TAG")) {
            return Ok(Err(ExclusionReason::Blank));
        }
        let Some(first) = (0..bytes.len()).find(|&i| is_frame(&bytes[i..])) else {
            if bytes.len() < window || window == LONG_WINDOW {
                let zeros = bytes.iter().all(|&byte| byte == 0);
                let reason = if zeros { ExclusionReason::Blank } else { ExclusionReason::Damaged };
                return Ok(Err(reason));
            }
            continue;
        };
        return Ok(check_frames(&bytes[first..], length - at - first as u64));
    }
    Ok(Err(ExclusionReason::Damaged))
}

/// Checks what an encoder states in the first frame, which then has no sound: `left` bytes of the file
/// follow from this frame on.
fn check_frames(frames: &[u8], left: u64) -> Result<(), ExclusionReason> {
    let tag = [&b"Xing"[..], b"Info"]
        .into_iter()
        .find_map(|tag| frames.get(..40)?.windows(4).position(|window| window == tag));
    let Some(tag) = tag else { return Ok(()) };
    let number = |at: usize| {
        let bytes = frames.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    };
    let is_alone = !(tag..frames.len()).any(|at| is_frame(&frames[at..]));
    if is_alone && frames.len() as u64 == left {
        return Err(ExclusionReason::Blank);
    }
    let flags = number(tag + 4);
    let count = if flags & 1 == 0 { 0 } else { number(tag + 8) };
    let bytes = if flags & 2 == 0 { 0 } else { number(tag + 8 + 4 * (flags & 1) as usize) };
    // Encoders differ by a frame in what they count.
    let frame = bytes.checked_div(count).map_or(FRAME, u64::from);
    if u64::from(bytes) > left + frame { Err(ExclusionReason::Damaged) } else { Ok(()) }
}

/// Returns whether `bytes` start with the header of a frame: a sync word, and no reserved version,
/// layer, bit rate or sampling rate.
fn is_frame(bytes: &[u8]) -> bool {
    matches!(*bytes, [0xff, b, c, ..]
        if b & 0xe0 == 0xe0 && b & 0x18 != 0x08 && b & 0x06 == 0x02 && c >> 4 != 15 && c & 0x0c != 0x0c)
}
