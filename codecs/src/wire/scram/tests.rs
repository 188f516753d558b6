//! RFC 7677's example, both faces against each other, and hostile messages.
