//! Messages to the user.

use std::time::Duration;

/// Prints a message to stderr; stdout is reserved for what `env` prints.
pub fn message(text: &str) {
    eprintln!("xtask: {text}");
}

/// Formats a duration: `7.3 s`, `4 min 05 s`.
pub fn format_duration(duration: Duration) -> String {
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
    fn durations_have_seconds_or_minutes() {
        assert_eq!(format_duration(Duration::from_millis(7300)), "7.3 s");
        assert_eq!(format_duration(Duration::from_secs(245)), "4 min 05 s");
    }
}
