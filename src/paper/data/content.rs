//! The format of a file, recognised by its first bytes.

/// The start of the file that Git checks out in place of one in Large File Storage.
pub(super) const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// What Git checks out in place of a file that was not downloaded.
pub(super) const POINTER: &str = "a Git LFS pointer";
pub(super) const PAGE: &str = "an HTML page";
const OLD_OFFICE: &str = "an XLS or an encrypted XLSX file";

/// The name of the format that `bytes` begin as, among those that are found in place of media files,
/// arrays and tables.
pub(super) fn known_format(bytes: &[u8]) -> Option<&'static str> {
    let at = |start: usize, magic: &[u8]| bytes.get(start..).is_some_and(|b| b.starts_with(magic));
    let text = bytes.trim_ascii_start();
    let is_html = [&b"<!doctype html"[..], b"<html"]
        .iter()
        .any(|tag| text.get(..tag.len()).is_some_and(|start| start.eq_ignore_ascii_case(tag)));
    Some(match () {
        () if at(0, LFS_POINTER) => POINTER,
        () if is_html => PAGE,
        () if at(0, &[0xd0, 0xcf, 0x11, 0xe0]) => OLD_OFFICE,
        () if at(0, b"\x93NUMPY") => "a .npy array",
        () if at(0, b"PK\x03\x04") => "a ZIP archive",
        () if at(0, b"\x1f\x8b") => "a gzip file",
        () if at(0, b"\x89HDF") => "an HDF5 file",
        () if at(0, b"\x80\x02") || at(0, b"\x80\x03") || at(0, b"\x80\x04") => "a Python pickle",
        () if at(0, b"\x89PNG\r\n\x1a\n") => "a PNG image",
        () if at(0, b"\xff\xd8\xff") => "a JPEG image",
        () if at(0, b"GIF8") => "a GIF image",
        () if at(0, b"BM") && at(6, &[0; 4]) => "a BMP image",
        () if at(0, b"II*\0") || at(0, b"MM\0*") => "a TIFF image",
        () if at(0, b"RIFF") && at(8, b"WEBP") => "a WebP image",
        () if at(0, b"RIFF") && at(8, b"AVI ") => "an AVI video",
        () if at(0, b"RIFF") && at(8, b"WAVE") => "a WAV file",
        () if at(4, b"ftypheic") || at(4, b"ftypmif1") => "a HEIC image",
        () if at(4, b"ftypavif") => "an AVIF image",
        () if at(4, b"ftyp") => "an MP4 file",
        () if at(0, b"fLaC") => "a FLAC file",
        () if at(0, b"OggS") => "an Ogg file",
        () if at(0, b"FORM") => "an AIFF file",
        () if at(0, b".snd") => "an AU file",
        () if at(0, b"RIFX") => "a big-endian (RIFX) WAV file",
        () if at(0, b"riff\x2e\x91\xcf\x11") => "a Wave64 file",
        () if at(0, b"\x1a\x45\xdf\xa3") => "a Matroska or WebM file",
        () if at(0, b"ID3") => "an MP3 file",
        () => return None,
    })
}

/// Names the content of a file that is no table, although its extension is that of one, with a hint; `None`
/// for others.
pub(super) fn other_than_table(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    let format = known_format(bytes)?;
    let hint = match format {
        POINTER => "fetch the file with `git lfs pull`",
        PAGE => "download the file itself",
        OLD_OFFICE => "save it as XLSX without a password",
        _ => return None,
    };
    Some((format, hint))
}
