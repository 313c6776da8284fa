//! Types that lack what travelling takes: the error stands on the type.

use distwq::prelude::*;
use std::cell::Cell;
use std::rc::Rc;

struct Plain(f64);

#[derive(serde::Serialize)]
struct OneWay(f64);

#[derive(serde::Serialize, serde::Deserialize)]
struct NotShared(Cell<f64>);

#[derive(serde::Serialize, serde::Deserialize)]
struct NotSent {
    #[serde(skip)]
    value: Rc<f64>,
}

struct Silent;

#[remote]
fn parameter(x: Plain) -> f64 {
    x.0
}

#[remote]
fn shared(x: &Plain) -> f64 {
    x.0
}

#[remote]
fn unsync(x: &NotShared) -> f64 {
    x.0.get()
}

#[remote]
fn unsent(x: NotSent) -> f64 {
    *x.value
}

#[remote]
fn output(x: f64) -> OneWay {
    OneWay(x)
}

#[remote]
fn value(x: f64) -> Result<Vec<Plain>, String> {
    Ok(vec![Plain(x)])
}

#[remote]
fn error(x: f64) -> Result<f64, Silent> {
    if x > 0.0 { Ok(x) } else { Err(Silent) }
}

fn main() {}
