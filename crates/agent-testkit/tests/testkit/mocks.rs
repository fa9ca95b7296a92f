//! Mocks of small traits, made with mockall: for a single answer, or to count calls. The server and its rooms
//! need no such mocks: the testkit has complete ones.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use mockall::predicate::{always, eq};
use mockall::{Sequence, mock};

use agent_testkit::{JobSpec, MockServer, ServerEvent, run_job};
use agent_worker::net::{ByteStream, Dialer, NetOptions};
use agent_worker::room::{JoinError, JoinFailure, JoinRequest, RoomConnector};
use agent_worker::{Agent, Answer, BoxFuture, EndedJob, Job, JobContext, JobResult, Outcome, Room};

mock! {
    /// An agent, to check a worker's calls.
    Agent {}
    impl Agent for Agent {
        async fn on_request(&self, job: &Job) -> Answer;
        async fn run(self: Arc<Self>, ctx: JobContext) -> JobResult;
        async fn on_ended(&self, ended: &EndedJob);
    }
}

mock! {
    /// A connector, for joins that fail.
    Connector {}
    impl RoomConnector for Connector {
        fn connect<'a>(&'a self, request: JoinRequest) -> BoxFuture<'a, Result<Room, JoinError>>;
    }
}

mock! {
    /// A dialer, for connections that fail.
    Dialer {}
    impl Dialer for Dialer {
        fn dial<'a>(&'a self, host: &str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn ByteStream>>>;
    }
}

mock! {
    /// A trait of the user's own, which the handler uses.
    Translator {
        fn translate(&self, text: &str) -> Result<String, io::Error>;
        fn load(&self) -> f32;
    }
}

/// The load function is a closure that calls the mock.
#[tokio::test(start_paused = true)]
async fn the_load_of_a_machine() {
    let server = MockServer::builder().start_in_process();
    let mut machine = MockTranslator::new();
    let mut order = Sequence::new();
    machine.expect_load().times(1..).in_sequence(&mut order).return_const(1.0_f32);
    let agent = |_: JobContext| async { JobResult::Ok(()) };
    let worker = server.worker(agent).agent_name("busy").load(move || machine.load()).build().unwrap();
    tokio::spawn(worker.run());
    // The load is read twice a second and sent to the server.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let job = server.dispatch(JobSpec::room("lobby")).await.unwrap();
    let refused = job.outcome().await.unwrap_err().to_string();
    assert!(refused.contains("every worker is full"), "{refused}");
}

#[tokio::test]
async fn calls_of_a_worker_to_its_agent() {
    let mut agent = MockAgent::new();
    let mut order = Sequence::new();
    agent
        .expect_on_request()
        .withf(|job| job.room.name == "lobby")
        .times(1)
        .in_sequence(&mut order)
        .returning(|_| Answer::accept().identity("the-mock"));
    agent.expect_run().times(1).in_sequence(&mut order).returning(|ctx| {
        assert_eq!(ctx.room().local_participant().identity, "the-mock");
        Err("no such voice".into())
    });
    agent
        .expect_on_ended()
        .withf(|ended| ended.outcome == Outcome::Failed { error: "no such voice".into() })
        .times(1)
        .in_sequence(&mut order)
        .return_const(());
    let run = run_job(agent, JobSpec::room("lobby")).await;
    assert_eq!(run.outcome, Outcome::Failed { error: "no such voice".into() });
}

#[tokio::test]
async fn a_room_that_cannot_be_joined() {
    let mut connector = MockConnector::new();
    connector.expect_connect().times(1..).returning(|request| {
        assert!(request.url.starts_with("ws://"));
        let refused = JoinFailure::Refused { status: Some(503), detail: "no capacity".into() };
        Box::pin(async { Err(JoinError::Failed(refused)) })
    });
    let never = |_: JobContext| async { panic!("without a room the handler is not called") };
    let spec = JobSpec::room("lobby").worker(|worker| worker.connector(connector));
    let Outcome::Failed { error } = run_job(never, spec).await.outcome else { panic!("it has no room") };
    assert!(error.contains("no capacity"), "{error}");
}

/// Two connections fail; the third is tried after a delay, which takes no time here.
#[tokio::test(start_paused = true)]
async fn a_server_that_cannot_be_reached() {
    let server = MockServer::builder().start_in_process();
    let mut dialer = MockDialer::new();
    dialer
        .expect_dial()
        .with(eq("mock-server"), always())
        .times(2)
        .returning(|_, _| Box::pin(async { Err(io::Error::from(io::ErrorKind::ConnectionRefused)) }));
    let (ours, theirs) = tokio::sync::oneshot::channel::<()>();
    let mut ours = Some(ours);
    dialer.expect_dial().times(1..).returning(move |_, _| {
        // This test only waits for the third attempt.
        drop(ours.take());
        Box::pin(std::future::pending())
    });
    let agent = |_: JobContext| async { JobResult::Ok(()) };
    let net = NetOptions::default().dialer(dialer);
    let worker = server.worker(agent).net(net).agent_name("patient").build().unwrap();
    let running = tokio::spawn(worker.run());
    tokio::time::timeout(Duration::from_secs(60), theirs).await.expect("it retries").unwrap_err();
    assert!(!running.is_finished());
    assert!(!server.events().iter().any(|event| matches!(event, ServerEvent::Registered { .. })));
}

/// A handler with a dependency behind a trait of the user's own.
#[tokio::test]
async fn a_trait_of_ones_own() {
    let mut translator = MockTranslator::new();
    translator.expect_translate().with(eq("good morning")).times(1).returning(|_| Ok("bonjour".to_owned()));
    let translator = Arc::new(translator);
    let agent = {
        let translator = translator.clone();
        move |ctx: JobContext| {
            let translator = translator.clone();
            async move {
                let text = translator.translate(&ctx.job().raw_metadata)?;
                ctx.room().publish_data("translation", text).await?;
                Ok(())
            }
        }
    };
    let run = run_job(agent, JobSpec::room("lobby").metadata("good morning")).await;
    run.assert_success();
    assert_eq!(run.sent[0].text(), "bonjour");
}

/// An expected call that did not happen fails the test, also inside of `run_job`.
#[tokio::test]
async fn missing_calls_fail_the_test() {
    let run = tokio::spawn(async {
        let mut agent = MockAgent::new();
        agent.expect_on_request().returning(|_| Answer::accept());
        agent.expect_run().times(2).returning(|_| Ok(()));
        agent.expect_on_ended().return_const(());
        run_job(agent, JobSpec::room("lobby")).await
    });
    let panic = run.await.expect_err("it ran once").into_panic();
    let text = panic.downcast_ref::<String>().expect("a text");
    assert!(text.contains("MockAgent::run") && text.contains("called 1 time(s)"), "{text}");
}
