//! Small data sets in temporary folders.

use std::{
    f32::consts::TAU,
    fs,
    path::{Path, PathBuf},
};

use image::{Rgb, RgbImage};
use tempfile::TempDir;

/// A folder that is removed when the value is dropped.
pub struct TempDataSet(TempDir);

impl TempDataSet {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a tone whose pitch depends on `clip`.
    pub fn wav(&self, name: &str, rate: u32, seconds: f32, clip: usize) {
        let n = (rate as f32 * seconds) as usize;
        let hertz = 200.0 + 90.0 * clip as f32;
        let tone = (0..n).map(|i| 0.5 * (TAU * hertz * i as f32 / rate as f32).sin());
        self.wav_from_samples(
            name,
            rate,
            1,
            &tone.map(|x| (x * 32767.0) as i16).collect::<Vec<_>>(),
        );
    }

    pub fn wav_from_samples(
        &self,
        name: &str,
        rate: u32,
        channels: u16,
        samples: &[i16],
    ) -> PathBuf {
        let path = self.write(name, "");
        let sample_format = hound::SampleFormat::Int;
        let spec =
            hound::WavSpec { channels, sample_rate: rate, bits_per_sample: 16, sample_format };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        samples.iter().for_each(|&s| writer.write_sample(s).unwrap());
        writer.finalize().unwrap();
        path
    }

    /// Writes a picture whose pixels all differ; its colours depend on `clip` and `frame`.
    pub fn jpg(&self, name: &str, [width, height]: [u32; 2], clip: usize, frame: usize) {
        let path = self.write(name, "");
        let colour = |x, y| {
            let base = (clip * 37 + frame * 11) as u32;
            Rgb([(x * 3 + base) as u8, (y * 5 + base) as u8, (x + y + base * 2) as u8])
        };
        RgbImage::from_fn(width, height, colour).save(path).unwrap();
    }

    /// CREMA-D's layout with `each` clips of every actor, of which the last is test data.
    pub fn cremad(actors: usize, each: usize) -> Self {
        let set = Self::new();
        let (mut train, mut test) = (String::new(), String::new());
        for i in 0..actors * each {
            let (actor, take) = (i / each, i % each);
            let label = ["NEU", "HAP", "SAD", "FEA", "DIS", "ANG"][i % 6];
            let clip = format!("{}_T{take:02}_{label}_XX", 1001 + actor);
            let listing = if take + 1 == each { &mut test } else { &mut train };
            *listing += &format!("{clip},{label}\n");
            set.wav(&format!("AudioWAV/{clip}.wav"), 16_000, 1.2 + 0.1 * take as f32, i);
            for frame in 0..3 {
                let name = format!("Image-01-FPS/{clip}/frame_{frame:05}.jpg");
                set.jpg(&name, [60, 44], i, frame);
            }
        }
        set.write("train.csv", train);
        set.write("test.csv", test);
        set
    }
}

/// A file of the reference data beside the checkout, if it exists.
pub fn shared_file(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared").join(name);
    if path.exists() {
        return Some(path);
    }
    super::skipped(format_args!("{} does not exist", path.display()));
    None
}
