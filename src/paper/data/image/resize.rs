//! Pillow's antialiased bilinear resize, bit by bit.
//!
//! The crate fast_image_resize 6 does not reproduce it: a sixth of its values differ by one or two
//! levels, since it keeps 16-bit weights where Pillow keeps 22 fractional bits.

use super::CropBox;

/// Fractional bits of a weight: Pillow's `32 − 8 − 2`.
const BITS: u32 = 22;

/// The source pixels of one target pixel, and their weights.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

/// Crops RGB `pixels` of `size` (width, height) and resizes the crop to `target`. A crop that extends
/// beyond the image is clipped.
pub(super) fn bilinear(
    pixels: &[u8],
    size: [usize; 2],
    crop: CropBox,
    target: [usize; 2],
) -> Vec<u8> {
    let ([source_width, source_height], [width, height]) = (size, target);
    let (left, top) = (crop.left.min(source_width), crop.top.min(source_height));
    let crop_width = crop.width.min(source_width - left);
    let crop_height = crop.height.min(source_height - top);
    let (across, down) = (windows(crop_width, width), windows(crop_height, height));

    // Horizontal, then vertical, as in Pillow: both passes round to bytes.
    let mut narrow = vec![0_u8; crop_height * width * 3];
    for (y, out) in narrow.chunks_exact_mut((width * 3).max(1)).enumerate() {
        let row = &pixels[((top + y) * source_width + left) * 3..];
        for (pixel, window) in out.chunks_exact_mut(3).zip(&across) {
            let mut sums = [1_i32 << (BITS - 1); 3];
            for (source, weight) in row[window.first * 3..].chunks_exact(3).zip(&window.weights) {
                for channel in 0..3 {
                    sums[channel] += i32::from(source[channel]) * weight;
                }
            }
            for (byte, sum) in pixel.iter_mut().zip(sums) {
                *byte = to_byte(sum);
            }
        }
    }
    let mut resized = vec![0_u8; height * width * 3];
    let mut sums = vec![0_i32; width * 3];
    for (out, window) in resized.chunks_exact_mut((width * 3).max(1)).zip(&down) {
        sums.fill(1 << (BITS - 1));
        let rows = narrow[window.first * width * 3..].chunks_exact((width * 3).max(1));
        for (row, &weight) in rows.zip(&window.weights) {
            for (sum, &byte) in sums.iter_mut().zip(row) {
                *sum += i32::from(byte) * weight;
            }
        }
        for (byte, &sum) in out.iter_mut().zip(&sums) {
            *byte = to_byte(sum);
        }
    }
    resized
}

fn to_byte(sum: i32) -> u8 {
    (sum >> BITS).clamp(0, 255) as u8
}

/// A triangle around the centre of each target pixel, at least two source pixels wide.
fn windows(from: usize, to: usize) -> Vec<Window> {
    let step = from as f64 / to as f64;
    let reach = step.max(1.0);
    let window = |x: usize| {
        let centre = (x as f64 + 0.5) * step;
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(from);
        let triangle = |i: usize| (1.0 - ((i as f64 - centre + 0.5) / reach).abs()).max(0.0);
        let weights: Vec<f64> = (first..end).map(triangle).collect();
        let sum: f64 = weights.iter().sum();
        let fixed = |w: f64| (w / sum * f64::from(1 << BITS) + 0.5) as i32;
        Window { first, weights: weights.into_iter().map(fixed).collect() }
    };
    (0..to).map(window).collect()
}
