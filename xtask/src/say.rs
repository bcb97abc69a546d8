//! What is said to the person at the terminal.

use std::time::Duration;

/// Says something, on stderr: stdout may be read by a shell.
pub fn note(text: &str) {
    eprintln!("xtask: {text}");
}

/// A duration as people read it: `7.3 s`, `4 min 05 s`.
pub fn seconds(duration: Duration) -> String {
    let whole = duration.as_secs();
    if whole < 60 {
        format!("{:.1} s", duration.as_secs_f64())
    } else {
        format!("{} min {:02} s", whole / 60, whole % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        assert_eq!(seconds(Duration::from_millis(7300)), "7.3 s");
        assert_eq!(seconds(Duration::from_secs(245)), "4 min 05 s");
    }
}
