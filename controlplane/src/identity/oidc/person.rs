//! From a person of the identity provider to a user of ours: by the link that the first login made, by a checked e-mail
//! address, or a new user; and the groups that the provider names.

use super::claims::Person;
use super::{LoginError, OidcConfig};
use crate::App;
use crate::domain::model::{Body, Entry, Kind, Owner, User, UserStatus, UserType};
use crate::limits::NAME_CHARS_MAX;
use crate::publish::{PublishError, change_of, entry_for};
use crate::store::objects::{Change, PolicyState};

/// The user that this person is. A new one may do nothing but what the provider's groups give.
pub async fn user_of(app: &App, config: &OidcConfig, person: &Person) -> Result<(Entry, User), LoginError> {
    let linked = app.store.linked_user(&config.issuer, &person.subject).await?;
    let known = linked.clone();
    let edited = app
        .publisher
        .edit(move |state| decide(state, config, person, known.as_deref()))
        .await;
    let (id, _) = edited.map_err(|Failed(error)| error)?;
    let state = app.publisher.state();
    let found = state.catalog.users().find(|(entry, _)| entry.id == id);
    let (entry, user) = found.ok_or(LoginError::Unknown)?;
    if user.status != UserStatus::Active || user.kind != UserType::Person {
        return Err(LoginError::Person(format!("the user {} may not log in", user.name)));
    }
    if linked.as_deref() != Some(id.as_str()) {
        app.store.link_user(&config.issuer, &person.subject, &id).await?;
    }
    Ok((entry.clone(), user.clone()))
}

/// The user's id, and what changes with this login.
fn decide(
    state: &PolicyState,
    config: &OidcConfig,
    person: &Person,
    linked: Option<&str>,
) -> Result<(Change, String), Failed> {
    let trusted = person
        .email
        .as_deref()
        .filter(|_| person.email_verified || config.trust_email);
    let by_id = linked.and_then(|id| state.catalog.users().find(|(entry, _)| entry.id == id));
    let by_email = || {
        let email = trusted?;
        state.catalog.users().find(|(_, user)| {
            user.kind == UserType::Person && user.email.as_deref().is_some_and(|own| own.eq_ignore_ascii_case(email))
        })
    };
    let Some((entry, user)) = by_id.or_else(by_email) else {
        let user = User {
            name: free_name(state, person)?,
            email: trusted.map(str::to_owned),
            groups: person.groups.clone().unwrap_or_default(),
            status: UserStatus::Active,
            roles: Vec::new(),
            kind: UserType::Person,
        };
        let entry = entry_for(state, Body::User(user), Owner::Login);
        let id = entry.id.clone();
        return Ok((
            change_of(state, vec![entry], Vec::new()).map_err(PublishError::from)?,
            id,
        ));
    };
    let id = entry.id.clone();
    // Who made a user says its groups: a policy file and the API are not overruled by a login.
    let groups = person
        .groups
        .as_ref()
        .filter(|groups| entry.managed_by == Owner::Login && **groups != user.groups);
    let Some(groups) = groups else {
        return Ok((Change::default(), id));
    };
    let changed = User {
        groups: groups.clone(),
        ..user.clone()
    };
    let entry = entry_for(state, Body::User(changed), Owner::Login);
    Ok((
        change_of(state, vec![entry], Vec::new()).map_err(PublishError::from)?,
        id,
    ))
}

/// A name that nobody has: what the provider calls them, else the address.
fn free_name(state: &PolicyState, person: &Person) -> Result<String, LoginError> {
    let email = person.email.as_deref();
    let local = email.and_then(|email| email.split('@').next());
    let wishes = [person.name.as_deref(), local, email, Some(person.subject.as_str())];
    wishes
        .into_iter()
        .flatten()
        .map(as_name)
        .find(|name| !name.is_empty() && !state.catalog.has(Kind::User, name))
        .ok_or_else(|| {
            LoginError::Person("every name that fits you is somebody else's: ask an administrator".to_owned())
        })
}

/// The part of a text that can be a user's name.
fn as_name(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || "._-@+".contains(c) {
                c
            } else {
                '-'
            }
        })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(NAME_CHARS_MAX)
        .collect()
}

/// An error of ours through the publisher's door.
struct Failed(LoginError);

impl From<PublishError> for Failed {
    fn from(error: PublishError) -> Self {
        Failed(LoginError::Person(format!(
            "the policy does not take the user: {error}"
        )))
    }
}

impl From<LoginError> for Failed {
    fn from(error: LoginError) -> Self {
        Failed(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> OidcConfig {
        OidcConfig {
            issuer: "https://id.example".to_owned(),
            client_id: "sluice".to_owned(),
            client_secret: String::new(),
            audience: None,
            scopes: Vec::new(),
            groups_claim: "groups".to_owned(),
            trust_email: false,
            recheck_seconds: 0,
        }
    }

    fn person(email_verified: bool) -> Person {
        Person {
            subject: "s1".to_owned(),
            email: Some("Alice@example.com".to_owned()),
            email_verified,
            name: Some("alice".to_owned()),
            groups: Some(vec!["ops".to_owned()]),
        }
    }

    fn state(owner: Owner) -> (PolicyState, String) {
        let user = User {
            name: "alice".to_owned(),
            email: Some("alice@example.com".to_owned()),
            groups: vec!["old".to_owned()],
            status: UserStatus::Active,
            roles: Vec::new(),
            kind: UserType::Person,
        };
        let mut state = PolicyState::default();
        let entry = entry_for(&state, Body::User(user), owner);
        let id = entry.id.clone();
        state.catalog.entries.insert(entry.body.key(), entry);
        (state, id)
    }

    fn decided(state: &PolicyState, person: &Person, linked: Option<&str>) -> (Change, String) {
        decide(state, &config(), person, linked).unwrap_or_else(|Failed(error)| panic!("{error}"))
    }

    fn user_in(change: &Change) -> &User {
        match &change.puts[0].body {
            Body::User(user) => user,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_checked_address_finds_the_user_and_an_unchecked_one_does_not() {
        let (state, id) = state(Owner::Policy);
        let (change, found) = decided(&state, &person(true), None);
        assert_eq!(found, id);
        // A file says the groups of its users.
        assert!(change.is_empty());
        let (change, found) = decided(&state, &person(false), None);
        assert_ne!(found, id);
        // The name is taken too: the next best is used, and the unchecked address is not kept.
        assert_eq!(
            (user_in(&change).name.as_str(), &user_in(&change).email),
            ("Alice", &None)
        );
        assert_eq!(change.puts[0].managed_by, Owner::Login);
    }

    #[test]
    fn groups_follow_the_provider_for_users_that_it_made() {
        let (state, id) = state(Owner::Login);
        let (change, found) = decided(&state, &person(false), Some(&id));
        assert_eq!(found, id);
        assert_eq!(user_in(&change).groups, ["ops"]);
        let silent = Person {
            groups: None,
            ..person(false)
        };
        assert!(decided(&state, &silent, Some(&id)).0.is_empty());
        let gone = decided(&state, &person(false), Some("no such id"));
        assert_eq!(user_in(&gone.0).roles, Vec::new());
    }

    #[test]
    fn names_are_made_to_fit() {
        assert_eq!(as_name("  Zoë Müller"), "Zo--M-ller");
        assert_eq!(as_name("../../etc"), "etc");
        assert_eq!(as_name("日本"), "");
        assert_eq!(as_name(&"x".repeat(200)).len(), NAME_CHARS_MAX);
    }
}
