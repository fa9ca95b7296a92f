//! A JSON Schema as a Markdown section.

use std::fmt::Write as _;

use serde_json::Value;

use super::fields::{Field, Node, Schemas};

pub(super) fn section(root: &Value) -> String {
    let schemas = Schemas::of(root);
    let node = schemas.node(root);
    let mut out = format!("## {}\n\n", node.text("title"));
    paragraph(&mut out, &node.text("description"));
    let alternatives = schemas.alternatives(&node);
    if !node.is_object() && alternatives.iter().any(Node::is_object) {
        for alternative in alternatives {
            let _ = write!(out, "### {}\n\n", schemas.label(&alternative));
            paragraph(&mut out, &alternative.text("description"));
            table(&mut out, &schemas, &alternative);
        }
    } else {
        table(&mut out, &schemas, &node);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn paragraph(out: &mut String, text: &str) {
    if !text.is_empty() {
        let _ = write!(out, "{text}\n\n");
    }
}

fn table(out: &mut String, schemas: &Schemas<'_>, node: &Node) {
    let mut fields = if node.is_object() { schemas.fields(node, "") } else { Vec::new() };
    if fields.is_empty() {
        schemas.field("$".to_owned(), &Value::Object(node.schema.clone()), true, &[], &mut fields);
    }
    out.push_str("| field | type | required | default | limits | description |\n|---|---|---|---|---|---|\n");
    for Field { path, kind, required, default, limits, description } in fields {
        let required = if required { "yes" } else { "no" };
        out.push('|');
        for cell in
            [&format!("`{path}`"), &kind, required, default.as_deref().unwrap_or(""), &limits, &description]
        {
            let text = cell.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|");
            let _ = if text.is_empty() { write!(out, " |") } else { write!(out, " {text} |") };
        }
        out.push('\n');
    }
    out.push('\n');
    match node.schema.get("additionalProperties") {
        Some(Value::Bool(false)) => out.push_str("No other fields are taken.\n\n"),
        None if node.is_object() => out.push_str("Other fields are ignored.\n\n"),
        _ => {}
    }
}
