//! Plans: idempotent, complete, and blind to what others made.

use super::*;
use crate::domain::file::parse;
use crate::domain::model::Entry;
use proptest::prelude::*;

fn apply(catalog: &mut Catalog, plan: Plan) {
    for key in plan.deletes {
        catalog.entries.remove(&key);
    }
    for body in plan.puts {
        put(catalog, body, Owner::Policy);
    }
}

fn put(catalog: &mut Catalog, body: Body, managed_by: Owner) {
    let entry = Entry {
        id: body.name().to_owned(),
        body,
        managed_by,
        created_micros: 0,
        updated_micros: 0,
    };
    catalog.entries.insert(entry.body.key(), entry);
}

fn users(names: &[(&str, &str)]) -> BTreeMap<Key, Body> {
    let text: String = names
        .iter()
        .map(|(name, group)| format!("[[user]]\nname = \"{name}\"\ngroups = [\"{group}\"]\n"))
        .collect();
    parse(&text).unwrap()
}

#[test]
fn a_file_is_created_updated_deleted_and_then_nothing() {
    let mut catalog = Catalog::default();
    let first = plan(&catalog, users(&[("alice", "a"), ("bob", "a")]), false).unwrap();
    assert!(first.changes.iter().all(|c| c.action == Action::Create));
    apply(&mut catalog, first);
    let second = plan(&catalog, users(&[("alice", "b")]), false).unwrap();
    assert_eq!(second.changes.len(), 2);
    assert_eq!(second.changes[0].action, Action::Update);
    assert_eq!(second.changes[0].fields[0].field, "groups");
    assert_eq!(
        (second.changes[1].action, second.changes[1].name.as_str()),
        (Action::Delete, "bob")
    );
    apply(&mut catalog, second);
    let third = plan(&catalog, users(&[("alice", "b")]), false).unwrap();
    assert_eq!((third.changes.len(), third.unchanged), (0, 1));
}

#[test]
fn what_others_made_is_left_alone() {
    let mut catalog = Catalog::default();
    for body in users(&[("alice", "a"), ("bob", "a")]).into_values() {
        put(&mut catalog, body, Owner::Api);
    }
    let untouched = plan(&catalog, users(&[("alice", "a")]), false).unwrap();
    assert_eq!((untouched.changes.len(), untouched.deletes.len()), (0, 0));
    assert!(matches!(
        plan(&catalog, users(&[("alice", "b")]), false),
        Err(PlanError::NotOwned(_))
    ));
    let adopted = plan(&catalog, users(&[("alice", "b")]), true).unwrap();
    assert_eq!(adopted.puts.len(), 1);
}

#[test]
fn a_changed_literal_is_a_change_that_shows_nothing() {
    let connection = |password: &str| {
        parse(&format!(
            "[[connection]]\nname = \"a\"\ntype = \"postgres\"\nvia = \"direct\"\nhost = \"h\"\nusername = \"env:U\"\npassword = \"{password}\"\n"
        ))
        .unwrap()
    };
    let mut catalog = Catalog::default();
    apply(
        &mut catalog,
        plan(&Catalog::default(), connection("literal:one"), false).unwrap(),
    );
    let changed = plan(&catalog, connection("literal:two"), false).unwrap();
    assert_eq!(changed.changes.len(), 1);
    assert!(!serde_json::to_string(&changed.changes).unwrap().contains("two"));
    let same = plan(&catalog, connection("literal:***"), false).unwrap();
    assert_eq!(same.unchanged, 1);
}

proptest! {
    #[test]
    fn applying_twice_changes_nothing(
        before in proptest::collection::btree_map("[a-d]", "[xy]", 0..4),
        after in proptest::collection::btree_map("[a-d]", "[xy]", 0..4),
    ) {
        let file = |map: &BTreeMap<String, String>| {
            users(&map.iter().map(|(n, g)| (n.as_str(), g.as_str())).collect::<Vec<_>>())
        };
        let mut catalog = Catalog::default();
        apply(&mut catalog, plan(&Catalog::default(), file(&before), false).unwrap());
        let step = plan(&catalog, file(&after), false).unwrap();
        apply(&mut catalog, step);
        prop_assert_eq!(catalog.entries.len(), after.len());
        let again = plan(&catalog, file(&after), false).unwrap();
        prop_assert!(again.changes.is_empty() && again.puts.is_empty() && again.deletes.is_empty());
    }
}
