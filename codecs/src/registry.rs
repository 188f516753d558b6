//! The one list of protocols: adding one is a folder and a line here.

use crate::spec::Spec;

/// Every protocol that this build speaks.
pub const PROTOCOLS: &[&Spec] = &[&crate::postgres::SPEC, &crate::http::SPEC];

/// Finds a protocol by its name or one of its aliases.
pub fn protocol(name: &str) -> Option<&'static Spec> {
    PROTOCOLS
        .iter()
        .copied()
        .find(|spec| spec.name == name || spec.aliases.contains(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_ports_are_unique() {
        let mut names: Vec<&str> = PROTOCOLS
            .iter()
            .flat_map(|s| s.aliases.iter().copied().chain([s.name]))
            .collect();
        let mut ports: Vec<u16> = PROTOCOLS.iter().map(|s| s.listen_port_default).collect();
        let (all_names, all_ports) = (names.len(), ports.len());
        names.sort_unstable();
        names.dedup();
        ports.sort_unstable();
        ports.dedup();
        assert_eq!((names.len(), ports.len()), (all_names, all_ports));
    }

    #[test]
    fn finds_postgres_by_both_names() {
        assert_eq!(protocol("postgres").map(|s| s.port_default), Some(5432));
        assert_eq!(protocol("postgresql").map(|s| s.name), Some("postgres"));
        assert_eq!(protocol("gopher"), None);
    }
}
