//! Parsing of the server's answer, and its description in our own words if it is invalid.
//!
//! A parser's error may contain parts of the text and memory addresses; neither goes into an error or a log.

/// Maximum number of lines of one section, without candidates. A server sends a few dozen.
const MAX_SECTION_LINES: usize = 512;

/// An answer without its candidates.
#[derive(Debug, PartialEq)]
pub(super) struct Answer<'a> {
    pub(super) sdp: String,
    /// In the form of trickled candidates.
    pub(super) candidates: Vec<&'a str>,
    /// Identifies the ICE generation.
    pub(super) ufrag: &'a str,
    /// In order.
    pub(super) sections: Vec<Section<'a>>,
}

/// A section of an answer.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Section<'a> {
    /// Its identifier.
    pub(super) mid: &'a str,
    /// The SSRCs that the server sends in it, if named.
    pub(super) sources: Vec<u32>,
}

impl<'a> Section<'a> {
    fn read(&mut self, line: &'a str) {
        let Some(attribute) = line.strip_prefix("a=") else { return };
        if let Some(mid) = attribute.strip_prefix("mid:") {
            self.mid = mid;
        } else if let Some(source) = attribute.strip_prefix("ssrc:") {
            let source = source.split(' ').next().and_then(|ssrc| ssrc.parse().ok());
            // Several lines describe one source.
            self.sources.extend(source.filter(|source| self.sources.last() != Some(source)));
        }
    }
}

/// Parses an answer to an offer of `offered` media sections.
///
/// # Errors
/// What is wrong with it, in one line.
pub(super) fn read(sdp: &str, offered: usize) -> Result<Answer<'_>, String> {
    let mut answer = Answer {
        sdp: String::with_capacity(sdp.len()),
        candidates: Vec::new(),
        ufrag: "",
        sections: Vec::new(),
    };
    let mut lines = 0;
    for line in sdp.lines() {
        let line = line.trim_end();
        if let Some(candidate) = line.strip_prefix("a=").filter(|rest| rest.starts_with("candidate:")) {
            answer.candidates.push(candidate);
            continue;
        }
        if line.starts_with("m=") {
            answer.sections.push(Section::default());
            lines = 0;
        }
        lines += 1;
        if lines > MAX_SECTION_LINES {
            return Err(format!(
                "the server's answer has more than {MAX_SECTION_LINES} lines in one section"
            ));
        }
        if let Some(section) = answer.sections.last_mut() {
            section.read(line);
        }
        if let Some(ufrag) = line.strip_prefix("a=ice-ufrag:").filter(|_| answer.ufrag.is_empty()) {
            answer.ufrag = ufrag;
        }
        answer.sdp.push_str(line);
        answer.sdp.push_str("\r\n");
    }
    let sections = answer.sections.len();
    if sections > offered {
        return Err(format!("the server's answer has {sections} media sections, our offer {offered}"));
    }
    Ok(answer)
}

/// Number of media sections of a description.
pub(super) fn sections_of(sdp: &str) -> usize {
    sdp.lines().filter(|line| line.starts_with("m=")).count()
}

/// Describes what is wrong with an answer that the parser rejected.
pub(super) fn diagnose(sdp: &str) -> String {
    if !sdp.starts_with("v=0") {
        return format!("the server's answer of {} bytes is not a session description", sdp.len());
    }
    let sections: Vec<&str> = sdp.split("\nm=").collect();
    for (number, section) in sections.iter().enumerate().skip(1) {
        let has = |attribute: &str| {
            section
                .lines()
                .any(|line| line.strip_prefix("a=").is_some_and(|rest| rest.starts_with(attribute)))
        };
        if !has("mid:") {
            return format!("media section {number} of the server's answer has no identifier (`a=mid`)");
        }
        let directions = ["sendrecv", "sendonly", "recvonly", "inactive"];
        if !section.starts_with("application") && !directions.into_iter().any(has) {
            return format!(
                "media section {number} of the server's answer has no direction (`a=sendonly` or the like)"
            );
        }
    }
    format!(
        "the server's answer (SDP of {} bytes, {} media sections) cannot be read; check that the URL is that of a LiveKit server and \
         that its version is supported",
        sdp.len(),
        sections.len() - 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn candidates_are_taken_out() {
        let sdp = "v=0\r\na=ice-ufrag:abc\r\nm=application 9\r\na=candidate:1 1 udp 9 10.0.0.1 7 typ host\r\na=mid:0\r\n\
                   a=ice-ufrag:later\r\na=end-of-candidates\r\n";
        let answer = read(sdp, 1).unwrap();
        assert_eq!(answer.candidates, ["candidate:1 1 udp 9 10.0.0.1 7 typ host"]);
        assert_eq!(answer.ufrag, "abc");
        assert_eq!(answer.sections, [Section { mid: "0", sources: Vec::new() }]);
        assert_eq!(
            answer.sdp,
            "v=0\r\na=ice-ufrag:abc\r\nm=application 9\r\na=mid:0\r\na=ice-ufrag:later\r\na=end-of-candidates\r\n"
        );
    }

    #[test]
    fn streams_are_those_of_their_section() {
        let sdp = "v=0\r\na=ssrc:9 cname:none\r\nm=audio 9\r\na=mid:1\r\na=ssrc:7 cname:x\r\na=ssrc:7 msid:s TR_1\r\n\
                   a=ssrc:8\r\na=ssrc:none\r\nm=audio 9\r\na=mid:2\r\n";
        let expected = [Section { mid: "1", sources: vec![7, 8] }, Section { mid: "2", sources: Vec::new() }];
        assert_eq!(read(sdp, 2).unwrap().sections, expected);
    }

    #[test]
    fn what_no_server_sends_is_refused_in_one_line() {
        let many_lines = "a=x\r\n".repeat(513);
        for (sdp, offered, expected) in [
            (many_lines.as_str(), 1, "more than 512 lines in one section"),
            ("v=0\nm=audio\nm=audio\n", 1, "2 media sections, our offer 1"),
        ] {
            let error = read(sdp, offered).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(!error.contains('\n'), "{error}");
        }
        assert!(read(&"a=x\r\n".repeat(512), 0).is_ok());
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_described_without_its_bytes() {
        for (sdp, expected) in [
            ("evil\x1b[31m", "the server's answer of 9 bytes is not a session description"),
            ("v=0\r\nm=audio 9\r\na=mid:0\r\n", "media section 1 of the server's answer has no direction"),
            (
                "v=0\r\nm=audio 9\r\na=sendonly\r\n",
                "media section 1 of the server's answer has no identifier",
            ),
            (
                "v=0\r\nm=application 9\r\na=mid:0\r\nm=video 9\r\na=mid:1\r\na=inactive\r\nevil\r\n",
                "the server's answer (SDP of 69 bytes, 2 media sections) cannot be read",
            ),
        ] {
            let text = diagnose(sdp);
            assert!(text.starts_with(expected), "{text}");
            assert!(!text.contains("evil") && !text.contains(char::is_control), "{text}");
        }
    }
}
