//! The shapes of types that serde derives, and the readers of a text.

use std::hint::black_box;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use agent_worker::metadata::parse_metadata;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Shape {
    Plain,
    Tagged,
    Untagged,
    Flattened,
    /// Untagged and recursive: serde buffers the input again at each level.
    Recursive,
}

/// The reader of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Reader {
    /// `agent_worker::metadata::parse_metadata`, with the readable error.
    Ours,
    /// `serde_json::from_str` as the same type.
    Serde,
    /// `serde_json::from_str` as a tree of values.
    Tree,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "only read")]
struct Plain {
    x: u32,
    list: Option<Vec<Item>>,
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "only read")]
struct Item {
    x: u32,
}

#[derive(Deserialize)]
#[serde(tag = "kind")]
#[allow(dead_code, reason = "only read")]
enum Tagged {
    A { x: u32, list: Option<Vec<Item>> },
    B(Item),
}

#[derive(Deserialize)]
#[serde(untagged)]
#[allow(dead_code, reason = "only read")]
enum Untagged {
    A { x: u32, list: Option<Vec<Item>> },
    Many(Vec<u32>),
    One(u32),
}

#[derive(Deserialize)]
#[serde(untagged)]
#[allow(dead_code, reason = "only read")]
enum Recursive {
    A { x: u32 },
    Many(Vec<Recursive>),
    One(u32),
}

#[derive(Deserialize)]
#[allow(dead_code, reason = "only read")]
struct Flattened {
    y: Option<u8>,
    #[serde(flatten)]
    inner: Plain,
}

/// Reads a text; the result is discarded.
pub(crate) fn read(reader: Reader, shape: Shape, text: &str) {
    match shape {
        Shape::Plain => read_as::<Plain>(reader, text),
        Shape::Tagged => read_as::<Tagged>(reader, text),
        Shape::Untagged => read_as::<Untagged>(reader, text),
        Shape::Flattened => read_as::<Flattened>(reader, text),
        Shape::Recursive => read_as::<Recursive>(reader, text),
    }
}

fn read_as<T: DeserializeOwned>(reader: Reader, text: &str) {
    match reader {
        Reader::Ours => {
            let error = parse_metadata::<T>(text).err().map(|error| error.to_string());
            drop(black_box(error));
        }
        Reader::Serde => {
            let error = serde_json::from_str::<T>(text).err().map(|error| error.to_string());
            drop(black_box(error));
        }
        Reader::Tree => drop(black_box(serde_json::from_str::<serde_json::Value>(text))),
    }
}
