//! JPEG files of several encoders, whole and damaged. `fixtures/make_images.sh` makes the files.

use std::{fs, path::Path};

use g2d::paper::data::RgbPicture;

use crate::support::{TempDataSet, assert_error, assert_mismatch};

const COMPLETE: &str = "complete JPEG or PNG";

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/paper/fixtures");
    fs::read(folder.join(name)).unwrap()
}

fn read(bytes: &[u8]) -> g2d::Result<RgbPicture> {
    let set = TempDataSet::new();
    RgbPicture::read(set.write("a.jpg", bytes))
}

/// The files have the same coefficients in another order.
#[test]
fn a_progressive_image_with_restart_markers_has_the_pixels_of_the_baseline_image() {
    let baseline = read(&fixture("baseline.jpg")).unwrap();
    assert_eq!((baseline.width(), baseline.height()), (40, 24));
    assert_eq!(read(&fixture("progressive.jpg")).unwrap(), baseline);
}

/// 60 % as given, with the missing bytes as zeros, and with an end-of-image marker.
#[test]
fn a_cut_image_is_an_error_however_its_end_was_filled() {
    for name in ["baseline.jpg", "progressive.jpg"] {
        let whole = fixture(name);
        for keep in [whole.len() * 6 / 10, whole.len() - 30, whole.len() - 1] {
            let cut = &whole[..keep];
            assert_mismatch(read(cut), &[COMPLETE, "end-of-image"]);
            let filled = [cut, &vec![0; whole.len() - keep]].concat();
            assert_mismatch(read(&filled), &[COMPLETE, "end-of-image"]);
        }
    }
    let set = TempDataSet::new();
    set.jpg("large.jpg", [200, 100], 1, 0);
    let whole = fs::read(set.path().join("large.jpg")).unwrap();
    for keep in [whole.len() * 6 / 10, whole.len() - 50] {
        let ended = [&whole[..keep], &[0xff, 0xd9]].concat();
        assert_error(read(&ended), &[COMPLETE]);
    }
}

/// Cameras append previews and padding; a second picture follows the first in MPO files.
#[test]
fn bytes_after_the_end_of_the_image_are_ignored() {
    for name in ["baseline.jpg", "progressive.jpg"] {
        let whole = fixture(name);
        let expected = read(&whole).unwrap();
        for more in [&[0_u8][..], &[0; 500], b"maker note", &whole, &[0xff, 0xd8, 0xff]] {
            assert_eq!(read(&[&whole, more].concat()).unwrap(), expected);
        }
    }
}

#[test]
fn bytes_between_the_segments_of_the_header_are_ignored() {
    for name in ["baseline.jpg", "progressive.jpg"] {
        let whole = fixture(name);
        let expected = read(&whole).unwrap();
        let scan = whole.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
        for more in [&[0_u8; 9][..], &[0xff; 5], b"0123456789"] {
            assert_eq!(read(&[&whole[..scan], more, &whole[scan..]].concat()).unwrap(), expected);
        }
    }
}

/// A narrow image of one colour has fewer bits per row than a decoder reads ahead.
#[test]
fn an_image_whose_rows_are_a_few_bits_is_whole() {
    let set = TempDataSet::new();
    for size in [[1, 1], [16, 400], [9, 17]] {
        let path = set.path().join("flat.jpg");
        image::RgbImage::from_pixel(size[0], size[1], image::Rgb([90; 3])).save(&path).unwrap();
        let picture = RgbPicture::read(&path).unwrap();
        assert!(picture.pixels().iter().all(|&pixel| pixel.abs_diff(90) <= 1));
    }
}

#[test]
fn a_form_that_is_not_supported_is_named_and_not_called_damaged() {
    for (name, form) in [
        ("arithmetic.jpg", "arithmetic coding"),
        ("scan_per_component.jpg", "a scan per component"),
    ] {
        let error = assert_mismatch(read(&fixture(name)), &[form, "not supported", "convert"]);
        assert!(!error.to_string().contains("complete"), "{error}");
    }
    // The first component of the frame header is 12 bits wide, or the height is 0.
    let mut whole = fixture("baseline.jpg");
    let frame = whole.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    whole[frame + 4] = 12;
    assert_error(read(&whole), &["12 bits", "not supported"]);
    whole[frame + 4] = 8;
    whole[frame + 5..frame + 7].fill(0);
    assert_error(read(&whole), &["height", "not supported"]);
}

#[test]
fn a_file_of_another_format_is_named() {
    assert_error(read(b"RIFF\x10\0\0\0WEBPVP8 "), &["a WebP image", "not supported"]);
    assert_error(read(b"GIF89a"), &["a GIF image", "not supported"]);
    assert_error(read(b"\0\0\0\x18ftypheic"), &["a HEIC image", "not supported"]);
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0";
    assert_error(read(pointer), &["Git LFS pointer", "git lfs pull"]);
    assert_error(read(b" <!DOCTYPE HTML><html>"), &["HTML page", "download"]);
    assert_error(read(&[0; 100]), &["100 bytes, all of them 0"]);
    assert_error(read(&[]), &["an empty file"]);
}

/// The file has orientation 6: it is 32 wide and 16 high, and a viewer shows it upright.
#[test]
fn the_exif_orientation_is_not_applied() {
    let picture = read(&fixture("orientation6.jpg")).unwrap();
    assert_eq!((picture.width(), picture.height()), (32, 16));
}

#[test]
fn the_content_and_not_the_extension_tells_the_format() {
    let set = TempDataSet::new();
    let png = set.path().join("a.png");
    image::RgbImage::from_pixel(3, 2, image::Rgb([1, 2, 3])).save(&png).unwrap();
    let named_jpg = set.write("b.jpg", fs::read(&png).unwrap());
    assert_eq!(RgbPicture::read(named_jpg).unwrap(), RgbPicture::read(&png).unwrap());
}
