//! Log-spectrograms.

use std::{f64::consts::PI, fmt, sync::Arc};

use realfft::{RealFftPlanner, RealToComplex};

use crate::error::{self, Result};

/// log(|S| + 1e-7), where S is the short-time Fourier transform with a periodic Hann window: column t
/// covers the `n_fft` samples around sample t · `hop`, with zeros beyond both ends.
///
/// It agrees with librosa 0.11 (`stft(…, pad_mode="constant")`) to 1e-4.
#[derive(Clone)]
pub struct LogSpectrogram {
    hop: usize,
    window: Arc<[f32]>,
    transform: Arc<dyn RealToComplex<f32>>,
}

impl LogSpectrogram {
    /// Windows of `n_fft` samples, `hop` apart.
    ///
    /// # Errors
    /// [`Error::Config`](crate::Error::Config) if `n_fft` is odd or below 2, or `hop` is 0.
    pub fn new(n_fft: usize, hop: usize) -> Result<Self> {
        if n_fft < 2 || !n_fft.is_multiple_of(2) || hop == 0 {
            let expected = "an even n_fft of at least 2 and a hop of at least 1";
            let found = format!("n_fft {n_fft}, hop {hop}");
            return Err(error::out_of_range("spectrogram", expected, found));
        }
        let hann = |i: usize| (0.5 - 0.5 * (2.0 * PI * i as f64 / n_fft as f64).cos()) as f32;
        Ok(Self {
            hop,
            window: (0..n_fft).map(hann).collect(),
            transform: RealFftPlanner::new().plan_fft_forward(n_fft),
        })
    }

    /// Returns [frequencies, columns] = [n_fft/2 + 1, 1 + ⌊samples / hop⌋].
    pub fn shape(&self, samples: usize) -> [usize; 2] {
        [self.window.len() / 2 + 1, 1 + samples / self.hop]
    }

    /// Computes the spectrogram, row-major in [`shape`](Self::shape).
    pub fn compute(&self, samples: &[f32]) -> Vec<f32> {
        let n_fft = self.window.len();
        let [bins, columns] = self.shape(samples.len());
        let mut padded = vec![0.0; samples.len() + n_fft];
        padded[n_fft / 2..][..samples.len()].copy_from_slice(samples);
        let mut frame = self.transform.make_input_vec();
        let mut spectrum = self.transform.make_output_vec();
        let mut scratch = self.transform.make_scratch_vec();
        let mut out = vec![0.0; bins * columns];
        for column in 0..columns {
            let window = self.window.iter().zip(&padded[column * self.hop..]);
            for (value, (weight, sample)) in frame.iter_mut().zip(window) {
                *value = weight * sample;
            }
            // Fails only for buffers of another length than the transform's own.
            let done = self.transform.process_with_scratch(&mut frame, &mut spectrum, &mut scratch);
            debug_assert!(done.is_ok());
            for (bin, value) in spectrum.iter().enumerate() {
                out[bin * columns + column] = (value.norm() + 1e-7).ln();
            }
        }
        out
    }
}

impl fmt::Debug for LogSpectrogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { hop, window, .. } = self;
        f.debug_struct("LogSpectrogram").field("n_fft", &window.len()).field("hop", hop).finish()
    }
}
