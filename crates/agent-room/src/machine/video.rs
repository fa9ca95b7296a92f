//! Video in the machine: between the media connection, the commands and the outputs.

use agent_proto::Time;

use super::Machine;
use crate::connection::MediaConnection;
use crate::video::VideoOutput;
use crate::{CommandId, Output, RoomError};

impl<M: MediaConnection> Machine<M> {
    pub(super) fn request_key_frame(&mut self, id: CommandId, track_sid: &str) {
        let connected = self.signal.is_connected();
        if connected {
            self.video.require_key_frame(track_sid);
        }
        self.done(id, connected.then_some(()).ok_or(RoomError::NotConnected));
    }

    /// Carries out the outputs of video. `true`: there were some.
    pub(super) fn report_video(&mut self, now: Time) -> bool {
        let mut any = false;
        let trailer = self.signal.server_trailer();
        while let Some(output) =
            self.video.poll_output(now, |track, frame| self.e2ee.open_video(track, frame, trailer))
        {
            any = true;
            match output {
                VideoOutput::Frame(track, frame) => {
                    self.outputs.push_back(Output::Frame { track, frame: frame.into() });
                }
                VideoOutput::RequestKeyFrame(source) => {
                    if let Some(transport) = &mut self.transport {
                        transport.request_key_frame(source, now);
                    }
                }
            }
        }
        any
    }
}
