//! The dashboard and the alert rules use metrics and labels that workers export.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Labels that Prometheus and its histograms add.
const ADDED: &[&str] = &["instance", "job", "le"];
/// The words of PromQL that can be beside a metric.
const WORDS: &[&str] = &[
    "absent",
    "by",
    "histogram_quantile",
    "increase",
    "on",
    "or",
    "and",
    "rate",
    "sum",
    "unless",
    "without",
];

/// A metric of the guide's table, which a test of agent-worker compares with the exported ones.
struct Metric {
    histogram: bool,
    labels: BTreeSet<String>,
}

fn exported() -> BTreeMap<String, Metric> {
    let page = super::read("crates/agent-worker/src/guide/metrics.md");
    let quoted = |cell: &str| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let rows = page.lines().filter(|line| line.starts_with("| `lk_agents_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let labels = quoted(cells[3]).into_iter().collect();
        (quoted(cells[1]).concat(), Metric { histogram: cells[2] == "histogram", labels })
    })
    .collect()
}

/// What a query uses that is not exported: series, labels of selectors, and labels that it groups by.
fn unknown(query: &str, exported: &BTreeMap<String, Metric>) -> Vec<String> {
    let metric = |series: &str| {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|end| series.strip_suffix(end));
        let histogram = of_histogram.and_then(|name| exported.get(name)).filter(|metric| metric.histogram);
        histogram.or_else(|| exported.get(series).filter(|metric| !metric.histogram))
    };
    let mut violations = Vec::new();
    let mut known: BTreeSet<&str> = ADDED.iter().copied().collect();
    let mut grouped = Vec::new();
    for Token { word, selector } in tokens(query) {
        if !word.starts_with("lk_agents_") {
            let is_label = word.starts_with(char::is_alphabetic) && !WORDS.contains(&word);
            grouped.extend(is_label.then_some(word));
            continue;
        }
        let Some(metric) = metric(word) else {
            violations.push(format!("no series {word}: {query}"));
            continue;
        };
        known.extend(metric.labels.iter().map(String::as_str));
        for (label, _) in selector.split(',').filter_map(|matcher| matcher.split_once(['=', '!'])) {
            let label = label.trim();
            if !metric.labels.contains(label) && !ADDED.contains(&label) {
                violations.push(format!("{word} has no label {label}: {query}"));
            }
        }
    }
    let unknown = grouped.iter().filter(|label| !known.contains(*label));
    violations.extend(unknown.map(|label| format!("no metric has the label {label}: {query}")));
    violations
}

/// A word outside of braces and brackets, and the braces that follow it.
struct Token<'q> {
    word: &'q str,
    selector: &'q str,
}

fn tokens(query: &str) -> impl Iterator<Item = Token<'_>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let mut rest = query;
    std::iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(|c| !is_word(c) && c != '[' && c != '{');
            if let Some((_, after)) = rest.strip_prefix('[').and_then(|range| range.split_once(']')) {
                rest = after;
                continue;
            }
            let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if word.is_empty() {
                return None;
            }
            let selector = after.strip_prefix('{').and_then(|braces| braces.split_once('}'));
            let (selector, after) = selector.unwrap_or(("", after));
            rest = after;
            return Some(Token { word, selector });
        }
    })
}

fn dashboard() -> Value {
    serde_json::from_str(&super::read("deploy/grafana/dashboard.json")).unwrap()
}

/// The name and the expression of each rule: as it is on the line, or on the lines below that are indented
/// further.
fn rules(yaml: &str) -> Vec<(String, String)> {
    let (mut found, mut lines) = (Vec::<(String, String)>::new(), yaml.lines().peekable());
    while let Some(line) = lines.next() {
        let line = line.trim();
        if let Some(name) = line.strip_prefix("- alert: ") {
            found.push((name.to_owned(), String::new()));
        } else if let Some(expression) = line.strip_prefix("expr: ") {
            let mut expression = expression.trim_start_matches(">-").to_owned();
            while let Some(more) = lines.next_if(|line| line.starts_with("          ")) {
                expression.push_str(more.trim());
                expression.push(' ');
            }
            found.last_mut().unwrap().1 = expression;
        }
    }
    found
}

#[test]
fn the_dashboard_shows_what_workers_export() {
    let (exported, dashboard) = (exported(), dashboard());
    assert!(exported.len() > 40, "the guide has its table");
    let (mut violations, mut ids, mut queries) = (Vec::new(), BTreeSet::new(), 0);
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is used twice");
        for target in panel["targets"].as_array().into_iter().flatten() {
            let query = target["expr"].as_str().unwrap();
            violations.extend(unknown(query, &exported));
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let series = query.matches("lk_agents_").count();
            let chosen = query.matches("agent_name=~\"$agent_name\"").count();
            assert_eq!(series, chosen, "{title} is not of the chosen agents: {query}");
            queries += 1;
        }
    }
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        if let Some(query) = variable["query"]["query"].as_str() {
            let inside = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')')).unwrap();
            violations.extend(unknown(inside, &exported));
        }
    }
    super::none(&violations);
    assert!(queries > 40, "{queries}");
}

#[test]
fn the_rules_are_about_what_workers_export() {
    let exported = exported();
    let rules = rules(&super::read("deploy/prometheus/alerts.yml"));
    assert!(rules.len() > 10, "{rules:?}");
    super::none(&rules.iter().flat_map(|(_, query)| unknown(query, &exported)).collect::<Vec<_>>());
}

/// With promtool they are carried out.
#[test]
fn each_rule_has_a_test_of_when_it_fires_and_when_not() {
    let tests = super::read("deploy/prometheus/alerts_test.yml");
    let mut missing = Vec::new();
    for (name, _) in rules(&super::read("deploy/prometheus/alerts.yml")) {
        let of_rule = || tests.split("alertname: ").skip(1).filter(|test| test.lines().next() == Some(&name));
        let quiet = |test: &&str| test.contains("exp_alerts: []");
        if of_rule().filter(quiet).count() == 0 || of_rule().filter(|test| !quiet(test)).count() == 0 {
            missing.push(name);
        }
    }
    super::none(&missing);
}

#[test]
fn unknown_metrics_and_labels_are_found() {
    let labels = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let exported = BTreeMap::from([
        ("lk_agents_jobs_total".to_owned(), Metric { histogram: false, labels: labels(&["outcome"]) }),
        ("lk_agents_wait_seconds".to_owned(), Metric { histogram: true, labels: labels(&["agent_name"]) }),
    ]);
    for good in [
        "sum by (outcome, instance) (rate(lk_agents_jobs_total{outcome!~\"ok|failed\"}[$__rate_interval])) / 2.5 > 0",
        "histogram_quantile(0.5, sum by (le) (rate(lk_agents_wait_seconds_bucket{agent_name=~\"a\"}[5m])))",
        "lk_agents_jobs_total unless on (outcome) lk_agents_wait_seconds_count == 1",
    ] {
        assert_eq!(unknown(good, &exported), [""; 0], "{good}");
    }
    for (bad, what) in [
        ("rate(lk_agents_jobs[5m])", "no series lk_agents_jobs:"),
        ("lk_agents_jobs_total_bucket", "no series lk_agents_jobs_total_bucket:"),
        ("lk_agents_wait_seconds", "no series lk_agents_wait_seconds:"),
        ("lk_agents_jobs_total{result=\"ok\"}", "lk_agents_jobs_total has no label result:"),
        ("sum by (result) (lk_agents_jobs_total)", "no metric has the label result:"),
        ("sum(lk_agents_jobs_total) by (result)", "no metric has the label result:"),
        ("up == 0", "no metric has the label up:"),
        ("vector(1) > 0", "no metric has the label vector:"),
    ] {
        let found = unknown(bad, &exported);
        assert!(found.iter().any(|violation| violation.starts_with(what)), "{bad}: {found:?}");
    }
}
