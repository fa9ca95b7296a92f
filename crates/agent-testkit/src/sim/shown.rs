//! Outputs in readable form.

use agent_core::Output;
use agent_proto::livekit::worker_message::Message;
use agent_proto::{MAX_FRAME_LEN, decode, livekit as wire};

/// One line for an output, without the content of frames that is of no use.
pub(super) fn output(output: &Output) -> String {
    match output {
        Output::Send(frame) => match decode::<wire::WorkerMessage>(frame, MAX_FRAME_LEN).map(|m| m.message) {
            Ok(Some(Message::Register(_))) => "→ registers".to_owned(),
            Ok(Some(Message::Availability(m))) if m.available => format!("→ accepts {}", m.job_id),
            Ok(Some(Message::Availability(m))) if m.terminate => format!("→ dismisses {}", m.job_id),
            Ok(Some(Message::Availability(m))) => format!("→ declines {}", m.job_id),
            Ok(Some(Message::UpdateWorker(m))) => {
                format!("→ load {:.2} {:?}, {} jobs", m.load, m.status(), m.job_count)
            }
            Ok(Some(Message::UpdateJob(m))) => format!("→ {} {:?} {:?}", m.job_id, m.status(), m.error),
            Ok(Some(Message::MigrateJob(m))) => format!("→ still runs {:?}", m.job_ids),
            Ok(Some(Message::Ping(m))) => format!("→ ping {}", m.timestamp),
            Ok(Some(Message::SimulateJob(_)) | None) | Err(_) => "→ an unexpected message".to_owned(),
        },
        Output::Ask { job, .. } => format!("asks about {}", job.id),
        Output::Start { job, .. } => format!("starts {} for room {}", job.id, job.room.name),
        Output::Ended(ended) => format!("{} has ended: {}", ended.job.id, ended.outcome),
        Output::Moved { job, to } => format!("{} is {to}", job.id),
        other => format!("{other:?}"),
    }
}
