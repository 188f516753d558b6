//! Brazil, Mexico, Chile, Argentina.

use super::HotWords;
use crate::Detector::*;
use crate::detect::pattern::{Row, all_alike, checked, date_of_two_digit_year, number, strong, value, weak, weighted};

#[rustfmt::skip]
pub(super) const ROWS: &[Row] = &[
    Row { detector: BrazilCpfNumber, separators: b"-/", check: cpf,
        forms: &[checked("99999999999"), strong("999.999.999~99"), strong("999999999~99"), strong("999.999.999.99")] },
    Row { detector: BrazilCnpjNumber, separators: b"-", check: cnpj,
        forms: &[checked("99999999999999"), strong("99.999.999/9999~99"), strong("99999999/9999~99"), strong("999999999999~99")] },
    Row { detector: BrazilCnpjNumber, separators: b"-", check: cnpj,
        forms: &[checked("XXXXXXXXXXXX99"), strong("XX.XXX.XXX/XXXX~99"), strong("XXXXXXXX/XXXX~99")] },
    Row { detector: MexicoCurpNumber, separators: b"", check: curp, forms: &[strong("AAAA999999AAAAAAX9")] },
    Row { detector: ChileCdiNumber, separators: b"-", check: rut,
        forms: &[strong("99.999.999~9"), strong("9.999.999~9"), checked("99999999~9"), checked("9999999~9"), checked("999999999")] },
    Row { detector: ChileCdiNumber, separators: b"-", check: rut_k,
        forms: &[strong("99.999.999-k"), strong("9.999.999-k"), checked("99999999-k"), checked("9999999-k"), checked("99999999k"), checked("9999999k")] },
    Row { detector: ArgentinaDniNumber, separators: b".", check: dni,
        forms: &[weak("99~999~999"), weak("9~999~999"), weak("99999999"), weak("9999999")] },
];

#[rustfmt::skip]
pub(super) const HOT_WORDS: &[HotWords] = &[
    (BrazilCpfNumber, &["cpf", "cadastro de pessoas", "cpf nº", "cadastro de pessoa física"]),
    (BrazilCnpjNumber, &["cnpj", "cadastro nacional", "pessoa jurídica", "pessoa juridica"]),
    (MexicoCurpNumber, &["curp", "clave única", "registro de población"]),
    (ChileCdiNumber, &["rut", "run", "rol único", "cédula", "cedula", "rol unico tributario", "cedula de identidad", "cdi"]),
    (ArgentinaDniNumber, &["dni", "documento", "documento nacional", "nro documento", "documento de identidad"]),
];

/// Receita Federal, CPF: two check digits, modulus 11.
fn cpf(digits: &[u8]) -> bool {
    let check = |count: usize| {
        let sum: u32 = (0..count)
            .map(|place| value(digits[place]) * (count + 1 - place) as u32)
            .sum();
        sum * 10 % 11 % 10
    };
    !all_alike(digits) && check(9) == value(digits[9]) && check(10) == value(digits[10])
}

/// Receita Federal, Instrução Normativa RFB 2.229/2024: as the numeric CNPJ, a character's value is its code minus 48.
fn cnpj(characters: &[u8]) -> bool {
    const WEIGHTS: [u32; 13] = [6, 5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2];
    let check = |count: usize| {
        let weights = &WEIGHTS[WEIGHTS.len() - count..];
        let sum: u32 = characters
            .iter()
            .zip(weights)
            .map(|(c, weight)| u32::from(c - b'0') * weight)
            .sum();
        match sum % 11 {
            0 | 1 => 0,
            rest => 11 - rest,
        }
    };
    !all_alike(&characters[..12]) && check(12) == value(characters[12]) && check(13) == value(characters[13])
}

/// States of RENAPO's catalogue; NE stands for a birth abroad.
const STATES: &str = "ASBCBSCCCLCMCSCHDFDGGTGRHGJCMCMNMSNTNLOCPLQTQRSPSLSRTCTSTLVZYNZSNE";

/// RENAPO, Instructivo normativo para la asignación de la CURP: letters of the names, date, sex, state, consonants, check digit.
fn curp(characters: &[u8]) -> bool {
    const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let place = |character: u8| ALPHABET.iter().position(|known| *known == character).unwrap_or(0) as u32;
    // The Ñ stands between N and O.
    let rank = |character: u8| place(character) + u32::from(character >= b'O');
    let sum: u32 = characters[..17]
        .iter()
        .enumerate()
        .map(|(at, c)| rank(*c) * (18 - at as u32))
        .sum();
    let state = &characters[11..13];
    let known = STATES.as_bytes().chunks(2).any(|listed| listed == state);
    let date = date_of_two_digit_year(
        number(&characters[4..6]),
        number(&characters[6..8]),
        number(&characters[8..10]),
    );
    let sex = matches!(characters[10], b'H' | b'M' | b'X');
    let consonants = characters[13..16].iter().all(|c| !b"AEIOU".contains(c));
    date && sex && known && consonants && (10 - sum % 10) % 10 == value(characters[17])
}

/// Servicio de Registro Civil, RUN: weights 2 to 7 from the right, modulus 11.
fn rut(digits: &[u8]) -> bool {
    let Some((check, body)) = digits.split_last() else {
        return false;
    };
    rut_check(body) == value(*check) && body_known(body)
}

/// The check character is `K`, which stands for ten and is not among the digits here.
fn rut_k(body: &[u8]) -> bool {
    rut_check(body) == 10 && body_known(body)
}

fn rut_check(body: &[u8]) -> u32 {
    let weights = [2, 3, 4, 5, 6, 7].into_iter().cycle();
    let sum: u32 = body
        .iter()
        .rev()
        .zip(weights)
        .map(|(digit, weight)| value(*digit) * weight)
        .sum();
    (11 - sum % 11) % 11
}

fn body_known(digits: &[u8]) -> bool {
    digits[0] != b'0' && !all_alike(digits)
}

/// Registro Nacional de las Personas: seven or eight digits.
fn dni(digits: &[u8]) -> bool {
    digits[0] != b'0' && !all_alike(digits) && weighted(digits, &[1; 8]) > 3
}
