//! Written frames are read back from the files.

use super::read::{self, Read};
use super::*;

/// Two seconds and a half: audio each 20 ms as track 0, video each 40 ms as track 1.
fn frames() -> Vec<(usize, ContainerFrame)> {
    let audio = (0..125).map(|n| (0, ContainerFrame::audio(OPUS.to_vec(), ms(20 * n))));
    let video = (0..62).map(|n| {
        let (payload, is_key) = if n % 30 == 0 { (VP8_KEY, true) } else { (VP8_DELTA, false) };
        (1, ContainerFrame::video(payload, ms(40 * n + 3), is_key))
    });
    let mut frames: Vec<_> = audio.chain(video).collect();
    frames.sort_by_key(|(_, frame)| frame.timestamp);
    frames
}

struct Written {
    file: Vec<u8>,
    /// Its length after each part.
    parts: Vec<usize>,
    finished: Vec<u8>,
}

fn write(container: Container, tracks: Vec<TrackFormat>, frames: Vec<(usize, ContainerFrame)>) -> Written {
    let mut writer = ContainerWriter::new(container, tracks).unwrap();
    let (mut file, mut parts) = (Vec::new(), Vec::new());
    for (track, frame) in frames {
        let bytes = writer.write(track, frame).unwrap();
        if !bytes.is_empty() {
            file.extend_from_slice(&bytes);
            parts.push(file.len());
        }
    }
    let end = writer.finish().unwrap();
    let mut finished = file.clone();
    end.complete(&mut finished);
    Written { file, parts, finished }
}

fn expected(frames: &[(usize, ContainerFrame)]) -> Vec<Read> {
    let read = |(track, frame): &(usize, ContainerFrame)| Read {
        track: *track,
        time: frame.timestamp,
        is_key: frame.is_key,
        payload: frame.payload.to_vec(),
    };
    frames.iter().map(read).collect()
}

fn of_track(frames: &[Read], track: usize) -> Vec<Read> {
    frames.iter().filter(|read| read.track == track).cloned().collect()
}

#[test]
fn webm_has_all_frames_at_their_times() {
    let written = write(Container::WebM, vec![AUDIO, vp8()], frames());
    assert_eq!(read::webm(&written.finished), expected(&frames()));
    // The last one comes with the end.
    assert_eq!(written.parts.len(), 2, "clusters of a second: {:?}", written.parts);
}

#[test]
fn mp4_has_all_frames_at_their_times() {
    let written = write(Container::Mp4, vec![AUDIO, vp8()], frames());
    let read = read::mp4(&written.finished, &[48_000, 90_000]);
    for track in 0..2 {
        assert_eq!(of_track(&read, track), of_track(&expected(&frames()), track));
    }
}

/// A file that is cut anywhere contains all complete parts up to there.
#[test]
fn a_cut_leaves_all_that_was_complete() {
    for container in [Container::WebM, Container::Mp4] {
        let Written { file, parts, .. } = write(container, vec![AUDIO, vp8()], frames());
        let read = |bytes: &[u8]| match container {
            Container::WebM => read::webm(bytes),
            _ => read::mp4(bytes, &[48_000, 90_000]),
        };
        let whole: Vec<usize> = parts.iter().map(|len| read(&file[..*len]).len()).collect();
        assert!(whole.is_sorted() && whole[0] > 0, "{whole:?}");
        for cut in parts[0]..file.len() {
            let complete = parts.iter().rposition(|len| *len <= cut).map_or(0, |part| whole[part]);
            assert_eq!(read(&file[..cut]).len(), complete, "{container} cut at {cut}");
        }
    }
}

#[test]
fn a_finished_webm_has_its_duration_and_an_index() {
    let written = write(Container::WebM, vec![AUDIO, vp8()], frames());
    let segment = read::segment(&written.finished);
    assert!(written.finished.ends_with(segment), "its length is known");
    let duration = read::child(read::child(segment, 0x1549_a966).unwrap(), 0x4489).unwrap();
    assert_eq!(f64::from_be_bytes(duration.try_into().unwrap()), 2_500.0);
    // Each entry of the head leads to its element, and each cue to a cluster that begins with its key frame.
    let head = read::child(segment, 0x114d_9b74).unwrap();
    let position = |bytes: &[u8]| bytes.iter().fold(0, |all, byte| all << 8 | usize::from(*byte));
    let seeks = read::elements(head);
    assert_eq!(seeks.len(), 3);
    for (_, seek) in seeks {
        let id = read::child(seek, 0x53ab).unwrap();
        let at = position(read::child(seek, 0x53ac).unwrap());
        assert!(segment[at..].starts_with(id), "{id:x?}");
    }
    let cues = read::elements(read::child(segment, 0x1c53_bb6b).unwrap());
    assert_eq!(cues.len(), 3);
    for (_, cue) in cues {
        let at = position(read::child(read::child(cue, 0xb7).unwrap(), 0xf1).unwrap());
        let time = position(read::child(cue, 0xb3).unwrap());
        let (_, cluster) = read::elements(&segment[at..])[0];
        assert!(position(read::child(cluster, 0xe7).unwrap()) <= time);
    }
}

#[test]
fn a_finished_mp4_has_its_duration_and_an_index() {
    let written = write(Container::Mp4, vec![AUDIO, vp8()], frames());
    assert_eq!(written.finished[..written.file.len()].len(), written.file.len());
    let all = read::boxes(&written.finished);
    let kinds: Vec<&[u8]> = all.iter().map(|(kind, _)| *kind).collect();
    let fragment: [&[u8]; 2] = [b"moof", b"mdat"];
    let expected: Vec<&[u8]> = [&[&b"ftyp"[..], b"moov"][..], &fragment.repeat(3), &[b"mfra"]].concat();
    assert_eq!(kinds, expected);
    let mehd = written.finished.windows(4).position(|window| window == b"mehd").unwrap();
    assert_eq!(written.finished[mehd + 8..mehd + 12], 2_500_u32.to_be_bytes());
}

#[test]
fn ogg_has_pages_of_a_second_and_marks_its_end() {
    let frames = frames().into_iter().filter(|(track, _)| *track == 0).collect();
    let written = write(Container::OggOpus, vec![AUDIO], frames);
    let packets = read::ogg(&written.finished);
    assert!(packets[0].0.starts_with(b"OpusHead") && packets[1].0.starts_with(b"OpusTags"));
    assert_eq!(packets.len(), 2 + 125);
    let ends: Vec<u64> = packets.iter().filter_map(|(_, end, _)| *end).collect();
    assert_eq!(ends, [0, 0, 48_000, 96_000, 120_000]);
    assert_eq!(packets.iter().filter(|(_, _, is_last)| *is_last).count(), 1);
    assert!(packets.last().unwrap().2);
}

/// In Ogg the time of a packet follows from the packets before it, so a pause is filled with silence.
#[test]
fn a_pause_in_ogg_is_filled() {
    let mut writer = ContainerWriter::new(Container::OggOpus, vec![AUDIO]).unwrap();
    let mut file = Vec::new();
    for at in [ms(500), ms(520), ms(3_000), ms(3_021)] {
        file.extend(writer.write(0, ContainerFrame::audio(OPUS.to_vec(), at)).unwrap());
    }
    writer.finish().unwrap().complete(&mut file);
    let packets = read::ogg(&file);
    assert_eq!(packets.last().unwrap().1, Some(3_040 * 48), "1 ms is no pause");
    let samples: u32 =
        packets[2..].iter().map(|(packet, ..)| crate::opus_packet::samples(packet).unwrap()).sum();
    assert_eq!(samples, 3_040 * 48);
}

#[test]
fn invalid_tracks_and_frames_are_refused_with_a_reason() {
    let new = |container, tracks| ContainerWriter::new(container, tracks).unwrap_err().to_string();
    assert_eq!(new(Container::WebM, vec![]), "no tracks: name at least one");
    assert_eq!(new(Container::OggOpus, vec![AUDIO; 2]), "2 tracks: Ogg Opus has at most 1");
    assert_eq!(new(Container::OggOpus, vec![vp8()]), "Ogg Opus has no VP8: use MP4, which has all codecs");
    assert_eq!(new(Container::Mp4, vec![TrackFormat::Opus { channels: 6 }]), "6 channels: expected 1 or 2");

    let mut writer = ContainerWriter::new(Container::WebM, vec![AUDIO, vp8()]).unwrap();
    let mut error = |track, frame| writer.write(track, frame).unwrap_err().to_string();
    let opus = |at| ContainerFrame::audio(OPUS.to_vec(), at);
    assert_eq!(error(2, opus(ms(0))), "track 2: expected a number below 2");
    assert_eq!(error(0, ContainerFrame::audio(Vec::new(), ms(0))), "a frame of no bytes");
    assert_eq!(error(0, ContainerFrame::audio(vec![0xff; 3], ms(0))), "Opus: 3 bytes that are not a packet");
    assert_eq!(
        error(0, ContainerFrame::audio(vec![0; ContainerWriter::MAX_FRAME_LEN + 1], ms(0))),
        "a frame of 8388609 bytes: expected at most 8388608"
    );
    assert_eq!(
        error(0, opus(Duration::MAX)),
        format!("a frame at {:?}: expected at most 604800s", Duration::MAX)
    );
    assert_eq!(
        error(1, ContainerFrame::video(VP8_DELTA, ms(0), false)),
        "the first frame of a video track is no key frame: leave out what precedes one"
    );
    assert_eq!(error(1, ContainerFrame::video(VP8_DELTA, ms(0), true)), "VP8: not a key frame");
    let larger = b"\x30\0\0\x9d\x01\x2a\x41\x01\xf0\0\0";
    assert_eq!(
        error(1, ContainerFrame::video(&larger[..], ms(0), true)),
        "a key frame with other settings than the track's: begin another file"
    );
    writer.write(0, opus(ms(20))).unwrap();
    let mut error = |track, frame| writer.write(track, frame).unwrap_err().to_string();
    assert_eq!(error(0, opus(ms(20))), "a frame at 20ms, after one at 20ms: expected a later one");

    let mut writer = ContainerWriter::new(Container::OggOpus, vec![AUDIO]).unwrap();
    assert_eq!(
        writer.write(0, opus(Duration::from_secs(3_601))).unwrap_err().to_string(),
        "a pause of 3601s: expected at most 3600s, so begin another file"
    );
}
