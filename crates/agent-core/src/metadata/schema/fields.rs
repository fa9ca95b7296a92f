//! The fields of a JSON Schema of schemars as a flat list, nested ones by their path.

use serde_json::{Map, Value};

/// One field, its texts in Markdown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) path: String,
    pub(super) kind: String,
    pub(super) required: bool,
    pub(super) default: Option<String>,
    pub(super) limits: String,
    pub(super) description: String,
}

/// The definitions that a schema refers to.
pub(super) struct Schemas<'a> {
    definitions: Option<&'a Map<String, Value>>,
}

/// A schema with its references resolved, and the names of these.
#[derive(Clone, Default)]
pub(super) struct Node {
    pub(super) schema: Map<String, Value>,
    names: Vec<String>,
}

impl<'a> Schemas<'a> {
    pub(super) fn of(root: &'a Value) -> Self {
        Self { definitions: root.get("$defs").and_then(Value::as_object) }
    }

    /// Resolves references, and merges `allOf`.
    pub(super) fn node(&self, schema: &Value) -> Node {
        let mut node = Node::default();
        self.gather(schema, &mut node);
        node
    }

    fn gather(&self, schema: &Value, node: &mut Node) {
        let Some(own) = schema.as_object() else { return };
        // Keywords beside a reference override the referenced ones.
        if let Some(name) = own.get("$ref").and_then(Value::as_str).map(last_part)
            && !node.names.contains(&name)
        {
            node.names.push(name.clone());
            if let Some(target) = self.definitions.and_then(|all| all.get(&name)) {
                self.gather(target, node);
            }
        }
        for part in list(own, "allOf") {
            self.gather(part, node);
        }
        for (key, value) in own {
            match (node.schema.get_mut(key), value) {
                (_, _) if matches!(key.as_str(), "$ref" | "allOf" | "$defs") => {}
                (Some(Value::Object(there)), Value::Object(more)) if key == "properties" => {
                    there.extend(more.clone())
                }
                (Some(Value::Array(there)), Value::Array(more)) if key == "required" => {
                    there.extend(more.clone())
                }
                _ => drop(node.schema.insert(key.clone(), value.clone())),
            }
        }
    }

    /// The fields of an object, recursively.
    pub(super) fn fields(&self, node: &Node, prefix: &str) -> Vec<Field> {
        let mut found = Vec::new();
        let required = list(&node.schema, "required");
        for (name, schema) in node.schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
            let required = required.iter().any(|required| required == name);
            self.field(path, schema, required, &node.names, &mut found);
        }
        found
    }

    /// One value and its fields, recursively. `above` are the names of the enclosing schemas.
    pub(super) fn field(
        &self,
        path: String,
        schema: &Value,
        required: bool,
        above: &[String],
        found: &mut Vec<Field>,
    ) {
        let node = self.node(schema);
        let limits = self.limits(&node);
        found.push(Field {
            kind: self.kind(&node),
            required,
            default: node
                .schema
                .get("default")
                .filter(|value| !value.is_null())
                .map(|value| format!("`{value}`")),
            limits,
            description: self.description(&node),
            path: path.clone(),
        });
        self.below(&path, node, above, found);
    }

    fn below(&self, path: &str, node: Node, above: &[String], found: &mut Vec<Field>) {
        // A recursive type is described once.
        if node.names.iter().any(|name| above.contains(name)) {
            return;
        }
        let node = Node { names: [above, &node.names].concat(), ..node };
        found.extend(self.fields(&node, path));
        if let Some(items) = node.schema.get("items").filter(|items| items.is_object()) {
            self.below(&format!("{path}[]"), self.node(items), &node.names, found);
        }
        if let Some(values) = node.schema.get("additionalProperties").filter(|values| values.is_object()) {
            self.below(&format!("{path}.*"), self.node(values), &node.names, found);
        }
        let alternatives = self.alternatives(&node);
        let several = alternatives.len() > 1;
        for alternative in alternatives {
            let label = self.label(&alternative);
            let mut fields = Vec::new();
            self.below(path, alternative, &node.names, &mut fields);
            for field in fields.iter_mut().filter(|_| several) {
                field.description = sentence(&format!("Only with {label}."), &field.description);
            }
            found.extend(fields);
        }
    }

    /// The alternatives of the value, without null.
    pub(super) fn alternatives(&self, node: &Node) -> Vec<Node> {
        let all = list(&node.schema, "oneOf").iter().chain(list(&node.schema, "anyOf"));
        all.map(|schema| self.node(schema)).filter(|node| !node.is_null()).collect()
    }

    /// A label that distinguishes an alternative from the others.
    pub(super) fn label(&self, node: &Node) -> String {
        let properties = node.schema.get("properties").and_then(Value::as_object);
        let constants = properties
            .into_iter()
            .flatten()
            .filter_map(|(name, schema)| schema.get("const").map(|value| format!("`{name}`: `{value}`")));
        let constants: Vec<String> = constants.collect();
        if !constants.is_empty() {
            return constants.join(", ");
        }
        match properties.map(|properties| properties.keys().collect::<Vec<_>>()).as_deref() {
            Some([only]) => format!("`{only}`"),
            _ => self.kind(node),
        }
    }

    fn kind(&self, node: &Node) -> String {
        let schema = &node.schema;
        let values: Vec<String> = schema
            .get("const")
            .into_iter()
            .chain(list(schema, "enum"))
            .map(|value| format!("`{value}`"))
            .collect();
        if !values.is_empty() {
            return values.join(" or ");
        }
        let both = [list(schema, "oneOf"), list(schema, "anyOf")].concat();
        let mut kinds: Vec<String> = Vec::new();
        for alternative in &both {
            let kind = self.kind(&self.node(alternative));
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        if !kinds.is_empty() {
            return kinds.join(" or ");
        }
        let types = match schema.get("type") {
            Some(Value::String(one)) => vec![one.as_str()],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => return "any".to_owned(),
        };
        let of = |key: &str| {
            schema.get(key).filter(|inner| inner.is_object()).map(|inner| self.kind(&self.node(inner)))
        };
        let shown = types.into_iter().map(|name| match name {
            "array" if schema.contains_key("prefixItems") => {
                let items = list(schema, "prefixItems").iter().map(|item| self.kind(&self.node(item)));
                format!("array of {}", items.collect::<Vec<_>>().join(", "))
            }
            "array" => of("items").map_or_else(|| "array".to_owned(), |items| format!("array of {items}")),
            "object" => of("additionalProperties")
                .map_or_else(|| "object".to_owned(), |values| format!("map of {values}")),
            name => name.to_owned(),
        });
        shown.collect::<Vec<_>>().join(" or ")
    }

    fn limits(&self, node: &Node) -> String {
        let schema = &node.schema;
        let get = |key: &str| schema.get(key).map(Value::to_string);
        let between = |low: &str, high: &str, unit: &str| match (get(low), get(high)) {
            (Some(low), Some(high)) if low == high => Some(format!("exactly {}", count(&low, unit))),
            (Some(low), Some(high)) => Some(format!("{low} to {}", count(&high, unit))),
            (Some(low), None) => Some(format!("at least {}", count(&low, unit))),
            (None, Some(high)) => Some(format!("at most {}", count(&high, unit))),
            (None, None) => None,
        };
        // The names of Rust's number types add nothing to the limits.
        let format = schema.get("format").and_then(Value::as_str);
        let format =
            format.filter(|format| !["int", "uint", "float", "double"].iter().any(|n| format.starts_with(n)));
        let all = [
            between("minimum", "maximum", ""),
            get("exclusiveMinimum").map(|value| format!("more than {value}")),
            get("exclusiveMaximum").map(|value| format!("less than {value}")),
            between("minLength", "maxLength", "character"),
            schema.get("pattern").and_then(Value::as_str).map(|pattern| format!("matches `{pattern}`")),
            format.map(str::to_owned),
            between("minItems", "maxItems", "item"),
            (schema.get("uniqueItems") == Some(&Value::Bool(true))).then(|| "no item twice".to_owned()),
            schema
                .get("items")
                .map(|items| self.limits(&self.node(items)))
                .filter(|each| !each.is_empty())
                .map(|each| format!("each {each}")),
        ];
        all.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    fn description(&self, node: &Node) -> String {
        let mut text = node.text("description");
        for alternative in list(&node.schema, "oneOf") {
            if let (Some(value), Some(meaning)) =
                (alternative.get("const"), alternative.get("description").and_then(Value::as_str))
            {
                text = sentence(&text, &format!("`{value}`: {meaning}"));
            }
        }
        text
    }
}

impl Node {
    pub(super) fn text(&self, key: &str) -> String {
        self.schema.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    fn is_null(&self) -> bool {
        self.schema.get("type").and_then(Value::as_str) == Some("null")
    }

    pub(super) fn is_object(&self) -> bool {
        self.schema.get("type").and_then(Value::as_str) == Some("object")
            || self.schema.contains_key("properties")
    }
}

fn count(number: &str, unit: &str) -> String {
    match (number, unit) {
        (_, "") => number.to_owned(),
        ("1", _) => format!("1 {unit}"),
        _ => format!("{number} {unit}s"),
    }
}

fn sentence(first: &str, then: &str) -> String {
    [first, then].iter().filter(|text| !text.is_empty()).copied().collect::<Vec<_>>().join(" ")
}

fn list<'v>(schema: &'v Map<String, Value>, key: &str) -> &'v [Value] {
    schema.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn last_part(reference: &str) -> String {
    reference.rsplit('/').next().unwrap_or(reference).to_owned()
}
