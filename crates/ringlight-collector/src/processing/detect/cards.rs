//! Numbers of payment cards.

use std::ops::Range;

use super::is_digit;

/// Digits a card's number has.
const CARD_DIGITS_MIN: usize = 13;
const CARD_DIGITS_MAX: usize = 19;

/// Shows where card numbers are.
pub(super) fn find(bytes: &[u8], found: &mut dyn FnMut(Range<usize>)) {
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        if let Some(end) = card_at(bytes, at) {
            if !is_in_identifier(bytes, at..end) {
                found(at..end);
            }
            at = end;
        }
        at = super::end_of(bytes, at, is_digit);
    }
}

/// The end of the longest card number that begins here, with the first of its digits in a row.
fn card_at(bytes: &[u8], start: usize) -> Option<usize> {
    let has_digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let is_fraction = start > 1 && bytes[start - 1] == b'.' && has_digit(start - 2);
    if is_fraction {
        return None;
    }
    let mut digits = [0; CARD_DIGITS_MAX];
    let mut longest = None;
    let mut at = start;
    for count in 1..=CARD_DIGITS_MAX {
        digits[count - 1] = bytes.get(at)?.wrapping_sub(b'0');
        at += 1;
        if has_digit(at) {
            continue;
        }
        let digits = &digits[..count];
        if count >= CARD_DIGITS_MIN && is_of_a_network(digits) && has_check_digit(digits) {
            longest = Some(at);
        }
        let goes_on = matches!(bytes.get(at), Some(b' ' | b'-')) && has_digit(at + 1);
        if !goes_on {
            break;
        }
        at += 1;
    }
    longest
}

/// Digits that an identifier in hexadecimal has at least: a UUID, a trace id, a digest, the id of a container.
const IDENTIFIER_DIGITS_MIN: usize = 32;

/// Whether these digits are of an identifier in hexadecimal. One UUID in fifteen hundred has what looks like a card's number,
/// and a `service.instance.id` that is replaced is no process's any more.
fn is_in_identifier(bytes: &[u8], Range { start, end }: Range<usize>) -> bool {
    let is_part = |byte: &&u8| byte.is_ascii_hexdigit() || **byte == b'-';
    // More need not be looked at, however long the text is.
    let before = bytes[..start].iter().rev().take(IDENTIFIER_DIGITS_MIN + 4);
    let after = bytes[end..].iter().take(IDENTIFIER_DIGITS_MIN + 4);
    let before = before.take_while(is_part).count();
    let after = after.take_while(is_part).count();
    let word = &bytes[start - before..end + after];
    let digits = word.iter().filter(|byte| byte.is_ascii_hexdigit());
    digits.count() >= IDENTIFIER_DIGITS_MIN && word.iter().any(u8::is_ascii_alphabetic)
}

/// Whether a number so long begins as those of a card network.
fn is_of_a_network(digits: &[u8]) -> bool {
    let first = |count: usize| {
        let number = |number: u16, digit: &u8| number * 10 + u16::from(*digit);
        digits[..count].iter().fold(0, number)
    };
    match digits.len() {
        // Visa.
        13 | 16 | 19 if digits[0] == 4 => true,
        // American Express.
        15 if matches!(first(2), 34 | 37) => true,
        // Mastercard.
        16 if matches!(first(2), 51..=55) || matches!(first(4), 2221..=2720) => true,
        // Diners Club.
        14.. if matches!(first(3), 300..=305 | 309) || matches!(first(2), 36 | 38 | 39) => true,
        // Discover, JCB, UnionPay, Mir, RuPay.
        16.. if matches!(first(2), 60 | 62 | 65 | 81) => true,
        16.. if matches!(first(3), 644..=649) => true,
        16.. if matches!(first(4), 2200..=2204 | 3528..=3589) => true,
        // Maestro.
        _ => matches!(first(2), 50 | 56..=58 | 60..=69),
    }
}

/// Whether the last digit is right for the others.
fn has_check_digit(digits: &[u8]) -> bool {
    let value = |(place, digit): (usize, &u8)| match digit * (1 + (place % 2) as u8) {
        two @ 10.. => two - 9,
        one => one,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(value)
        .map(u32::from)
        .sum();
    sum.is_multiple_of(10)
}
