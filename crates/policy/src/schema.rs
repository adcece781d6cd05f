//! The JSON Schema of a policy file, from the same tables as the reader, for editors and other people's checks.

use crate::DEFAULT;
use crate::keys::{self, Key, MARKET, POOL, Presence, SOURCE, TIER};
use crate::quantity::{Form, NAME_PATTERN};
use protocol::MarketParams;
use serde_json::{Map, Value, json};

/// The JSON Schema (draft 2020-12) of a policy file, as text. It knows keys, types and units; what values must
/// satisfy among each other is said by the protocol's validation alone.
#[must_use]
pub fn schema() -> String {
    let names = json!({ "pattern": NAME_PATTERN });
    let full = market(true);
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Seawall policy",
        "type": "object",
        "required": ["pool", "market", "source"],
        "additionalProperties": false,
        "properties": {
            "pool": {
                "description": "Risk pools by name; ids follow their order in the file.",
                "type": "object",
                "minProperties": 1,
                "propertyNames": names,
                "additionalProperties": object(POOL, "", true),
            },
            "market": {
                "description": "What holds for every market, and what single markets say differently.",
                "type": "object",
                "required": [DEFAULT],
                "propertyNames": names,
                "properties": { DEFAULT: full },
                "additionalProperties": market(false),
            },
            "source": {
                "description": "What holds for every source, and what single sources say differently.",
                "type": "object",
                "required": [DEFAULT],
                "propertyNames": names,
                "properties": { DEFAULT: object(SOURCE, "", true) },
                "additionalProperties": object(SOURCE, "", false),
            },
        },
    });
    let mut text = format!("{schema:#}");
    text.push('\n');
    text
}

fn market(is_default: bool) -> Value {
    let mut market = object(MARKET, "", is_default);
    let tiers = json!({
        "description": "Margin tiers by notional, rates marginal, bounds rising from zero; overridden as a whole.",
        "type": "array",
        "minItems": 1,
        "maxItems": MarketParams::TIERS_MAX,
        "items": object(TIER, "", true),
    });
    let sources = json!({
        "description": "What holds for a source in this market only.",
        "type": "object",
        "propertyNames": { "pattern": NAME_PATTERN, "not": { "const": DEFAULT } },
        "additionalProperties": object(SOURCE, "", false),
    });
    if let Some(properties) = market.get_mut("properties").and_then(Value::as_object_mut) {
        properties.insert("tier".to_owned(), tiers);
        if !is_default {
            properties.insert("source".to_owned(), sources);
        }
    }
    if let Some(required) = market.get_mut("required").and_then(Value::as_array_mut) {
        required.push(json!("tier"));
    }
    market
}

/// The table that `prefix` (empty, or ending in a dot) denotes.
fn object(keys: &'static [Key], prefix: &str, is_default: bool) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for name in keys::segments(keys, prefix) {
        let path = format!("{prefix}{name}");
        match keys::find(keys, &path) {
            Some(key) if is_default && key.presence == Presence::NamedOnly => {}
            Some(key) => {
                if key.presence == Presence::Required {
                    required.push(json!(name));
                }
                properties.insert(name.to_owned(), leaf(key));
            }
            None => {
                required.push(json!(name));
                properties.insert(name.to_owned(), object(keys, &format!("{path}."), is_default));
            }
        }
    }
    let mut object = json!({ "type": "object", "additionalProperties": false, "properties": properties });
    if let (true, Some(object)) = (is_default, object.as_object_mut()) {
        object.insert("required".to_owned(), Value::Array(required));
    }
    object
}

fn leaf(key: &Key) -> Value {
    match key.form {
        Form::Count { max } => {
            json!({ "description": key.about, "type": "integer", "minimum": 0, "maximum": max })
        }
        Form::Choice { of } => {
            let pattern = format!("^({})$", of.join("|"));
            json!({ "description": key.about, "type": "string", "pattern": pattern, "examples": [key.example] })
        }
        Form::Span | Form::Ratio | Form::Money | Form::Price | Form::Name => {
            json!({ "description": key.about, "type": "string", "pattern": key.form.pattern(), "examples": [key.example] })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Policy;
    use crate::write::tests::shipped;

    /// The keywords that [`schema`] uses and no others; what is wrong, by path.
    fn violations(schema: &Value, value: &Value, path: &str, found: &mut Vec<String>) {
        let schema = schema.as_object().unwrap();
        for (keyword, says) in schema {
            match keyword.as_str() {
                "$schema" | "title" | "description" | "examples" | "properties" | "additionalProperties" => {}
                "type" => {
                    let is = match value {
                        Value::String(_) => "string",
                        Value::Number(n) if n.is_i64() => "integer",
                        Value::Object(_) => "object",
                        Value::Array(_) => "array",
                        Value::Number(_) | Value::Bool(_) | Value::Null => "other",
                    };
                    if says != is {
                        found.push(format!("{path}: {is}"));
                    }
                }
                "required" => {
                    for name in says.as_array().unwrap() {
                        if value.get(name.as_str().unwrap()).is_none() {
                            found.push(format!("{path}: no {name}"));
                        }
                    }
                }
                "pattern" => {
                    let pattern = regex_lite::Regex::new(says.as_str().unwrap()).unwrap();
                    if !value.as_str().is_some_and(|text| pattern.is_match(text)) {
                        found.push(format!("{path}: {value}"));
                    }
                }
                "propertyNames" => {
                    for name in value.as_object().into_iter().flat_map(Map::keys) {
                        violations(says, &json!(name), path, found);
                    }
                }
                "not" => {
                    if says.get("const") == Some(value) {
                        found.push(format!("{path}: {value}"));
                    }
                }
                "minimum" if value.as_i64() < says.as_i64() => found.push(format!("{path}: {value}")),
                "maximum" if says.as_i64() < value.as_i64() => found.push(format!("{path}: {value}")),
                "minimum" | "maximum" => {}
                "minProperties" => assert!(value.as_object().is_some_and(|o| !o.is_empty()), "{path}"),
                "minItems" => assert!(value.as_array().is_some_and(|a| !a.is_empty()), "{path}"),
                "maxItems" => {
                    let len = u64::try_from(value.as_array().map_or(0, Vec::len)).unwrap();
                    assert!(len <= says.as_u64().unwrap(), "{path}");
                }
                "items" => {
                    for item in value.as_array().into_iter().flatten() {
                        violations(says, item, &format!("{path}[]"), found);
                    }
                }
                other => panic!("unknown keyword {other}"),
            }
        }
        for (name, below) in value.as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            match (schema.get("properties").and_then(|p| p.get(name)), schema.get("additionalProperties")) {
                (Some(schema), _) => violations(schema, below, &path, found),
                (None, Some(Value::Bool(false))) => found.push(format!("{path}: unknown")),
                (None, Some(schema)) => violations(schema, below, &path, found),
                (None, None) => {}
            }
        }
    }

    fn check(toml: &str) -> Vec<String> {
        let value: Value = toml::from_str(toml).unwrap();
        let mut found = Vec::new();
        violations(&serde_json::from_str(&schema()).unwrap(), &value, "", &mut found);
        found
    }

    /// A file with every key that the schema knows, each with its example.
    fn example(schema: &Value) -> Value {
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let mut table = Map::new();
        for (name, below) in properties {
            let value = match below["type"].as_str() {
                Some("string") => below["examples"][0].clone(),
                Some("integer") => json!(1),
                Some("array") => json!([example(&below["items"])]),
                Some("object") => example(below),
                other => panic!("{other:?}"),
            };
            table.insert(name.clone(), value);
        }
        if let Some(named) = schema.get("additionalProperties").filter(|named| named.is_object()) {
            table.insert("main".to_owned(), example(named));
        }
        Value::Object(table)
    }

    fn leaves(value: &Value) -> usize {
        match value {
            Value::Object(table) => table.values().map(leaves).sum(),
            Value::Array(items) => items.iter().map(leaves).sum(),
            Value::String(_) | Value::Number(_) | Value::Bool(_) | Value::Null => 1,
        }
    }

    #[test]
    fn the_reader_accepts_every_key_of_the_schema() {
        let example = example(&serde_json::from_str(&schema()).unwrap());
        let text = toml::to_string(&example).unwrap();
        let policy = Policy::parse(&text, "p.toml").map_err(|error| error.to_string()).unwrap();
        // Pools, both kinds of market with tiers, a market's source, both kinds of source without the default's
        // lineage, kind, rung and quote.
        let expected = POOL.len() + 2 * (MARKET.len() + TIER.len()) + 3 * SOURCE.len() - 4;
        assert_eq!(leaves(&example), expected);
        assert_eq!(check(&policy.to_toml()), Vec::<String>::new());
    }

    #[test]
    fn the_schema_accepts_the_shipped_policies() {
        for name in ["default.toml", "competent.toml"] {
            assert_eq!(check(&shipped(name).to_toml()), Vec::<String>::new(), "{name}");
        }
    }

    #[test]
    fn the_schema_refuses_what_the_reader_refuses() {
        let text = shipped("default.toml").to_toml();
        for (from, to, found) in [
            ("\nage_max = \"10s\"", "\nage_max = \"10\"", ".market.default.oracle.age_max: \"10\""),
            ("\nage_max = \"10s\"", "\nage_max = 10", ".market.default.oracle.age_max: integer"),
            ("\nage_max = \"10s\"", "", ".market.default.oracle: no \"age_max\""),
            ("\nweight = 1", "\nwieght = 1\nweight = 1", ".source.default.wieght: unknown"),
            ("\nweight = 1", "\nweight = -1", ".source.default.weight: -1"),
            ("\nlineages_min = 2", "\nlineages_min = 256", ".market.default.oracle.lineages_min: 256"),
            ("\nweight = 1", "\nweight = 1\nlineage = \"x\"", ".source.default.lineage: unknown"),
            ("[source.default]", "[source.x]\nkind = \"bars\"\n[source.default]", ".source.x.kind: \"bars\""),
            ("[source.default]", "[market.X.source.default]\n[source.default]", ".market.X.source: \"default\""),
        ] {
            let text = text.replacen(from, to, 1);
            assert!(check(&text).iter().any(|violation| violation == found), "{to}: {:?}", check(&text));
            assert!(Policy::parse(&text, "p.toml").is_err(), "{to}");
        }
    }
}
