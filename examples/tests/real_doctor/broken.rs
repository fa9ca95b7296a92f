//! The set-ups: those that are broken, and some that only look so.

use std::ffi::OsString;

use crate::network::{Networks, SERVER, UNUSED};
use crate::servers::Servers;
use crate::set_up::SetUp;

const KEY: &str = "devkey";
const SECRET: &str = "a-secret-for-tests-on-loopback-only";

/// In the order of the checks.
pub(crate) fn all(networks: &Networks, servers: &Servers) -> Vec<SetUp> {
    let groups =
        [settings(networks), machine(networks, servers), addresses(networks), answers(networks, servers)];
    groups.into_iter().flatten().chain(media(networks, servers)).collect()
}

/// Nothing is wrong with these.
pub(crate) fn none(networks: &Networks) -> Vec<SetUp> {
    let url = || networks.url(SERVER);
    vec![
        SetUp::new("another network").url(url()).network("plain"),
        SetUp::new("a path of `/`").url(format!("{}/", url())),
        SetUp::new("`http://`").url(url().replace("ws://", "http://")),
        SetUp::new("IPv6 alone").url(networks.url("[fd77::1]")).network("ipv6"),
        SetUp::new("a name with IPv6 alone")
            .url(networks.url("media.test"))
            .hosts("fd77::1 media.test\n")
            .network("ipv6"),
        SetUp::new("a store").url(url()).with_store(),
        SetUp::new("a clock that is 3 s behind").url(url()).within(&["faketime", "-f", "-3s"]),
    ]
}

fn settings(networks: &Networks) -> Vec<SetUp> {
    let at = |cause| SetUp::new(cause).url(networks.server.url());
    let white = "white space";
    vec![
        SetUp::new("no `ws://` before the host").url(SERVER).fails("settings", &["ws://", "LIVEKIT_URL"]),
        at("a space behind the key")
            .credentials("devkey ", SECRET)
            .fails("settings", &["API key", white, "LIVEKIT_API_KEY", "`--api-key`"]),
        at("a line break behind the secret")
            .credentials(KEY, &format!("{SECRET}\n"))
            .fails("settings", &["API secret", white, "LIVEKIT_API_SECRET"]),
        SetUp::new("`wss://`, and SSL_CERT_FILE names no file")
            .url("wss://127.0.0.1:7880")
            .variable("SSL_CERT_FILE", "/certs/ca.pem")
            .fails("settings", &["/certs/ca.pem", "SSL_CERT_FILE"])
            .words_after("at least one certificate"),
    ]
}

fn machine(networks: &Networks, servers: &Servers) -> Vec<SetUp> {
    let at = |cause| SetUp::new(cause).url(networks.server.url());
    let disk = |size: &str| format!("mount -t tmpfs -o size={size} none \"$PWD\" && cd \"$PWD\"");
    let fill = "{ head -c 10m /dev/zero > fill 2> /dev/null || true; }";
    let first = "{ \"$0\" doctor > /dev/null 2>&1 || true; }";
    let locked = at("another process keeps the store open").with_store();
    let store = std::fs::File::create(locked.folder().join("strikes.redb")).expect("a file");
    store.lock().expect("locked");
    // Until the end of the test.
    std::mem::forget(store);
    vec![
        at("`ulimit -n 300`, and 1,000 jobs")
            .before("ulimit -n 300")
            .warns("descriptors", &["`max_jobs`", "66", "LimitNOFILE"]),
        at("`ulimit -n 24`")
            .before("ulimit -n 24")
            .fails("descriptors", &["not one job", "`ulimit -n", "LimitNOFILE"]),
        at("the disk of the store is full, and the store new")
            .with_store()
            .before(format!("{} && {fill}", disk("300k")))
            .fails("checkpoints", &["strikes.redb cannot grow", "make room"]),
        at("the disk of the store is full")
            .with_store()
            .before(format!("{} && {first} && {fill}", disk("1m")))
            .fails("checkpoints", &["strikes.redb cannot grow", "make room"]),
        at("the store's file system is read-only")
            .with_store()
            .before(format!("{} && mount -o remount,ro \"$PWD\"", disk("1m")))
            .fails("checkpoints", &["read and write", "Read-only file system"]),
        at("the store's folder does not exist")
            .with_store()
            .before("ln -s missing/strikes.redb strikes.redb")
            .fails("checkpoints", &["make its folder first"]),
        at("the store is another file")
            .with_store()
            .before("echo no store > strikes.redb")
            .fails("checkpoints", &["no such store", "move it away"])
            .words_after("is made"),
        locked.fails("checkpoints", &["locked by another process", "fuser"]),
        at("another program has the HTTP port")
            .variable("LIVEKIT_AGENT_HTTP_PORT", servers.taken.to_string())
            .warns("http_port", &["in use", "--http-port"]),
    ]
}

fn addresses(networks: &Networks) -> Vec<SetUp> {
    let named = |cause, hosts: &str| SetUp::new(cause).url(networks.url("media.test")).hosts(hosts);
    vec![
        SetUp::new("`localhost` is `::1` first, and the server listens at 127.0.0.1")
            .url(networks.url("localhost"))
            .hosts("::1 localhost\n127.0.0.1 localhost\n")
            .warns("addresses", &["[::1]", "refused", "is tried first", "listen there", "write 127.0.0.1"]),
        named("the name has a dead address", &format!("{UNUSED} media.test\n{SERVER} media.test\n"))
            .network("plain")
            .warns("addresses", &[UNUSED, "within 3s", "is tried first", "DNS or the hosts file"]),
        named("the name has only a dead address", &format!("{UNUSED} media.test\n"))
            .network("plain")
            .fails("addresses", &[UNUSED, "did not answer"]),
        SetUp::new("the name has no address")
            .url("ws://media.test:7880")
            .fails("addresses", &["media.test", "not found", "DNS"])
            .words_after("and DNS"),
        SetUp::new("nothing listens there")
            .url("ws://127.0.0.1:7880")
            .fails("addresses", &["nothing answers", "LIVEKIT_URL"]),
    ]
}

fn answers(networks: &Networks, servers: &Servers) -> Vec<SetUp> {
    let at = |cause| SetUp::new(cause).url(networks.server.url());
    let secure = |cause, host: &str, trusted: usize| {
        let file: OsString = servers.trusted[trusted].file.clone().into();
        SetUp::new(cause).url(format!("wss://{host}")).variable("SSL_CERT_FILE", file)
    };
    let clock = |cause, by| at(cause).within(&["faketime", "-f", by]);
    vec![
        SetUp::new("another web server")
            .url(format!("ws://{}", servers.web))
            .fails("http", &["not a LiveKit server", "host, port"]),
        SetUp::new("a path that the server does not have")
            .url(format!("{}/livekit", networks.server.url()))
            .fails("http", &["not a LiveKit server", "/livekit", "path"]),
        SetUp::new("a server that does not answer")
            .url(format!("ws://{}", servers.silent))
            .fails("http", &["did not answer", "LIVEKIT_URL"]),
        SetUp::new("`https://`, and the server has no TLS")
            .url(networks.server.http_url().replace("http://", "https://"))
            .fails("http", &["without TLS", "https://", "http://"])
            .words_after("LIVEKIT_URL)"),
        secure("a certificate of an unknown authority", &servers.secure, 1)
            .fails("http", &["authority", "SSL_CERT_FILE"])
            .words_after("SSL_CERT_FILE)"),
        secure("a certificate that has expired", &servers.expired, 1)
            .fails("http", &["expired", "renew", "clock"])
            .words_after("is wrong"),
        secure("a certificate of another name", &servers.misnamed, 2)
            .fails("http", &["another name", "LIVEKIT_URL"])
            .words_after("LIVEKIT_URL)"),
        SetUp::new("HTTP_PROXY, and no proxy is there")
            .url(networks.url(SERVER))
            .variable("HTTP_PROXY", "http://127.0.0.1:3128")
            .fails("http", &["proxy 127.0.0.1:3128", "HTTP_PROXY"]),
        clock("a clock that is 30 s behind", "-30s").warns("clock", &["s behind", "NTP"]),
        clock("a clock that is two hours ahead", "+2h").fails("clock", &["s ahead of", "refuse", "NTP"]),
        at("a key that the server does not know")
            .credentials("another", SECRET)
            .fails("credentials", &["does not know the API key", "LIVEKIT_API_KEY"]),
        at("another secret")
            .credentials(KEY, "a-secret-of-another-key-of-this-server")
            .fails("credentials", &["secret", "LIVEKIT_API_SECRET"]),
        at("key and secret are swapped")
            .credentials(SECRET, KEY)
            .fails("credentials", &["swapped", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"]),
        at("quotes around the secret")
            .credentials(KEY, &format!("\"{SECRET}\""))
            .fails("credentials", &["quotes", "LIVEKIT_API_SECRET"]),
    ]
}

fn media(networks: &Networks, servers: &Servers) -> Vec<SetUp> {
    let at = |cause| SetUp::new(cause).url(networks.url(SERVER));
    vec![
        SetUp::new("a server before 1.9.10")
            .url(format!("ws://{}", servers.old))
            .fails("job", &["1.9.10", "upgrade"])
            .logs("job ended: failed"),
        at("UDP and the port for TCP are blocked")
            .network("no-media")
            .fails("job", &["no media connection", "UDP", "RTC ports"])
            .logs("job ended: failed"),
        at("UDP is blocked")
            .network("no-udp")
            .warns("media", &["over TCP", "UDP to the server's RTC ports"])
            .logs("go over TCP, which is slower"),
    ]
}
