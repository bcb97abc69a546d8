//! Adopting g2d for a tch model takes at most 30 lines: those between the marks of the example.

use std::path::Path;

#[test]
fn the_quickstart_uses_g2d_in_at_most_30_lines() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/quickstart.rs");
    let source = std::fs::read_to_string(&path).unwrap();
    let (mut inside, mut count) = (false, 0);
    for line in source.lines().map(str::trim) {
        match line {
            "// g2d: begin" => {
                assert!(!inside, "`// g2d: begin` twice without an end");
                inside = true;
            }
            "// g2d: end" => {
                assert!(inside, "`// g2d: end` without a begin");
                inside = false;
            }
            code if inside && !code.is_empty() && !code.starts_with("//") => count += 1,
            _ => {}
        }
    }
    assert!(!inside, "`// g2d: begin` without an end");
    assert!((10..=30).contains(&count), "{count} lines use g2d; expected 10 to 30");
}
