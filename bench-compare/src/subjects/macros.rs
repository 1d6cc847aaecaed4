//! The workload in `tracing`'s macros, for every subject that listens to those.

use tracing::{info, info_span};

use bench_workload::{Took, id, route};

use super::Producer;
use crate::plan::Shape;

/// Whatever thread it is called on: the macros find the subscriber by themselves.
pub(super) struct Macros;

impl Producer for Macros {
    fn burst(&mut self, shape: Shape, first: u64, count: u64) {
        burst(shape, first, count);
    }
}

fn burst(shape: Shape, first: u64, count: u64) {
    for unit in first..first + count {
        match shape {
            Shape::Flat => drop(info_span!("root").entered()),
            Shape::Flat3 => drop(root3(unit).entered()),
            Shape::Event => {
                let _root = info_span!("root").entered();
                info!(id = id(unit), "ping");
            }
            Shape::Tree => {
                let _root = info_span!("root").entered();
                for _ in 0..Shape::CHILDREN_COUNT {
                    drop(info_span!("child").entered());
                }
            }
            Shape::Tree3 => {
                let first = unit * shape.spans_per_unit();
                let _root = root3(first).entered();
                for child in 1..=Shape::CHILDREN_COUNT {
                    let sequence = first + child;
                    let child = info_span!(
                        "child",
                        id = id(sequence),
                        route = route(sequence),
                        took = %Took(sequence)
                    );
                    drop(child.entered());
                }
            }
            // Made by a service: see `requests`.
            Shape::Request => {}
        }
    }
}

#[inline]
fn root3(sequence: u64) -> tracing::Span {
    info_span!("root", id = id(sequence), route = route(sequence), took = %Took(sequence))
}
