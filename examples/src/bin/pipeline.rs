//! Answers questions in stages: read, compute, answer. The stages run concurrently, and an error names its
//! stage. When the job is cancelled, taken questions are answered, for half of its grace.
//!
//! Run it with `LIVEKIT_URL`, `LIVEKIT_API_KEY` and `LIVEKIT_API_SECRET` set, then dispatch the agent
//! `calculator` to a room and send it sums such as `1 + 2` as data of the topic `sum`. Its tests below do
//! that without a server: `cargo test -p examples --bin pipeline`.

use futures_util::StreamExt;

use agent_worker::patterns::Pipeline;
use agent_worker::{JobContext, JobError, JobResult, Worker, cli};

struct Sum {
    from: String,
    numbers: Vec<i64>,
}

async fn calculate(ctx: JobContext) -> JobResult {
    let room = ctx.room();
    // Lost questions can be asked again.
    let sums = room.data("sum").filter_map(async |sum| sum.inspect_err(|lost| tracing::warn!("{lost}")).ok());
    Pipeline::new(sums, ctx.cancelled())
        .flush_within(ctx.grace() / 2)
        .stage("read", async |data| {
            let text = String::from_utf8_lossy(&data.payload).into_owned();
            let number = |word: &str| {
                word.trim().parse().map_err(|_| JobError::invalid("sum", &text, "expected numbers with +"))
            };
            let numbers = text.split('+').map(number).collect::<Result<_, _>>()?;
            Ok(Sum { from: data.sender.unwrap_or_default(), numbers })
        })
        .stage("compute", async |sum: Sum| {
            let total = sum.numbers.iter().try_fold(0_i64, |total, number| total.checked_add(*number));
            Ok((sum.from, total.ok_or("the sum is too large")?))
        })
        .stage("answer", async |(from, total): (String, i64)| {
            Ok(room.publish_data("total", total.to_string()).to([from]).await?)
        })
        .run()
        .await?;
    Ok(())
}

fn main() -> std::process::ExitCode {
    cli::main(Worker::builder(calculate).agent_name("calculator"))
}

#[cfg(test)]
mod tests {
    use agent_testkit::{JobSpec, run_job};
    use agent_worker::Outcome;

    use super::*;

    fn asking(sums: &'static [&'static str]) -> JobSpec {
        JobSpec::room("lobby").script(move |room| async move {
            let ada = room.join("ada");
            room.wait_for_agent().await;
            for sum in sums {
                ada.send_data("sum", *sum);
            }
        })
    }

    #[tokio::test]
    async fn sums_are_answered_in_their_order() {
        let run = run_job(calculate, asking(&["1 + 2", "40+2", "-1"])).await;
        run.assert_success();
        let totals: Vec<String> = run.sent_by_agent().map(|sent| sent.text()).collect();
        assert_eq!(totals, ["3", "42", "-1"]);
    }

    #[tokio::test]
    async fn an_invalid_sum_ends_the_job_after_the_sums_before_it() {
        let run = run_job(calculate, asking(&["1 + 2", "one", "3"])).await;
        let Outcome::Failed { error } = &run.outcome else { panic!("{}", run.timeline) };
        assert_eq!(error, "stage read failed: invalid_input: sum = one: expected numbers with +");
        assert_eq!(run.sent_by_agent().count(), 1);
    }
}
