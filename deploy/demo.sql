-- Made-up people. The numbers are well formed (checksums hold) and belong to nobody.
create table customers (
    id    integer primary key,
    name  text not null,
    email text not null,
    phone text not null,
    ssn   text not null,
    iban  text not null,
    card  text not null,
    note  text not null
);
insert into customers values
    (1, 'Ada Beispiel',  'ada.beispiel@example.com',  '+1 415-692-8134', '536-22-8726', 'DE89370400440532013000',
        '4111111111111111', 'prefers mail to ada@example.org'),
    (2, 'Ben Muster',    'ben.muster@example.net',    '+1 212-736-5021', '318-66-2075', 'GB82WEST12345698765432',
        '5555555555554444', 'call +1 212-736-5021 after six'),
    (3, 'Carla Modelo',  'carla@modelo.example',      '+1 312-944-7713', '219-48-6230', 'FR1420041010050500013M02606',
        '378282246310005',  'paid with 4012888888881881'),
    (4, 'Deniz Exemple', 'deniz.exemple@example.com', '+1 206-448-8762', '601-31-7742', 'NL91ABNA0417164300',
        '6011111111111117', 'nothing to see here');
create table orders (
    id          integer primary key,
    customer_id integer not null references customers (id),
    amount      numeric(10, 2) not null,
    placed_at   timestamptz not null
);
insert into orders
select n, 1 + n % 4, (n * 37 % 900) + 0.99, timestamptz '2026-01-01 09:00+00' + n * interval '7 hours'
from generate_series(1, 200) as n;
