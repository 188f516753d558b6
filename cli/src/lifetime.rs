//! Lifetimes as people write them: 30m, 8h, 90d, or plain seconds.

use crate::failure::{Failure, Outcome};

/// Seconds of a lifetime.
pub fn seconds(text: &str) -> Outcome<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let factor = match unit {
        "" | "s" => Some(1),
        "m" => Some(60),
        "h" => Some(3600),
        "d" => Some(86_400),
        _ => None,
    };
    factor
        .and_then(|factor| number.parse::<u64>().ok()?.checked_mul(factor))
        .filter(|seconds| *seconds > 0)
        .ok_or_else(|| Failure::Usage(format!("\"{text}\" is no lifetime; write 30m, 8h or 90d")))
}

#[cfg(test)]
mod tests {
    //! Tests of lifetimes.

    use super::seconds;

    #[test]
    fn lifetimes_have_units() {
        assert_eq!(seconds("90").unwrap(), 90);
        assert_eq!(seconds("2d").unwrap(), 172_800);
        for wrong in ["", "0", "h", "1w", "-1h", "1.5h", "99999999999999999999d"] {
            assert_eq!(seconds(wrong).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }
}
