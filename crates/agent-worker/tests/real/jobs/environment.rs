//! Settings from the environment. In a process of its own, since an environment is for the whole process.

use std::process::Stdio;
use std::time::Duration;

use agent_testkit::{DispatchRequest, JobEndStatus};
use agent_worker::{JobContext, JobResult, Worker};

use crate::support::test_name::test_name;

const CHILD: &str = "AGENT_TEST_CHILD";
const SOON: Duration = Duration::from_secs(30);

async fn done(_: JobContext) -> JobResult {
    Ok(())
}

#[tokio::test]
async fn a_process_that_takes_all_settings_from_its_environment() {
    if std::env::var_os(CHILD).is_some() {
        // The entry of the child process of the test below. The name that is set here is overridden.
        let worker =
            Worker::builder(done).agent_name("another").from_env().build().expect("a complete environment");
        worker.run_until_signal().await.expect("it drains");
        return;
    }
    let Some(server) = agent_testkit::real_server().await else { return };
    let test = std::env::current_exe().expect("this test is a program");
    let mut child = tokio::process::Command::new(test)
        .args([
            "--exact",
            &test_name(module_path!(), "a_process_that_takes_all_settings_from_its_environment"),
        ])
        .env(CHILD, "1")
        .env("LIVEKIT_URL", server.http_url())
        .env("LIVEKIT_API_KEY", server.api_key())
        .env("LIVEKIT_API_SECRET", server.api_secret().expose())
        .env("LIVEKIT_AGENT_NAME", "ignored")
        .env("LIVEKIT_AGENT_NAME_OVERRIDE", "env-agent")
        .env("LIVEKIT_AGENT_DEPLOYMENT", "blue")
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("a process");
    server
        .log()
        .wait_for_line(|line| line.contains("worker registered") && line.contains("env-agent"), SOON)
        .await
        .expect("it registers");
    let request = DispatchRequest::new("env-agent", "from-env").deployment("blue");
    server.api().create_dispatch(request).await.expect("the server takes the dispatch");
    let job = server.log().assigned_in("from-env", SOON).await.expect("a job").job_id;
    assert_eq!(server.log().outcome(&job, SOON).await.expect("its end").status, JobEndStatus::Success);

    let pid = child.id().expect("it runs").to_string();
    assert!(
        std::process::Command::new("kill").args(["-TERM", &pid]).status().expect("a kill command").success()
    );
    let status =
        tokio::time::timeout(SOON, child.wait()).await.expect("it drains").expect("it can be waited for");
    assert!(status.success(), "{status}");
}
