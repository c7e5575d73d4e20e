//! A JSON object that keeps the order of its keys, as the runtime writes it: readers look for byte sequences
//! such as `"usage":{` before they parse.

use std::fmt::Display;

use serde_json::Value;

#[derive(Clone, Debug, Default)]
pub(crate) struct Object(String);

impl Object {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// `value` is JSON already: a number, `true`, `null`, an array, another object.
    pub(crate) fn raw(mut self, key: &str, value: impl Display) -> Self {
        let comma = if self.0.is_empty() { "" } else { "," };
        self.0.push_str(&format!("{comma}{}:{value}", quoted(key)));
        self
    }

    pub(crate) fn text(self, key: &str, value: &str) -> Self {
        self.raw(key, quoted(value))
    }

    /// A string, or `null`.
    pub(crate) fn maybe(self, key: &str, value: Option<&str>) -> Self {
        self.raw(key, value.map_or_else(|| "null".to_owned(), quoted))
    }

    pub(crate) fn with(self, change: impl FnOnce(Self) -> Self) -> Self {
        change(self)
    }
}

impl Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{{{}}}", self.0)
    }
}

pub(crate) fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

pub(crate) fn array(items: impl IntoIterator<Item = impl Display>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    format!("[{}]", items.join(","))
}
