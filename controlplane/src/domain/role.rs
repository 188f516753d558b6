//! Roles of people and programs in the control plane, and what a set of them allows. Whoever has none is a member.

use serde::{Deserialize, Serialize};

/// What a user may do beyond their own affairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads and changes everything.
    Admin,
    /// Reads everything, changes nothing.
    Auditor,
    /// Decides every review but those of their own requests.
    Approver,
}

impl Role {
    /// All of them, the strongest first.
    pub const ALL: [Role; 3] = [Role::Admin, Role::Auditor, Role::Approver];
    /// Their words.
    pub const NAMES: [&'static str; 3] = ["admin", "auditor", "approver"];

    /// The word in files, in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Role::Admin => "admin",
            Role::Auditor => "auditor",
            Role::Approver => "approver",
        }
    }

    /// The role called `name`.
    pub fn from_name(name: &str) -> Option<Role> {
        Role::ALL.into_iter().find(|role| role.name() == name)
    }
}

/// A set of roles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roles {
    admin: bool,
    auditor: bool,
    approver: bool,
}

impl Roles {
    /// The administrator's.
    pub const ADMIN: Roles = Roles {
        admin: true,
        auditor: false,
        approver: false,
    };

    /// Whether everything may be changed.
    pub fn is_admin(self) -> bool {
        self.admin
    }

    /// Whether everything may be read.
    pub fn sees_all(self) -> bool {
        self.admin || self.auditor
    }

    /// Whether every review may be decided.
    pub fn decides_all(self) -> bool {
        self.admin || self.approver
    }

    /// Their words, the strongest first; empty for a member.
    pub fn names(self) -> Vec<&'static str> {
        let has = [self.admin, self.auditor, self.approver];
        Role::ALL
            .into_iter()
            .zip(has)
            .filter(|(_, has)| *has)
            .map(|(role, _)| role.name())
            .collect()
    }

    /// The strongest role's word; `member` where there is none.
    pub fn strongest(self) -> &'static str {
        self.names().first().copied().unwrap_or("member")
    }

    /// One more.
    pub fn with(mut self, role: Role) -> Roles {
        match role {
            Role::Admin => self.admin = true,
            Role::Auditor => self.auditor = true,
            Role::Approver => self.approver = true,
        }
        self
    }
}

impl FromIterator<Role> for Roles {
    fn from_iter<I: IntoIterator<Item = Role>>(roles: I) -> Roles {
        roles.into_iter().fold(Roles::default(), Roles::with)
    }
}

/// Groups whose members have a role, as the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleGroups {
    pub admin: Vec<String>,
    pub auditor: Vec<String>,
    pub approver: Vec<String>,
}

impl RoleGroups {
    /// The roles of somebody with roles of their own, in these groups.
    pub fn roles(&self, own: &[Role], groups: &[String]) -> Roles {
        let by_group = [
            (Role::Admin, &self.admin),
            (Role::Auditor, &self.auditor),
            (Role::Approver, &self.approver),
        ];
        by_group
            .into_iter()
            .filter(|(_, named)| named.iter().any(|group| groups.contains(group)))
            .map(|(role, _)| role)
            .chain(own.iter().copied())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_come_from_the_user_and_from_groups() {
        let groups = RoleGroups {
            admin: vec!["ops".to_owned()],
            approver: vec!["leads".to_owned()],
            ..RoleGroups::default()
        };
        let in_groups = |own: &[Role], names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            groups.roles(own, &names).names()
        };
        assert_eq!(in_groups(&[], &["engineering"]), Vec::<&str>::new());
        assert_eq!(in_groups(&[Role::Auditor], &["leads"]), ["auditor", "approver"]);
        assert_eq!(in_groups(&[], &["ops", "leads"]), ["admin", "approver"]);
        assert_eq!(groups.roles(&[], &[]).strongest(), "member");
        assert_eq!(
            groups.roles(&[Role::Approver, Role::Auditor], &[]).strongest(),
            "auditor"
        );
    }

    #[test]
    fn an_auditor_changes_nothing_and_an_approver_reads_no_more_than_a_member() {
        let auditor: Roles = [Role::Auditor].into_iter().collect();
        assert!(auditor.sees_all() && !auditor.is_admin() && !auditor.decides_all());
        let approver: Roles = [Role::Approver].into_iter().collect();
        assert!(!approver.sees_all() && !approver.is_admin() && approver.decides_all());
        assert!(Roles::ADMIN.sees_all() && Roles::ADMIN.decides_all());
    }
}
