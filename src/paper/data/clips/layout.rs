//! The paths of a clip's files in the data set's folder.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{
    ExclusionReason,
    file_check::{check_audio, check_picture},
};
use crate::paper::data::file::{extension, list};

/// Files of a clip, or the reason why they are missing and their expected path.
type Found<T> = Result<T, (ExclusionReason, PathBuf)>;

/// The paths of a clip's files below the data set's folder, with `{clip}` for the clip's name, such as
/// `AudioWAV/{clip}.wav`. An extension may be in upper case in the folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipLayout {
    /// The audio file, `.wav` or `.mp3`; the first of these paths that exists is used.
    pub audio: Vec<String>,
    /// The folder of frames: all its `.jpg`, `.jpeg` and `.png` files that are not hidden.
    pub frames: String,
}

impl ClipLayout {
    /// `AudioWAV/{clip}.wav` or `AudioMP3/{clip}.mp3`, and `Image-01-FPS/{clip}`.
    pub fn cremad() -> Self {
        Self::new(["AudioWAV/{clip}.wav", "AudioMP3/{clip}.mp3"])
    }

    /// `audio/{clip}.wav` or `audio/{clip}.mp3`, and `Image-01-FPS/{clip}`.
    pub fn vggsound() -> Self {
        Self::new(["audio/{clip}.wav", "audio/{clip}.mp3"])
    }

    fn new(audio: [&str; 2]) -> Self {
        Self { audio: audio.map(str::to_owned).into(), frames: "Image-01-FPS/{clip}".to_owned() }
    }

    /// Finds and checks the audio file of `clip`.
    pub(super) fn audio(&self, root: &Path, clip: &str) -> Found<PathBuf> {
        let mut missing = None;
        for pattern in &self.audio {
            let path = root.join(pattern.replace("{clip}", clip));
            for path in [path.clone(), with_upper_extension(&path)] {
                match check_audio(&path) {
                    Ok(Ok(())) => return Ok(path),
                    Ok(Err(reason)) => return Err((reason, path)),
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(_) => return Err((ExclusionReason::Unreadable, path)),
                }
            }
            missing.get_or_insert(path);
        }
        Err((ExclusionReason::MissingAudio, missing.unwrap_or_else(|| root.to_path_buf())))
    }

    /// Finds and checks at least `least` frames of `clip`, sorted by the length of their names and then
    /// by name (`9.jpg` before `10.jpg`), without regard to extensions.
    pub(super) fn frames(&self, root: &Path, clip: &str, least: usize) -> Found<Vec<PathBuf>> {
        let folder = root.join(self.frames.replace("{clip}", clip));
        let mut frames = match list(&folder) {
            Ok(paths) => paths,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err((ExclusionReason::MissingFrames, folder));
            }
            Err(_) => return Err((ExclusionReason::Unreadable, folder)),
        };
        frames.retain(|path| matches!(&*extension(path), "jpg" | "jpeg" | "png"));
        if frames.len() < least.max(1) {
            return Err((ExclusionReason::MissingFrames, folder));
        }
        let key = |path: &PathBuf| {
            let stem = path.file_stem().unwrap_or_default();
            (stem.len(), stem.to_owned(), extension(path))
        };
        frames.sort_by_cached_key(key);
        for frame in &frames {
            let checked = check_picture(frame).unwrap_or(Err(ExclusionReason::Unreadable));
            checked.map_err(|reason| (reason, frame.clone()))?;
        }
        Ok(frames)
    }
}

/// The path with its extension in upper case.
fn with_upper_extension(path: &Path) -> PathBuf {
    path.with_extension(extension(path).to_uppercase())
}
