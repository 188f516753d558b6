//! Conversations of both faces, written as dialogues.
