//! Values that would not load again, or would load as something else: saving them fails.

use agent_testkit::{FaultyStore, run_job_in_real_time};
use agent_worker::JobContext;
use agent_worker::checkpoint::AutoSaved;

use super::{Progress, error, left_in, run, saves, seconds, spec};
use crate::support::steady_log::Log;

#[derive(Clone, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
struct Score {
    done: u64,
    score: f64,
}

const NO_NUMBER: &str = "the checkpoint (a Score) cannot be saved: at `$.score`: NaN is no number in JSON, and would not load again: save a finite number, or leave it out";

#[tokio::test]
async fn a_value_that_would_not_load_again_is_refused_and_the_older_checkpoint_stays() {
    let store = FaultyStore::new();
    let count = store.clone();
    let handler = move |ctx: JobContext| {
        let count = count.clone();
        async move {
            let checkpoint = ctx.checkpoint::<Score>();
            checkpoint.save(&Score { done: 5, score: 0.5 }).await?;
            assert_eq!(saves(&count), 1);
            let refused = checkpoint.save(&Score { done: 6, score: f64::NAN }).await;
            assert_eq!(saves(&count), 1, "the store was not asked");
            assert_eq!(refused.as_ref().map_err(ToString::to_string), Err(NO_NUMBER.to_owned()));
            assert_eq!(checkpoint.load().await?, Some(Score { done: 5, score: 0.5 }));
            Ok(refused?)
        }
    };
    let failed = run(&store, handler).await;
    assert_eq!(error(&failed), format!("checkpoint_unwritable: {NO_NUMBER}"));
    assert_eq!(left_in(&store).await, Some(Progress { done: 5 }), "a fixed agent resumes with it");
}

/// While it does not change, it is neither saved nor logged again.
#[tokio::test(start_paused = true)]
async fn a_value_that_saves_itself_and_cannot_be_saved_is_logged_once_each_time_it_changes() {
    let (log, _guard) = Log::keep();
    let store = FaultyStore::new();
    let (count, lines) = (store.clone(), log.clone());
    let handler = move |ctx: JobContext| {
        let (count, lines) = (count.clone(), lines.clone());
        async move {
            let lines = || lines.with("a Score) cannot be saved").len();
            let progress: AutoSaved<Score> = ctx.checkpoint().resume().await?;
            progress.set(Score { done: 1, score: 1.0 });
            seconds(31).await;
            assert_eq!((saves(&count), lines()), (1, 0));
            progress.set(Score { done: 2, score: f64::INFINITY });
            seconds(31).await;
            assert_eq!((saves(&count), lines()), (1, 1));
            seconds(300).await;
            assert_eq!((saves(&count), lines()), (1, 1), "the same value would be refused again");
            progress.set(Score { done: 3, score: f64::INFINITY });
            seconds(300).await;
            assert_eq!((saves(&count), lines()), (1, 1), "for the same reason");
            progress.set(Score { done: 4, score: 4.0 });
            seconds(31).await;
            assert_eq!((saves(&count), lines()), (2, 1));
            progress.set(Score { done: 5, score: f64::NAN });
            seconds(31).await;
            assert_eq!((saves(&count), lines()), (2, 2));
            ctx.shutdown("enough");
            ctx.cancelled().await;
            Ok(())
        }
    };
    // On this thread, whose log is kept.
    run_job_in_real_time(handler, spec(store.clone())).await.assert_success();
    let lines = log.with("a Score) cannot be saved");
    assert!(lines.iter().all(|line| line.starts_with("ERROR")), "{lines:?}");
    assert_eq!(log.with("is lost").len(), 1, "at the end of the job");
    assert_eq!(left_in(&store).await, Some(Progress { done: 4 }));
}
