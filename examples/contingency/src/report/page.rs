//! The page around the drawings: tiles, tables, style.

use std::fmt::Write;

use super::{Report, Stage, drawing, escape, histogram, span, timeline};
use crate::grid::Grid;
use crate::recheck::Recheck;

const STYLE: &str = include_str!("style.css");

pub(super) fn page(report: &Report<'_>) -> String {
    let figures = report.figures;
    let mut html = String::new();
    let _ = write!(
        html,
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>N-1 contingency screening of {name}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         <h1>N-1 contingency screening of {name}</h1>\n\
         <p class=\"lead\">{} buses, {} branches in service, {} of them with a limit. One branch at a time is taken out, and the \
         flows of all others are computed anew.</p>\n",
        figures.buses,
        figures.branches,
        figures.limited_branches,
        name = escape(&figures.case)
    );
    tiles(&mut html, report);
    base_case(&mut html, report);
    let _ = write!(
        html,
        "<section>\n<h2>Outages by their highest loading</h2>\n{}</section>\n",
        histogram::histogram(&figures.outages.histogram)
    );
    overloads(&mut html, report);
    tasks(&mut html, report);
    comparisons(&mut html, report);
    html.push_str("</main>\n</body>\n</html>\n");
    html
}

fn tiles(html: &mut String, report: &Report<'_>) {
    let figures = report.figures;
    let outages = &figures.outages;
    html.push_str("<div class=\"tiles\">\n");
    let mut tile = |value: String, text: &str, kind: &str| {
        let _ = writeln!(html, "<div class=\"tile\"><b class=\"{kind}\">{value}</b><span>{text}</span></div>");
    };
    let kind = |bad: bool| if bad { "bad" } else { "good" };
    tile(outages.with_violation.to_string(), "outages overload a branch", kind(outages.with_violation > 0));
    tile(outages.violations.to_string(), "overloads in all", kind(outages.violations > 0));
    if let Some(worst) = outages.top.first() {
        tile(format!("{:.1} %", worst.loading * 100.0), "highest loading of a branch", "bad");
    }
    tile(outages.solved.to_string(), "outages solved", "");
    tile(figures.islanding_rows.len().to_string(), "outages split the grid", "");
    tile(format!("{:.2} s", report.seconds), &format!("for {} tasks", report.tasks.len()), "");
    let off = report.comparisons.iter().filter(|comparison| !comparison.agrees).count();
    match (report.comparisons.len(), off) {
        (0, _) => tile("none".to_owned(), "expected figures known", ""),
        (all, 0) => tile(format!("{all} of {all}"), "figures as expected", "good"),
        (all, off) => tile(format!("{off} of {all}"), "figures are off", "bad"),
    }
    html.push_str("</div>\n");
}

fn base_case(html: &mut String, report: &Report<'_>) {
    let figures = report.figures;
    let base = &figures.base;
    let highest = base.highest.map_or_else(
        || "no branch has a limit".to_owned(),
        |(loading, row)| format!("{:.2} % on {}", loading * 100.0, branch(report.grid, row)),
    );
    let _ = write!(
        html,
        "<section>\n<h2>The grid as it is</h2>\n<table>\n\
         <tr><th>overloaded branches</th><th>highest loading</th><th>largest flow</th><th>angles</th><th>iterations</th><th>residual</th></tr>\n\
         <tr><td>{}</td><td>{highest}</td><td>{:.1} MW</td><td>{:.4} to {:.4} rad</td><td>{}</td><td>{:.1e}</td></tr>\n</table>\n</section>\n",
        base.overloaded,
        base.max_abs_flow_mw,
        base.theta_min_rad,
        base.theta_max_rad,
        figures.base_iterations,
        figures.base_residual
    );
}

/// A branch by its row and the ids of its buses.
fn branch(grid: &Grid, row: u32) -> String {
    let case = &grid.case;
    case.branches.binary_search_by_key(&row, |branch| branch.row).map_or_else(
        |_| row.to_string(),
        |position| {
            let branch = &case.branches[position];
            let id = |bus: u32| case.buses[bus as usize].id;
            format!("row {row} <span class=\"soft\">({} – {})</span>", id(branch.from), id(branch.to))
        },
    )
}

fn overloads(html: &mut String, report: &Report<'_>) {
    let top = &report.figures.outages.top;
    html.push_str("<section>\n<h2>The highest loadings</h2>\n");
    if top.is_empty() {
        html.push_str("<p>No outage overloads a branch.</p>\n</section>\n");
        return;
    }
    html.push_str(
        "<p class=\"soft\">Rows are those of the table of branches in the case file, from 0, with the ids of both \
         buses. The screening \
         updates the flows of the base case; the loading from scratch comes from a new solution of the grid without the branch.</p>\n\
         <table>\n<tr><th class=\"n\">#</th><th>branch that is out</th><th>branch overloaded</th><th>loading</th><th class=\"n\">from scratch</th>\
         <th class=\"n\">difference</th><th class=\"n\">iterations</th></tr>\n",
    );
    let most = top[0].loading;
    for (index, overload) in top.iter().enumerate() {
        let recheck = report.figures.rechecks.get(index);
        let of_recheck = |text: &dyn Fn(&Recheck) -> String| recheck.map_or_else(|| "–".to_owned(), text);
        let _ = writeln!(
            html,
            "<tr><td class=\"n\">{}</td><td>{}</td><td>{}</td><td>{:.3} %<span class=\"meter\" \
             style=\"width:{:.0}px\"></span></td>\
             <td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td></tr>",
            index + 1,
            branch(report.grid, overload.outage_row),
            branch(report.grid, overload.monitored_row),
            overload.loading * 100.0,
            overload.loading / most * 130.0,
            of_recheck(&|recheck| format!("{:.3} %", recheck.resolved * 100.0)),
            of_recheck(&|recheck| format!("{:.0e}", recheck.difference())),
            of_recheck(&|recheck| recheck.iterations.to_string()),
        );
    }
    html.push_str("</table>\n</section>\n");
}

fn tasks(html: &mut String, report: &Report<'_>) {
    let mut legend = String::from("<ul class=\"legend\">\n");
    for stage in Stage::ALL {
        let records = report.tasks.iter().filter(|task| task.stage == stage);
        let (count, busy) = records.fold((0, 0.0), |(count, busy), task| (count + 1, busy + task.seconds()));
        if count > 0 {
            let _ = writeln!(
                legend,
                "<li><i class=\"s{}\"></i>{} ({count}, {})</li>",
                stage.number(),
                stage.name(),
                span(busy)
            );
        }
    }
    legend.push_str("</ul>\n");
    let _ = write!(
        html,
        "<section>\n<h2>Tasks of each rank</h2>\n{legend}{}</section>\n<section>\n<h2>The graph</h2>\n{}</section>\n",
        timeline::timeline(report.tasks),
        drawing::drawing(report.tasks)
    );
}

fn comparisons(html: &mut String, report: &Report<'_>) {
    if report.comparisons.is_empty() {
        return;
    }
    let off = report.comparisons.iter().any(|comparison| !comparison.agrees);
    let _ = write!(
        html,
        "<section>\n<h2>Figures beside the expected ones</h2>\n<details{}><summary>{} figures, computed \
         independently</summary>\n<table>\n\
         <tr><th>figure</th><th class=\"n\">expected</th><th class=\"n\">found</th><th></th></tr>\n",
        if off { " open" } else { "" },
        report.comparisons.len()
    );
    for comparison in report.comparisons {
        let (kind, word) = if comparison.agrees { ("good", "agrees") } else { ("bad", "off") };
        let _ = writeln!(
            html,
            "<tr><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"{kind}\">{word}</td></tr>",
            escape(&comparison.name),
            escape(&comparison.expected),
            escape(&comparison.found)
        );
    }
    html.push_str("</table>\n</details>\n</section>\n");
}
