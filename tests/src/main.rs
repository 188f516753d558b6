//! Drives a PostgreSQL connection with tokio-postgres: typed and binary values, pipelining, transactions, COPY, cancel.
//!
//! `tokio-postgres-client CONNECTION-STRING` exits 0 when everything behaved as the library's users expect.

use anyhow::{Context, ensure};
use futures_util::{SinkExt, StreamExt, pin_mut};
use std::time::{Duration, Instant};
use tokio_postgres::{Client, NoTls, error::SqlState};

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let url = std::env::args()
        .nth(1)
        .context("usage: tokio-postgres-client CONNECTION-STRING")?;
    let (mut client, connection) = tokio_postgres::connect(&url, NoTls).await?;
    let driver = tokio::spawn(connection);
    typed_values(&client).await.context("typed values")?;
    pipelining(&client).await.context("pipelining")?;
    transactions(&mut client).await.context("transactions")?;
    copying(&client).await.context("copy")?;
    errors(&client).await.context("errors")?;
    cancelling(&client).await.context("cancel")?;
    drop(client);
    driver.await??;
    println!("ok");
    Ok(())
}

async fn typed_values(client: &Client) -> anyhow::Result<()> {
    let row = client
        .query_one(
            "SELECT $1::int4, $2::text, $3::float8, $4::bool, $5::bytea, NULL::int8",
            &[&7i32, &"straße", &1.5f64, &true, &&b"\x00\xff"[..]],
        )
        .await?;
    ensure!(row.get::<_, i32>(0) == 7 && row.get::<_, &str>(1) == "straße" && row.get::<_, bool>(3));
    ensure!(
        row.get::<_, f64>(2) == 1.5 && row.get::<_, &[u8]>(4) == b"\x00\xff" && row.get::<_, Option<i64>>(5).is_none()
    );
    let rows = client
        .query("SELECT i, repeat('x', i) FROM generate_series(1, 2000) i", &[])
        .await?;
    ensure!(rows.len() == 2000 && rows[1999].get::<_, &str>(1).len() == 2000);
    Ok(())
}

async fn pipelining(client: &Client) -> anyhow::Result<()> {
    let statement = client.prepare("SELECT $1::int4 * 2").await?;
    let doubled = (0..100i32).map(|i| {
        let statement = &statement;
        async move { anyhow::Ok(client.query_one(statement, &[&i]).await?.get::<_, i32>(0)) }
    });
    let doubled = futures_util::future::join_all(doubled).await;
    for (i, value) in doubled.into_iter().enumerate() {
        ensure!(value? == 2 * i as i32);
    }
    Ok(())
}

async fn transactions(client: &mut Client) -> anyhow::Result<()> {
    client
        .batch_execute("CREATE TEMP TABLE kept (i int); INSERT INTO kept VALUES (1)")
        .await?;
    let transaction = client.transaction().await?;
    transaction.execute("INSERT INTO kept VALUES (2)", &[]).await?;
    transaction.rollback().await?;
    ensure!(
        client
            .query_one("SELECT count(*) FROM kept", &[])
            .await?
            .get::<_, i64>(0)
            == 1
    );
    let transaction = client.transaction().await?;
    let portal = transaction.bind("SELECT generate_series(1, 25)", &[]).await?;
    let sizes = [
        transaction.query_portal(&portal, 10).await?.len(),
        transaction.query_portal(&portal, 10).await?.len(),
        transaction.query_portal(&portal, 10).await?.len(),
    ];
    ensure!(sizes == [10, 10, 5], "{sizes:?}");
    transaction.commit().await?;
    Ok(())
}

async fn copying(client: &Client) -> anyhow::Result<()> {
    client.batch_execute("CREATE TEMP TABLE copied (i int, t text)").await?;
    let sink = client.copy_in("COPY copied FROM STDIN").await?;
    pin_mut!(sink);
    for i in 0..1000 {
        sink.send(std::io::Cursor::new(format!("{i}\tline {i}\n").into_bytes()))
            .await?;
    }
    ensure!(sink.finish().await? == 1000);
    let stream = client
        .copy_out("COPY (SELECT * FROM copied ORDER BY i) TO STDOUT")
        .await?;
    pin_mut!(stream);
    let mut text = Vec::new();
    while let Some(piece) = stream.next().await {
        text.extend_from_slice(&piece?);
    }
    ensure!(text.ends_with(b"999\tline 999\n") && text.iter().filter(|byte| **byte == b'\n').count() == 1000);
    Ok(())
}

async fn errors(client: &Client) -> anyhow::Result<()> {
    let error = client
        .query("SELECT 1/0", &[])
        .await
        .err()
        .context("a division by zero went well")?;
    ensure!(error.code() == Some(&SqlState::DIVISION_BY_ZERO), "{error}");
    ensure!(client.query_one("SELECT 1", &[]).await?.get::<_, i32>(0) == 1);
    Ok(())
}

async fn cancelling(client: &Client) -> anyhow::Result<()> {
    let token = client.cancel_token();
    let began = Instant::now();
    let sleeping = client.batch_execute("SELECT pg_sleep(60)");
    let cancelling = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        token.cancel_query(NoTls).await
    };
    let (slept, cancelled) = tokio::join!(sleeping, cancelling);
    cancelled?;
    let error = slept.err().context("pg_sleep was not cancelled")?;
    ensure!(error.code() == Some(&SqlState::QUERY_CANCELED), "{error}");
    ensure!(began.elapsed() < Duration::from_secs(30));
    Ok(())
}
