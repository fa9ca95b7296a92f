//! One schema for several agents that are selected by the metadata's `action`.

use serde_json::{Map, Value, json};

use super::MetadataSchema;

/// The fields that the SDK reads, for types without fields of these names.
fn sdk_fields() -> [(&'static str, Value); 2] {
    [
        (
            "request_id",
            json!({
                "description": "Names the request that led to the job, in the log.",
                "type": ["string", "number", "null"],
            }),
        ),
        (
            "timeout",
            json!({
                "description": "How long the job may take, in seconds, if its worker limits that.",
                "type": ["number", "null"],
                "exclusiveMinimum": 0,
                "maximum": u32::MAX,
            }),
        ),
    ]
}

impl MetadataSchema {
    /// One schema of several agents: each `action` with its agent's fields, and those of agents that are
    /// selected otherwise. The fields that the SDK reads itself, `request_id` and `timeout`, are in all of
    /// them.
    ///
    /// An agent without a schema accepts any fields. `Router::schema` of agent-worker uses this.
    #[must_use]
    pub fn of_actions<'a>(
        actions: impl IntoIterator<Item = (&'a str, Option<Self>)>,
        others: impl IntoIterator<Item = Self>,
    ) -> Self {
        let mut definitions = Map::new();
        let mut alternatives = Vec::new();
        for (action, schema) in actions {
            let own = schema.map_or_else(|| json!({"type": "object"}), |schema| schema.schema);
            let mut own = adopt(own, &mut definitions);
            each_object(&mut own, &mut |object| add_action(object, action));
            alternatives.extend(flat(own));
        }
        let named = alternatives.len();
        for schema in others {
            alternatives.extend(flat(adopt(schema.schema, &mut definitions)));
        }
        for alternative in &mut alternatives {
            each_object(alternative, &mut add_sdk_fields);
        }
        // Agents that are not selected by action may accept the same metadata.
        let how = if alternatives.len() == named { "oneOf" } else { "anyOf" };
        let mut root = Map::new();
        root.insert("$schema".to_owned(), "https://json-schema.org/draft/2020-12/schema".into());
        root.insert("title".to_owned(), "Metadata".into());
        root.insert(how.to_owned(), alternatives.into());
        if !definitions.is_empty() {
            root.insert("$defs".to_owned(), definitions.into());
        }
        Self { schema: root.into() }
    }
}

/// The alternatives of a schema that are objects: only they have an action. The common description is copied
/// to each.
fn flat(schema: Value) -> Vec<Value> {
    let Value::Object(mut object) = schema else { return vec![schema] };
    if object.contains_key("properties") {
        return vec![object.into()];
    }
    let Some(Value::Array(alternatives)) = object.remove("oneOf").or_else(|| object.remove("anyOf")) else {
        return vec![object.into()];
    };
    let objects = alternatives.into_iter().filter_map(|alternative| match alternative {
        Value::Object(mut one) if one.get("type").is_none_or(|kind| kind == "object") => {
            if let Some(all) = object.get("description") {
                one.entry("description").or_insert_with(|| all.clone());
            }
            Some(Value::Object(one))
        }
        _ => None,
    });
    objects.collect()
}

/// Moves the definitions out of a schema; those with the name of a different one are renamed.
fn adopt(mut schema: Value, definitions: &mut Map<String, Value>) -> Value {
    let Some(object) = schema.as_object_mut() else { return schema };
    object.remove("$schema");
    let Some(Value::Object(own)) = object.remove("$defs") else { return schema };
    let mut renamed: Vec<(String, String)> = Vec::new();
    for (name, definition) in &own {
        let mut free = name.clone();
        let mut number = 1;
        while definitions.get(&free).is_some_and(|there| there != definition) {
            number += 1;
            free = format!("{name}{number}");
        }
        renamed.push((format!("#/$defs/{name}"), format!("#/$defs/{free}")));
        definitions.insert(free, definition.clone());
    }
    renamed.retain(|(from, to)| from != to);
    if !renamed.is_empty() {
        rename(&mut schema, &renamed);
        for name in own.keys() {
            let new = renamed.iter().find(|(from, _)| from.ends_with(&format!("/{name}")));
            let name = new.map_or(name.as_str(), |(_, to)| to.rsplit('/').next().unwrap_or_default());
            if let Some(definition) = definitions.get_mut(name) {
                rename(definition, &renamed);
            }
        }
    }
    schema
}

fn rename(schema: &mut Value, renamed: &[(String, String)]) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(reference) if name == "$ref" => {
                        if let Some((_, new)) = renamed.iter().find(|(old, _)| old == reference) {
                            reference.clone_from(new);
                        }
                    }
                    value => rename(value, renamed),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| rename(item, renamed)),
        _ => {}
    }
}

/// Changes a schema, or each of its alternatives, if it describes an object.
fn each_object(schema: &mut Value, change: &mut dyn FnMut(&mut Map<String, Value>)) {
    let Some(object) = schema.as_object_mut() else { return };
    let mut alternatives = false;
    for how in ["oneOf", "anyOf"] {
        for alternative in object.get_mut(how).and_then(Value::as_array_mut).into_iter().flatten() {
            alternatives = true;
            each_object(alternative, change);
        }
    }
    let is_object = object.get("type").is_none_or(|kind| kind == "object");
    if is_object && (!alternatives || object.contains_key("properties")) {
        change(object);
    }
}

fn properties(object: &mut Map<String, Value>) -> Option<&mut Map<String, Value>> {
    object.entry("properties").or_insert_with(|| json!({})).as_object_mut()
}

fn add_action(object: &mut Map<String, Value>, action: &str) {
    object.entry("type").or_insert_with(|| "object".into());
    if let Some(properties) = properties(object) {
        let meaning = properties.remove("action").and_then(|own| own.get("description").cloned());
        let mut field = json!({"type": "string", "const": action});
        if let (Some(field), Some(meaning)) = (field.as_object_mut(), meaning) {
            field.insert("description".to_owned(), meaning);
        }
        properties.insert("action".to_owned(), field);
    }
    let required = object.entry("required").or_insert_with(|| json!([]));
    if let Some(required) = required.as_array_mut().filter(|all| !all.contains(&json!("action"))) {
        required.insert(0, "action".into());
    }
}

fn add_sdk_fields(object: &mut Map<String, Value>) {
    if object.get("type").and_then(Value::as_str) != Some("object") {
        return;
    }
    if let Some(properties) = properties(object) {
        for (name, schema) in sdk_fields() {
            properties.entry(name).or_insert(schema);
        }
    }
}
