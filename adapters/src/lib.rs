//! The edge to the machine, one module per source: values come out, decisions are taken elsewhere.

pub mod tmux;
