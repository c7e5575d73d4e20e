//! One message row of opencode's database, pure. A row is updated in place while its answer streams, and a fork copies
//! rows under new ids: what was created before its session began belongs to the session that was forked.

use std::borrow::Cow;

use fleet_domain::SessionId;
use fleet_domain::price::Money;
use fleet_domain::text;
use fleet_domain::time::Wall;
use fleet_domain::usage::{Record, Terms, Tokens};
use serde::Deserialize;

/// A row with what its session says. Times in milliseconds since the epoch.
#[derive(Debug, Clone, Copy)]
pub struct Stored<'a> {
    pub id: &'a str,
    pub session: &'a str,
    pub session_created: i64,
    /// The session says that the row is a copy.
    pub copied: bool,
    /// A session that another one started for a part of its work.
    pub child: bool,
    /// JSON.
    pub data: &'a [u8],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// What was billed so far, and whether the answer is complete.
    Response {
        record: Record,
        complete: bool,
    },
    /// Begun, and nothing billed yet.
    Begun,
    /// No answer of a model, or a copy of one.
    Other,
    Unreadable,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    role: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow, default, rename = "modelID")]
    model_id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    model: Option<Model<'a>>,
    #[serde(default)]
    tokens: Option<Counts>,
    /// US dollars.
    #[serde(default)]
    cost: Option<f64>,
    #[serde(default)]
    time: Option<Time>,
}

/// The later schema keeps the model as an object.
#[derive(Deserialize)]
struct Model<'a> {
    #[serde(borrow, default, alias = "modelID")]
    id: Option<Cow<'a, str>>,
}

#[derive(Deserialize, Clone, Copy)]
struct Time {
    #[serde(default)]
    created: Option<i64>,
    #[serde(default)]
    completed: Option<i64>,
}

/// Input excludes cache; reasoning stands beside the output.
#[derive(Deserialize, Clone, Copy)]
struct Counts {
    #[serde(default)]
    input: Option<u64>,
    #[serde(default)]
    output: Option<u64>,
    #[serde(default)]
    reasoning: Option<u64>,
    #[serde(default)]
    cache: Option<Cache>,
}

#[derive(Deserialize, Clone, Copy)]
struct Cache {
    #[serde(default)]
    read: Option<u64>,
    #[serde(default)]
    write: Option<u64>,
}

impl Counts {
    fn tokens(self) -> Tokens {
        let reasoning = self.reasoning.unwrap_or(0);
        Tokens {
            input: self.input.unwrap_or(0),
            cache_read: self.cache.and_then(|cache| cache.read).unwrap_or(0),
            cache_write_5m: self.cache.and_then(|cache| cache.write).unwrap_or(0),
            cache_write_1h: 0,
            output: self.output.unwrap_or(0).saturating_add(reasoning),
            reasoning,
        }
    }
}

pub fn parse(row: &Stored<'_>) -> Row {
    let Ok(data) = serde_json::from_slice::<Data<'_>>(row.data) else { return Row::Unreadable };
    if data.role.as_deref().or(data.kind.as_deref()) != Some("assistant") {
        return Row::Other;
    }
    let created = data.time.and_then(|time| time.created);
    let (Some(created), false) = (created, row.id.is_empty()) else { return Row::Unreadable };
    if row.copied || created < row.session_created {
        return Row::Other;
    }
    let complete = data.time.is_some_and(|time| time.completed.is_some());
    let Some(tokens) = data.tokens.map(Counts::tokens).filter(|tokens| !tokens.is_zero()) else {
        return if complete { Row::Other } else { Row::Begun };
    };
    let named = data.model_id.as_deref().or(data.model.as_ref().and_then(|model| model.id.as_deref()));
    let record = Record {
        id: format!("opencode:{}", text::clean(row.id, 128)),
        conversation: SessionId::new(row.session),
        model: text::clean(named.unwrap_or_default(), 100),
        at: Wall(created),
        tokens,
        sidechain: row.child,
        terms: Terms::default(),
        // Nothing, where opencode knows no price.
        reported: data.cost.filter(|usd| *usd > 0.0).and_then(Money::from_usd),
    };
    Row::Response { record, complete }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DATA: &str = r#"{"role":"assistant","parentID":"m0","agent":"build","modelID":"fake-model","providerID":"fake","cost":0.005145,"tokens":{"total":13243,"input":200,"output":33,"reasoning":10,"cache":{"write":0,"read":13000}},"time":{"created":1000,"completed":1500},"finish":"tool-calls"}"#;

    fn stored(data: &[u8]) -> Stored<'_> {
        Stored { id: "msg_a", session: "ses_1", session_created: 900, copied: false, child: false, data }
    }

    #[test]
    fn reasoning_is_added_to_the_output() {
        let Row::Response { record, complete } = parse(&stored(DATA.as_bytes())) else { panic!() };
        let expected =
            Tokens { input: 200, cache_read: 13_000, output: 43, reasoning: 10, ..Tokens::default() };
        assert_eq!((record.tokens, record.model.as_str(), complete), (expected, "fake-model", true));
        assert_eq!(record.reported, Some(Money(5_145_000_000)));
        let free = DATA.replace("0.005145", "0");
        assert!(
            matches!(parse(&stored(free.as_bytes())), Row::Response { record, .. } if record.reported.is_none())
        );
    }

    #[test]
    fn a_forks_copies_are_its_parents() {
        let copy = Stored { session_created: 1001, ..stored(DATA.as_bytes()) };
        assert_eq!(parse(&copy), Row::Other);
        assert_eq!(parse(&Stored { copied: true, ..stored(DATA.as_bytes()) }), Row::Other);
    }

    #[test]
    fn an_answer_under_way_is_known_as_such() {
        let begun = r#"{"role":"assistant","modelID":"m","tokens":{"input":0,"output":0,"reasoning":0,"cache":{"read":0,"write":0}},"time":{"created":1000}}"#;
        assert_eq!(parse(&stored(begun.as_bytes())), Row::Begun);
        let part = begun.replace("\"output\":0", "\"output\":7");
        assert!(matches!(parse(&stored(part.as_bytes())), Row::Response { complete: false, .. }));
        assert_eq!(parse(&stored(br#"{"role":"user","time":{"created":1}}"#)), Row::Other);
    }

    #[test]
    fn the_later_schemas_names_are_understood() {
        let later = DATA.replace("\"role\":\"assistant\"", "\"type\":\"assistant\"").replace(
            "\"modelID\":\"fake-model\"",
            "\"model\":{\"id\":\"fake-model\",\"providerID\":\"fake\"}",
        );
        let Row::Response { record, .. } = parse(&stored(later.as_bytes())) else { panic!() };
        assert_eq!(record.model, "fake-model");
    }

    proptest! {
        #[test]
        fn any_damage_is_an_answer_never_a_panic(at in 0..DATA.len(), with in any::<u8>()) {
            let mut data = DATA.as_bytes().to_vec();
            data[at] = with;
            let _ = parse(&stored(&data));
        }
    }
}
