//! An event file: length, its checksum, event, its checksum, and again.

use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use prost::Message as _;

use super::message::{Event, SessionLog, SessionLogStatus, Summary, Value, What};
use crate::error::{Error, Result};

/// A file that events are added to.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    writer: BufWriter<File>,
}

impl EventFile {
    /// A new file in `folder` under a name that TensorBoard looks for, after all that are there.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))?;
        let seconds = now() as u64;
        for n in 0..1000 {
            let name = format!("events.out.tfevents.{seconds:010}.g2d.{n:03}");
            let path = folder.join(name);
            match File::create_new(&path) {
                Ok(file) => {
                    let mut file = Self { path, writer: BufWriter::new(file) };
                    file.write(0, What::FileVersion("brain.Event:2".to_owned()))?;
                    file.flush()?;
                    return Ok(file);
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("create the file", &path, e)),
            }
        }
        let taken = io::Error::from(ErrorKind::AlreadyExists);
        Err(Error::io("find a free name for an event file", folder, taken))
    }

    /// Adds `values` at `step`.
    pub(super) fn summary(&mut self, step: i64, values: Vec<Value>) -> Result<()> {
        self.write(step, What::Summary(Summary { value: values }))
    }

    /// Says that what older files hold from `step` on no longer counts.
    pub(super) fn restart(&mut self, step: i64) -> Result<()> {
        let log = SessionLog { status: SessionLogStatus::Start.into() };
        self.write(step, What::SessionLog(log))
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        self.writer.flush().map_err(|e| Error::io("write the file", &self.path, e))
    }

    fn write(&mut self, step: i64, what: What) -> Result<()> {
        let event = Event { wall_time: now(), step, what: Some(what) }.encode_to_vec();
        let length = (event.len() as u64).to_le_bytes();
        let mut write = || {
            for part in [&length[..], &event] {
                self.writer.write_all(part)?;
                self.writer.write_all(&masked_checksum(part).to_le_bytes())?;
            }
            Ok(())
        };
        write().map_err(|e| Error::io("write the file", &self.path, e))
    }
}

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// CRC-32C, rotated and moved as TensorFlow does, lest a checksum of checksums be weak.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}
