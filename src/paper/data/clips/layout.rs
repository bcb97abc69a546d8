//! Where a clip's files lie below the data set's folder.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use super::SkipReason;

/// A folder of sound files and how their names end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioFiles {
    /// Folder below the data set's.
    pub folder: PathBuf,
    /// `wav` or `mp3`.
    pub extension: String,
}

/// Sound as `FOLDER/{clip}.{extension}`, pictures as `FRAMES/{clip}/*.jpg`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClipLayout {
    /// Where sound may be; the first that has the clip is taken.
    pub audio: Vec<AudioFiles>,
    /// Where the folders of frames are; `.jpg`, `.jpeg` and `.png` files in them are frames.
    pub frames: PathBuf,
}

impl ClipLayout {
    /// `AudioWAV/{clip}.wav` or `AudioMP3/{clip}.mp3`, and `Image-01-FPS/{clip}/*.jpg`.
    pub fn cremad() -> Self {
        Self::new(&[("AudioWAV", "wav"), ("AudioMP3", "mp3")])
    }

    /// `audio/{clip}.wav` or `audio/{clip}.mp3`, and `Image-01-FPS/{clip}/*.jpg`.
    pub fn vggsound() -> Self {
        Self::new(&[("audio", "wav"), ("audio", "mp3")])
    }

    fn new(audio: &[(&str, &str)]) -> Self {
        let files = |&(folder, extension): &(&str, &str)| AudioFiles {
            folder: folder.into(),
            extension: extension.into(),
        };
        Self { audio: audio.iter().map(files).collect(), frames: "Image-01-FPS".into() }
    }

    /// The clip's sound file, or why there is none and where it was looked for.
    pub(super) fn audio(&self, root: &Path, clip: &str) -> Result<PathBuf, (SkipReason, PathBuf)> {
        let mut first = None;
        for AudioFiles { folder, extension } in &self.audio {
            let path = root.join(folder).join(format!("{clip}.{extension}"));
            match File::open(&path).and_then(|file| file.metadata()) {
                Ok(about) if about.is_file() && about.len() > 0 => return Ok(path),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    first.get_or_insert((SkipReason::MissingAudio, path));
                }
                _ => return Err((SkipReason::Unreadable, path)),
            }
        }
        Err(first.unwrap_or_else(|| (SkipReason::MissingAudio, root.to_path_buf())))
    }

    /// The clip's frames in their order (shorter names first, so `9` comes before `10`), at least
    /// `least`; or why not.
    pub(super) fn frames(
        &self,
        root: &Path,
        clip: &str,
        least: usize,
    ) -> Result<Vec<PathBuf>, (SkipReason, PathBuf)> {
        let folder = root.join(&self.frames).join(clip);
        let listed = fs::read_dir(&folder).and_then(|entries| {
            entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()
        });
        let mut frames = match listed {
            Ok(paths) => paths,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err((SkipReason::MissingFrames, folder));
            }
            Err(_) => return Err((SkipReason::Unreadable, folder)),
        };
        let is_picture = |path: &PathBuf| {
            let extension = path.extension().map(|e| e.to_ascii_lowercase());
            extension.is_some_and(|e| e == "jpg" || e == "jpeg" || e == "png")
        };
        frames.retain(is_picture);
        frames.sort_by(|a, b| (a.as_os_str().len(), a).cmp(&(b.as_os_str().len(), b)));
        match frames.len() >= least.max(1) {
            true => Ok(frames),
            false => Err((SkipReason::MissingFrames, folder)),
        }
    }
}
