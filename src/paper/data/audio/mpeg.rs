//! The frames of an MP3 file, and what its first frame states of its length.

use crate::paper::data::file::Refusal;

/// The header of a frame.
#[derive(Clone, Copy)]
pub(super) struct Header {
    /// MPEG-1; otherwise MPEG-2 or 2.5.
    is_first: bool,
    pub channels: usize,
    pub rate: u32,
    /// The number of bytes, with the header.
    length: usize,
}

impl Header {
    /// The number of samples per channel.
    pub fn samples(&self) -> usize {
        if self.is_first { 1152 } else { 576 }
    }

    /// Reads a header of layer III; `None` if `bytes` do not begin with one.
    fn parse(bytes: &[u8]) -> Option<Result<Self, Refusal>> {
        let &[0xff, second, third, fourth, ..] = bytes else { return None };
        let (version, layer) = (second >> 3 & 3, second >> 1 & 3);
        let (bit_rate, rate) = (usize::from(third >> 4), usize::from(third >> 2 & 3));
        if second < 0xe0 || version == 1 || layer == 0 || bit_rate == 15 || rate == 3 {
            return None;
        }
        let not_supported = |form: &str| Some(Err(Refusal::NotSupported(form.to_owned())));
        match (layer, bit_rate) {
            (3, _) => return not_supported("MPEG audio of layer I"),
            (2, _) => return not_supported("MPEG audio of layer II"),
            (_, 0) => return not_supported("an MP3 of free format"),
            _ => {}
        }
        let is_first = version == 3;
        let kilobits: [usize; 15] = match is_first {
            true => [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
            false => [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        };
        let hertz = [44_100, 48_000, 32_000][rate] >> [2, 0, 1, 0][usize::from(version)];
        let bytes_of_kilobit = if is_first { 144_000 } else { 72_000 };
        let padding = usize::from(third >> 1 & 1);
        let length = bytes_of_kilobit * kilobits[bit_rate] / hertz as usize + padding;
        let channels = if fourth >> 6 == 3 { 1 } else { 2 };
        Some(Ok(Self { is_first, channels, rate: hertz, length }))
    }

    /// Returns whether the data of a frame begin in the frames before it.
    fn needs_earlier_bytes(&self, frame: &[u8]) -> bool {
        let checksum = if frame.get(1).is_some_and(|byte| byte & 1 == 0) { 2 } else { 0 };
        match *frame.get(4 + checksum..).unwrap_or_default() {
            [high, low, ..] if self.is_first => high > 0 || low >= 0x80,
            [offset, ..] => offset > 0,
            [] => false,
        }
    }

    fn continues(&self, other: &Self) -> bool {
        (self.is_first, self.rate) == (other.is_first, other.rate)
    }
}

/// The audio frames of a file.
pub(super) struct Frames<'f> {
    pub first: Header,
    pub frames: Vec<&'f [u8]>,
    /// The numbers of samples per channel that the encoder added at the start and at the end.
    pub added: [usize; 2],
}

impl<'f> Frames<'f> {
    /// Finds the frames between the tags.
    ///
    /// Every byte between the first and the last frame belongs to a frame or a tag, and there are at
    /// least as many frames as the file's Xing, Info or VBRI header states. A file without this header
    /// that was cut between two frames is not recognised.
    pub fn parse(file: &'f [u8]) -> Result<Self, Refusal> {
        let file = without_end_tags(file);
        let start = first_frame(file)?;
        let first = Header::parse(&file[start..]).ok_or_else(|| no_frame(file))??;
        let (mut at, mut frames, mut bytes) = (start, Vec::new(), 0);
        let rest = loop {
            let rest = &file[at..];
            match Header::parse(rest) {
                Some(Ok(header)) if first.continues(&header) => {
                    if header.channels != first.channels {
                        let form = format!("an MP3 whose number of channels changes at byte {at}");
                        return Err(Refusal::NotSupported(form));
                    }
                    let Some(frame) = rest.get(..header.length) else { break rest };
                    frames.push(frame);
                    bytes += header.length;
                    at += header.length;
                }
                _ => match tag(rest).filter(|&length| length < rest.len()) {
                    Some(length) => at += length,
                    None => break rest,
                },
            }
        };
        let header = frames.first().and_then(|frame| Stated::parse(&first, frame));
        if header.is_some() {
            frames.remove(0);
        }
        let stated = header.unwrap_or_default();
        let is_complete = stated.check(frames.len(), bytes)?;
        if !is_complete && !is_end(rest) {
            let found = format!("no whole frame at byte {at} of {}", file.len());
            return Err(Refusal::Damaged(found));
        }
        if frames.first().is_some_and(|frame| first.needs_earlier_bytes(frame)) {
            let found = "a first frame whose data begin in an earlier one, which is missing";
            return Err(Refusal::Damaged(found.to_owned()));
        }
        // Files that were joined have a header in the middle; their end has no known padding.
        let is_audio = |frame: &&[u8]| Stated::parse(&first, frame).is_none();
        let joined = stated.frames.is_some_and(|stated| frames.len() > stated);
        frames.retain(is_audio);
        let [before, after] = stated.added;
        Ok(Self { first, frames, added: [before, if joined { 0 } else { after }] })
    }
}

fn no_frame(file: &[u8]) -> Refusal {
    match Refusal::from_start(file) {
        Refusal::NotSupported(name) if name == "an MP3 file" => {
            Refusal::Damaged("no MPEG audio frame".to_owned())
        }
        other => other,
    }
}

/// The position of the first frame: after tags, padding, and other bytes before three frames.
fn first_frame(file: &[u8]) -> Result<usize, Refusal> {
    let mut start = 0;
    while let Some(length) = tag(&file[start.min(file.len())..]) {
        start += length;
    }
    let rest = file.get(start..).unwrap_or_default();
    let padding = rest.iter().take_while(|&&byte| byte == 0).count();
    if let Some(header) = Header::parse(&rest[padding..]) {
        return header.map(|_| start + padding);
    }
    let frames_follow = |&at: &usize| {
        let mut at = at;
        (0..3).all(|_| match rest.get(at..).and_then(Header::parse) {
            Some(Ok(header)) => {
                at += header.length;
                true
            }
            _ => false,
        })
    };
    let found = (padding..rest.len()).find(frames_follow);
    found.map(|at| start + at).ok_or_else(|| no_frame(file))
}

/// The length of the ID3 or APE tag that `bytes` begin with.
fn tag(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"TAG") {
        return Some(ID3V1);
    }
    if bytes.starts_with(b"ID3") {
        let size = bytes.get(6..10)?.iter().fold(0, |n, &b| n << 7 | usize::from(b & 0x7f));
        let footer = if bytes[5] & 0x10 == 0 { 0 } else { 10 };
        return Some(10 + size + footer);
    }
    if bytes.starts_with(b"APETAGEX") {
        let size = u32::from_le_bytes(bytes.get(12..16)?.try_into().ok()?);
        return Some(32 + size as usize);
    }
    None
}

/// The length of an ID3v1 tag.
const ID3V1: usize = 128;

/// A file without the ID3v1 and APE tags at its end.
fn without_end_tags(file: &[u8]) -> &[u8] {
    /// The length of a header or a footer.
    const APE_BOUND: usize = 32;
    let end_at = |length: usize| file.len().checked_sub(length);
    if let Some(end) = end_at(ID3V1).filter(|&end| file[end..].starts_with(b"TAG")) {
        return without_end_tags(&file[..end]);
    }
    let footer = end_at(APE_BOUND).map(|at| &file[at..]);
    let Some([b'A', b'P', b'E', b'T', b'A', b'G', b'E', b'X', _, _, _, _, size @ ..]) = footer
    else {
        return file;
    };
    // The size counts the items and the footer, and not the header, which version 1 does not have.
    let size = size[..4].iter().rev().fold(0, |n, &byte| n << 8 | usize::from(byte));
    let Some(start) = end_at(size).filter(|_| size >= APE_BOUND) else { return file };
    let header = start.checked_sub(APE_BOUND).filter(|&at| file[at..].starts_with(b"APETAGEX"));
    without_end_tags(&file[..header.unwrap_or(start)])
}

/// Returns whether a whole file can end with these bytes: nothing, padding, or a tag.
fn is_end(rest: &[u8]) -> bool {
    let begins = [&b"TAG"[..], b"APETAGEX", b"LYRICSBEGIN", b"ID3", b"3DI"];
    let padding = rest.iter().take_while(|&&byte| byte == 0).count();
    padding == rest.len() || begins.iter().any(|tag| rest[padding..].starts_with(tag))
}

/// What a Xing, Info or VBRI header states.
#[derive(Default)]
struct Stated {
    frames: Option<usize>,
    bytes: Option<usize>,
    added: [usize; 2],
}

impl Stated {
    /// Reads the header in a frame that holds one in place of audio.
    fn parse(header: &Header, frame: &[u8]) -> Option<Self> {
        let side = match (header.is_first, header.channels) {
            (true, 2) => 32,
            (true, _) | (false, 2) => 17,
            (false, _) => 9,
        };
        let number = |at: usize| {
            let bytes = frame.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_be_bytes(bytes) as usize)
        };
        let at = 4 + side;
        if matches!(frame.get(at..at + 4)?, b"Xing" | b"Info") {
            let flags = number(at + 4)?;
            let mut next = at + 8;
            let mut field = |bit: usize, length: usize| {
                let start = next;
                next += if flags & bit == 0 { 0 } else { length };
                (flags & bit != 0).then_some(start)
            };
            let (frames, bytes) = (field(1, 4), field(2, 4));
            let _ = (field(4, 100), field(8, 4));
            let stated = |at: Option<usize>| at.and_then(number);
            let added = added(frame.get(next..).unwrap_or_default());
            return Some(Self { frames: stated(frames), bytes: stated(bytes), added });
        }
        if frame.get(36..40)? == b"VBRI" {
            return Some(Self { frames: number(50), bytes: number(46), added: [0; 2] });
        }
        None
    }

    /// Checks that nothing is missing of `frames` and of `bytes`; returns whether the header states
    /// their number.
    fn check(&self, frames: usize, bytes: usize) -> Result<bool, Refusal> {
        let has_bytes = |stated: usize| bytes >= stated;
        match (self.frames.filter(|&n| n > 0), self.bytes.filter(|&n| n > 0)) {
            // Some encoders count the header as a frame.
            (Some(n), Some(size)) if frames + 1 == n && has_bytes(size) => Ok(true),
            (Some(n), _) if frames < n => {
                Err(Refusal::Damaged(format!("{frames} of the {n} frames that its header states")))
            }
            (Some(_), _) => Ok(true),
            (None, Some(size)) if !has_bytes(size) => {
                Err(Refusal::Damaged(format!("{bytes} of the {size} bytes that its header states")))
            }
            (None, size) => Ok(size.is_some()),
        }
    }
}

/// The numbers of samples that LAME or FFmpeg added, from the extension of the header.
fn added(extension: &[u8]) -> [usize; 2] {
    /// The delay of the decoder.
    const DECODER: usize = 529;
    let known = [&b"LAME"[..], b"Lavf", b"Lavc"];
    match extension.get(21..24) {
        Some(&[a, b, c]) if known.iter().any(|name| extension.starts_with(name)) => {
            let delay = usize::from(a) << 4 | usize::from(b >> 4);
            let padding = usize::from(b & 15) << 8 | usize::from(c);
            [DECODER + delay, padding.saturating_sub(DECODER)]
        }
        _ => [0; 2],
    }
}
