//! What a scrape by Prometheus costs: a worker with many running jobs, with and without one each second.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use agent_testkit::{JobSpec, MockServer, ServerEvent};

use crate::processes::{Of, load_average};
use crate::table::median;

/// The worker, which is beside this program.
const PROGRAM: &str = "agent-bench-held";
/// How long the worker may take to register, and to start its jobs.
const SOON: Duration = Duration::from_secs(60);
/// How long it is left alone before it is measured.
const REST: Duration = Duration::from_secs(2);
const EACH: Duration = Duration::from_secs(1);

/// How scrapes are measured.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Jobs that run meanwhile.
    #[arg(long, default_value_t = 1_000)]
    jobs: usize,
    /// Rounds; each has a time with scrapes and one without. The table shows medians.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// How long each of the two times is, in seconds.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Everything once, as small as possible: shows that it works.
    #[arg(long)]
    quick: bool,
}

/// A time with or without scrapes.
struct Sample {
    /// Of one core.
    percent: f64,
    /// Of each scrape, from the connection to the end of the text.
    took: Vec<f64>,
    bytes: usize,
}

/// Runs all rounds; returns the table of figures.
pub(crate) fn run(options: &Options) -> Result<String> {
    let mut options = options.clone();
    ensure!((1..=50_000).contains(&options.jobs), "--jobs is {}: give 1 to 50000", options.jobs);
    ensure!((1..=50).contains(&options.rounds), "--rounds is {}: give 1 to 50", options.rounds);
    ensure!((1..=600).contains(&options.seconds), "--seconds is {}: give 1 to 600", options.seconds);
    if options.quick {
        (options.jobs, options.rounds, options.seconds) = (20, 1, 1);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(rounds(&options))
}

async fn rounds(options: &Options) -> Result<String> {
    let server = MockServer::start().await?;
    let (_worker, pid, http) = start(&server).await?;
    for number in 0..options.jobs {
        server.dispatch(JobSpec::room(format!("room-{number}")).agent_name("held")).await?;
    }
    let begun = Instant::now();
    while active_jobs(&get(http, "/metrics").await?)? < options.jobs {
        ensure!(begun.elapsed() < SOON, "the worker does not run {} jobs", options.jobs);
    }
    let (mut scraped, mut alone) = (Vec::new(), Vec::new());
    for round in 0..options.rounds {
        let order = if round % 2 == 0 { [true, false] } else { [false, true] };
        for scrapes in order {
            tokio::time::sleep(if options.quick { Duration::ZERO } else { REST }).await;
            let sample = sample(options, pid, http, scrapes).await?;
            if scrapes { scraped.push(sample) } else { alone.push(sample) }
        }
    }
    Ok(table(options, &scraped, &alone))
}

/// The worker, its process, and its address for HTTP.
async fn start(server: &MockServer) -> Result<(Child, u32, SocketAddr)> {
    let program = std::env::current_exe().context("this program's own path")?.with_file_name(PROGRAM);
    // Free a moment ago.
    let http = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()?;
    let worker = Command::new(&program)
        .env("LIVEKIT_URL", server.url())
        .env("LIVEKIT_API_KEY", server.api_key())
        .env("LIVEKIT_API_SECRET", server.api_secret().expose())
        .env("LIVEKIT_LOG_LEVEL", "warn")
        .args(["start", "--http-host", "127.0.0.1", "--http-port", &http.port().to_string()])
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    let is_it = |event: &ServerEvent| matches!(event, ServerEvent::Registered { .. });
    tokio::time::timeout(SOON, server.wait_for(is_it)).await.context("it has not registered")?;
    let pid = worker.id().context("the worker has ended")?;
    Ok((worker, pid, http))
}

async fn sample(options: &Options, pid: u32, http: SocketAddr, scrapes: bool) -> Result<Sample> {
    let mut sample = Sample { percent: 0.0, took: Vec::new(), bytes: 0 };
    let (before, begun) = (Of::Process(pid).processor_seconds()?, Instant::now());
    let mut ticks = tokio::time::interval(EACH);
    for _ in 0..options.seconds {
        ticks.tick().await;
        if scrapes {
            let asked = Instant::now();
            let text = get(http, "/metrics").await?;
            sample.took.push(asked.elapsed().as_secs_f64() * 1e3);
            sample.bytes = text.len();
            ensure!(active_jobs(&text)? == options.jobs, "a job has ended meanwhile");
        }
    }
    ticks.tick().await;
    let used = Of::Process(pid).processor_seconds()? - before;
    sample.percent = 100.0 * used / begun.elapsed().as_secs_f64();
    Ok(sample)
}

/// The body of an answer.
async fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut tcp =
        TcpStream::connect(address).await.with_context(|| format!("nothing answers at {address}"))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    tcp.write_all(request.as_bytes()).await?;
    let mut text = String::new();
    tcp.read_to_string(&mut text).await?;
    match text.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => bail!("{path}: the worker answers {:?}", text.lines().next().unwrap_or_default()),
    }
}

fn active_jobs(metrics: &str) -> Result<usize> {
    let line = metrics.lines().find(|line| line.starts_with("lk_agents_active_job_count"));
    let value = line.and_then(|line| line.rsplit_once(' ')?.1.parse().ok());
    value.context("the metrics have no number of running jobs")
}

fn table(options: &Options, scraped: &[Sample], alone: &[Sample]) -> String {
    let percent = |samples: &[Sample]| median(&samples.iter().map(|s| s.percent).collect::<Vec<_>>());
    let took: Vec<f64> = scraped.iter().flat_map(|sample| sample.took.clone()).collect();
    let bytes = scraped.first().map_or(0, |sample| sample.bytes);
    let Options { jobs, rounds, seconds, .. } = options;
    format!(
        "{jobs} running jobs, {rounds} rounds of {seconds} s, load average {}\n\
         not scraped            {:>6.2} % of a core\n\
         scraped once a second  {:>6.2} % of a core\n\
         a scrape               {:>6.2} ms, {} KiB\n",
        load_average(),
        percent(alone),
        percent(scraped),
        median(&took),
        bytes / 1024,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn running_jobs_are_found_in_metrics() {
        let text = "# TYPE lk_agents_active_job_count gauge\nlk_agents_active_job_count{nodename=\"n\"} 20\n";
        assert_eq!(active_jobs(text).unwrap(), 20);
        assert!(active_jobs("up 1\n").is_err());
    }
}
