//! Adopting g2d for an existing tch model takes at most 30 lines: the marked part of the example.

use std::path::Path;

#[test]
fn quickstart_stays_within_30_lines() {
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
    assert!((10..=30).contains(&count), "{count} lines are g2d's; expected 10 to 30");
}
