//! Gemini CLI: its recorded chats. Its process and its screen are not recognised yet.

pub mod chat;

pub const NAME: &str = "gemini";
