//! The histogram of the highest loading of each outage.

use std::fmt::Write;

use super::coordinate;
use crate::summary::{BAR_WIDTH, BARS};

const WIDTH: f64 = 1080.0;
const HEIGHT: f64 = 200.0;
const BOTTOM: f64 = 46.0;
const TOP: f64 = 22.0;

/// The drawing of the bars that hold outages; their heights grow with the logarithm,
/// because nearly all outages fall into one or two bars and the few others are those that
/// matter.
pub(super) fn histogram(bars: &[u32]) -> String {
    let filled = |count: &u32| *count > 0;
    let (Some(first), Some(last)) = (bars.iter().position(filled), bars.iter().rposition(filled)) else {
        return String::new();
    };
    let shown = &bars[first..=last];
    let most = shown.iter().copied().max().unwrap_or(1);
    let tall = |count: u32| f64::from(count + 1).ln() / f64::from(most + 1).ln() * (HEIGHT - TOP - BOTTOM);
    // The margins keep the first and the last number inside.
    let step = ((WIDTH - 60.0) / coordinate(shown.len())).min(90.0);
    let left = (WIDTH - step * coordinate(shown.len())) / 2.0;
    let base = HEIGHT - BOTTOM;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"outages by their highest loading\">\n\
         <line class=\"axis\" x1=\"0\" y1=\"{base}\" x2=\"{WIDTH}\" y2=\"{base}\"/>\n"
    );
    for (index, count) in shown.iter().enumerate() {
        let bar = first + index;
        let (x, middle) = (left + coordinate(index) * step, left + (coordinate(index) + 0.5) * step);
        let from = coordinate(bar) * BAR_WIDTH * 100.0;
        let open = bar + 1 == BARS;
        let range =
            if open { format!("above {from:.0} %") } else { format!("{from:.0} to {:.0} %", from + BAR_WIDTH * 100.0) };
        if *count > 0 {
            let tall = tall(*count);
            let kind = if from >= 99.5 { "over" } else { "under" };
            let _ = writeln!(
                svg,
                "<rect class=\"{kind}\" x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{tall:.2}\"><title>{count} \
                 outages: {range}</title></rect>\
                 <text class=\"tick\" x=\"{middle:.2}\" y=\"{:.2}\">{count}</text>",
                x + step * 0.08,
                base - tall,
                step * 0.84,
                base - tall - 6.0
            );
        }
        let plus = if open { "+" } else { "" };
        let _ = writeln!(svg, "<text class=\"tick\" x=\"{x:.2}\" y=\"{:.2}\">{from:.0}{plus}</text>", base + 17.0);
    }
    let _ = write!(
        svg,
        "<text class=\"tick\" x=\"{:.2}\" y=\"{:.2}\">highest loading in percent of the limit; bars grow with the \
         logarithm of the number of outages</text>\n</svg>\n",
        WIDTH / 2.0,
        HEIGHT - 8.0
    );
    svg
}
