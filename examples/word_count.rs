//! Words counted line by line: a map, and the counts joined where they are made.

use distwq::prelude::*;
use std::collections::BTreeMap;

type Counts = BTreeMap<String, usize>;

const TEXT: &str = include_str!("../README.md");

#[remote]
fn count(lines: String) -> Counts {
    let mut counts = Counts::new();
    for word in lines.split(|letter: char| !letter.is_alphabetic()).filter(|word| !word.is_empty()) {
        *counts.entry(word.to_lowercase()).or_default() += 1;
    }
    counts
}

#[remote]
fn merge(mut all: Counts, others: &Counts) -> Counts {
    others.iter().for_each(|(word, times)| *all.entry(word.clone()).or_default() += times);
    all
}

#[distwq::main]
fn main(cluster: &Cluster) -> Result<(), TaskError> {
    let lines = TEXT.lines().map(str::to_owned);
    let counts = cluster.map(count::call, lines).tree_reduce(merge::call)?.unwrap_or_default();
    assert_eq!(counts, count(TEXT.to_owned()), "as if counted here");
    let mut most: Vec<_> = counts.iter().collect();
    most.sort_by_key(|&(word, times)| (std::cmp::Reverse(times), word));
    for (word, times) in most.iter().take(5) {
        println!("{times:>4} {word}");
    }
    Ok(())
}
