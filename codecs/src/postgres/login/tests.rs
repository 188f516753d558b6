//! Conversations of both faces, written as dialogues.

mod downstream;
mod upstream;
