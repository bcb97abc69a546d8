//! JPEG files, decoded by zune-jpeg in its strict mode.

use std::ops::Range;

use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

use crate::paper::data::file::Refusal;

const END_OF_IMAGE: u8 = 0xd9;
const START_OF_SCAN: u8 = 0xda;

/// Reads RGB bytes [height, width, 3], the width and the height.
///
/// The file must contain the whole image up to its end-of-image marker. What follows the marker is
/// ignored: cameras and tools append previews, second pictures and padding.
pub(super) fn read(mut file: Vec<u8>) -> Result<(Vec<u8>, [usize; 2]), Refusal> {
    let image = Segments::parse(&file)?;
    if image.sequential {
        // A decoder that meets the end-of-image marker too early fills the rest with zeros. Without
        // the marker the strict mode reports the end. The zeros are what it reads ahead.
        file.truncate(image.end);
        file.extend([0; 8]);
    } else {
        file.truncate(image.end + 2);
    }
    for between in image.between.into_iter().rev() {
        file.drain(between);
    }
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&file), options);
    let pixels = decoder.decode().map_err(|e| Refusal::Damaged(e.to_string()))?;
    let (width, height) = decoder.dimensions().unwrap_or_default();
    Ok((pixels, [width, height]))
}

/// What the markers of a file tell.
struct Segments {
    /// The position of the end-of-image marker.
    end: usize,
    /// Whether each block is coded once (baseline), not in several passes (progressive).
    sequential: bool,
    /// Bytes between the segments of the header. Other decoders ignore them, and the strict mode does
    /// not.
    between: Vec<Range<usize>>,
}

impl Segments {
    fn parse(file: &[u8]) -> Result<Self, Refusal> {
        let (mut at, mut sequential, mut frame) = (2, true, &[][..]);
        let (mut in_header, mut between) = (true, Vec::new());
        loop {
            let found = next_marker(file, at).ok_or_else(|| {
                Refusal::Damaged(format!("no end-of-image marker in {} bytes", file.len()))
            })?;
            if in_header && found > at {
                between.push(at..found);
            }
            let marker = file[found + 1];
            match marker {
                END_OF_IMAGE => return Ok(Self { end: found, sequential, between }),
                // Restart, start-of-image and temporary markers have no content.
                0xd0..=0xd8 | 0x01 => at = found + 2,
                _ => {
                    let length = file.get(found + 2..found + 4).unwrap_or_default();
                    let length = length.iter().fold(0, |n, &byte| n << 8 | usize::from(byte));
                    let content = file.get(found + 4..found + 2 + length).unwrap_or_default();
                    if is_frame_header(marker) {
                        check_frame(marker, content)?;
                        (frame, sequential) = (content, matches!(marker, 0xc0 | 0xc1));
                    } else if marker == START_OF_SCAN && sequential {
                        check_scan(frame, content)?;
                    }
                    in_header &= marker != START_OF_SCAN;
                    at = found + 2 + length;
                }
            }
        }
    }
}

/// The position of the next marker: 0xff, then neither 0 (a coded 0xff) nor 0xff (padding).
fn next_marker(file: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += file.get(at..)?.iter().position(|&byte| byte == 0xff)?;
        match file.get(at + 1)? {
            0 => at += 2,
            0xff => at += 1,
            _ => return Some(at),
        }
    }
}

fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}

/// Checks that the coding is one that zune-jpeg decodes.
fn check_frame(marker: u8, content: &[u8]) -> Result<(), Refusal> {
    let not_supported = |form: String| Err(Refusal::NotSupported(form));
    match marker {
        0xc0..=0xc2 => {}
        0xc3 | 0xcb => return not_supported("a lossless JPEG".to_owned()),
        0xc9 | 0xca => return not_supported("a JPEG with arithmetic coding".to_owned()),
        _ => return not_supported("a hierarchical JPEG".to_owned()),
    }
    match *content {
        [8, 0, 0, ..] => not_supported("a JPEG whose height follows its first scan".to_owned()),
        [8, _, _, _, _, 1 | 3 | 4, ..] => Ok(()),
        [8, _, _, _, _, n, ..] => not_supported(format!("a JPEG of {n} components")),
        [bits, ..] => not_supported(format!("a JPEG of {bits} bits per sample")),
        [] => Ok(()), // cut here: no end of the image is found
    }
}

/// Checks a scan of a sequential image. zune-jpeg 0.5 decodes the scans of single components to wrong
/// pixels if a component is subsampled vertically.
fn check_scan(frame: &[u8], scan: &[u8]) -> Result<(), Refusal> {
    let components = frame.get(6..).unwrap_or_default().chunks_exact(3);
    let is_tall = components.clone().any(|component| component[1] & 15 > 1);
    let scanned = scan.first().map_or(0, |&n| usize::from(n));
    if scanned < components.len() && is_tall {
        let form = "a JPEG with a scan per component and subsampled colour";
        return Err(Refusal::NotSupported(form.to_owned()));
    }
    Ok(())
}
