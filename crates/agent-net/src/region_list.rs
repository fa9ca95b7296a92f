//! The list of a project's regions: which addresses have one, what is believed of it, and how long.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;
use url::Url;

use crate::server_url::ServerUrl;

/// Maximum number of regions of a list that are kept.
const MAX_REGIONS: usize = 16;
/// Maximum number of projects whose lists are kept.
const MAX_PROJECTS: usize = 16;
/// How long a list without `max-age` is used, and the maximum for one that has it.
const DEFAULT_AGE: Duration = Duration::from_secs(5);
const MAX_AGE: Duration = Duration::from_secs(3600);

/// Whether this is the host of a project of LiveKit Cloud. No other server has regions.
pub(crate) fn is_cloud_host(host: &str) -> bool {
    [".livekit.cloud", ".livekit.run"].iter().any(|domain| host.ends_with(domain))
}

/// The response to `GET /settings/regions`.
#[derive(Deserialize)]
struct Response {
    regions: Vec<Region>,
}

#[derive(Deserialize)]
struct Region {
    #[serde(default)]
    url: String,
}

/// Reads a list, the nearest region first. The project's token is sent to each of them, so an address outside
/// of LiveKit Cloud, or without encryption where the project has it, is left out.
pub(crate) fn read(body: &[u8], secure: bool) -> Result<Vec<ServerUrl>, serde_json::Error> {
    let response: Response = serde_json::from_slice(body)?;
    let usable =
        |url: &ServerUrl| url.ws_url().host_str().is_some_and(is_cloud_host) && (url.is_secure() || !secure);
    let urls = response.regions.iter().filter_map(|region| region.url.parse().ok()).filter(usable);
    Ok(urls.take(MAX_REGIONS).collect())
}

/// How long a list may be used, by its `Cache-Control`.
pub(crate) fn max_age(cache_control: Option<&str>) -> Duration {
    let directive = |text: &str| {
        let (name, value) = text.split_once('=')?;
        let seconds = name.trim().eq_ignore_ascii_case("max-age").then(|| value.trim().parse().ok())?;
        seconds.map(Duration::from_secs)
    };
    let given = cache_control.and_then(|text| text.split(',').find_map(directive));
    given.unwrap_or(DEFAULT_AGE).min(MAX_AGE)
}

/// The same address in another region.
pub(crate) fn in_region(url: &Url, region: &ServerUrl) -> Option<Url> {
    let region = region.ws_url();
    let mut url = url.clone();
    url.set_host(region.host_str()).ok()?;
    url.set_port(region.port()).ok()?;
    Some(url)
}

/// The known lists, by the host of the project. Shared by clones.
#[derive(Clone, Default)]
pub(crate) struct Regions(Arc<Mutex<BTreeMap<String, Known>>>);

struct Known {
    regions: Vec<ServerUrl>,
    until: Instant,
}

impl Regions {
    /// The list of this project, if it may still be used.
    pub(crate) fn fresh(&self, host: &str, now: Instant) -> Option<Vec<ServerUrl>> {
        self.known(host, |known| now < known.until)
    }

    /// The last list of this project, however old: better than none.
    pub(crate) fn last(&self, host: &str) -> Option<Vec<ServerUrl>> {
        self.known(host, |_| true)
    }

    pub(crate) fn keep(&self, host: &str, regions: Vec<ServerUrl>, until: Instant) {
        let mut lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lists.len() >= MAX_PROJECTS && !lists.contains_key(host) {
            lists.pop_first();
        }
        lists.insert(host.to_owned(), Known { regions, until });
    }

    fn known(&self, host: &str, usable: impl Fn(&Known) -> bool) -> Option<Vec<ServerUrl>> {
        let lists = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        lists.get(host).filter(|known| usable(known)).map(|known| known.regions.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(body: &str, secure: bool) -> Vec<String> {
        let regions = read(body.as_bytes(), secure).expect("a list");
        regions.iter().map(|url| url.ws_url().host_str().expect("a host").to_owned()).collect()
    }

    #[test]
    fn only_projects_of_livekit_cloud_have_regions() {
        for host in ["p.livekit.cloud", "p.otokyo1a.production.livekit.cloud", "p.staging.livekit.run"] {
            assert!(is_cloud_host(host), "{host}");
        }
        for host in
            ["localhost", "livekit.cloud", "livekit.cloud.example.com", "evil-livekit.cloud", "127.0.0.1"]
        {
            assert!(!is_cloud_host(host), "{host}");
        }
    }

    #[test]
    fn a_list_names_no_address_that_must_not_have_the_token() {
        let body = r#"{"regions":[{"region":"a","url":"https://p.a.livekit.cloud","distance":"12"},{"region":"b","url":"wss://p.b.livekit.cloud:443/"},
            {"region":"c","url":"https://evil.example.com"},{"region":"d","url":"ws://p.d.livekit.cloud"},{"region":"e"},{"url":"nonsense"}],"more":1}"#;
        assert_eq!(hosts(body, true), ["p.a.livekit.cloud", "p.b.livekit.cloud"]);
        assert_eq!(hosts(body, false), ["p.a.livekit.cloud", "p.b.livekit.cloud", "p.d.livekit.cloud"]);
        let many: Vec<_> = (0..1000).map(|n| format!(r#"{{"url":"wss://r{n}.livekit.cloud"}}"#)).collect();
        assert_eq!(hosts(&format!(r#"{{"regions":[{}]}}"#, many.join(",")), true).len(), MAX_REGIONS);
        for garbage in ["", "404 page not found", "{}", "[]", r#"{"regions":7}"#] {
            assert!(read(garbage.as_bytes(), true).is_err(), "{garbage}");
        }
    }

    #[test]
    fn a_list_is_used_until_its_max_age() {
        let seconds = Duration::from_secs;
        for (header, expected) in [
            (Some("max-age=300"), seconds(300)),
            (Some("public, MAX-AGE = 7"), seconds(7)),
            (Some("max-age=0"), Duration::ZERO),
            (Some("max-age=99999999999"), MAX_AGE),
            (Some("max-age=soon"), DEFAULT_AGE),
            (Some("no-store"), DEFAULT_AGE),
            (None, DEFAULT_AGE),
        ] {
            assert_eq!(max_age(header), expected, "{header:?}");
        }
        let (regions, now) = (Regions::default(), Instant::now());
        regions.keep("p.livekit.cloud", Vec::new(), now + seconds(5));
        assert!(regions.fresh("p.livekit.cloud", now).is_some());
        assert!(regions.fresh("p.livekit.cloud", now + seconds(5)).is_none());
        assert!(regions.last("p.livekit.cloud").is_some());
        for n in 0..100 {
            regions.keep(&format!("{n}.livekit.cloud"), Vec::new(), now);
        }
        assert_eq!(regions.0.lock().map(|lists| lists.len()).ok(), Some(MAX_PROJECTS));
    }

    #[test]
    fn only_the_host_differs_in_another_region() {
        let region: ServerUrl = "https://p.a.livekit.cloud".parse().expect("a URL");
        let url = Url::parse("wss://p.livekit.cloud/agent?protocol=1").expect("a URL");
        let moved = in_region(&url, &region).expect("an address");
        assert_eq!(moved.as_str(), "wss://p.a.livekit.cloud/agent?protocol=1");
    }
}
