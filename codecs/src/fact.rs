//! Protocol-neutral meaning of frames.
