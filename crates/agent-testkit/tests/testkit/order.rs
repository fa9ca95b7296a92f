//! `run_job` is deterministic: one seed, one order of everything that happens in a moment of virtual time.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use agent_testkit::{JobSpec, MockRoom, Run, run_job_blocking};
use agent_worker::room::ParticipantFilter;
use agent_worker::{JobContext, JobResult, Outcome, RoomEvent};

/// What the tasks of a handler did, in order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap().push(what.into());
    }
}

/// Many tasks, which wait for the same things and answer them.
async fn busy(ctx: JobContext, diary: Diary) -> JobResult {
    for n in 0..8 {
        let (job, diary) = (ctx.clone(), diary.clone());
        ctx.spawn(async move {
            let room = job.room();
            let person = room.wait_for_participant(ParticipantFilter::identity("ada")).await;
            diary.note(format!("{n} sees {}", person.map_or_else(|e| e.to_string(), |p| p.identity.clone())));
            let mut questions = room.data("question");
            let mut events = room.events();
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            loop {
                tokio::select! {
                    biased;
                    Some(event) = events.next() => match event {
                        RoomEvent::ParticipantJoined(participant) => diary.note(format!("{n} joined {}", participant.identity)),
                        RoomEvent::ParticipantLeft { participant, .. } => diary.note(format!("{n} left {}", participant.identity)),
                        _ => {}
                    },
                    Some(question) = questions.next() => {
                        if let Ok(question) = question {
                            diary.note(format!("{n} asked {}", String::from_utf8_lossy(&question.payload)));
                            let _ = room.publish_data("answer", format!("{n}")).await;
                        }
                    }
                    _ = ticks.tick() => diary.note(format!("{n} ticks")),
                    reason = job.cancelled() => {
                        diary.note(format!("{n} cancelled {reason:?}"));
                        break;
                    }
                    reason = room.closed() => {
                        diary.note(format!("{n} closed {reason:?}"));
                        break;
                    }
                }
            }
        });
    }
    ctx.cancelled().await;
    Ok(())
}

/// Four people come, ask, answer and go at the same times.
fn job() -> JobSpec {
    (0..4).fold(JobSpec::room("lobby").lasts(Duration::from_secs(1)), |job, n| {
        job.script(move |room| async move {
            let soon = Duration::from_millis(100);
            room.wait_for_agent().await;
            tokio::time::sleep(soon).await;
            let person = room.join(if n == 0 { "ada".to_owned() } else { format!("person-{n}") });
            tokio::time::sleep(soon).await;
            person.send_data("question", format!("from {n}"));
            room.wait_for_data(|sent| sent.topic == "answer").await;
            person.send_text("thanks", format!("from {n}"));
            person.publish_microphone();
            tokio::time::sleep(soon).await;
            person.leave();
        })
    })
}

/// The seed's order of what the tasks did, and everything that a run records.
fn run(seed: u64) -> (String, String) {
    let diary = Diary::default();
    let kept = diary.clone();
    let run = run_job_blocking(async move |ctx: JobContext| busy(ctx, diary).await, job().seed(seed));
    let notes = kept.0.lock().unwrap().join("\n");
    let Run { outcome, duration, sent, texts, timeline, .. } = run;
    (notes, format!("{outcome:?} {duration:?}\n{:#?}\n{sent:#?}\n{texts:#?}", timeline.events()))
}

#[test]
fn the_same_seed_gives_the_same_run() {
    for seed in [0, 7] {
        let first = run(seed);
        assert!(first.0.lines().count() > 100 && first.1.contains("Success"), "{first:?}");
        for _ in 1..50 {
            assert_eq!(run(seed), first);
        }
    }
}

#[test]
fn other_seeds_give_other_orders() {
    let orders: BTreeSet<String> = (0..20).map(|seed| run(seed).0).collect();
    assert!(orders.len() >= 15, "{} orders of 20 seeds", orders.len());
}

/// Ends when the last person has left.
async fn host(ctx: JobContext) -> JobResult {
    let mut events = ctx.room().events();
    while let Some(event) = events.next().await {
        let alone = || ctx.room().participants().is_empty();
        if matches!(event, RoomEvent::ParticipantLeft { .. }) && alone() {
            // Somebody may join until this is sent.
            ctx.room().publish_data("bye", "nobody is here").await?;
            return if alone() { Ok(()) } else { Err("somebody was left alone".into()) };
        }
    }
    Ok(())
}

#[test]
fn seeds_find_a_race_of_a_handler() {
    let run = |seed| {
        let soon = Duration::from_secs(1);
        let bob = async move |room: MockRoom| {
            tokio::time::sleep(soon).await;
            room.join("bob");
        };
        let ada = async move |room: MockRoom| {
            tokio::time::sleep(soon).await;
            room.lose("ada");
        };
        run_job_blocking(host, JobSpec::room("lobby").participant("ada").script(bob).script(ada).seed(seed))
    };
    let failed =
        |seed: &u64| matches!(run(*seed).outcome, Outcome::Failed { error } if error.contains("left alone"));
    assert!(!failed(&0), "in the order of the scripts there is no race");
    let found = (1..200).find(failed);
    assert!(found.is_some(), "no seed finds it");
    println!("found by seed {found:?}");
    assert!(failed(&found.unwrap()), "the seed finds it again");
}
