//! Codecs: from packets to samples, decoded by symphonia.

use symphonia::{
    core::{
        audio::Channels,
        codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoderOptions},
        packet::PacketRef,
        units::{Duration, Timestamp},
    },
    default::get_codecs,
};

pub(super) use symphonia::core::codecs::audio::well_known;

/// The samples of a file as they are stored.
pub(super) struct Interleaved {
    pub samples: Vec<f32>,
    pub channels: usize,
    pub rate: u32,
}

/// How the packets of a file are coded.
pub(super) struct Codec {
    pub id: AudioCodecId,
    pub channels: usize,
    pub rate: u32,
    /// The largest number of samples per channel in a packet.
    pub packet: u64,
}

impl Codec {
    /// Decodes `packets`, each of which must decode.
    pub fn decode<'p>(
        &self,
        packets: impl Iterator<Item = &'p [u8]>,
    ) -> Result<Interleaved, String> {
        let channels = u16::try_from(self.channels).map_err(|e| e.to_string())?;
        let mut params = AudioCodecParameters::new();
        params
            .for_codec(self.id)
            .with_sample_rate(self.rate)
            .with_channels(Channels::Discrete(channels))
            .with_max_frames_per_packet(self.packet);
        let made = get_codecs().make_audio_decoder(&params, &AudioDecoderOptions::default());
        let mut decoder = made.map_err(|e| e.to_string())?;
        let (mut samples, mut decoded) = (Vec::new(), Vec::new());
        for (number, data) in packets.enumerate() {
            let packet = PacketRef::new(0, Timestamp::ZERO, Duration::from(self.packet), data);
            let buffer = decoder.decode_ref(&packet);
            let buffer = buffer.map_err(|e| format!("{e} (packet {number})"))?;
            buffer.copy_to_vec_interleaved::<f32>(&mut decoded);
            samples.extend_from_slice(&decoded);
        }
        Ok(Interleaved { samples, channels: self.channels, rate: self.rate })
    }
}
