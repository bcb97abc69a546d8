//! PNG files of every colour type, whole and damaged.

use g2d::{Result, paper::data::RgbPicture};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, LumaA, Rgb, Rgba};

use crate::support::{TempDataSet, assert_error};

fn png(image: impl Into<DynamicImage>) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    image.into().write_to(&mut file, ImageFormat::Png).unwrap();
    file.into_inner()
}

fn read(bytes: &[u8]) -> Result<RgbPicture> {
    RgbPicture::read(TempDataSet::new().write("a.png", bytes))
}

/// A PNG with a palette, whose first colour is transparent: pixels 0, 1 of two.
const PALETTE: &[u8] = include_bytes!("../fixtures/palette.png");

#[test]
fn alpha_is_dropped_and_16_bits_are_rounded() {
    let rgba = ImageBuffer::from_pixel(2, 1, Rgba([10_u8, 20, 30, 0]));
    assert_eq!(read(&png(rgba)).unwrap().pixels(), [10, 20, 30, 10, 20, 30]);
    let grey_alpha = ImageBuffer::from_pixel(1, 1, LumaA([77_u8, 0]));
    assert_eq!(read(&png(grey_alpha)).unwrap().pixels(), [77; 3]);
    let wide = ImageBuffer::from_pixel(1, 1, Rgb([0_u16, 257 * 200 + 100, 65_535]));
    assert_eq!(read(&png(wide)).unwrap().pixels(), [0, 200, 255]);
    let grey = ImageBuffer::from_pixel(1, 1, Luma([257_u16 * 9]));
    assert_eq!(read(&png(grey)).unwrap().pixels(), [9; 3]);
    assert_eq!(read(PALETTE).unwrap().pixels(), [10, 20, 30, 200, 210, 220]);
}

#[test]
fn a_cut_or_changed_image_is_an_error() {
    let pixels = ImageBuffer::from_fn(40, 30, |x, y| Rgb([(x * y) as u8, (x * 7) as u8, y as u8]));
    let whole = png(DynamicImage::ImageRgb8(pixels));
    assert!(read(&whole).is_ok());
    for keep in [whole.len() * 6 / 10, whole.len() - 20, 40, 8] {
        assert_error(read(&whole[..keep]), &["a.png", "complete JPEG or PNG"]);
        let filled = [&whole[..keep], &vec![0; whole.len() - keep]].concat();
        assert_error(read(&filled), &["a.png", "complete JPEG or PNG"]);
    }
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 0x40;
    assert_error(read(&changed), &["a.png", "complete JPEG or PNG"]);
    let more = [&whole, &b"more"[..]].concat();
    assert_eq!(read(&more).unwrap(), read(&whole).unwrap());
}
