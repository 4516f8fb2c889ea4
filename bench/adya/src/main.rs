//! Checks a history of list appends with adya, and prints as JSON what it found, and the seconds of processor time that
//! reading and checking took.

use std::collections::BTreeMap;
use std::fs;

use adya::{check, History, Opts, Workload};

/// The processor time of this thread, in seconds; adya has no other.
fn processor() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("a Linux with schedstat");
    let nanoseconds: u64 = text.split_whitespace().next().and_then(|each| each.parse().ok()).expect("a number");
    nanoseconds as f64 / 1e9
}

fn main() {
    let path = std::env::args().nth(1).expect("a file of events");
    let history = History::parse(&fs::read_to_string(&path).expect("a readable file")).expect("a history");
    let read = processor();
    let report = check(&history, Workload::ListAppend, &Opts::default());
    let checked = processor() - read;
    let counts: BTreeMap<&String, usize> = report.anomalies.iter().map(|(kind, all)| (kind, all.len())).collect();
    println!("{}", serde_json::json!({"read": read, "check": checked, "valid": report.valid, "anomalies": counts}));
}
