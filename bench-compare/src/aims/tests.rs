use super::*;
use crate::stats::Estimate;

#[test]
fn an_aim_says_by_how_much_it_is_missed() {
    let check = |aim: Aim, value: f64, expected: &str| {
        let measured = Measured {
            median: value,
            low: value,
            high: value,
        };
        assert_eq!(aim.is(Some(measured), 0).verdict(), expected);
    };
    check(Aim::at_most(10.0, ""), 10.0, "met");
    check(Aim::at_most(10.0, ""), 12.0, "**missed** by 20.0 %");
    check(Aim::at_least(10.0, ""), 10.0, "met");
    check(Aim::at_least(10.0, ""), 9.0, "**missed** by 10.0 %");
    check(Aim::at_most(0.0, ""), 0.0, "met");
    check(Aim::at_most(0.0, ""), 2.0, "**missed** by 2.00");
    check(Aim::near_one(0.1, ""), 0.91, "met");
    check(Aim::near_one(0.1, ""), 0.75, "**missed** by 15.0 % of it");
    assert_eq!(Aim::near_one(0.1, "").aim(), "0.90 to 1.10");
    assert_eq!(Aim::at_least(1e6, "").aim(), ">= 1 000 000");
    assert_eq!(Aim::at_most(1.25, "").aim(), "<= 1.25");
}

#[test]
fn the_page_asks_as_often_as_its_row_says() {
    let page = include_str!("../../../web/src/lib/list.svelte.ts");
    assert!(page.contains(&format!("REFRESH_MS = {PAGE_PAUSE_MS};")));
    let mut results = Results::default();
    let figure = Figure::new(
        "backend",
        Subject::Ringlight,
        ("visible", "p95_ms"),
        Estimate::of(&[510.0]),
        (1, 1),
    );
    results.figures.push(figure);
    let table = table(&results);
    let row = table.lines().find(|line| line.contains("500 ms"));
    assert!(
        row.unwrap()
            .ends_with("| <= 1 000 | 1 010 | **missed** by 1.0 % |")
    );
}

#[test]
fn a_ratio_is_of_the_dearest_and_of_the_right_rows() {
    let mut results = Results::default();
    let mut add = |subject, case, unit, value: f64| {
        let estimate = Estimate::of(&[value]);
        let figure = Figure::new("", subject, (case, unit), estimate, (1, 1));
        results.figures.push(figure);
    };
    for (case, ns) in [
        ("1-thread", 100.0),
        ("2-threads", 150.0),
        ("8-threads", 120.0),
    ] {
        add(Subject::Ringlight, case, "ns_cpu_per_span", ns);
        add(Subject::Fastrace, case, "ns_cpu_per_span", 1.0);
    }
    add(Subject::TracingNone, REQUEST, "us_cpu_per_request", 10.0);
    add(Subject::Ringlight, REQUEST, "us_cpu_per_request", 12.0);
    let table = table(&results);
    let ends = |what: &str| {
        let row = table.lines().find(|line| line.contains(what));
        row.and_then(|row| row.split(" | <=").nth(1))
            .unwrap_or_default()
    };
    assert_eq!(ends("2, 4 or 8"), " 1.25 | 1.50 | **missed** by 20.0 % |");
    assert_eq!(ends("axum"), " 1.25 | 1.20 | met |");
}

#[test]
fn a_feature_has_its_aim_in_each_way_of_working() {
    let mut results = Results::default();
    let row = ROWS.iter().find(|row| row.name == "channels").unwrap();
    let case = (Case::StreamingFlat.name(), OVER_BASE);
    let figure = Figure::new("features", row, case, Estimate::of(&[1.5]), (0, 0));
    results.figures.push(figure);
    let table = table(&results);
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.contains(row.what))
        .collect();
    assert_eq!(rows.len(), 2);
    assert!(rows[0].ends_with("CPU over `off`, % | <= 1 | 1.5 | **missed** by 50.0 % |"));
    assert!(rows[1].ends_with("| <= 1 | - | not measured in this run |"));
}

#[test]
fn counting_has_its_aim_where_nothing_else_is_done() {
    let mut results = Results::default();
    let mut add = |subject, case, unit, value: f64| {
        let figure = Figure::new("", subject, (case, unit), Estimate::of(&[value]), (0, 0));
        results.figures.push(figure);
    };
    add("ringlight", Exchange::Oneshot.name(), OVER_TOKIO, 2.1);
    add("glibc", PARSE_CASES[2], PERCENT_OVER, 1.0);
    add("glibc", PAIR_CASES[2], NS_OVER, 0.3);
    let table = table(&results);
    let ends = |what: &str| {
        let row = table.lines().find(|line| line.contains(what));
        row.and_then(|row| row.split_once(", %")).unwrap().1
    };
    let messages = table.lines().filter(|line| line.contains("a message: "));
    assert_eq!(messages.count(), Exchange::ALL.len());
    assert_eq!(
        ends("oneshot, opened"),
        " | <= 1 | 2.1 | **missed** by 110.0 % |"
    );
    assert_eq!(
        ends("broadcast"),
        " | <= 1 | - | not measured in this run |"
    );
    assert_eq!(
        ends("around glibc"),
        "; 0.30 ns an allocation with its deallocation | <= 2 | 1.0 | met |"
    );
    assert_eq!(
        ends("around mimalloc"),
        " | <= 2 | - | not measured in this run |"
    );
}

#[test]
fn an_own_figure_is_compared_with_what_is_not_tracings() {
    let mut results = Results::default();
    let mut add = |subject, unit, value: f64| {
        let estimate = Estimate::of(&[value]);
        let figure = Figure::new("record", subject, ("tree3", unit), estimate, (1, 1));
        results.figures.push(figure);
    };
    add(Subject::Ringlight, "ns_cpu_per_span", 120.0);
    add(Subject::TracingEmpty, "ns_cpu_per_span", 20.0);
    add(Subject::Ringlight, OWN_SPAN, 95.0);
    let [span, delivered] = own_costs(&results);
    assert_eq!(
        span.map(|(own, outside)| own.over(outside).median),
        Some(0.95)
    );
    assert!(delivered.is_none());
}

#[test]
fn every_search_has_a_row() {
    let mut results = Results::default();
    for (search, p95_ms) in Search::ALL.iter().zip([1.0, 250.0, 2.0, 3.0, 4.0]) {
        let case = (search.name(), "p95_ms");
        let estimate = Estimate::of(&[p95_ms]);
        let figure = Figure::new("backend", Subject::Ringlight, case, estimate, (1, 1));
        results.figures.push(figure);
    }
    let table = table(&results);
    let rows: Vec<&str> = table
        .lines()
        .filter(|line| line.contains("search"))
        .collect();
    assert_eq!(
        rows,
        [
            "| search for the newest traces (p95), ms | <= 200 | 1.0 | met |",
            "| search for a rare number (p95), ms | <= 200 | 250.0 | **missed** by 25.0 % |",
            "| search for a rare text (p95), ms | <= 200 | 2.0 | met |",
            "| search for slow spans (p95), ms | <= 200 | 3.0 | met |",
            "| search for failed spans (p95), ms | <= 200 | 4.0 | met |",
            "| search for what is not there (p95), ms | <= 200 | - | not measured in this run |",
        ]
    );
}
