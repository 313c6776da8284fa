//! The drawing of the graph: a row for each level, alike tasks of a level drawn as one.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Stage, TaskRecord, coordinate, escape, span};

/// More tasks of one stage on one level than this are drawn as small squares in one box.
const SINGLE_MAX: usize = 4;
/// More than this are not drawn one by one any more, but each square stands for several.
const SQUARES_MAX: usize = 256;
const COLUMNS: usize = 32;
const SQUARE: f64 = 13.0;
const BOX_WIDTH: f64 = 168.0;
const BOX_HEIGHT: f64 = 46.0;
const GAP: f64 = 26.0;
const ROW_GAP: f64 = 44.0;

/// Some tasks that are drawn as one box.
struct Item {
    stage: Stage,
    tasks: Vec<usize>,
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

/// The drawing of all tasks and of what each waits for.
pub(super) fn drawing(tasks: &[TaskRecord]) -> String {
    let (items, item_of_task, width, height) = lay_out(tasks);
    let mut svg = format!(
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" style=\"max-width:{width:.0}px\" role=\"img\" aria-label=\"the \
         graph of tasks\">\n"
    );
    let mut edges: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for (task, record) in tasks.iter().enumerate() {
        for parent in &record.parents {
            *edges.entry((item_of_task[*parent], item_of_task[task])).or_default() += 1;
        }
    }
    for ((from, to), count) in &edges {
        let (from, to) = (&items[*from], &items[*to]);
        let (x1, y1) = (from.x + from.width / 2.0, from.y + from.height);
        let (x2, y2) = (to.x + to.width / 2.0, to.y);
        let bend = (y2 - y1) / 2.0;
        let thick = (1.2 + coordinate(*count).ln() * 0.7).min(6.0);
        let plural = if *count == 1 { "dependency" } else { "dependencies" };
        let _ = writeln!(
            svg,
            "<path class=\"edge\" stroke-width=\"{thick:.1}\" d=\"M{x1:.1} {y1:.1} C{x1:.1} {:.1} {x2:.1} {:.1} \
             {x2:.1} {y2:.1}\"><title>{count} {plural}</title></path>",
            y1 + bend,
            y2 - bend
        );
    }
    for item in &items {
        draw_item(&mut svg, item, tasks);
    }
    svg.push_str("</svg>\n");
    svg
}

/// Places the items; returns them, the item of each task, and the size of the drawing.
fn lay_out(tasks: &[TaskRecord]) -> (Vec<Item>, Vec<usize>, f64, f64) {
    let mut level = vec![0_usize; tasks.len()];
    let mut groups: BTreeMap<(usize, Stage), Vec<usize>> = BTreeMap::new();
    for (task, record) in tasks.iter().enumerate() {
        // A task comes after those it waits for, so their levels are known.
        level[task] = record.parents.iter().map(|parent| level[*parent] + 1).max().unwrap_or(0);
        groups.entry((level[task], record.stage)).or_default().push(task);
    }
    let mut rows: BTreeMap<usize, Vec<Item>> = BTreeMap::new();
    for ((level, stage), members) in groups {
        let row = rows.entry(level).or_default();
        if members.len() <= SINGLE_MAX {
            let single = |task: usize| Item {
                stage,
                tasks: vec![task],
                x: 0.0,
                y: 0.0,
                width: (coordinate(tasks[task].label.chars().count()) * 8.0 + 28.0).max(BOX_WIDTH),
                height: BOX_HEIGHT,
            };
            row.extend(members.into_iter().map(single));
        } else {
            let squares = members.len().min(SQUARES_MAX);
            let columns = squares.min(COLUMNS);
            let width = (coordinate(columns) * SQUARE + 24.0).max(BOX_WIDTH);
            let height = coordinate(squares.div_ceil(columns)) * SQUARE + 40.0;
            row.push(Item { stage, tasks: members, x: 0.0, y: 0.0, width, height });
        }
    }
    let row_width = |row: &Vec<Item>| row.iter().map(|item| item.width + GAP).sum::<f64>() - GAP;
    let width = rows.values().map(row_width).fold(560.0, f64::max) + 8.0;
    let mut items = Vec::new();
    let mut item_of_task = vec![0; tasks.len()];
    let mut y = 4.0;
    for (_, row) in rows {
        let mut x = (width - row_width(&row)) / 2.0;
        let tall = row.iter().map(|item| item.height).fold(0.0, f64::max);
        for mut item in row {
            (item.x, item.y) = (x, y + (tall - item.height) / 2.0);
            x += item.width + GAP;
            for task in &item.tasks {
                item_of_task[*task] = items.len();
            }
            items.push(item);
        }
        y += tall + ROW_GAP;
    }
    (items, item_of_task, width, y - ROW_GAP + 4.0)
}

fn draw_item(svg: &mut String, item: &Item, tasks: &[TaskRecord]) {
    let stage = item.stage.number();
    let [x, y, width, height] = [item.x, item.y, item.width, item.height];
    let (title, caption, busy) = match item.tasks.as_slice() {
        [task] => {
            let record = &tasks[*task];
            (record.tooltip(), record.label.clone(), record.seconds())
        }
        several => {
            let busy = several.iter().map(|task| tasks[*task].seconds()).sum();
            let caption = format!("{} × {}", several.len(), item.stage.name());
            (format!("{caption}, {} in all", span(busy)), caption, busy)
        }
    };
    let time = span(busy);
    let _ = write!(
        svg,
        "<g><title>{}</title><rect class=\"box\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" \
         height=\"{height:.1}\" rx=\"8\"/>\
         <rect class=\"s{stage}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"5\" height=\"{height:.1}\" rx=\"2\"/>",
        escape(&title)
    );
    if item.tasks.len() == 1 {
        let _ = writeln!(
            svg,
            "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}</text><text class=\"note\" x=\"{:.1}\" \
             y=\"{:.1}\">{time}{}</text></g>",
            x + 14.0,
            y + 19.0,
            escape(&caption),
            x + 14.0,
            y + 36.0,
            match tasks[item.tasks[0]].ranks.as_slice() {
                [rank] => format!(" on rank {rank}"),
                ranks => format!(" on {} ranks", ranks.len()),
            }
        );
        return;
    }
    let _ = writeln!(
        svg,
        "<text class=\"name\" x=\"{:.1}\" y=\"{:.1}\">{}<tspan class=\"note\" dx=\"8\">{time}</tspan></text></g>",
        x + 14.0,
        y + 19.0,
        escape(&caption)
    );
    let squares = item.tasks.len().min(SQUARES_MAX);
    for square in 0..squares {
        let task = &tasks[item.tasks[square * item.tasks.len() / squares]];
        let _ = writeln!(
            svg,
            "<rect class=\"s{stage}\" x=\"{:.1}\" y=\"{:.1}\" width=\"{w:.1}\" height=\"{w:.1}\" \
             rx=\"2\"><title>{}</title></rect>",
            x + 14.0 + coordinate(square % COLUMNS) * SQUARE,
            y + 28.0 + coordinate(square / COLUMNS) * SQUARE,
            escape(&task.tooltip()),
            w = SQUARE - 3.0
        );
    }
}
