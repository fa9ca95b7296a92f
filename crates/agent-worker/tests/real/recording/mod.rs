//! Recorded files, checked with ffprobe and decoded with ffmpeg.

mod containers;
mod ffmpeg;
mod sources;
