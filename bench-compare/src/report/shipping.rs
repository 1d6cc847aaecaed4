//! Compression, batches and the spool.

use std::fmt::Write as _;

use super::{cell, interval, number, table};
use crate::{
    plan::{BATCHES, Keeping, Packing, Subject},
    results::Results,
    ship,
};

pub(super) fn packing(results: &Results, unit: &str, decimals: usize) -> String {
    let cases = Packing::ALL.map(Packing::name);
    let subjects = [Subject::Ringlight, Subject::OpentelemetrySdk];
    table(&cases, &subjects, |subject, case| {
        let figure = results.find(subject, case, unit)?;
        Some(interval(figure, decimals))
    })
}

pub(super) fn batches(results: &Results) -> String {
    let mut text = format!(
        "| spans a batch | {} |\n|---|---:|---:|---:|\n",
        Packing::ALL.map(Packing::name).join(" | ")
    );
    for spans in BATCHES {
        let cells = Packing::ALL.map(|packing| {
            let case = format!("{}-{spans}", packing.name());
            let figure = results.find(Subject::Ringlight, &case, ship::WIRE);
            cell(figure, 1)
        });
        let _ = writeln!(
            text,
            "| {} | {} |",
            number(spans as f64, 0),
            cells.join(" | ")
        );
    }
    text
}

pub(super) fn keeping(results: &Results) -> String {
    // Without a spool it is the case without compression.
    let case = |keeping| match keeping {
        Keeping::Off => Packing::None.name(),
        keeping => keeping.name(),
    };
    let columns = Keeping::ALL.map(Keeping::name);
    table(&columns, &[Subject::Ringlight], |subject, column| {
        let keeping = Keeping::ALL.into_iter().find(|k| k.name() == column)?;
        let figure = results.find(subject, case(keeping), ship::CPU)?;
        Some(interval(figure, 0))
    })
}

pub(super) fn window(results: &Results) -> String {
    let mut text = "| | lost |\n|---|---:|\n".to_owned();
    for (case, what) in ship::window::SHOWN {
        if let Some(figure) = results.find(Subject::Ringlight, case, ship::window::LOST) {
            let _ = writeln!(text, "| {what} | {} |", interval(figure, 0));
        }
    }
    text
}

pub(super) fn log(results: &Results) -> String {
    let mut text = "Batches of 256 KiB.\n\n| | MB a second | MB a second of CPU time | ms in all \
                    |\n|---|---:|---:|---:|\n"
        .to_owned();
    for (case, what) in ship::log::CASES {
        let cell = |unit, decimals| {
            let figure = results.find(Subject::Ringlight, case, unit);
            figure.map_or_else(|| "-".to_owned(), |figure| interval(figure, decimals))
        };
        let (wall, cpu) = (ship::log::WALL_RATE, ship::log::CPU_RATE);
        let ms = cell(ship::log::WALL_TIME, 0);
        let _ = writeln!(
            text,
            "| {what} | {} | {} | {ms} |",
            cell(wall, 0),
            cell(cpu, 0)
        );
    }
    text
}
