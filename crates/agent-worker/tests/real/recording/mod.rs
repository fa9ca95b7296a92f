//! Files as players see them: judged by ffprobe, and by what ffmpeg decodes of them.

mod containers;
mod ffmpeg;
mod sources;
