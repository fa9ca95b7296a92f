//! A dispatch that has a job: found, or created. The decision is a function without I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::client::ServerApi;
use super::dispatch::{DispatchInfo, DispatchRequest};
use super::error::ApiError;

/// A dispatch without a job after this time stays without one: the server looks for workers for at most 5 s
/// and gives up an offer after 3 s, with any number of workers. It lists a job only when that search is
/// over, even if the job has ended already.
const JOB_TIMEOUT: Duration = Duration::from_millis(8500);

const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// What to do next, so that one job is recorded for the agent in its room.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// Nothing: a job was recorded.
    Taken(DispatchInfo),
    /// Look again: a job may still come.
    Wait,
    /// Delete our dispatch, as another one counts that was created at the same time.
    Withdraw(String),
    /// Delete these, which come to nothing.
    Delete(Vec<String>),
    Create,
}

/// Decides by what the server lists. The first dispatch with a job counts, also one of another caller,
/// however the job ended, as another one would start a second agent; else the first that may still get one.
/// `ours` is the dispatch that the caller created last.
fn next_step(
    listed: Vec<DispatchInfo>,
    request: &DispatchRequest,
    ours: Option<&str>,
    is_overdue: impl Fn(&str) -> bool,
) -> Step {
    let mut listed = listed;
    listed.retain(|dispatch| {
        !dispatch.is_deleted
            && dispatch.agent_name == request.agent_name
            && dispatch.deployment == request.deployment
    });
    listed.sort_by(|one, other| (one.created_at, &one.id).cmp(&(other.created_at, &other.id)));
    let has_job = |dispatch: &DispatchInfo| !dispatch.jobs.is_empty();
    let chosen = listed
        .iter()
        .position(has_job)
        .or_else(|| listed.iter().position(|dispatch| !is_overdue(&dispatch.id)));
    let Some(chosen) = chosen else {
        let overdue: Vec<String> = listed.into_iter().map(|dispatch| dispatch.id).collect();
        return if overdue.is_empty() { Step::Create } else { Step::Delete(overdue) };
    };
    // What came of ours meanwhile would be a second agent.
    let other = listed.iter().enumerate().find(|(at, dispatch)| *at != chosen && Some(&*dispatch.id) == ours);
    if let Some((_, ours)) = other {
        return Step::Withdraw(ours.id.clone());
    }
    let chosen = listed.swap_remove(chosen);
    if has_job(&chosen) { Step::Taken(chosen) } else { Step::Wait }
}

impl ServerApi {
    /// Makes sure that an agent was dispatched to a room: returns a dispatch of this agent for which a job
    /// was recorded, and creates one only if there is none.
    ///
    /// The server silently drops a dispatch for which it finds no free worker, and also one that is made in
    /// the moment after its worker registered. Calling [`create_dispatch`](Self::create_dispatch) again
    /// without checking may start a second agent: the first dispatch may have been accepted meanwhile. So
    /// this may be called as often as need be, also by several programs at once: by a retried job, or by the
    /// jobs of all participants of a room.
    ///
    /// - A dispatch of the same agent name and deployment counts, with any metadata and also if another
    ///   caller created it, also if its job has ended. To start the agent again, delete the dispatch first.
    /// - The server lists a job 0.2 to 5 s after a worker accepted it. A dispatch without a job after 8.5 s
    ///   is deleted and replaced until `within` is over. The last one gets its full 8.5 s, too, so that no
    ///   job is ended that is not listed yet: the call may take that much longer than `within`.
    /// - The agents of participant and publisher jobs have no job before there is such a participant: for
    ///   them use [`create_dispatch`](Self::create_dispatch).
    ///
    /// ```no_run
    /// # async fn example(api: agent_testkit::ServerApi) -> Result<(), agent_testkit::ApiError> {
    /// use agent_testkit::DispatchRequest;
    /// use std::time::Duration;
    ///
    /// let dispatch = api.ensure_dispatch(DispatchRequest::new("greeter", "lobby"), Duration::from_secs(10)).await?;
    /// println!("job {}", dispatch.jobs[0].id);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ApiError`]; [`NotTaken`](ApiError::NotTaken) if no worker accepted in time; its dispatch is then
    /// deleted.
    pub async fn ensure_dispatch(
        &self,
        request: DispatchRequest,
        within: Duration,
    ) -> Result<DispatchInfo, ApiError> {
        let room = &*request.room;
        // `None`: never.
        let end = Instant::now().checked_add(within);
        let mut first_seen: BTreeMap<String, Instant> = BTreeMap::new();
        let mut ours: Option<String> = None;
        // A server takes 3 s to find out that it has no such room to list the dispatches of.
        let mut listed = if self.list_rooms(&[room]).await?.is_empty() {
            Vec::new()
        } else {
            self.list_dispatches(room).await?
        };
        loop {
            let now = Instant::now();
            for dispatch in &listed {
                first_seen.entry(dispatch.id.clone()).or_insert(now);
            }
            let is_overdue = |id: &str| {
                first_seen.get(id).is_some_and(|since| now.saturating_duration_since(*since) >= JOB_TIMEOUT)
            };
            match next_step(listed, &request, ours.as_deref(), is_overdue) {
                Step::Taken(dispatch) => return Ok(dispatch),
                Step::Wait => sleep(POLL_INTERVAL).await,
                Step::Withdraw(id) => {
                    self.delete_if_there(room, &id).await?;
                    ours = None;
                }
                // Without the deletion a worker that registers later could be offered the job, beside its
                // replacement.
                Step::Delete(ids) => {
                    for id in ids {
                        self.delete_if_there(room, &id).await?;
                    }
                    if ours.is_some() && end.is_some_and(|end| now >= end) {
                        let DispatchRequest { agent_name, deployment, .. } = request;
                        return Err(ApiError::NotTaken { agent_name, deployment, within });
                    }
                }
                Step::Create => ours = Some(self.create_dispatch(request.clone()).await?.id),
            }
            listed = self.list_dispatches(room).await?;
        }
    }

    async fn delete_if_there(&self, room: &str, dispatch_id: &str) -> Result<(), ApiError> {
        match self.delete_dispatch(room, dispatch_id).await {
            Err(error) if !error.is_not_found() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bytes::Bytes;

    use agent_proto::{encode, livekit};

    use super::super::dispatch::{DispatchedJob, JobState};
    use super::super::tests::{Reply, serve};
    use super::*;

    fn dispatch(id: &str, agent_name: &str, created_at: i64) -> DispatchInfo {
        DispatchInfo { id: id.into(), agent_name: agent_name.into(), created_at, ..Default::default() }
    }

    fn with_job(mut dispatch: DispatchInfo, state: JobState) -> DispatchInfo {
        dispatch.jobs.push(DispatchedJob {
            id: "AJ_1".into(),
            state,
            error: String::new(),
            worker_id: String::new(),
            participant_identity: String::new(),
        });
        dispatch
    }

    #[test]
    fn a_second_agent_is_never_started_beside_a_recorded_job() {
        let request = DispatchRequest::new("a", "r");
        let (one, two) = (|| dispatch("AD_1", "a", 1), || dispatch("AD_2", "a", 2));
        let running = || with_job(one(), JobState::Running);
        let failed = || with_job(two(), JobState::Failed);
        let other = || with_job(dispatch("AD_3", "b", 3), JobState::Running);
        let elsewhere = || {
            let mut dispatch = with_job(dispatch("AD_4", "a", 4), JobState::Running);
            dispatch.deployment = "blue".into();
            dispatch
        };
        let deleted = || DispatchInfo { is_deleted: true, ..running() };
        let delete = |ids: &[&str]| Step::Delete(ids.iter().map(ToString::to_string).collect());
        let withdraw = |id: &str| Step::Withdraw(id.to_owned());
        /// What is listed, which of it is overdue, what we created, and the decision.
        type Case<'a> = (Vec<DispatchInfo>, &'a [&'a str], Option<&'a str>, Step);
        let table: Vec<Case<'_>> = vec![
            (vec![], &[], None, Step::Create),
            (vec![other(), elsewhere(), deleted()], &[], None, Step::Create),
            (vec![running()], &[], None, Step::Taken(running())),
            (vec![running()], &["AD_1"], None, Step::Taken(running())),
            // A job that has ended was recorded, too.
            (vec![failed()], &[], None, Step::Taken(failed())),
            // The one with a job counts, and of several the first.
            (vec![one(), failed()], &[], None, Step::Taken(failed())),
            (vec![failed(), running()], &[], None, Step::Taken(running())),
            // Another caller's, or ours, may still get a job.
            (vec![one()], &[], None, Step::Wait),
            (vec![one()], &[], Some("AD_1"), Step::Wait),
            (vec![one(), other()], &["AD_3"], None, Step::Wait),
            // Without a job after its time it is replaced.
            (vec![one()], &["AD_1"], None, delete(&["AD_1"])),
            (vec![two(), one()], &["AD_1", "AD_2"], Some("AD_2"), delete(&["AD_1", "AD_2"])),
            // Of two created at once the later one is withdrawn, by who created it.
            (vec![two(), one()], &[], Some("AD_2"), withdraw("AD_2")),
            (vec![failed(), running()], &[], Some("AD_2"), withdraw("AD_2")),
            (vec![one(), failed()], &[], Some("AD_1"), withdraw("AD_1")),
            (vec![running(), failed()], &[], Some("AD_1"), Step::Taken(running())),
            (vec![two(), one()], &[], Some("AD_1"), Step::Wait),
            (vec![two(), one()], &[], None, Step::Wait),
            (vec![two(), one()], &["AD_1"], Some("AD_2"), Step::Wait),
            (vec![dispatch("AD_0", "a", 2), two()], &[], Some("AD_2"), withdraw("AD_2")),
        ];
        for (number, (listed, overdue, ours, step)) in table.into_iter().enumerate() {
            let decided = next_step(listed, &request, ours, |id| overdue.contains(&id));
            assert_eq!(decided, step, "case {number}");
        }
    }

    /// A server that has the room or not, lists the job of its dispatch from the second request on, and the
    /// methods that were called.
    async fn listing_late(has_room: bool) -> (ServerApi, impl Fn() -> Vec<String>) {
        let calls: Arc<Mutex<Vec<String>>> = Arc::default();
        let called = Arc::clone(&calls);
        let (api, _) = serve(move |_, request| {
            let mut calls = calls.lock().unwrap();
            let looks = calls.iter().filter(|call| *call == "ListDispatch").count();
            calls.push(request.method.clone());
            Reply::Ok(response(&request.method, has_room, looks > 0))
        })
        .await;
        (api, move || called.lock().unwrap().clone())
    }

    fn response(method: &str, has_room: bool, has_job: bool) -> Bytes {
        let mut dispatch =
            livekit::AgentDispatch { id: "AD_1".into(), agent_name: "a".into(), ..Default::default() };
        match method {
            "ListRooms" => {
                let rooms = if has_room { vec![livekit::Room::default()] } else { Vec::new() };
                encode(&livekit::ListRoomsResponse { rooms })
            }
            "ListDispatch" => {
                if has_job {
                    let job = livekit::Job { id: "AJ_1".into(), ..Default::default() };
                    let state = livekit::AgentDispatchState { jobs: vec![job], ..Default::default() };
                    dispatch.state = Some(state);
                }
                encode(&livekit::ListAgentDispatchResponse { agent_dispatches: vec![dispatch] })
            }
            _ => encode(&dispatch),
        }
    }

    #[tokio::test]
    async fn a_job_that_is_listed_after_the_time_is_not_ended() {
        let (api, calls) = listing_late(false).await;
        let dispatch = api.ensure_dispatch(DispatchRequest::new("a", "r"), Duration::ZERO).await;
        assert_eq!(calls(), ["ListRooms", "CreateDispatch", "ListDispatch", "ListDispatch"], "{dispatch:?}");
        assert_eq!(dispatch.unwrap().jobs[0].id, "AJ_1");
    }

    #[tokio::test]
    async fn an_existing_dispatch_is_awaited_instead_of_another_one_created() {
        let (api, calls) = listing_late(true).await;
        let dispatch = api.ensure_dispatch(DispatchRequest::new("a", "r"), Duration::MAX).await.unwrap();
        assert_eq!(calls(), ["ListRooms", "ListDispatch", "ListDispatch"]);
        assert_eq!(dispatch.jobs[0].id, "AJ_1");
    }
}
