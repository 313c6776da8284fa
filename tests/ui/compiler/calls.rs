//! Calls with the wrong arguments.

use distwq::prelude::*;

#[remote]
fn mean(values: Vec<f64>) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

#[remote]
fn scaled(values: &[f64], factor: f64) -> Vec<f64> {
    values.iter().map(|x| x * factor).collect()
}

fn main() {
    let mut graph = Graph::new();
    let text: Handle<String> = graph.value(&String::from("text"));
    let _ = mean::call("text");
    let _ = mean::call(&text);
    let _ = scaled::call(&[1.0, 2.0]);
    let _ = scaled::call(&[1.0, 2.0], 2);
    let _ = scaled::call(&[1.0, 2.0], 2.0, 3.0);
    let _: Call<f64> = scaled::call(&[1.0, 2.0], 2.0);
}
