//! The few messages of OTLP that are read, by their numbers in opentelemetry.proto.logs.v1; whatever else a message has is
//! skipped.

use std::borrow::Cow;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ExportLogs {
    #[prost(message, repeated, tag = "1")]
    pub(super) resources: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ResourceLogs {
    #[prost(message, repeated, tag = "2")]
    pub(super) scopes: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ScopeLogs {
    #[prost(message, repeated, tag = "2")]
    pub(super) records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct LogRecord {
    #[prost(fixed64, tag = "1")]
    pub(super) time_unix_nano: u64,
    #[prost(message, optional, tag = "5")]
    pub(super) body: Option<AnyValue>,
    #[prost(message, repeated, tag = "6")]
    pub(super) attributes: Vec<KeyValue>,
    #[prost(string, tag = "12")]
    pub(super) event_name: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    pub(super) key: String,
    #[prost(message, optional, tag = "2")]
    pub(super) value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct AnyValue {
    #[prost(oneof = "Any", tags = "1, 3, 4")]
    pub(super) value: Option<Any>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Any {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Whole(i64),
    #[prost(double, tag = "4")]
    Real(f64),
}

/// Of logs, metrics and traces alike: all of it was taken.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Exported {}

impl LogRecord {
    fn value(&self, key: &str) -> Option<&Any> {
        let attribute = self.attributes.iter().find(|attribute| attribute.key == key)?;
        attribute.value.as_ref()?.value.as_ref()
    }

    pub(super) fn text(&self, key: &str) -> Option<Cow<'_, str>> {
        Some(match self.value(key)? {
            Any::Text(text) => Cow::Borrowed(text.as_str()),
            Any::Whole(number) => Cow::Owned(number.to_string()),
            Any::Real(number) => Cow::Owned(number.to_string()),
        })
    }

    /// Some senders write numbers as texts.
    pub(super) fn count(&self, key: &str) -> Option<u64> {
        match self.value(key)? {
            Any::Whole(number) => u64::try_from(*number).ok(),
            Any::Real(number) => (*number >= 0.0 && *number < 1e15).then_some(*number as u64),
            Any::Text(text) => text.parse().ok(),
        }
    }

    /// `claude_code.api_request`, in whichever of the places for it.
    pub(super) fn name(&self) -> Cow<'_, str> {
        if !self.event_name.is_empty() {
            return Cow::Borrowed(&self.event_name);
        }
        match self.body.as_ref().and_then(|body| body.value.as_ref()) {
            Some(Any::Text(text)) if text.len() <= 64 => Cow::Borrowed(text),
            _ => self.text("event.name").unwrap_or_default(),
        }
    }
}
