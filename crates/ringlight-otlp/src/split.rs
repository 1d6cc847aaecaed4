//! A request that is too large becomes two.

use ringlight_model::Signal;

use crate::encode::proto;
use crate::fields::{data, metric, per_resource, per_scope, request};
use crate::wire::{Field, Reader};

#[cfg(test)]
mod tests;

/// A part of a request: a request of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// A whole `Export*ServiceRequest` in protobuf.
    pub bytes: Vec<u8>,
    /// Spans, log records or data points in it.
    pub items: u32,
}

/// Splits an `Export*ServiceRequest` of a signal into two with half of its items each, in their order: spans, log records, or
/// data points, those of one metric too. What they belong to, resource, scope and metric, goes into both where they are in
/// both.
///
/// `None` if it has fewer than two items, or does not decode.
#[must_use]
pub fn split(signal: Signal, request: &[u8]) -> Option<[Part; 2]> {
    let whole = node(0, request, levels(signal))?;
    let count = whole.count;
    let half = count / 2;
    if half == 0 {
        return None;
    }
    let part = |from: usize, to: usize| {
        let mut bytes = Vec::new();
        whole.write(&mut bytes, from, to);
        Part {
            bytes,
            items: (to - from) as u32,
        }
    };
    Some([part(0, half), part(half, count)])
}

/// How many items an `Export*ServiceRequest` of a signal has: spans, log records, data points or profiles. `None` if it
/// does not decode.
#[must_use]
pub fn items(signal: Signal, request: &[u8]) -> Option<u32> {
    u32::try_from(count(request, levels(signal))?).ok()
}

/// Whether a field of a message holds what is counted, or the messages that lead there.
type Level = fn(u32) -> bool;

/// From the request down to what is counted.
const fn levels(signal: Signal) -> &'static [Level] {
    const POINTS: [Level; 5] = [is_resource, is_scope, is_item, metric::is_data, |number| {
        number == data::POINTS
    }];
    const ITEMS: [Level; 3] = [is_resource, is_scope, is_item];
    match signal {
        Signal::Metrics => &POINTS,
        _ => &ITEMS,
    }
}

const fn is_resource(number: u32) -> bool {
    number == request::RESOURCES
}

const fn is_scope(number: u32) -> bool {
    number == per_resource::SCOPES
}

const fn is_item(number: u32) -> bool {
    number == per_scope::ITEMS
}

fn count(message: &[u8], levels: &[Level]) -> Option<usize> {
    let (is_listed, below) = levels.split_first()?;
    let mut reader = Reader::new(message);
    let mut sum = 0;
    while let Some((number, field)) = reader.next().ok()? {
        if let (true, Field::Bytes(slice)) = (is_listed(number), field) {
            sum += if below.is_empty() {
                1
            } else {
                count(slice.bytes, below)?
            };
        }
    }
    Some(sum)
}

/// A message on the way to what is counted, with the field it is in.
struct Node<'a> {
    number: u32,
    /// What is in it besides, as it is.
    rest: Vec<&'a [u8]>,
    nodes: Vec<Self>,
    /// Where it is the last on the way: what is counted, with its field.
    items: Vec<(u32, &'a [u8])>,
    /// What is counted in it.
    count: usize,
}

fn node<'a>(number: u32, message: &'a [u8], levels: &[Level]) -> Option<Node<'a>> {
    let (is_listed, below) = levels.split_first()?;
    let mut of = Node {
        number,
        rest: Vec::new(),
        nodes: Vec::new(),
        items: Vec::new(),
        count: 0,
    };
    let mut reader = Reader::new(message);
    let mut start = 0;
    while let Some((number, field)) = reader.next().ok()? {
        match field {
            Field::Bytes(slice) if is_listed(number) && below.is_empty() => {
                of.items.push((number, slice.bytes));
                of.count += 1;
            }
            Field::Bytes(slice) if is_listed(number) => {
                let nested = node(number, slice.bytes, below)?;
                of.count += nested.count;
                of.nodes.push(nested);
            }
            _ => of.rest.push(&message[start..reader.position()]),
        }
        start = reader.position();
    }
    Some(of)
}

impl Node<'_> {
    /// The message with what of the counted has these numbers; what has nothing of it is left out.
    fn write(&self, buf: &mut Vec<u8>, from: usize, to: usize) {
        self.rest
            .iter()
            .for_each(|rest| buf.extend_from_slice(rest));
        for (number, item) in self.items.get(from..to).unwrap_or_default() {
            proto::bytes_field(buf, *number, item);
        }
        let mut at = 0;
        for node in &self.nodes {
            let (start, end) = (at, at + node.count);
            at = end;
            let (from, to) = (from.clamp(start, end), to.clamp(start, end));
            if from < to {
                let mut message = Vec::new();
                node.write(&mut message, from - start, to - start);
                proto::bytes_field(buf, node.number, &message);
            }
        }
    }
}
