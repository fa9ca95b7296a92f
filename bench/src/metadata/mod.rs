//! The cost of the error for worst-case metadata: time and memory, compared with serde_json
//! alone.
//!
//! Each reading has a process of its own, so that its peak memory is its own.

mod documents;
mod shapes;

use std::fmt;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::usage::{peak_bytes, processor_ns, reset_peak};
use documents::document;
use shapes::{Reader, Shape, read};

#[derive(Args)]
pub(crate) struct Options {
    /// Number of documents.
    #[arg(long, default_value_t = 100)]
    documents: u64,
}

/// One document, read by one reader.
#[derive(Args)]
pub(crate) struct Reading {
    reader: Reader,
    shape: Shape,
    number: u64,
}

const SHAPES: [Shape; 5] = [Shape::Plain, Shape::Tagged, Shape::Untagged, Shape::Flattened, Shape::Recursive];
const READERS: [Reader; 3] = [Reader::Ours, Reader::Serde, Reader::Tree];
/// How often a text is read to measure its processor time; the minimum counts.
const TIMES: usize = 3;

/// The worst of all documents.
#[derive(Clone, Copy, Debug, Default)]
struct Worst {
    nanoseconds: u64,
    slowest: u64,
    bytes: u64,
    largest: u64,
}

pub(crate) struct Table(Vec<(Shape, [Worst; 3])>);

/// Reads all documents as each shape, with each reader.
pub(crate) fn compare(options: &Options) -> Result<Table> {
    ensure!(options.documents > 0, "--documents is 0: give at least 1");
    let mut rows = Vec::new();
    for shape in SHAPES {
        let mut row = [Worst::default(); 3];
        for number in 0..options.documents {
            for (worst, reader) in row.iter_mut().zip(READERS) {
                let (nanoseconds, bytes) = started(&Reading { reader, shape, number })?;
                if nanoseconds > worst.nanoseconds {
                    (worst.nanoseconds, worst.slowest) = (nanoseconds, number);
                }
                if bytes > worst.bytes {
                    (worst.bytes, worst.largest) = (bytes, number);
                }
            }
        }
        rows.push((shape, row));
    }
    Ok(Table(rows))
}

/// Starts this program again for one reading.
fn started(reading: &Reading) -> Result<(u64, u64)> {
    let Reading { reader, shape, number } = reading;
    let name = |value: &dyn fmt::Debug| format!("{value:?}").to_lowercase();
    let program = std::env::current_exe().context("this program's own path")?;
    let output = Command::new(program)
        .args(["metadata-reading", &name(reader), &name(shape), &number.to_string()])
        .output()
        .context("this program could not be started again")?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let figures = printed
        .split_once(' ')
        .and_then(|(one, other)| Some((one.parse().ok()?, other.trim().parse().ok()?)));
    figures.with_context(|| {
        let errors = String::from_utf8_lossy(&output.stderr);
        format!("document {number}, {shape:?}, {reader:?}: {}: {printed}{errors}", output.status)
    })
}

/// Reads the document, and prints nanoseconds and bytes.
pub(crate) fn measure(reading: &Reading) -> Result<String> {
    let text = document(reading.number);
    reset_peak()?;
    let before = peak_bytes()?;
    let mut least = u64::MAX;
    let mut bytes = 0;
    for round in 0..TIMES {
        let started = processor_ns();
        read(reading.reader, reading.shape, &text);
        least = least.min(processor_ns() - started);
        if round == 0 {
            // Later ones find memory that was not returned to the system.
            bytes = peak_bytes()?.saturating_sub(before);
        }
    }
    Ok(format!("{least} {bytes}"))
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "the worst document of 512 KiB: processor time and peak of memory, with the number of the document\n"
        )?;
        writeln!(
            f,
            "{:<10} | {:^32} | {:^32} | {:^32}",
            "type", "parse_metadata", "from_str", "from_str as a tree"
        )?;
        for (shape, row) in &self.0 {
            write!(f, "{:<10}", format!("{shape:?}").to_lowercase())?;
            for Worst { nanoseconds, slowest, bytes, largest } in row {
                let (ms, mib) = (*nanoseconds as f64 / 1e6, *bytes as f64 / f64::from(1 << 20));
                write!(f, " | {ms:>7.1} ms ({slowest:>3}) {mib:>7.1} MiB ({largest:>3})")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
