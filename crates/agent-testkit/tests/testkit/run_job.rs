//! One job in a mock room, on virtual time.

use std::sync::Arc;
use std::time::{Duration, Instant};

use agent_testkit::{JobSpec, MockServer, ServerEvent, run_job, run_job_in_real_time};
use agent_worker::room::{ParticipantKind, TrackKind, TrackSource};
use agent_worker::{
    Agent, Answer, CancelReason, EndedJob, Job, JobContext, JobError, JobKind, JobResult, Outcome,
    RetryPolicy, RoomEvent, WorkerBuilder,
};

#[derive(Default, serde::Deserialize)]
struct Greeting {
    name: String,
}

async fn greet(ctx: JobContext) -> JobResult {
    let Greeting { name } = ctx.metadata()?;
    ctx.room().publish_data("chat", format!("Hello, {name}!")).await?;
    ctx.cancelled().await;
    Ok(())
}

#[tokio::test]
async fn a_first_test_is_this_short() {
    let run = run_job(greet, JobSpec::room("lobby").metadata(r#"{"name":"Ada"}"#)).await;
    assert_eq!(run.outcome, Outcome::Success);
    assert_eq!(run.sent[0].text(), "Hello, Ada!");
}

/// The settings of a program, its name and deployment too, can be those of its tests.
#[tokio::test]
async fn settings_of_a_program_may_name_its_agent_and_deployment() {
    let settings = |worker: WorkerBuilder| worker.agent_name("greeter").deployment("blue");
    let names = |ctx: JobContext| async move {
        ctx.room()
            .publish_data("names", format!("{} {}", ctx.job().agent_name, ctx.job().deployment))
            .await?;
        Ok(())
    };
    let run = run_job(names, JobSpec::room("lobby").worker(settings)).await;
    run.assert_success();
    assert_eq!(run.sent[0].text(), "greeter blue");
    let spec = JobSpec::room("lobby").agent_name("tester").deployment("green").worker(settings);
    assert_eq!(run_job(names, spec).await.sent[0].text(), "tester green");
}

#[tokio::test]
async fn an_hour_takes_no_time_and_errors_are_reported() {
    let started = Instant::now();
    let run = run_job(
        |_: JobContext| async {
            tokio::time::sleep(Duration::from_secs(3600)).await;
            Err("after an hour".into())
        },
        JobSpec::room("lobby").lasts(Duration::from_secs(7200)),
    )
    .await;
    assert_eq!(run.outcome, Outcome::Failed { error: "after an hour".into() });
    assert!(run.duration >= Duration::from_secs(3600), "{:?}", run.duration);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
}

#[tokio::test]
async fn metadata_that_does_not_fit_names_its_field() {
    let run = run_job(greet, JobSpec::room("lobby").metadata(r#"{"name":1}"#)).await;
    let Outcome::Failed { error } = run.outcome else { panic!("{run:?}") };
    assert!(error.contains("$.name"), "{error}");
}

#[tokio::test]
async fn a_flaky_handler_is_retried_without_waiting() {
    let flaky = |ctx: JobContext| async move {
        ctx.room().publish_data("attempt", ctx.attempt().to_string()).await?;
        match ctx.attempt() {
            1 | 2 => Err(JobError::retryable("the model is still loading", Duration::from_secs(600))),
            _ => Ok(()),
        }
    };
    let started = Instant::now();
    let run = run_job(flaky, JobSpec::room("lobby").lasts(Duration::from_secs(7200))).await;
    run.assert_success();
    assert_eq!(run.sent.iter().map(|sent| sent.text()).collect::<Vec<_>>(), ["1", "2", "3"]);
    assert!(run.duration >= Duration::from_secs(1200), "{:?}", run.duration);
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());

    let never = |builder: WorkerBuilder| builder.retry(RetryPolicy::never());
    let run = run_job(flaky, JobSpec::room("lobby").worker(never)).await;
    assert_eq!(run.outcome, Outcome::Failed { error: "the model is still loading".into() });
}

#[tokio::test]
async fn a_cleanup_is_seen_in_the_room() {
    let agent = |ctx: JobContext| async move {
        ctx.on_cleanup(async |ctx| {
            let _ = ctx.room().publish_data("status", "goodbye").await;
        });
        Err("no such voice".into())
    };
    let run = run_job(agent, JobSpec::room("lobby")).await;
    assert_eq!(run.outcome, Outcome::Failed { error: "no such voice".into() });
    assert_eq!(run.sent[0].text(), "goodbye");
}

#[tokio::test]
async fn a_panic_is_a_failed_job_and_a_readable_test() {
    let run = run_job(|_: JobContext| async { panic!("index out of bounds") }, JobSpec::room("lobby")).await;
    let panic = std::panic::catch_unwind(|| run.assert_success()).expect_err("it failed");
    let text = panic.downcast_ref::<String>().expect("a text");
    for part in ["panicked: index out of bounds", "Offered", "Assigned", "Joined", "JS_FAILED"] {
        assert!(
            text.contains(part) || part == "JS_FAILED" && text.contains("Failed"),
            "{part} is not in\n{text}"
        );
    }
}

/// Reports what it observes, until it is cancelled.
async fn witness(ctx: JobContext) -> JobResult {
    let mut events = ctx.room().events();
    loop {
        let seen = tokio::select! {
            reason = ctx.cancelled() => {
                ctx.room().publish_data("seen", format!("cancelled: {reason}")).await?;
                return Ok(());
            }
            event = events.next() => match event {
                None => return Ok(()),
                Some(RoomEvent::ParticipantJoined(p)) => format!("joined {} {:?}", p.identity, p.kind),
                Some(RoomEvent::ParticipantLeft { participant, reason }) => format!("left {} {reason:?}", participant.identity),
                Some(RoomEvent::DataReceived(data)) => format!("data {} {:?} from {:?}", data.topic, data.payload, data.sender),
                Some(RoomEvent::AttributesChanged { participant, changed }) => format!("attributes {} {changed:?}", participant.identity),
                Some(RoomEvent::TrackPublished { track, .. }) => format!("track {} {:?}", track.name, track.kind),
                Some(RoomEvent::TrackMuted { track, .. }) => format!("muted {}", track.name),
                Some(RoomEvent::TrackUnpublished { track, .. }) => format!("unpublished {}", track.name),
                Some(RoomEvent::SpeakersChanged(speakers)) => format!("speaks {:?}", speakers.iter().map(|s| &s.identity).collect::<Vec<_>>()),
                Some(RoomEvent::RoomMetadataChanged(room)) => format!("room metadata {}", room.metadata),
                Some(_) => continue,
            },
        };
        ctx.room().publish_data("seen", seen).await?;
    }
}

#[tokio::test]
async fn the_script_plays_everybody_else() {
    let spec = JobSpec::room("stage").participant("ada").script(|room| async move {
        let agent = room.wait_for_agent().await;
        assert_eq!((agent.kind, agent.identity.starts_with("agent-AJ_")), (ParticipantKind::Agent, true));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let bob = room.join("bob");
        bob.send_data("chat", "hi");
        bob.set_attributes([("mood", "good")]);
        let sid = bob.publish("song", TrackKind::Audio, TrackSource::Microphone);
        bob.mute(&sid, true);
        bob.unpublish(&sid);
        room.speak([("ada", 0.5)]);
        room.set_metadata("blue");
        room.send_data("api", "from above");
        bob.leave();
        let last = room.wait_for_data(|sent| sent.text().starts_with("left bob")).await;
        assert!(last.at >= Duration::from_secs(1), "{last:?}");
        assert_eq!(
            bob.received().len(),
            room.sent().iter().filter(|s| s.sender.as_deref() != Some("bob")).count()
        );
    });
    let run = run_job(witness, spec).await;
    run.assert_success();
    let seen: Vec<String> = run.sent_by_agent().map(|sent| sent.text()).collect();
    assert_eq!(
        seen,
        [
            "joined ada Standard",
            "joined bob Standard",
            "data chat b\"hi\" from Some(\"bob\")",
            "attributes bob {\"mood\": \"good\"}",
            "track song Audio",
            "muted song",
            "unpublished song",
            "speaks [\"ada\"]",
            "room metadata blue",
            "data api b\"from above\" from None",
            "left bob ClientInitiated",
            "cancelled: terminated",
        ]
    );
}

#[tokio::test]
async fn the_room_can_end_in_every_way() {
    type Play = fn(agent_testkit::MockRoom, String);
    let ends: [(Play, CancelReason, Outcome); 4] = [
        (|room, _| room.delete(), CancelReason::RoomClosed, Outcome::Success),
        (|room, agent| room.remove(&agent), CancelReason::Kicked, Outcome::Failed { error: "kicked".into() }),
        (
            |room, agent| drop(room.join(agent)),
            CancelReason::DuplicateIdentity,
            Outcome::Failed { error: "duplicate_identity".into() },
        ),
        // Only the agent is left: the room closes after 20 s.
        (|room, _| room.join("ada").leave(), CancelReason::RoomClosed, Outcome::Success),
    ];
    for (play, reason, outcome) in ends {
        let (sender, receiver) = std::sync::mpsc::channel();
        let agent = move |ctx: JobContext| {
            let sender = sender.clone();
            async move {
                let _ = sender.send(ctx.cancelled().await);
                JobResult::Ok(())
            }
        };
        let spec = JobSpec::room("ending").script(move |room| async move {
            let agent = room.wait_for_agent().await;
            tokio::time::sleep(Duration::from_secs(1)).await;
            play(room, agent.identity.clone());
        });
        let run = run_job(agent, spec).await;
        assert_eq!((receiver.recv().unwrap(), run.outcome), (reason, outcome), "{}", run.timeline);
    }
}

#[tokio::test]
async fn participant_and_publisher_jobs_have_their_target() {
    async fn target(ctx: JobContext) -> JobResult {
        let target = ctx.target().ok_or("no target")?;
        ctx.room().publish_data("target", target.identity.clone()).await?;
        Ok(())
    }
    for spec in [JobSpec::for_participant("p", "ada"), JobSpec::for_publisher("p", "ada")] {
        let run = run_job(target, spec).await;
        run.assert_success();
        assert_eq!(run.sent[0].text(), "ada");
    }
}

#[tokio::test]
async fn the_worker_can_be_set_up_and_the_same_run_is_the_same_twice() {
    async fn stay(ctx: JobContext) -> JobResult {
        ctx.cancelled().await;
        Ok(())
    }
    let spec = || JobSpec::room("short").worker(|builder| builder.job_timeout(Duration::from_secs(5)));
    let (first, second) = (run_job(stay, spec()).await, run_job(stay, spec()).await);
    assert_eq!(first.outcome, Outcome::Failed { error: "job_timeout".into() });
    let events = |run: &agent_testkit::Run| -> Vec<ServerEvent> {
        run.timeline.events().iter().map(|(_, event)| event.clone()).collect()
    };
    assert_eq!(events(&first), events(&second));
}

#[tokio::test]
async fn real_time_is_for_real_io() {
    let run = run_job_in_real_time(
        |ctx: JobContext| async move {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
            ctx.room().publish_data("port", listener.local_addr()?.port().to_string()).await?;
            Ok(())
        },
        JobSpec::room("real"),
    )
    .await;
    run.assert_success();
    assert_ne!(run.sent[0].text(), "0");
}

/// Succeeds, and finds the outcome wrong afterwards.
struct Unhappy;

impl Agent for Unhappy {
    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        Ok(())
    }

    async fn on_ended(&self, ended: &EndedJob) {
        assert!(!ended.outcome.is_success(), "it was expected to fail");
    }
}

#[tokio::test]
#[should_panic(expected = "it was expected to fail")]
async fn a_panic_of_the_callback_for_the_end_fails_the_test() {
    run_job(Unhappy, JobSpec::room("lobby")).await;
}

struct Dismissive;

impl Agent for Dismissive {
    async fn on_request(&self, _: &Job) -> Answer {
        Answer::Dismiss
    }

    async fn run(self: Arc<Self>, _: JobContext) -> JobResult {
        Ok(())
    }
}

#[tokio::test]
#[should_panic(expected = "the agent dismissed the job, so that no handler ran")]
async fn a_job_that_is_dismissed_fails_the_test() {
    run_job(Dismissive, JobSpec::room("lobby")).await;
}

/// A dispatch makes a job for each participant.
#[tokio::test]
async fn the_outcome_is_that_of_the_target() {
    async fn only_for_ada(ctx: JobContext) -> JobResult {
        match ctx.target().map(|target| target.identity.as_str()) {
            Some("ada") => Ok(()),
            _ => Err("it is not ada".into()),
        }
    }
    for (target, expected) in [("zoe", false), ("ada", true)] {
        let spec = JobSpec::for_participant("lobby", target).participant("ada").participant("zoe");
        let run = run_job(only_for_ada, spec).await;
        assert_eq!(run.outcome.is_success(), expected, "{target}: {:?}", run.outcome);
        let server = MockServer::builder().start_in_process();
        let worker = server.worker(only_for_ada).agent_name("tester").job_kind(JobKind::Participant);
        tokio::spawn(worker.build().unwrap().run());
        let spec = JobSpec::for_participant("lobby", target).participant("ada").participant("zoe");
        let outcome = server.dispatch(spec).await.unwrap().outcome().await.unwrap();
        assert_eq!(outcome.is_success(), expected, "{target}: {outcome:?}");
    }
}

#[tokio::test]
#[should_panic(expected = "the agent said nothing")]
async fn a_panic_of_a_script_of_a_dispatched_job_fails_the_test() {
    let server = MockServer::builder().start_in_process();
    tokio::spawn(server.worker(greet).agent_name("tester").build().unwrap().run());
    let spec = JobSpec::room("lobby").script(|room| async move {
        room.wait_for_agent().await;
        panic!("the agent said nothing");
    });
    let _ = server.dispatch(spec).await.unwrap().outcome().await;
}
