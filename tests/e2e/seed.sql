-- Made-up people. Card numbers, IBANs and numbers are the examples that their issuers publish for tests.
CREATE TABLE customers (
    id    int PRIMARY KEY,
    name  text NOT NULL,
    email text NOT NULL,
    card  text,
    iban  text,
    ssn   text,
    note  text
);
INSERT INTO customers VALUES
    (1, 'Ada Wanderer',   'ada.wanderer@example.com',   '4111111111111111', 'DE89370400440532013000', '536-22-8726', 'call back on Monday'),
    (2, 'Bo Lindqvist',   'bo.lindqvist@example.org',   '5555555555554444', 'GB82WEST12345698765432', '219-09-9998', 'wrote from bo@work.example.net'),
    (3, 'Chidi Okonkwo',  'chidi@example.net',          '378282246310005',  'FR1420041010050500013M02606', NULL,      'no personal data here');
CREATE TABLE orders (
    id          int PRIMARY KEY,
    customer_id int NOT NULL REFERENCES customers,
    total       numeric(10, 2) NOT NULL
);
INSERT INTO orders SELECT n, 1 + n % 3, n * 1.5 FROM generate_series(1, 100) AS n;
