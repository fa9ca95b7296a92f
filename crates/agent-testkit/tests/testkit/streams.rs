//! Text and byte streams between an agent and the participants that a test plays.

use std::time::Duration;

use agent_testkit::{JobSpec, run_job};
use agent_worker::room::{AgentPermissions, RoomError, StreamError};
use agent_worker::{JobContext, JobResult};

/// Answers each text of the chat with itself.
async fn echo(ctx: JobContext) -> JobResult {
    let mut texts = ctx.room().text_streams("lk.chat");
    while let Some(text) = texts.next().await {
        let text = text?;
        let (id, sender) = (text.info().id.clone(), text.info().sender.clone());
        let content = text.read_all().await?;
        ctx.room()
            .send_text("lk.chat", format!("You wrote: {content}"))
            .to([sender])
            .attributes([("mood", "curious")])
            .reply_to(id)
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_text_is_answered() {
    let job = JobSpec::room("lobby").participant("bob").script(|room| async move {
        let ada = room.join("ada");
        let mut answers = ada.room().text_streams("lk.chat");
        // Before the agent is there: nobody receives it.
        ada.send_text("lk.chat", "anybody there?");
        room.wait_for_agent().await;
        ada.send_text("lk.chat", "hello");
        let answer = answers.next().await.unwrap().unwrap();
        assert_eq!(answer.info().attributes["mood"], "curious");
        assert_eq!(answer.read_all().await.unwrap(), "You wrote: hello");
        let sent = room.wait_for_text(|sent| sent.text.starts_with("You")).await;
        assert_eq!((sent.to, sent.error), (vec!["ada".to_owned()], None));
        room.delete();
    });
    let run = run_job(echo, job).await;
    run.assert_success();
    let texts: Vec<_> = run.texts.iter().map(|sent| (sent.topic.as_str(), sent.text.as_str())).collect();
    assert_eq!(texts, [("lk.chat", "anybody there?"), ("lk.chat", "hello"), ("lk.chat", "You wrote: hello")]);
    let answers: Vec<_> = run.texts_by_agent().collect();
    assert_eq!((answers.len(), &answers[0].reply_to), (1, &run.texts[1].id));
    assert_eq!(answers[0].attributes["mood"], "curious");
    assert!(run.timeline.to_string().contains("Text {"), "{}", run.timeline);
}

#[tokio::test]
async fn a_text_in_parts_is_read_while_it_is_written() {
    let agent = |ctx: JobContext| async move {
        let mut go_on = ctx.room().data("go-on");
        let mut story = ctx.room().stream_text("story").await?;
        for word in ["once ", "upon ", "a time"] {
            story.write(word).await?;
            go_on.next().await.ok_or("the room is over")??;
        }
        story.close_with([("final", "true")]).await?;
        let mut dropped = ctx.room().stream_text("story").await?;
        dropped.write("and then").await?;
        dropped.abort("out of ideas").await?;
        JobResult::Ok(())
    };
    let job = JobSpec::room("lobby").script(|room| async move {
        let ada = room.join("ada");
        let mut stories = ada.room().text_streams("story");
        let mut story = stories.next().await.unwrap().unwrap();
        for word in ["once ", "upon ", "a time"] {
            assert_eq!(story.next().await.unwrap().unwrap(), word);
            ada.send_data("go-on", "");
        }
        assert!(story.next().await.is_none());
        assert_eq!(story.attributes()["final"], "true");
        let aborted = stories.next().await.unwrap().unwrap().read_all().await;
        assert_eq!(aborted, Err(StreamError::Aborted { reason: "out of ideas".to_owned() }));
    });
    let run = run_job(agent, job).await;
    run.assert_success();
    let texts: Vec<_> = run.texts_by_agent().map(|sent| (sent.text.as_str(), sent.error.is_none())).collect();
    assert_eq!(texts, [("once upon a time", true), ("and then", false)]);
    assert_eq!(run.texts[0].attributes["final"], "true");
}

fn ten_megabytes() -> Vec<u8> {
    (0..10_000_000_u32).map(|n| (n % 251) as u8).collect()
}

#[tokio::test]
async fn ten_megabytes_arrive_both_ways() {
    let agent = |ctx: JobContext| async move {
        let mut files = ctx.room().byte_streams("files");
        // Of a content without a receiver a room keeps at most 1 MiB.
        ctx.room().publish_data("ready", "").await?;
        let file = files.next().await.ok_or("the room is over")??;
        let name = file.name().to_owned();
        let content = file.read_all().await?;
        let mut copy =
            ctx.room().stream_bytes("copies").name(name).total_length(content.len() as u64).await?;
        for part in content.chunks(64_000) {
            copy.write(part.to_vec()).await?;
        }
        copy.close().await?;
        JobResult::Ok(())
    };
    let job = JobSpec::room("lobby").script(|room| async move {
        let ada = room.join("ada");
        let mut copies = ada.room().byte_streams("copies");
        room.wait_for_data(|sent| sent.topic == "ready").await;
        ada.room().send_bytes("files", ten_megabytes()).name("noise.bin").await.unwrap();
        let copy = copies.next().await.unwrap().unwrap();
        assert_eq!(copy.name(), "noise.bin");
        assert!(copy.read_all().await.unwrap() == ten_megabytes(), "the content is another one");
        room.wait_for_bytes(|sent| sent.topic == "copies").await;
    });
    let run = run_job(agent, job).await;
    run.assert_success();
    assert_eq!(run.byte_streams.len(), 2);
    let copy = run.byte_streams_by_agent().next().unwrap();
    assert_eq!((copy.name.as_str(), copy.len, &copy.error), ("noise.bin", 10_000_000, &None));
    assert!(copy.content == ten_megabytes(), "the content is another one");
}

/// Reports how the streams on a topic end.
async fn reporter(ctx: JobContext) -> JobResult {
    let mut texts = ctx.room().text_streams("story");
    while let Some(text) = texts.next().await {
        let end = text?.read_all().await;
        ctx.room().publish_data("end", format!("{end:?}")).await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_participant_that_leaves_ends_its_streams() {
    let job = JobSpec::room("lobby").participant("bob").script(|room| async move {
        let ada = room.join("ada");
        room.wait_for_agent().await;
        let mut story = ada.room().stream_text("story").await.unwrap();
        story.write("once ").await.unwrap();
        ada.leave();
        assert_eq!(story.write("upon a time").await, Err(RoomError::NotConnected));
        room.wait_for_data(|sent| sent.text() == "Err(SenderLeft)").await;
        room.delete();
    });
    let run = run_job(reporter, job).await;
    run.assert_success();
    assert_eq!((run.texts[0].text.as_str(), &run.texts[0].error), ("once ", &Some(StreamError::SenderLeft)));
}

#[tokio::test]
async fn invalid_streams_are_refused() {
    let agent = |ctx: JobContext| async move {
        let room = ctx.room();
        let long = room.send_text("chat", "hello").attributes([("key", "v".repeat(16_000))]).await;
        assert!(matches!(long, Err(RoomError::HeaderTooLarge { limit: 15_000, .. })), "{long:?}");
        // For somebody else, whom the others see as the sender.
        room.send_text("lk.transcription", "hello").on_behalf_of("bob").await?;
        JobResult::Ok(())
    };
    let job = JobSpec::room("lobby").participant("bob").script(|room| async move {
        let bob = room.join("bob");
        let text = bob.room().text_streams("lk.transcription").next().await.unwrap().unwrap();
        assert_eq!(text.info().sender, "bob");
    });
    let run = run_job(agent, job).await;
    run.assert_success();
    assert_eq!(run.texts_by_agent().next().unwrap().on_behalf_of.as_deref(), Some("bob"));

    let agent = |ctx: JobContext| async move {
        ctx.room().send_text("chat", "hello").await?;
        JobResult::Ok(())
    };
    let silent = |worker: agent_worker::WorkerBuilder| {
        let mut permissions = AgentPermissions::default();
        permissions.can_publish_data = false;
        worker.permissions(permissions)
    };
    let run = run_job(agent, JobSpec::room("lobby").worker(silent)).await;
    let agent_worker::Outcome::Failed { error } = &run.outcome else { panic!("{run:?}") };
    assert!(error.contains("no permission to publish data"), "{error}");
    assert_eq!(run.texts, []);
}

#[tokio::test(start_paused = true)]
async fn a_participant_that_was_not_admitted_is_outside() {
    let server = agent_testkit::MockServer::builder().start_in_process();
    let nobody = server.room("lobby").join("");
    nobody.send_text("chat", "hello");
    assert_eq!(nobody.room().send_text("chat", "hello").await, Err(RoomError::NotConnected));
    assert!(nobody.room().text_streams("chat").next().await.is_none());
    tokio::time::timeout(Duration::from_secs(1), nobody.room().closed()).await.unwrap();
}
