//! `fleet schema`: the JSON Schema of `fleet ps --json`.

use crate::error::Outcome;
use crate::output;

const EXAMPLES: &str = "\
Examples:
  fleet schema > agent-list.schema.json";

const SCHEMA: &str = include_str!("../agent-list.schema.json");

/// Print the JSON Schema of `fleet ps --json`
#[derive(Debug, clap::Args)]
#[command(before_help = EXAMPLES)]
pub struct Args {}

pub fn run(_: &Args) -> Outcome {
    output::data(SCHEMA)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::render::item::{Items, List};
    use crate::render::samples;

    /// Where the value and the schema differ; the few keywords that the schema uses.
    fn differences(schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
        if schema["const"] != Value::Null && schema["const"] != *value {
            found.push(format!("{at}: {value} is not {}", schema["const"]));
        }
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            found.push(format!("{at}: {value} is none of {words:?}"));
        }
        let types: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            _ => return,
        };
        if !types.contains(&type_of(value)) {
            found.push(format!("{at}: {value} is no {types:?}"));
        }
        if let (Some(properties), Some(map)) = (schema["properties"].as_object(), value.as_object()) {
            for key in properties.keys().filter(|key| !map.contains_key(*key)) {
                found.push(format!("{at}.{key}: in the schema, not in the item"));
            }
            for (key, value) in map {
                match properties.get(key) {
                    Some(schema) => differences(schema, value, &format!("{at}.{key}"), found),
                    None => found.push(format!("{at}.{key}: in the item, not in the schema")),
                }
            }
        }
        for (place, value) in value.as_array().into_iter().flatten().enumerate() {
            differences(&schema["items"], value, &format!("{at}[{place}]"), found);
        }
    }

    fn type_of(value: &Value) -> &'static str {
        match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        }
    }

    #[test]
    fn what_is_printed_is_what_the_schema_says_and_the_other_way_round() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let fleet = samples::fleet();
        let scene = samples::funded(&fleet);
        let agents: Vec<_> = fleet.iter().collect();
        let items = Items { agents: &agents, scene: &scene };
        let list = List { origin: Some("collector"), ..List::new("AgentList", items) };
        let mut found = Vec::new();
        differences(&schema, &serde_json::to_value(list).unwrap(), "list", &mut found);
        assert_eq!(found, [""; 0]);
    }
}
