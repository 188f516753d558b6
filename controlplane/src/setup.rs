//! First start: the installation's keys and the administrator's token, made once and, in a shared store, kept there sealed, so
//! that every control plane of the installation has the same.

use std::path::{Path, PathBuf};

use crate::agents::token::{self, Prefix};
use crate::config::Config;
use crate::pki::Pki;
use crate::store::Store;
use crate::store::lock::Lock;
use crate::{StartError, private_file};

/// Files of an installation under its data directory; in a shared store each is a sealed setting too.
const SHARED: [&str; 4] = ["pki/ca.key", "pki/ca.pem", "pki/policy.key", "admin.token"];

/// Reads or makes the keys, and gives the hash of the administrator's token.
pub async fn keys(config: &Config, store: &Store) -> Result<(Pki, Vec<u8>), StartError> {
    let pki_dir = config.data_dir.join("pki");
    private_file::make_dir(&pki_dir).map_err(|source| StartError::File {
        path: pki_dir.clone(),
        source,
    })?;
    if !store.is_shared() {
        return make(config, &pki_dir);
    }
    let _one = store.exclusive(Lock::Setup).await?;
    for name in SHARED {
        fetch(store, name, &config.data_dir.join(name)).await?;
    }
    let made = make(config, &pki_dir)?;
    for name in SHARED {
        keep(store, name, &config.data_dir.join(name)).await?;
    }
    Ok(made)
}

fn make(config: &Config, pki_dir: &Path) -> Result<(Pki, Vec<u8>), StartError> {
    let pki = Pki::open(pki_dir, config.certificate_days)?;
    Ok((pki, admin_token(&config.data_dir.join("admin.token"))?))
}

fn place_of(name: &str) -> String {
    format!("setting/{name}")
}

/// Writes a file of the installation from the store. One that is there already must be the same.
async fn fetch(store: &Store, name: &str, path: &Path) -> Result<(), StartError> {
    let Some(sealed) = store.setting(name).await? else {
        return Ok(());
    };
    let content = store.secrets().open(&place_of(name), &sealed)?;
    match read(path)? {
        Some(present) if present == *content => Ok(()),
        Some(_) => Err(StartError::OtherInstallation(path.to_owned())),
        None => private_file::write(path, &content).map_err(|source| StartError::File {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Stores a file of the installation when the store has none.
async fn keep(store: &Store, name: &str, path: &Path) -> Result<(), StartError> {
    if store.setting(name).await?.is_none()
        && let Some(content) = read(path)?
    {
        let sealed = store.secrets().seal(&place_of(name), &content)?;
        store.set_setting(name, &sealed).await?;
    }
    Ok(())
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, StartError> {
    private_file::read(path).map_err(|source| StartError::File {
        path: PathBuf::from(path),
        source,
    })
}

/// Reads the administrator's token, or makes it on the first start; only its hash stays in memory.
fn admin_token(path: &Path) -> Result<Vec<u8>, StartError> {
    let stored = read(path)?
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(|text| text.trim().to_owned());
    if let Some(token) = stored.filter(|token| token.starts_with(Prefix::Admin.text())) {
        return Ok(token::sha256(&token));
    }
    let token = token::generate(Prefix::Admin)?;
    private_file::write(path, format!("{token}\n").as_bytes()).map_err(|source| StartError::File {
        path: path.to_owned(),
        source,
    })?;
    Ok(token::sha256(&token))
}
