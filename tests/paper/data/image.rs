//! Decoding, resizing and random crops of images.

use g2d::paper::data::{
    ClipCache, ClipDataset, Cremad, CropBox, GroupShares, Mode, OnMissing, RandomResizedCrop,
    RgbPicture,
};
use image::{Rgb, RgbImage};
use rand::{SeedableRng, rngs::StdRng};

use crate::support::{TempDataSet, assert_error};

fn fnv1a32(bytes: &[u8]) -> u32 {
    bytes.iter().fold(2_166_136_261, |hash, &b| (hash ^ u32::from(b)).wrapping_mul(16_777_619))
}

/// ```python
/// a[y, x, c] = (x * 7 + y * 13 + c * 29 + x * y) % 256   # 61 wide, 47 high
/// p = Image.fromarray(a)                                 # Pillow 13
/// fnv1a32(p.resize((20, 16), Image.BILINEAR).tobytes())  # and so on
/// ```
#[test]
fn resizing_agrees_with_pillow_bit_by_bit() {
    let set = TempDataSet::new();
    let path = set.path().join("a.png");
    let value = |x: u32, y: u32, c: u32| ((x * 7 + y * 13 + c * 29 + x * y) % 256) as u8;
    let pixel = |x, y| Rgb([value(x, y, 0), value(x, y, 1), value(x, y, 2)]);
    RgbImage::from_fn(61, 47, pixel).save(&path).unwrap();
    let picture = RgbPicture::read(&path).unwrap();
    assert_eq!((picture.width(), picture.height()), (61, 47));
    assert_eq!(fnv1a32(picture.resized(20, 16).pixels()), 845_278_150);
    assert_eq!(fnv1a32(picture.resized(90, 70).pixels()), 2_734_434_021);
    assert_eq!(picture.resized(61, 47), picture);
    let crop = CropBox { left: 5, top: 9, width: 31, height: 22 };
    assert_eq!(fnv1a32(picture.cropped_and_resized(crop, 24, 24).pixels()), 2_067_512_877);
    // A crop beyond the edge is clamped, and an empty one does not panic.
    let beyond = CropBox { left: 40, top: 40, width: 100, height: 100 };
    let inside = CropBox { left: 40, top: 40, width: 21, height: 7 };
    assert_eq!(
        picture.cropped_and_resized(beyond, 9, 9),
        picture.cropped_and_resized(inside, 9, 9)
    );
    let nothing = CropBox { left: 99, top: 99, width: 1, height: 1 };
    assert_eq!(picture.cropped_and_resized(nothing, 2, 2).pixels(), [0; 12]);
}

#[test]
fn grey_images_have_three_channels_and_damaged_ones_are_errors() {
    let set = TempDataSet::new();
    let path = set.path().join("grey.png");
    image::GrayImage::from_pixel(3, 2, image::Luma([7])).save(&path).unwrap();
    assert_eq!(RgbPicture::read(&path).unwrap().pixels(), [7; 18]);

    set.jpg("whole.jpg", [40, 30], 1, 0);
    let bytes = std::fs::read(set.path().join("whole.jpg")).unwrap();
    let truncated = set.write("truncated.jpg", &bytes[..60]);
    assert_error(RgbPicture::read(truncated), &["truncated.jpg", "complete JPEG or PNG"]);
    let text = set.write("text.jpg", "not a picture");
    assert_error(RgbPicture::read(text), &["text.jpg", "complete JPEG or PNG"]);
    assert_error(RgbPicture::read(set.path().join("gone.jpg")), &["gone.jpg", "open the file"]);
}

/// Up to the rounding to whole pixels.
#[test]
fn random_crops_lie_in_the_image_and_cover_the_ranges_of_torchvision() {
    let crop = RandomResizedCrop::default();
    let (width, height) = (480, 360);
    let (mut areas, mut ratios, mut lefts) = (Vec::new(), Vec::new(), Vec::new());
    for id in 0..4_000 {
        let mut rng = StdRng::seed_from_u64(id);
        let CropBox { left, top, width: w, height: h } = crop.draw(width, height, &mut rng);
        assert!(w > 0 && h > 0 && left + w <= width && top + h <= height);
        areas.push((w * h) as f64 / (width * height) as f64);
        ratios.push(w as f64 / h as f64);
        lefts.push(left as f64 / (width - w).max(1) as f64);
    }
    let span = |values: &[f64]| {
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        (least, values.iter().copied().fold(0.0, f64::max))
    };
    let (least, most) = span(&areas);
    assert!((0.079..0.085).contains(&least) && (0.97..=1.0).contains(&most), "{least} {most}");
    let (least, most) = span(&ratios);
    assert!((0.74..0.77).contains(&least) && (1.30..1.35).contains(&most), "{least} {most}");
    // The ratio is log-uniform: as many crops are wide as tall among those small enough for every
    // ratio.
    let small = areas.iter().zip(&ratios).filter(|(area, _)| **area < 0.4);
    let (wide, all) =
        small.fold((0, 0), |(wide, all), (_, r)| (wide + i32::from(*r > 1.0), all + 1));
    assert!((0.45..0.55).contains(&(f64::from(wide) / f64::from(all))), "{wide} of {all} are wide");
    let middle = lefts.iter().sum::<f64>() / lefts.len() as f64;
    assert!((0.45..0.55).contains(&middle), "{middle}");
}

#[test]
fn an_image_too_long_for_any_crop_is_cropped_to_its_middle() {
    let crop = RandomResizedCrop { scale: [1.0, 1.0], ..Default::default() };
    let mut rng = StdRng::seed_from_u64(0);
    let wide = crop.draw(900, 30, &mut rng);
    assert_eq!(wide, CropBox { left: 430, top: 0, width: 40, height: 30 });
    let tall = crop.draw(30, 900, &mut rng);
    assert_eq!(tall, CropBox { left: 0, top: 430, width: 30, height: 40 });
}

#[test]
fn means_and_standard_deviations_are_those_of_pixels_from_0_to_1() {
    let load = |mean, std| {
        let set = TempDataSet::cremad(3, 2);
        let cremad = Cremad::new(set.path(), OnMissing::Error);
        let clips = cremad.speaker_split(GroupShares::default(), 1).unwrap().train;
        let mut transform = cremad.transform();
        (transform.visual.mean, transform.visual.std) = (mean, std);
        ClipDataset::new(clips, &transform, Mode::Evaluate, ClipCache::Off).map(|_| ())
    };
    assert!(load([0.485; 3], [0.229; 3]).is_ok());
    assert!(load([0.0; 3], [1.0; 3]).is_ok());
    let expected = ["means in 0..=1", "divided by 255"];
    assert_error(load([123.7, 116.3, 103.5], [58.4; 3]), &expected);
    assert_error(load([0.5; 3], [58.4; 3]), &expected);
    assert_error(load([0.5; 3], [0.0; 3]), &expected);
    assert_error(load([f32::NAN; 3], [0.5; 3]), &expected);
}
