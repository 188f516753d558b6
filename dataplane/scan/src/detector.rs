//! The catalogue of detectors: their names, their labels in masks, and which of them content alone can decide.

/// Where a detector stands in a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Part of [`Detector::DEFAULT_ON`].
    DefaultOn,
    /// Found by content when the policy names it.
    ByChoice,
    /// Content alone cannot decide it: needs a column rule or a dictionary.
    ColumnOnly,
}

/// A detector that ships with the engine. Names follow Google Cloud DLP's infoTypes where one exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u16)]
pub enum Detector {
    EmailAddress,
    CreditCardNumber,
    IbanCode,
    UsSocialSecurityNumber,
    PhoneNumber,
    AwsCredentials,
    JsonWebToken,
    EncryptionKey,
    GithubToken,
    GitlabToken,
    SlackToken,
    StripeToken,
    GoogleToken,
    NpmToken,
    BasicAuthHeader,
    AuthToken,
    Password,
    UrlWithCredentials,
    IpAddress,
    MacAddress,
    Url,
    DomainName,
    SwiftCode,
    UsBankRoutingMicr,
    UsIndividualTaxpayerIdentificationNumber,
    UsEmployerIdentificationNumber,
    UsHealthcareNpi,
    UsDeaNumber,
    UsMedicareBeneficiaryIdNumber,
    UsPassport,
    UsDriversLicenseNumber,
    UkNationalHealthServiceNumber,
    UkNationalInsuranceNumber,
    UkTaxpayerReference,
    UkPassport,
    CanadaSocialInsuranceNumber,
    AustraliaTaxFileNumber,
    AustraliaMedicareNumber,
    AustraliaBusinessNumber,
    AustraliaCompanyNumber,
    IndiaAadhaarIndividual,
    IndiaPanIndividual,
    IndiaGstIndividual,
    SpainNifNumber,
    SpainNieNumber,
    ItalyFiscalCode,
    ItalyVatNumber,
    FranceNir,
    FranceCni,
    GermanyTaxpayerIdentificationNumber,
    GermanyIdentityCardNumber,
    GermanyPassport,
    GermanySocialSecurityNumber,
    GermanyVatNumber,
    GermanyHealthInsuranceNumber,
    PolandPeselNumber,
    PolandNationalIdNumber,
    FinlandNationalIdNumber,
    SwedenNationalIdNumber,
    NorwayNiNumber,
    DenmarkCprNumber,
    NetherlandsBsnNumber,
    BrazilCpfNumber,
    BrazilCnpjNumber,
    MexicoCurpNumber,
    ChileCdiNumber,
    ArgentinaDniNumber,
    SingaporeNationalRegistrationIdNumber,
    KoreaRrn,
    JapanIndividualNumber,
    ThailandNationalIdNumber,
    TurkeyIdNumber,
    SouthAfricaIdNumber,
    NigeriaNin,
    ImeiHardwareId,
    VehicleIdentificationNumber,
    CryptoAddress,
    UkDriversLicenseNumber,
    UkPostcode,
    UkVehicleRegistration,
    UsBankAccountNumber,
    GermanyTaxNumber,
    GermanyPhysicianNumber,
    GermanyPracticeNumber,
    GermanyCommercialRegisterNumber,
    GermanyDriversLicenseNumber,
    GermanyVehicleRegistration,
    GermanyPostalCode,
    SpainPassport,
    ItalyPassport,
    ItalyIdentityCard,
    ItalyDriversLicense,
    SwedenOrganisationNumber,
    IndiaPassport,
    IndiaVoterId,
    IndiaVehicleRegistration,
    SingaporeUen,
    PhilippinesTin,
    KoreaFrn,
    KoreaBusinessNumber,
    KoreaDriversLicense,
    KoreaPassport,
    TurkeyLicensePlate,
    NigeriaVehicleRegistration,
    Date,
    PersonName,
    FirstName,
    LastName,
    MaleName,
    FemaleName,
    OrganizationName,
    StreetAddress,
    Location,
    DateOfBirth,
    Age,
    Gender,
    EthnicGroup,
    MedicalTerm,
}

struct Entry {
    detector: Detector,
    name: &'static str,
    label: &'static str,
    standing: Standing,
}

const fn entry(detector: Detector, name: &'static str, label: &'static str, standing: Standing) -> Entry {
    Entry {
        detector,
        name,
        label,
        standing,
    }
}

/// One row per detector, in the order of the enumeration (checked by a test).
#[rustfmt::skip]
const CATALOGUE: &[Entry] = &[
    entry(Detector::EmailAddress, "EMAIL_ADDRESS", "EMAIL", Standing::DefaultOn),
    entry(Detector::CreditCardNumber, "CREDIT_CARD_NUMBER", "CREDIT_CARD", Standing::DefaultOn),
    entry(Detector::IbanCode, "IBAN_CODE", "IBAN", Standing::DefaultOn),
    entry(Detector::UsSocialSecurityNumber, "US_SOCIAL_SECURITY_NUMBER", "SSN", Standing::DefaultOn),
    entry(Detector::PhoneNumber, "PHONE_NUMBER", "PHONE", Standing::DefaultOn),
    entry(Detector::AwsCredentials, "AWS_CREDENTIALS", "AWS_KEY", Standing::DefaultOn),
    entry(Detector::JsonWebToken, "JSON_WEB_TOKEN", "JWT", Standing::DefaultOn),
    entry(Detector::EncryptionKey, "ENCRYPTION_KEY", "PRIVATE_KEY", Standing::DefaultOn),
    entry(Detector::GithubToken, "GITHUB_TOKEN", "GITHUB_TOKEN", Standing::DefaultOn),
    entry(Detector::GitlabToken, "GITLAB_TOKEN", "GITLAB_TOKEN", Standing::DefaultOn),
    entry(Detector::SlackToken, "SLACK_TOKEN", "SLACK_TOKEN", Standing::DefaultOn),
    entry(Detector::StripeToken, "STRIPE_TOKEN", "STRIPE_KEY", Standing::DefaultOn),
    entry(Detector::GoogleToken, "GCP_API_KEY", "GOOGLE_KEY", Standing::DefaultOn),
    entry(Detector::NpmToken, "NPM_TOKEN", "NPM_TOKEN", Standing::DefaultOn),
    entry(Detector::BasicAuthHeader, "BASIC_AUTH_HEADER", "BASIC_AUTH", Standing::DefaultOn),
    entry(Detector::AuthToken, "AUTH_TOKEN", "TOKEN", Standing::DefaultOn),
    entry(Detector::Password, "PASSWORD", "PASSWORD", Standing::DefaultOn),
    entry(Detector::UrlWithCredentials, "URL_WITH_CREDENTIALS", "URL_LOGIN", Standing::DefaultOn),
    entry(Detector::IpAddress, "IP_ADDRESS", "IP", Standing::ByChoice),
    entry(Detector::MacAddress, "MAC_ADDRESS", "MAC", Standing::ByChoice),
    entry(Detector::Url, "URL", "URL", Standing::ByChoice),
    entry(Detector::DomainName, "DOMAIN_NAME", "DOMAIN", Standing::ByChoice),
    entry(Detector::SwiftCode, "SWIFT_CODE", "SWIFT", Standing::ByChoice),
    entry(Detector::UsBankRoutingMicr, "US_BANK_ROUTING_MICR", "ROUTING", Standing::ByChoice),
    entry(Detector::UsIndividualTaxpayerIdentificationNumber, "US_INDIVIDUAL_TAXPAYER_IDENTIFICATION_NUMBER", "ITIN", Standing::ByChoice),
    entry(Detector::UsEmployerIdentificationNumber, "US_EMPLOYER_IDENTIFICATION_NUMBER", "EIN", Standing::ByChoice),
    entry(Detector::UsHealthcareNpi, "US_HEALTHCARE_NPI", "NPI", Standing::ByChoice),
    entry(Detector::UsDeaNumber, "US_DEA_NUMBER", "DEA", Standing::ByChoice),
    entry(Detector::UsMedicareBeneficiaryIdNumber, "US_MEDICARE_BENEFICIARY_ID_NUMBER", "MBI", Standing::ByChoice),
    entry(Detector::UsPassport, "US_PASSPORT", "PASSPORT", Standing::ByChoice),
    entry(Detector::UsDriversLicenseNumber, "US_DRIVERS_LICENSE_NUMBER", "DRIVERS_LICENSE", Standing::ByChoice),
    entry(Detector::UkNationalHealthServiceNumber, "UK_NATIONAL_HEALTH_SERVICE_NUMBER", "NHS", Standing::ByChoice),
    entry(Detector::UkNationalInsuranceNumber, "UK_NATIONAL_INSURANCE_NUMBER", "NINO", Standing::ByChoice),
    entry(Detector::UkTaxpayerReference, "UK_TAXPAYER_REFERENCE", "UTR", Standing::ByChoice),
    entry(Detector::UkPassport, "UK_PASSPORT", "PASSPORT", Standing::ByChoice),
    entry(Detector::CanadaSocialInsuranceNumber, "CANADA_SOCIAL_INSURANCE_NUMBER", "SIN", Standing::ByChoice),
    entry(Detector::AustraliaTaxFileNumber, "AUSTRALIA_TAX_FILE_NUMBER", "TFN", Standing::ByChoice),
    entry(Detector::AustraliaMedicareNumber, "AUSTRALIA_MEDICARE_NUMBER", "MEDICARE", Standing::ByChoice),
    entry(Detector::AustraliaBusinessNumber, "AUSTRALIA_BUSINESS_NUMBER", "ABN", Standing::ByChoice),
    entry(Detector::AustraliaCompanyNumber, "AUSTRALIA_COMPANY_NUMBER", "ACN", Standing::ByChoice),
    entry(Detector::IndiaAadhaarIndividual, "INDIA_AADHAAR_INDIVIDUAL", "AADHAAR", Standing::ByChoice),
    entry(Detector::IndiaPanIndividual, "INDIA_PAN_INDIVIDUAL", "PAN", Standing::ByChoice),
    entry(Detector::IndiaGstIndividual, "INDIA_GST_INDIVIDUAL", "GSTIN", Standing::ByChoice),
    entry(Detector::SpainNifNumber, "SPAIN_NIF_NUMBER", "NIF", Standing::ByChoice),
    entry(Detector::SpainNieNumber, "SPAIN_NIE_NUMBER", "NIE", Standing::ByChoice),
    entry(Detector::ItalyFiscalCode, "ITALY_FISCAL_CODE", "FISCAL_CODE", Standing::ByChoice),
    entry(Detector::ItalyVatNumber, "ITALY_VAT_NUMBER", "VAT", Standing::ByChoice),
    entry(Detector::FranceNir, "FRANCE_NIR", "NIR", Standing::ByChoice),
    entry(Detector::FranceCni, "FRANCE_CNI", "CNI", Standing::ByChoice),
    entry(Detector::GermanyTaxpayerIdentificationNumber, "GERMANY_TAXPAYER_IDENTIFICATION_NUMBER", "TAX_ID", Standing::ByChoice),
    entry(Detector::GermanyIdentityCardNumber, "GERMANY_IDENTITY_CARD_NUMBER", "ID_CARD", Standing::ByChoice),
    entry(Detector::GermanyPassport, "GERMANY_PASSPORT", "PASSPORT", Standing::ByChoice),
    entry(Detector::GermanySocialSecurityNumber, "GERMANY_SOCIAL_SECURITY_NUMBER", "SOCIAL_SECURITY", Standing::ByChoice),
    entry(Detector::GermanyVatNumber, "GERMANY_VAT_NUMBER", "VAT", Standing::ByChoice),
    entry(Detector::GermanyHealthInsuranceNumber, "GERMANY_HEALTH_INSURANCE_NUMBER", "HEALTH_INSURANCE", Standing::ByChoice),
    entry(Detector::PolandPeselNumber, "POLAND_PESEL_NUMBER", "PESEL", Standing::ByChoice),
    entry(Detector::PolandNationalIdNumber, "POLAND_NATIONAL_ID_NUMBER", "ID_CARD", Standing::ByChoice),
    entry(Detector::FinlandNationalIdNumber, "FINLAND_NATIONAL_ID_NUMBER", "NATIONAL_ID", Standing::ByChoice),
    entry(Detector::SwedenNationalIdNumber, "SWEDEN_NATIONAL_ID_NUMBER", "NATIONAL_ID", Standing::ByChoice),
    entry(Detector::NorwayNiNumber, "NORWAY_NI_NUMBER", "NATIONAL_ID", Standing::ByChoice),
    entry(Detector::DenmarkCprNumber, "DENMARK_CPR_NUMBER", "CPR", Standing::ByChoice),
    entry(Detector::NetherlandsBsnNumber, "NETHERLANDS_BSN_NUMBER", "BSN", Standing::ByChoice),
    entry(Detector::BrazilCpfNumber, "BRAZIL_CPF_NUMBER", "CPF", Standing::ByChoice),
    entry(Detector::BrazilCnpjNumber, "BRAZIL_CNPJ_NUMBER", "CNPJ", Standing::ByChoice),
    entry(Detector::MexicoCurpNumber, "MEXICO_CURP_NUMBER", "CURP", Standing::ByChoice),
    entry(Detector::ChileCdiNumber, "CHILE_CDI_NUMBER", "CDI", Standing::ByChoice),
    entry(Detector::ArgentinaDniNumber, "ARGENTINA_DNI_NUMBER", "DNI", Standing::ByChoice),
    entry(Detector::SingaporeNationalRegistrationIdNumber, "SINGAPORE_NATIONAL_REGISTRATION_ID_NUMBER", "NRIC", Standing::ByChoice),
    entry(Detector::KoreaRrn, "KOREA_RRN", "RRN", Standing::ByChoice),
    entry(Detector::JapanIndividualNumber, "JAPAN_INDIVIDUAL_NUMBER", "MY_NUMBER", Standing::ByChoice),
    entry(Detector::ThailandNationalIdNumber, "THAILAND_NATIONAL_ID_NUMBER", "NATIONAL_ID", Standing::ByChoice),
    entry(Detector::TurkeyIdNumber, "TURKEY_ID_NUMBER", "NATIONAL_ID", Standing::ByChoice),
    entry(Detector::SouthAfricaIdNumber, "SOUTH_AFRICA_ID_NUMBER", "NATIONAL_ID", Standing::ByChoice),
    entry(Detector::NigeriaNin, "NIGERIA_NIN", "NIN", Standing::ByChoice),
    entry(Detector::ImeiHardwareId, "IMEI_HARDWARE_ID", "IMEI", Standing::ByChoice),
    entry(Detector::VehicleIdentificationNumber, "VEHICLE_IDENTIFICATION_NUMBER", "VIN", Standing::ByChoice),
    entry(Detector::CryptoAddress, "CRYPTO_ADDRESS", "CRYPTO", Standing::ByChoice),
    entry(Detector::UkDriversLicenseNumber, "UK_DRIVERS_LICENSE_NUMBER", "DRIVERS_LICENSE", Standing::ByChoice),
    entry(Detector::UkPostcode, "UK_POSTCODE", "POSTCODE", Standing::ByChoice),
    entry(Detector::UkVehicleRegistration, "UK_VEHICLE_REGISTRATION", "PLATE", Standing::ByChoice),
    entry(Detector::UsBankAccountNumber, "US_BANK_ACCOUNT_NUMBER", "ACCOUNT", Standing::ByChoice),
    entry(Detector::GermanyTaxNumber, "GERMANY_TAX_NUMBER", "TAX_NUMBER", Standing::ByChoice),
    entry(Detector::GermanyPhysicianNumber, "GERMANY_PHYSICIAN_NUMBER", "PHYSICIAN", Standing::ByChoice),
    entry(Detector::GermanyPracticeNumber, "GERMANY_PRACTICE_NUMBER", "PRACTICE", Standing::ByChoice),
    entry(Detector::GermanyCommercialRegisterNumber, "GERMANY_COMMERCIAL_REGISTER_NUMBER", "REGISTER", Standing::ByChoice),
    entry(Detector::GermanyDriversLicenseNumber, "GERMANY_DRIVERS_LICENSE_NUMBER", "DRIVERS_LICENSE", Standing::ByChoice),
    entry(Detector::GermanyVehicleRegistration, "GERMANY_VEHICLE_REGISTRATION", "PLATE", Standing::ByChoice),
    entry(Detector::GermanyPostalCode, "GERMANY_POSTAL_CODE", "POSTCODE", Standing::ByChoice),
    entry(Detector::SpainPassport, "SPAIN_PASSPORT", "PASSPORT", Standing::ByChoice),
    entry(Detector::ItalyPassport, "ITALY_PASSPORT", "PASSPORT", Standing::ByChoice),
    entry(Detector::ItalyIdentityCard, "ITALY_IDENTITY_CARD", "ID_CARD", Standing::ByChoice),
    entry(Detector::ItalyDriversLicense, "ITALY_DRIVERS_LICENSE_NUMBER", "DRIVERS_LICENSE", Standing::ByChoice),
    entry(Detector::SwedenOrganisationNumber, "SWEDEN_ORGANISATION_NUMBER", "ORG_NUMBER", Standing::ByChoice),
    entry(Detector::IndiaPassport, "INDIA_PASSPORT", "PASSPORT", Standing::ByChoice),
    entry(Detector::IndiaVoterId, "INDIA_VOTER_ID", "VOTER_ID", Standing::ByChoice),
    entry(Detector::IndiaVehicleRegistration, "INDIA_VEHICLE_REGISTRATION", "PLATE", Standing::ByChoice),
    entry(Detector::SingaporeUen, "SINGAPORE_UEN", "UEN", Standing::ByChoice),
    entry(Detector::PhilippinesTin, "PHILIPPINES_TIN", "TIN", Standing::ByChoice),
    entry(Detector::KoreaFrn, "KOREA_FRN", "FRN", Standing::ByChoice),
    entry(Detector::KoreaBusinessNumber, "KOREA_BUSINESS_NUMBER", "BRN", Standing::ByChoice),
    entry(Detector::KoreaDriversLicense, "KOREA_DRIVERS_LICENSE_NUMBER", "DRIVERS_LICENSE", Standing::ByChoice),
    entry(Detector::KoreaPassport, "KOREA_PASSPORT", "PASSPORT", Standing::ByChoice),
    entry(Detector::TurkeyLicensePlate, "TURKEY_LICENSE_PLATE", "PLATE", Standing::ByChoice),
    entry(Detector::NigeriaVehicleRegistration, "NIGERIA_VEHICLE_REGISTRATION", "PLATE", Standing::ByChoice),
    entry(Detector::Date, "DATE", "DATE", Standing::ByChoice),
    entry(Detector::PersonName, "PERSON_NAME", "NAME", Standing::ColumnOnly),
    entry(Detector::FirstName, "FIRST_NAME", "NAME", Standing::ColumnOnly),
    entry(Detector::LastName, "LAST_NAME", "NAME", Standing::ColumnOnly),
    entry(Detector::MaleName, "MALE_NAME", "NAME", Standing::ColumnOnly),
    entry(Detector::FemaleName, "FEMALE_NAME", "NAME", Standing::ColumnOnly),
    entry(Detector::OrganizationName, "ORGANIZATION_NAME", "ORGANIZATION", Standing::ColumnOnly),
    entry(Detector::StreetAddress, "STREET_ADDRESS", "ADDRESS", Standing::ColumnOnly),
    entry(Detector::Location, "LOCATION", "LOCATION", Standing::ColumnOnly),
    entry(Detector::DateOfBirth, "DATE_OF_BIRTH", "BIRTH_DATE", Standing::ColumnOnly),
    entry(Detector::Age, "AGE", "AGE", Standing::ColumnOnly),
    entry(Detector::Gender, "GENDER", "GENDER", Standing::ColumnOnly),
    entry(Detector::EthnicGroup, "ETHNIC_GROUP", "ETHNICITY", Standing::ColumnOnly),
    entry(Detector::MedicalTerm, "MEDICAL_TERM", "MEDICAL", Standing::ColumnOnly),
];

/// Other names under which people know a detector, accepted by [`Detector::from_name`].
const ALIASES: &[(&str, Detector)] = &[
    ("EMAIL", Detector::EmailAddress),
    ("CREDIT_CARD", Detector::CreditCardNumber),
    ("IBAN", Detector::IbanCode),
    ("US_SSN", Detector::UsSocialSecurityNumber),
    ("PHONE", Detector::PhoneNumber),
    ("JWT", Detector::JsonWebToken),
    ("PRIVATE_KEY", Detector::EncryptionKey),
    ("GOOGLE_API_KEY", Detector::GoogleToken),
    ("GOOGLE_TOKEN", Detector::GoogleToken),
    ("STRIPE_KEY", Detector::StripeToken),
    ("UK_NHS", Detector::UkNationalHealthServiceNumber),
    ("UK_NINO", Detector::UkNationalInsuranceNumber),
    ("PERSON", Detector::PersonName),
    ("SSN", Detector::UsSocialSecurityNumber),
    ("ABA_ROUTING_NUMBER", Detector::UsBankRoutingMicr),
    ("US_ABA_ROUTING", Detector::UsBankRoutingMicr),
    ("US_ITIN", Detector::UsIndividualTaxpayerIdentificationNumber),
    ("US_NPI", Detector::UsHealthcareNpi),
    ("US_MBI", Detector::UsMedicareBeneficiaryIdNumber),
    ("MEDICAL_LICENSE", Detector::UsDeaNumber),
    ("US_DRIVER_LICENSE", Detector::UsDriversLicenseNumber),
    ("US_BANK_NUMBER", Detector::UsBankAccountNumber),
    ("CA_SIN", Detector::CanadaSocialInsuranceNumber),
    ("UK_UTR", Detector::UkTaxpayerReference),
    ("UK_DRIVING_LICENCE", Detector::UkDriversLicenseNumber),
    ("UK_DRIVING_LICENSE", Detector::UkDriversLicenseNumber),
    ("AU_TFN", Detector::AustraliaTaxFileNumber),
    ("AU_MEDICARE", Detector::AustraliaMedicareNumber),
    ("AU_ABN", Detector::AustraliaBusinessNumber),
    ("AU_ACN", Detector::AustraliaCompanyNumber),
    ("IN_AADHAAR", Detector::IndiaAadhaarIndividual),
    ("IN_PAN", Detector::IndiaPanIndividual),
    ("IN_GSTIN", Detector::IndiaGstIndividual),
    ("IN_PASSPORT", Detector::IndiaPassport),
    ("IN_VOTER", Detector::IndiaVoterId),
    ("IN_VEHICLE_REGISTRATION", Detector::IndiaVehicleRegistration),
    ("ES_NIF", Detector::SpainNifNumber),
    ("ES_NIE", Detector::SpainNieNumber),
    ("ES_PASSPORT", Detector::SpainPassport),
    ("IT_FISCAL_CODE", Detector::ItalyFiscalCode),
    ("IT_VAT_CODE", Detector::ItalyVatNumber),
    ("IT_PASSPORT", Detector::ItalyPassport),
    ("IT_IDENTITY_CARD", Detector::ItalyIdentityCard),
    ("IT_DRIVER_LICENSE", Detector::ItalyDriversLicense),
    ("DE_TAX_ID", Detector::GermanyTaxpayerIdentificationNumber),
    ("DE_TAX_NUMBER", Detector::GermanyTaxNumber),
    ("DE_ID_CARD", Detector::GermanyIdentityCardNumber),
    ("DE_PASSPORT", Detector::GermanyPassport),
    ("DE_SOCIAL_SECURITY", Detector::GermanySocialSecurityNumber),
    ("DE_VAT_ID", Detector::GermanyVatNumber),
    ("DE_HEALTH_INSURANCE", Detector::GermanyHealthInsuranceNumber),
    ("DE_LANR", Detector::GermanyPhysicianNumber),
    ("DE_BSNR", Detector::GermanyPracticeNumber),
    ("DE_HANDELSREGISTER", Detector::GermanyCommercialRegisterNumber),
    ("DE_FUEHRERSCHEIN", Detector::GermanyDriversLicenseNumber),
    ("DE_KFZ", Detector::GermanyVehicleRegistration),
    ("DE_PLZ", Detector::GermanyPostalCode),
    ("PL_PESEL", Detector::PolandPeselNumber),
    ("FI_PERSONAL_IDENTITY_CODE", Detector::FinlandNationalIdNumber),
    ("SE_PERSONNUMMER", Detector::SwedenNationalIdNumber),
    ("SE_ORGANISATIONSNUMMER", Detector::SwedenOrganisationNumber),
    ("SG_NRIC_FIN", Detector::SingaporeNationalRegistrationIdNumber),
    ("SG_UEN", Detector::SingaporeUen),
    ("TH_TNIN", Detector::ThailandNationalIdNumber),
    ("TR_NATIONAL_ID", Detector::TurkeyIdNumber),
    ("TR_LICENSE_PLATE", Detector::TurkeyLicensePlate),
    ("ZA_ID_NUMBER", Detector::SouthAfricaIdNumber),
    ("NG_NIN", Detector::NigeriaNin),
    ("NG_VEHICLE_REGISTRATION", Detector::NigeriaVehicleRegistration),
    ("KR_RRN", Detector::KoreaRrn),
    ("KR_FRN", Detector::KoreaFrn),
    ("KR_BRN", Detector::KoreaBusinessNumber),
    ("KR_DRIVER_LICENSE", Detector::KoreaDriversLicense),
    ("KR_PASSPORT", Detector::KoreaPassport),
    ("PH_TIN", Detector::PhilippinesTin),
    ("CRYPTO", Detector::CryptoAddress),
    ("DATE_TIME", Detector::Date),
    ("IMEI", Detector::ImeiHardwareId),
    ("VIN", Detector::VehicleIdentificationNumber),
    ("KOREA_ARN", Detector::KoreaFrn),
];

impl Detector {
    /// The detectors of a policy that names none.
    pub const DEFAULT_ON: &'static [Detector] = &[
        Detector::EmailAddress,
        Detector::CreditCardNumber,
        Detector::IbanCode,
        Detector::UsSocialSecurityNumber,
        Detector::PhoneNumber,
        Detector::AwsCredentials,
        Detector::JsonWebToken,
        Detector::EncryptionKey,
        Detector::GithubToken,
        Detector::GitlabToken,
        Detector::SlackToken,
        Detector::StripeToken,
        Detector::GoogleToken,
        Detector::NpmToken,
        Detector::BasicAuthHeader,
        Detector::AuthToken,
        Detector::Password,
        Detector::UrlWithCredentials,
    ];

    /// Number of detectors in the catalogue; ids of custom detectors begin here.
    pub const COUNT: usize = CATALOGUE.len();

    /// All detectors of the catalogue in id order.
    pub fn all() -> impl Iterator<Item = Detector> {
        CATALOGUE.iter().map(|entry| entry.detector)
    }

    /// The detector with this name (or one of its other usual names); upper and lower case are alike.
    pub fn from_name(name: &str) -> Option<Detector> {
        let by_name = CATALOGUE.iter().find(|entry| entry.name.eq_ignore_ascii_case(name));
        let by_alias = || ALIASES.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(name));
        by_name
            .map(|entry| entry.detector)
            .or_else(|| by_alias().map(|(_, detector)| *detector))
    }

    /// Name in policies, events and metrics: `EMAIL_ADDRESS`.
    pub fn name(self) -> &'static str {
        self.entry().name
    }

    /// Short word shown in masks: `EMAIL` for `[EMAIL]`.
    pub fn label(self) -> &'static str {
        self.entry().label
    }

    /// Whether a policy that names no detector has this one.
    pub fn default_on(self) -> bool {
        self.standing() == Standing::DefaultOn
    }

    /// Where the detector stands in a policy.
    pub fn standing(self) -> Standing {
        self.entry().standing
    }

    /// Words that confirm a weak form: to the left of a value, or in the name of its field. None where every form speaks for itself.
    pub fn hot_words(self) -> &'static [&'static str] {
        crate::detect::hot_words(self)
    }

    /// Whether this engine can find the detector by content; [`crate::Scanner::build`] refuses the others.
    pub fn built(self) -> bool {
        crate::detect::built(self)
    }

    fn entry(self) -> &'static Entry {
        &CATALOGUE[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogue_is_in_enumeration_order_and_names_are_unique() {
        for (place, entry) in CATALOGUE.iter().enumerate() {
            assert_eq!(entry.detector as usize, place, "{}", entry.name);
            assert_eq!(Detector::from_name(entry.name), Some(entry.detector));
            assert!(!entry.label.is_empty());
            assert!(
                entry.name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'),
                "{}",
                entry.name
            );
        }
        for (alias, _) in ALIASES {
            assert!(
                CATALOGUE.iter().all(|entry| entry.name != *alias),
                "{alias} is both name and alias"
            );
        }
    }

    #[test]
    fn default_on_list_matches_the_catalogue() {
        let listed: Vec<Detector> = Detector::all().filter(|d| d.default_on()).collect();
        assert_eq!(listed, Detector::DEFAULT_ON);
        assert!(Detector::DEFAULT_ON.iter().all(|d| d.built()));
    }

    #[test]
    fn names_are_found_in_any_case_and_unknown_ones_are_not() {
        assert_eq!(Detector::from_name("email_address"), Some(Detector::EmailAddress));
        assert_eq!(Detector::from_name("us_ssn"), Some(Detector::UsSocialSecurityNumber));
        assert_eq!(Detector::from_name("NOT_A_DETECTOR"), None);
    }
}
