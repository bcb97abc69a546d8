//! MP3 files, decoded by symphonia.

use std::{fs::File, path::Path};

use symphonia::{
    core::{
        codecs::audio::AudioDecoderOptions,
        errors::Error as DecodeError,
        formats::{FormatOptions, TrackType, probe::Hint},
        io::MediaSourceStream,
        meta::MetadataOptions,
    },
    default::{get_codecs, get_probe},
};

use crate::error::Result;
use crate::paper::data::file::{corrupted, open};

/// Reads interleaved samples, the number of channels and the sampling rate.
///
/// Every packet must decode: a file with a corrupted packet is an error, not a shorter recording.
pub(super) fn read(path: &Path) -> Result<(Vec<f32>, usize, u32)> {
    decode(open(path)?).map_err(|found| corrupted(path, "audio", "a complete MP3 file", found))
}

fn decode(file: File) -> std::result::Result<(Vec<f32>, usize, u32), String> {
    let text = |error: DecodeError| error.to_string();
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut hint = Hint::new();
    hint.with_extension("mp3");
    let mut format = get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(text)?;
    let track = format.default_track(TrackType::Audio).ok_or("no audio track")?;
    let track_id = track.id;
    let params = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or("no audio codec")?;
    let mut decoder =
        get_codecs().make_audio_decoder(params, &AudioDecoderOptions::default()).map_err(text)?;

    let (mut samples, mut chunk) = (Vec::new(), Vec::new());
    let mut spec = None;
    while let Some(packet) = format.next_packet().map_err(text)? {
        if packet.track_id != track_id {
            continue;
        }
        let decoded = decoder.decode(&packet).map_err(text)?;
        let found = (decoded.spec().channels().count(), decoded.spec().rate());
        if *spec.get_or_insert(found) != found {
            return Err("a number of channels or a sampling rate that changes".into());
        }
        chunk.clear();
        decoded.copy_to_vec_interleaved(&mut chunk);
        samples.extend_from_slice(&chunk);
    }
    let (channels, rate) = spec.ok_or("no samples")?;
    Ok((samples, channels.max(1), rate))
}
