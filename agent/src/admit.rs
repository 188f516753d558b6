//! The agent's own decision: a session is opened only with a grant that the control plane signed, for this pool, not expired.
//!
//! The data plane is not trusted with this: it hands on the grant that it was given. A grant has no memory of older
//! ones, because several data planes may be a generation apart; what bounds an old grant is its expiry.

use proto::policy::{TargetGrant, TlsMode};
use proto::sign::{SignError, open_grant};
use proto::tunnel::{Fault, Open};

/// The protocols whose targets this agent can reach.
const PROTOCOLS: &[&str] = &["postgres", "http"];

/// Why no session is opened. The text is for the client and the log; it names no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The session's identifier has not 16 bytes.
    #[error("the gateway sent a malformed request: no session identifier")]
    SessionId,
    /// `Open` without a grant.
    #[error("the gateway sent no grant")]
    NoGrant,
    /// The signature is not the control plane's, or what it covers cannot be read.
    #[error("the agent refused the grant: {0}")]
    NotSigned(SignError),
    /// Too old.
    #[error("the agent refused the grant: it ran out {0} s ago; is the control plane away, or a clock wrong?")]
    Expired(i64),
    /// For other agents.
    #[error("the agent refused the grant: it is for pool \"{granted}\", and this agent is in \"{own}\"")]
    OtherPool {
        /// Pool in the grant.
        granted: String,
        /// The agent's own.
        own: String,
    },
    /// A protocol that this agent does not speak.
    #[error("this agent cannot log in to targets of type \"{0}\"")]
    Protocol(String),
    /// The target in the grant is not usable.
    #[error("the connection's target is not usable: {0}")]
    Target(&'static str),
}

impl Denied {
    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        Fault::Ours
    }

    /// What a PostgreSQL client is told besides the text: the gateway rejected the connection.
    #[must_use]
    pub fn sqlstate(&self) -> &'static str {
        "08004"
    }
}

/// What was checked and may be used.
#[derive(Debug, Clone)]
pub struct Admitted {
    /// The session.
    pub session_id: [u8; 16],
    /// The verified grant.
    pub grant: TargetGrant,
    /// How the leg to the target is encrypted.
    pub tls: TlsMode,
    /// The target's port.
    pub port: u16,
}

/// Checks everything about an `Open` before any secret is resolved and any socket is opened.
///
/// # Errors
/// [`Denied`], the first reason in the order signature, expiry, pool, protocol, target.
pub fn admit(open: &Open, policy_public_key: &[u8], pool: &str, now_ms: i64) -> Result<Admitted, Denied> {
    let session_id = <[u8; 16]>::try_from(open.session_id.as_slice()).map_err(|_| Denied::SessionId)?;
    let signed = open.grant.as_ref().ok_or(Denied::NoGrant)?;
    let grant = open_grant(policy_public_key, signed).map_err(Denied::NotSigned)?;
    if grant.expires_at_ms <= now_ms {
        return Err(Denied::Expired(now_ms.saturating_sub(grant.expires_at_ms) / 1000));
    }
    if grant.pool != pool || pool.is_empty() {
        return Err(Denied::OtherPool {
            granted: grant.pool,
            own: pool.to_owned(),
        });
    }
    if !PROTOCOLS.contains(&grant.protocol.as_str()) {
        return Err(Denied::Protocol(grant.protocol));
    }
    if grant.host.is_empty() {
        return Err(Denied::Target("it has no host"));
    }
    let port = u16::try_from(grant.port).ok().filter(|port| *port != 0);
    let port = port.ok_or(Denied::Target("its port is not 1 to 65535"))?;
    let tls = TlsMode::try_from(grant.tls).map_err(|_| Denied::Target("its TLS mode is unknown to this agent"))?;
    Ok(Admitted {
        session_id,
        grant,
        tls,
        port,
    })
}

#[cfg(test)]
mod tests {
    //! Tests of the agent's own check of a grant.

    use super::*;
    use proto::policy::SignedGrant;
    use proto::sign::SigningKey;

    const NOW: i64 = 1_000_000;

    fn grant() -> TargetGrant {
        TargetGrant {
            connection: "orders".to_owned(),
            protocol: "postgres".to_owned(),
            pool: "office".to_owned(),
            host: "127.0.0.1".to_owned(),
            port: 5432,
            expires_at_ms: NOW + 1,
            ..TargetGrant::default()
        }
    }

    fn open(signed: SignedGrant) -> Open {
        Open {
            session_id: vec![7; 16],
            grant: Some(signed),
            ..Open::default()
        }
    }

    fn checked(change: impl FnOnce(&mut TargetGrant)) -> Result<Admitted, Denied> {
        let (key, _) = SigningKey::generate().unwrap();
        let mut grant = grant();
        change(&mut grant);
        admit(&open(key.sign_grant(&grant)), &key.public(), "office", NOW)
    }

    #[test]
    fn a_grant_for_this_pool_is_admitted() {
        let admitted = checked(|_| ()).unwrap();
        assert_eq!(admitted.port, 5432);
        assert_eq!(admitted.tls, TlsMode::Prefer);
        assert_eq!(admitted.session_id, [7; 16]);
    }

    #[test]
    fn what_is_not_right_is_refused_with_its_reason() {
        assert_eq!(
            checked(|grant| grant.expires_at_ms = NOW).unwrap_err(),
            Denied::Expired(0)
        );
        assert_eq!(
            checked(|grant| grant.expires_at_ms = NOW - 5000).unwrap_err(),
            Denied::Expired(5)
        );
        assert!(matches!(
            checked(|grant| grant.pool = "home".into()),
            Err(Denied::OtherPool { .. })
        ));
        assert!(matches!(
            checked(|grant| grant.pool = String::new()),
            Err(Denied::OtherPool { .. })
        ));
        assert_eq!(
            checked(|grant| grant.protocol = "mysql".into()).unwrap_err(),
            Denied::Protocol("mysql".into())
        );
        assert!(matches!(
            checked(|grant| grant.host = String::new()),
            Err(Denied::Target(_))
        ));
        for port in [0, 65_536, u32::MAX] {
            assert!(
                matches!(checked(|grant| grant.port = port), Err(Denied::Target(_))),
                "{port}"
            );
        }
        assert!(matches!(checked(|grant| grant.tls = 99), Err(Denied::Target(_))));
    }

    #[test]
    fn a_grant_changed_by_one_bit_or_signed_by_another_key_is_refused() {
        let (key, _) = SigningKey::generate().unwrap();
        let (other, _) = SigningKey::generate().unwrap();
        let signed = key.sign_grant(&grant());
        for at in 0..signed.grant.len() {
            let mut changed = signed.clone();
            changed.grant[at] ^= 1;
            let error = admit(&open(changed), &key.public(), "office", NOW).unwrap_err();
            assert_eq!(error, Denied::NotSigned(SignError::BadSignature));
        }
        assert!(admit(&open(signed.clone()), &other.public(), "office", NOW).is_err());
        assert!(admit(&open(signed), &[], "office", NOW).is_err());
    }

    #[test]
    fn a_request_without_grant_or_identifier_is_refused() {
        assert_eq!(
            admit(&Open::default(), &[], "office", NOW).unwrap_err(),
            Denied::SessionId
        );
        let open = Open {
            session_id: vec![0; 16],
            ..Open::default()
        };
        assert_eq!(admit(&open, &[], "office", NOW).unwrap_err(), Denied::NoGrant);
    }
}
