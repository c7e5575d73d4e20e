//! The same values as YAML. Scalars are written as JSON writes them, which YAML reads as they are.

use serde_json::Value;

pub fn of(value: &Value) -> String {
    let mut out = String::new();
    block(value, 0, &mut out);
    out
}

fn block(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (place, (key, value)) in map.iter().enumerate() {
                // The first key of a list's item stands on the item's own line.
                if place > 0 || !out.ends_with("- ") {
                    indent(depth, out);
                }
                out.push_str(key);
                out.push(':');
                nested(value, depth, out);
            }
        }
        Value::Array(items) if !items.is_empty() => {
            for item in items {
                indent(depth, out);
                out.push_str("- ");
                block(item, depth + 1, out);
            }
        }
        scalar => {
            out.push_str(&scalar.to_string());
            out.push('\n');
        }
    }
}

fn nested(value: &Value, depth: usize, out: &mut String) {
    let has_lines = value.as_object().is_some_and(|map| !map.is_empty())
        || value.as_array().is_some_and(|list| !list.is_empty());
    out.push(if has_lines { '\n' } else { ' ' });
    block(value, if has_lines { depth + 1 } else { depth }, out);
}

fn indent(depth: usize, out: &mut String) {
    out.extend(std::iter::repeat_n("  ", depth));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_maps_nest_and_empty_ones_stay_in_line() {
        let value = serde_json::json!({"kind": "L", "items": [{"a": 1, "b": {"c": null}, "d": []}, {"a": "x: y"}], "z": {}});
        let expected =
            "items:\n  - a: 1\n    b:\n      c: null\n    d: []\n  - a: \"x: y\"\nkind: \"L\"\nz: {}\n";
        assert_eq!(of(&value), expected);
    }
}
