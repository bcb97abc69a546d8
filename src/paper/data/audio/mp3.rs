//! MP3 by symphonia.

use std::{fs::File, path::Path};

use symphonia::{
    core::{
        codecs::audio::AudioDecoderOptions,
        errors::Error as Refusal,
        formats::{FormatOptions, TrackType, probe::Hint},
        io::MediaSourceStream,
        meta::MetadataOptions,
    },
    default::{get_codecs, get_probe},
};

use crate::error::{Error, Result};

/// Interleaved samples, channels, rate.
///
/// Every packet must decode: a file that is damaged in the middle is an error, not a shorter sound.
pub(super) fn read(path: &Path) -> Result<(Vec<f32>, usize, u32)> {
    let file = File::open(path).map_err(|e| Error::io("open the file", path, e))?;
    decode(file).map_err(|found| {
        Error::data(path, "sound", "a whole MP3 file", found, "fetch or convert the file again")
    })
}

fn decode(file: File) -> std::result::Result<(Vec<f32>, usize, u32), String> {
    let say = |refusal: Refusal| refusal.to_string();
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut hint = Hint::new();
    hint.with_extension("mp3");
    let mut format = get_probe()
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(say)?;
    let track = format.default_track(TrackType::Audio).ok_or("no audio track")?;
    let track_id = track.id;
    let params = track.codec_params.as_ref().and_then(|p| p.audio()).ok_or("no audio codec")?;
    let mut decoder =
        get_codecs().make_audio_decoder(params, &AudioDecoderOptions::default()).map_err(say)?;

    let (mut samples, mut chunk) = (Vec::new(), Vec::new());
    let mut shape = None;
    while let Some(packet) = format.next_packet().map_err(say)? {
        if packet.track_id != track_id {
            continue;
        }
        let decoded = decoder.decode(&packet).map_err(say)?;
        let now = (decoded.spec().channels().count(), decoded.spec().rate());
        if *shape.get_or_insert(now) != now {
            return Err("channels or rate that change on the way".into());
        }
        chunk.clear();
        decoded.copy_to_vec_interleaved(&mut chunk);
        samples.extend_from_slice(&chunk);
    }
    let (channels, rate) = shape.ok_or("no sound")?;
    Ok((samples, channels.max(1), rate))
}
