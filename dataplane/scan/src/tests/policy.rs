//! Building a scanner: every name is known, what cannot be found is refused by name, the report tells bounds.

use crate::{Detector, DetectorId, Region, Scanner, Spec, SpecError, Standing};

#[test]
fn every_detector_is_either_built_or_refused_by_name() {
    for detector in Detector::all() {
        let result = Scanner::build(&Spec::of(&[detector]));
        match (detector.standing(), detector.built()) {
            (Standing::ColumnOnly, _) => {
                let error = result.err().unwrap();
                assert_eq!(error, SpecError::ColumnOnly(detector.name()));
                assert!(error.to_string().contains("column") && error.to_string().contains(detector.name()));
            }
            (_, true) => assert!(result.is_ok(), "{}", detector.name()),
            (_, false) => assert_eq!(result.err().unwrap(), SpecError::NotBuilt(detector.name())),
        }
    }
}

#[test]
fn names_and_labels_come_from_the_catalogue() {
    let scanner = Scanner::build(&Spec::default()).unwrap();
    let id = DetectorId::from(Detector::EmailAddress);
    assert_eq!((scanner.name(id), scanner.label(id)), ("EMAIL_ADDRESS", "EMAIL"));
    assert_eq!(scanner.id("email_address"), Some(id));
    assert_eq!(scanner.id("IP_ADDRESS"), None);
    assert_eq!(scanner.name(DetectorId::custom(7)), "");
}

#[test]
fn the_report_tells_the_bounds() {
    let all = Scanner::build(&Spec::default()).unwrap();
    let one = Scanner::build(&Spec::of(&[Detector::UsSocialSecurityNumber])).unwrap();
    let none = Scanner::build(&Spec::of(&[])).unwrap();
    assert!(all.report().hold_back_bytes_max > one.report().hold_back_bytes_max);
    assert!(all.report().trigger_byte_count > one.report().trigger_byte_count);
    assert_eq!(none.report().trigger_byte_count, 0);
    assert_eq!(all.report().built_in_count, Detector::DEFAULT_ON.len());
}

#[test]
fn regions_have_codes() {
    assert_eq!(Region::from_code("us"), Some(Region::NorthAmerica));
    assert_eq!(Region::from_code("DE"), Some(Region::Germany));
    assert_eq!(Region::from_code("XX"), None);
}
