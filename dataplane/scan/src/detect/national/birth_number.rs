//! Arithmetic that several national birth numbers share.

use crate::detect::card::luhn;
use crate::detect::pattern::{date, date_of_two_digit_year, number};

/// Day, month and year of two digits each at the start, and a day that exists.
pub(super) fn day_month_year(digits: &[u8]) -> bool {
    date_of_two_digit_year(number(&digits[4..6]), number(&digits[2..4]), number(&digits[..2]))
}

/// Year, month and day of two digits each at the start, and a day that exists.
pub(super) fn year_month_day(digits: &[u8]) -> bool {
    date_of_two_digit_year(number(&digits[..2]), number(&digits[2..4]), number(&digits[4..6]))
}

/// Year of four digits, month and day at the start, between 1800 and 2099.
pub(super) fn long_year_month_day(digits: &[u8]) -> bool {
    let year = number(&digits[..4]);
    (1800..2100).contains(&year) && date(year, number(&digits[4..6]), number(&digits[6..8]))
}

/// Luhn's check over all digits.
pub(super) fn luhn_holds(digits: &[u8]) -> bool {
    luhn(digits)
}
