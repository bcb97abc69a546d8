//! A generated data set, and the file of a teacher.

use std::path::{Path, PathBuf};

use anyhow::Result;
use g2d::{Batch, batch::Input, data::InMemory};
use tch::{Device, Kind, Tensor, kind::FLOAT_CPU, kind::INT64_CPU};

use crate::model::{BANDS, CLASSES, WORDS};

/// The modalities, in order.
pub const MODALITIES: [&str; 3] = ["audio", "image", "text"];

const SAMPLES: i64 = 80;

/// Samples with a spectrogram, an image, and for four of five a text. The class is a band of the
/// spectrogram, a colour and a word; the band is the clearest.
pub fn generate(seed: i64) -> Result<InMemory> {
    tch::manual_seed(seed);
    let labels = Tensor::randint(CLASSES, [SAMPLES], INT64_CPU);
    let one_hot = labels.one_hot(CLASSES).to_kind(Kind::Float);

    let bands = one_hot.constant_pad_nd([0, BANDS - CLASSES]).unsqueeze(1);
    let audio = 2.0 * bands + Tensor::randn([SAMPLES, 20, BANDS], FLOAT_CPU);
    let colours = Tensor::randn([CLASSES, 3], FLOAT_CPU).index_select(0, &labels);
    let image =
        colours.view([SAMPLES, 3, 1, 1]) + 2.0 * Tensor::randn([SAMPLES, 3, 32, 32], FLOAT_CPU);
    let classes = Vec::<i64>::try_from(&labels)?;
    let text: Vec<Tensor> =
        (0..SAMPLES).zip(&classes).map(|(i, class)| sentence(*class, 2 + i % 7)).collect();

    let has_text: Vec<bool> = (0..SAMPLES).map(|i| i % 5 != 0).collect();
    let inputs = [Input::from(audio), Input::from(image), Input::padded(&text)?];
    Ok(InMemory::new(MODALITIES, inputs, labels)?.with_present("text", has_text)?)
}

/// A sentence of `length` words, of which the first is that of the class in half of the cases.
fn sentence(class: i64, length: i64) -> Tensor {
    let words = Tensor::randint_low(1 + CLASSES, WORDS, [length], INT64_CPU);
    let clear = Tensor::randint(2, [1], INT64_CPU).int64_value(&[0]) == 1;
    if clear {
        let _ = words.narrow(0, 0, 1).fill_(1 + class);
    }
    words
}

/// Samples that have all modalities, to record the student for its export.
pub fn example(data: &InMemory, device: Device) -> Result<Batch> {
    let has_text = data.present(2).unwrap_or_default();
    let rows: Vec<usize> = (0..data.len()).filter(|&row| has_text[row]).take(12).collect();
    let mut batches = data.batches_of(vec![rows], device);
    Ok(batches.next().expect("one batch")?)
}

/// The teacher of the text, which `text_teacher.py` trains and exports from PyTorch.
pub fn text_teacher() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/adopt/text.pt")
}
