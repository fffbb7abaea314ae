//! `bench` through the real binary: rows, forms, depths, lists, synthetic models, the distance from the limit.

mod common;

use common::{arg, fails, json, ok, tiny};
use serde_json::Value;

fn column<'a>(rows: &'a Value, key: &str) -> Vec<&'a str> {
    rows.as_array().expect("rows").iter().map(|row| row[key].as_str().expect("text")).collect()
}

#[test]
fn rows_are_those_of_llama_bench() {
    let Some((path, _)) = tiny("llama") else { return };
    let rows = json(&["bench", "-m", arg(&path), "-p", "8,4", "-n", "3", "-r", "2", "-t", "1", "-o", "json"]);
    assert_eq!(column(&rows, "test"), ["pp8", "pp4", "tg3"]);
    for row in rows.as_array().expect("rows") {
        assert!(row["avg_ts"].as_f64().is_some_and(|v| v > 0.0));
        assert!(row["stddev_ts"].as_f64().is_some_and(|v| v >= 0.0));
        assert!(row["model"].is_string() && row["device"].is_string());
        assert_eq!((&row["threads"], row["samples_ts"].as_array().expect("samples").len()), (&1.into(), 2));
    }
    let table = ok(&["bench", "-m", arg(&path), "-p", "8", "-n", "0", "-r", "1"]);
    assert!(table.starts_with("| model |") && table.contains("| pp8 |") && table.contains(" ± "), "{table}");
    assert!(!table.contains("% of the limit"), "{table}");
}

#[test]
fn every_depth_device_and_cache_type_is_measured() {
    let Some((path, _)) = tiny("llama") else { return };
    let list = ["-p", "4", "-n", "2", "-d", "0,8", "--kv", "f16,q4_0", "--device", "cpu,cpu", "-r", "1", "-o", "json"];
    let rows = json(&[&["bench", "-m", arg(&path)][..], &list].concat());
    let tests = ["pp4", "tg2", "pp4 @ d8", "tg2 @ d8"];
    assert_eq!(column(&rows, "test"), [tests; 4].concat());
    assert_eq!(column(&rows, "kv"), [[["f16"; 4], ["q4_0"; 4]].concat(), [["f16"; 4], ["q4_0"; 4]].concat()].concat());
    assert_eq!((&rows[0]["n_depth"], &rows[2]["n_depth"]), (&0.into(), &8.into()));
    assert!(rows[0]["level"].is_null(), "a CPU takes none");
    let said = fails(1, &["bench", "-m", arg(&path), "--device", "no such device,cpu", "-r", "1"]);
    assert!(said.contains("no such device"), "{said}");
}

/// On a software adapter, if there is one.
#[test]
fn levels_are_those_that_an_adapter_takes() {
    let Some((path, _)) = tiny("llama") else { return };
    let devices = json(&["devices", "--json"]);
    let Some(gpu) = devices.as_array().expect("an array").iter().find(|device| device["kind"] == "software") else {
        return eprintln!("skipped: no software adapter");
    };
    // commas part devices
    let name = gpu["name"].as_str().and_then(|name| name.split(',').next()).expect("a name");
    let base = ["bench", "-m", arg(&path), "--device", name, "-p", "4", "-r", "1", "-o", "json"];
    let own = json(&[&base[..], &["-n", "3"]].concat());
    assert_eq!(column(&own, "level"), [gpu["level"].as_str().expect("a level"); 2]);
    let rows = json(&[&base[..], &["-n", "3", "--steps", "--level", "base,subgroup"]].concat());
    assert_eq!(column(&rows, "level"), ["base", "base", "subgroup", "subgroup"]);
    assert_eq!(column(&rows, "test"), [["pp4", "tg3"]; 2].concat());
    let table = ok(&["bench", "-m", arg(&path), "--device", name, "--level", "base", "-p", "4", "-n", "0", "-r", "1"]);
    assert!(table.contains(name) && table.contains(", base |"), "{table}");
}

#[test]
fn generations_are_compared_with_the_limit() {
    let Some((path, _)) = tiny("llama") else { return };
    let args = ["bench", "-m", arg(&path), "-p", "4", "-n", "4", "-d", "0,16", "-r", "1"];
    let rows = json(&[&args[..], &["-o", "json"]].concat());
    assert!(rows[0]["of_limit"].is_null());
    let number = |row: usize, key: &str| rows[row][key].as_f64().expect("a number");
    // two layers' keys and values of 16 more positions
    assert!(number(3, "read_bytes") > number(1, "read_bytes"));
    let expected = number(1, "avg_ts") * number(1, "read_bytes") / number(1, "copy_bandwidth");
    assert!((number(1, "of_limit") - expected).abs() < 1e-3 + 1e-2 * expected, "{rows}");
    let table = ok(&args);
    assert_eq!(table.matches("% of the limit").count(), 2, "{table}");
}

#[test]
fn csv_has_a_head_and_equal_rows() {
    let Some((path, _)) = tiny("llama") else { return };
    let text = ok(&["bench", "-m", arg(&path), "-p", "4", "-n", "2", "-r", "1", "-o", "csv"]);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].starts_with("test,avg_ts,stddev_ts,model,"), "{text}");
    assert!(lines[1].starts_with("\"pp4\",") && lines[2].starts_with("\"tg2\","), "{text}");
}

#[test]
fn a_synthetic_model_needs_no_file() {
    let args = ["bench", "--synthetic", "smollm2-135m:Q4_0", "-p", "4", "-n", "2", "-r", "1", "-v"];
    let rows = json(&[&args[..], &["-o", "json"]].concat());
    assert_eq!(column(&rows, "model"), ["smollm2-135m:Q4_0"; 2]);
    assert_eq!((&rows[0]["model_n_params"], &rows[0]["model_filename"]), (&134_515_008.into(), &"".into()));
    assert!(rows[1]["avg_ts"].as_f64().is_some_and(|v| v > 0.0));
}
