//! First start on one machine: the pool `local`, and credentials with which one data plane and one agent enrol.

use std::path::Path;

use super::enrol::{Credentials, KeyTerms, create_key};
use crate::App;
use crate::domain::model::{Body, Kind, Owner, Pool};
use crate::limits::ENROL_KEY_SECONDS_DEFAULT;
use crate::private_file;
use crate::publish::{PublishError, change_of, entry_for};
use crate::store::StoreError;
use crate::store::enrolment::Role;

/// The pool of the agent that runs beside us.
pub const LOCAL_POOL: &str = "local";

/// Why the first start did not get through.
#[derive(Debug, thiserror::Error)]
pub enum BootstrapError {
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{path}: {source}")]
    File {
        path: std::path::PathBuf,
        source: std::io::Error,
    },
    #[error("credentials: {0}")]
    Toml(#[from] toml::ser::Error),
}

/// Makes pool `local` and, for each identity that is not enrolled yet, a credentials file with a fresh one-time token.
pub async fn local(app: &App) -> Result<(), BootstrapError> {
    app.publisher
        .edit(|state| {
            if state.catalog.has(Kind::Pool, LOCAL_POOL) {
                return Ok::<_, PublishError>((Default::default(), ()));
            }
            // Without a description, so that a policy file may name the pool as well.
            let pool = Pool {
                name: LOCAL_POOL.to_owned(),
                description: None,
            };
            let entry = entry_for(state, Body::Pool(pool), Owner::Bootstrap);
            Ok((change_of(state, vec![entry], Vec::new())?, ()))
        })
        .await?;
    let dir = app.config.data_dir.join("enrol");
    private_file::make_dir(&dir).map_err(|source| BootstrapError::File {
        path: dir.clone(),
        source,
    })?;
    credentials(app, Role::Dataplane, "", &dir.join("dataplane.toml")).await?;
    credentials(app, Role::Agent, LOCAL_POOL, &dir.join("agent.toml")).await
}

async fn credentials(app: &App, role: Role, pool: &str, path: &Path) -> Result<(), BootstrapError> {
    let pool_wanted = (role == Role::Agent).then_some(pool);
    if app.store.identity_count(role, pool_wanted).await? > 0 {
        return Ok(());
    }
    let terms = KeyTerms {
        expires_in_seconds: ENROL_KEY_SECONDS_DEFAULT,
        uses_max: 1,
        note: "first start".to_owned(),
    };
    let (key, token) = create_key(&app.store, role, pool, terms).await?;
    let text = Credentials::new(app, &key, &token).to_toml()?;
    private_file::write(path, text.as_bytes()).map_err(|source| BootstrapError::File {
        path: path.to_owned(),
        source,
    })
}
