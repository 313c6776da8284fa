use super::*;
use crate::base::PowerFlow;
use crate::bridges::bridges;
use crate::collective::Alone;
use crate::recheck::recheck;
use crate::screening::{Plan, screen};
use crate::testing::random_case;

fn task(stage: Stage, label: &str, ranks: &[u32], from: u64, to: u64, parents: &[usize]) -> TaskRecord {
    let (label, ranks, parents) = (label.to_owned(), ranks.to_vec(), parents.to_vec());
    let hosts = vec!["a<b>".to_owned(); ranks.len()];
    TaskRecord { stage, label, ranks, hosts, attempts: 1, started_ns: from, finished_ns: to, parents }
}

fn page(screens: usize) -> String {
    let mut case = random_case(40, 9);
    case.name = "<b> & \"c\"".to_owned();
    let grid = Grid::build(case).unwrap();
    let base = PowerFlow::solve(&Alone, &grid, 1e-12).unwrap();
    let islanding = bridges(&grid.case);
    let outages = screen(&grid, &base, &Plan::new(&grid, &islanding), 0, 1, 1e-12).unwrap();
    let rechecks = outages.top.iter().map(|overload| recheck(&Alone, &grid, *overload, 1e-12).unwrap()).collect();
    let figures = Figures::new(&grid, &base, &islanding, outages, rechecks);
    let mut tasks = vec![
        task(Stage::Parse, "parse", &[1], 0, 5_000_000, &[]),
        task(Stage::Base, "base case", &[1, 2], 5_000_000, 90_000_000, &[0]),
    ];
    for number in 0..screens as u64 {
        tasks.push(task(
            Stage::Screen,
            "batch",
            &[1 + number as u32 % 2],
            90_000_000 + number,
            100_000_000 + number,
            &[1],
        ));
    }
    tasks.push(task(Stage::Merge, "merge", &[2], 200_000_000, 200_000_100, &(2..2 + screens).collect::<Vec<_>>()));
    let comparisons = [Comparison { name: "x".into(), expected: "1".into(), found: "2".into(), agrees: false }];
    Report { grid: &grid, figures: &figures, comparisons: &comparisons, tasks: &tasks, seconds: 0.2 }.html()
}

#[test]
fn the_page_stands_alone_and_is_well_formed() {
    let html = page(3);
    for outside in ["<script", "http", "src=", "@import", "NaN", "inf "] {
        assert!(!html.contains(outside), "the page has {outside}");
    }
    assert!(html.contains("&lt;b&gt; &amp; &quot;c&quot;") && html.contains("1 of 1"));
    for tag in ["section", "table", "tr", "td", "svg", "g", "text", "p", "div", "ul", "li", "title", "details"] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "<{tag}> is not closed as often as opened");
    }
}

#[test]
fn many_alike_tasks_are_drawn_in_one_box() {
    assert_eq!(page(3).matches("class=\"box\"").count(), 6);
    let many = page(10_000);
    assert_eq!(many.matches("class=\"box\"").count(), 4);
    assert!(many.contains("10000 × screen outages"));
}

#[test]
fn a_job_without_tasks_has_a_page_too() {
    assert_eq!(timeline::timeline(&[]), "");
    assert!(drawing::drawing(&[]).contains("</svg>"));
    assert_eq!(histogram::histogram(&[0; 41]), "");
}
