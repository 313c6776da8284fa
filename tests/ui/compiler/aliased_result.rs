//! A `Result` under another name: its errors would be values.

use distwq::prelude::*;

type Fallible<T> = Result<T, String>;
type Checked = Fallible<f64>;

#[remote]
fn generic(x: f64) -> Fallible<f64> {
    Ok(x)
}

#[remote]
fn fixed(x: f64) -> Checked {
    Ok(x)
}

mod odd {
    pub type Result<E> = std::result::Result<f64, E>;
}

#[remote]
fn turned_round(x: f64) -> odd::Result<String> {
    Ok(x)
}

fn main() {}
