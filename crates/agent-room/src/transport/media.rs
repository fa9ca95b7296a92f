//! Assignment of packet streams to tracks.
//!
//! The server's answer contains the track of each media section, and the streams (SSRCs) that it sends in it.
//! A section is reused for another track, while packets of the previous track may still be under way: so a
//! stream that an answer names belongs to that track only, and the section counts only where the answer names
//! no stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use str0m::media::Mid;

use super::answer::Section;

/// The streams and tracks of the last answer.
#[derive(Default)]
pub(super) struct Routes {
    /// Keyed by SSRC.
    by_source: BTreeMap<u32, Arc<str>>,
    /// For sections whose streams the answer does not name.
    by_section: BTreeMap<Mid, Arc<str>>,
    /// All streams that the answer names, including those without a track.
    sources: BTreeSet<u32>,
    /// Number of frames without a track.
    unrouted: u64,
}

impl Routes {
    /// Applies another answer: its sections, and the track sid of each (`tracks`, by section). Returns the
    /// removed streams.
    pub(super) fn replace(
        &mut self,
        sections: &[Section<'_>],
        tracks: &BTreeMap<String, String>,
    ) -> Vec<u32> {
        self.by_source.clear();
        self.by_section.clear();
        let before = std::mem::take(&mut self.sources);
        for Section { mid, sources } in sections {
            self.sources.extend(sources);
            let Some(track) = tracks.get(*mid).map(|sid| Arc::<str>::from(sid.as_str())) else { continue };
            if sources.is_empty() {
                self.by_section.insert(Mid::from(*mid), track);
            } else {
                self.by_source.extend(sources.iter().map(|source| (*source, track.clone())));
            }
        }
        before.difference(&self.sources).copied().collect()
    }

    /// The track of a packet, by its stream and its section.
    pub(super) fn track(&self, source: u32, section: Mid) -> Option<&Arc<str>> {
        let of_section = || self.by_section.get(&section).filter(|_| !self.sources.contains(&source));
        self.by_source.get(&source).or_else(of_section)
    }

    pub(super) fn drop_frame(&mut self) {
        self.unrouted = self.unrouted.saturating_add(1);
    }

    /// Number of frames without a track.
    pub(super) fn unrouted(&self) -> u64 {
        self.unrouted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracks(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(mid, sid)| ((*mid).to_owned(), (*sid).to_owned())).collect()
    }

    fn section<'a>(mid: &'a str, sources: &[u32]) -> Section<'a> {
        Section { mid, sources: sources.to_vec() }
    }

    fn track(routes: &Routes, source: u32, section: &str) -> Option<String> {
        routes.track(source, Mid::from(section)).map(|track| track.to_string())
    }

    #[test]
    fn a_stream_belongs_to_the_track_of_its_section_in_the_newest_answer() {
        let mut routes = Routes::default();
        let gone = routes
            .replace(&[section("a", &[1]), section("b", &[2])], &tracks(&[("a", "TR_1"), ("b", "TR_2")]));
        assert!(gone.is_empty());
        assert_eq!(track(&routes, 1, "a").as_deref(), Some("TR_1"));
        assert_eq!(track(&routes, 2, "b").as_deref(), Some("TR_2"));
        assert_eq!(track(&routes, 2, "a").as_deref(), Some("TR_2"), "whichever section it seems to come in");
        assert_eq!(track(&routes, 3, "a"), None, "a stream that the answer does not name");

        // The section is reused: late packets of the first track do not belong to the second.
        let gone = routes.replace(&[section("a", &[5]), section("b", &[])], &tracks(&[("a", "TR_3")]));
        assert_eq!(gone, [1, 2]);
        assert_eq!(track(&routes, 5, "a").as_deref(), Some("TR_3"));
        assert_eq!((track(&routes, 1, "a"), track(&routes, 2, "b")), (None, None));
    }

    #[test]
    fn where_no_streams_are_named_the_section_counts() {
        let mut routes = Routes::default();
        routes
            .replace(&[section("a", &[]), section("b", &[7]), section("c", &[])], &tracks(&[("a", "TR_1")]));
        assert_eq!(track(&routes, 1, "a").as_deref(), Some("TR_1"));
        assert_eq!(track(&routes, 7, "a"), None, "it is another section's");
        assert_eq!(track(&routes, 1, "c"), None);
        routes.drop_frame();
        assert_eq!(routes.unrouted(), 1);
    }
}
