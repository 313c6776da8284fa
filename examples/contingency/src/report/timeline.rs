//! The timeline: a lane for each rank, a bar for each task.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{TaskRecord, coordinate, escape, seconds, tick_spacing};

const WIDTH: f64 = 1080.0;
const LEFT: f64 = 120.0;
const RIGHT: f64 = 64.0;
const LANE: f64 = 34.0;
const BAR: f64 = 24.0;
const TOP: f64 = 8.0;

/// The drawing of all tasks over time.
pub(super) fn timeline(tasks: &[TaskRecord]) -> String {
    let mut lanes: BTreeMap<u32, (Vec<&TaskRecord>, &str)> = BTreeMap::new();
    for task in tasks {
        for (index, rank) in task.ranks.iter().enumerate() {
            let host = task.hosts.get(index).map_or("", String::as_str);
            lanes.entry(*rank).or_insert_with(|| (Vec::new(), host)).0.push(task);
        }
    }
    let Some(start) = tasks.iter().map(|task| task.started_ns).min() else {
        return String::new();
    };
    let end = tasks.iter().map(|task| task.finished_ns).max().unwrap_or(start);
    let span = seconds(end - start).max(1e-6);
    let x = |at: u64| LEFT + seconds(at.saturating_sub(start)) / span * (WIDTH - LEFT - RIGHT);
    let bottom = TOP + coordinate(lanes.len()) * LANE;
    let height = bottom + 40.0;
    let mut svg = String::new();
    let _ = writeln!(
        svg,
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"tasks of each rank over time\">"
    );
    let step = tick_spacing(span, 10.0);
    let digits = if step >= 1.0 {
        0
    } else if step >= 0.1 {
        1
    } else if step >= 0.01 {
        2
    } else {
        3
    };
    let mut at = 0.0;
    while at <= span * 1.000_001 {
        let x = LEFT + at / span * (WIDTH - LEFT - RIGHT);
        let _ = writeln!(
            svg,
            "<line class=\"rule\" x1=\"{x:.2}\" y1=\"{TOP}\" x2=\"{x:.2}\" y2=\"{bottom}\"/>\
             <text class=\"tick\" x=\"{x:.2}\" y=\"{:.2}\">{at:.digits$}</text>",
            bottom + 17.0
        );
        at += step;
    }
    let _ = writeln!(
        svg,
        "<text class=\"tick\" x=\"{:.2}\" y=\"{:.2}\">seconds since the first task started</text>",
        LEFT + (WIDTH - LEFT - RIGHT) / 2.0,
        bottom + 34.0
    );
    for (lane, (rank, (tasks, host))) in lanes.iter().enumerate() {
        let y = TOP + coordinate(lane) * LANE;
        let busy: f64 = tasks.iter().map(|task| task.seconds()).sum();
        let _ = writeln!(
            svg,
            "<g><text class=\"lane\" x=\"{:.2}\" y=\"{:.2}\">rank {rank}<title>host {}</title></text>\
             <rect class=\"track\" x=\"{LEFT}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{BAR}\"/>\
             <text class=\"busy\" x=\"{:.2}\" y=\"{:.2}\">{:.0} %</text>",
            LEFT - 12.0,
            y + LANE / 2.0 + 4.0,
            escape(host),
            y + (LANE - BAR) / 2.0,
            WIDTH - LEFT - RIGHT,
            WIDTH - RIGHT + 10.0,
            y + LANE / 2.0 + 4.0,
            (busy / span * 100.0).min(100.0)
        );
        for task in tasks {
            let from = x(task.started_ns);
            let width = x(task.finished_ns) - from;
            // A gap tells neighbours apart; a very short task would vanish, half a unit
            // keeps it visible.
            let width = if width > 2.0 { width - 0.6 } else { width.max(0.5) };
            let _ = writeln!(
                svg,
                "<rect class=\"task s{}\" x=\"{from:.2}\" y=\"{:.2}\" width=\"{width:.2}\" \
                 height=\"{BAR}\"><title>{}</title></rect>",
                task.stage.number(),
                y + (LANE - BAR) / 2.0,
                escape(&task.tooltip())
            );
        }
        svg.push_str("</g>\n");
    }
    svg.push_str("</svg>\n");
    svg
}
