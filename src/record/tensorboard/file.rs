//! Event files: records of a length, its checksum, an event and its checksum.

use std::{
    fs::{self, File},
    io::{self, BufWriter, ErrorKind, Write as _},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use prost::Message as _;

use super::message::{Event, EventData, SessionLog, Summary, Value};
use crate::error::{Error, Result};

/// An open event file.
#[derive(Debug)]
pub(super) struct EventFile {
    path: PathBuf,
    writer: BufWriter<File>,
}

impl EventFile {
    /// Creates a file in `folder` whose name TensorBoard recognises and sorts after existing ones.
    pub(super) fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).map_err(|e| Error::io("create the folder", folder, e))?;
        let seconds = now() as u64;
        for n in 0..1000 {
            let name = format!("events.out.tfevents.{seconds:010}.g2d.{n:03}");
            let path = folder.join(name);
            match File::create_new(&path) {
                Ok(file) => {
                    let mut file = Self { path, writer: BufWriter::new(file) };
                    file.write(0, EventData::FileVersion("brain.Event:2".to_owned()))?;
                    return Ok(file);
                }
                Err(e) if e.kind() == ErrorKind::AlreadyExists => {}
                Err(e) => return Err(Error::io("create the file", &path, e)),
            }
        }
        let taken = io::Error::from(ErrorKind::AlreadyExists);
        Err(Error::io("find an unused name for an event file", folder, taken))
    }

    /// Writes `values` at `step`.
    pub(super) fn summary(&mut self, step: i64, values: Vec<Value>) -> Result<()> {
        self.write(step, EventData::Summary(Summary { value: values }))
    }

    /// Tells TensorBoard to ignore the values of older files from `step` on.
    pub(super) fn purge_from(&mut self, step: i64) -> Result<()> {
        self.write(step, EventData::SessionLog(SessionLog { status: 1 }))
    }

    /// Writes an event and flushes it to the file.
    fn write(&mut self, step: i64, data: EventData) -> Result<()> {
        let event = Event { wall_time: now(), step, data: Some(data) }.encode_to_vec();
        let length = (event.len() as u64).to_le_bytes();
        let mut write = || {
            for part in [&length[..], &event] {
                self.writer.write_all(part)?;
                self.writer.write_all(&masked_checksum(part).to_le_bytes())?;
            }
            self.writer.flush()
        };
        write().map_err(|e| Error::io("write the file", &self.path, e))
    }
}

/// Seconds since 1970.
pub(super) fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// CRC-32C, masked as TensorFlow does.
fn masked_checksum(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}
