//! Functions of the server that drivers call by number (PostgreSQL, `pg_proc.dat`: these numbers are the same in every version).

/// Name of a function that drivers are known to call by its number; large objects are worked on that way.
pub fn name(oid: u32) -> Option<&'static str> {
    Some(match oid {
        715 => "lo_create",
        764 | 767 => "lo_import",
        765 => "lo_export",
        952 => "lo_open",
        953 => "lo_close",
        954 => "loread",
        955 => "lowrite",
        956 => "lo_lseek",
        957 => "lo_creat",
        958 => "lo_tell",
        964 => "lo_unlink",
        1004 => "lo_truncate",
        3170 => "lo_lseek64",
        3171 => "lo_tell64",
        3172 => "lo_truncate64",
        _ => return None,
    })
}
