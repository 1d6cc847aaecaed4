//! A request that is too large becomes two.

use crate::encode::proto;
use crate::fields::{per_resource, per_scope, request};
use crate::wire::{Field, Reader};

/// A part of a request: a request of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// A whole `Export*ServiceRequest` in protobuf.
    pub bytes: Vec<u8>,
    /// Spans, log records or metrics in it.
    pub items: u32,
}

/// Splits an `Export*ServiceRequest` of any signal into two with half of its items each, in their order. What
/// they belong to, resource and scope, goes into both where they are in both.
///
/// `None` if it has fewer than two items, or does not decode.
#[must_use]
pub fn split(request: &[u8]) -> Option<[Part; 2]> {
    let (resources, rest) = resources(request)?;
    let count: usize = resources
        .iter()
        .flat_map(|r| &r.scopes)
        .map(|s| s.items.len())
        .sum();
    let half = count / 2;
    if half == 0 {
        return None;
    }
    let part = |from: usize, to: usize| Part {
        bytes: write(&rest, &resources, from, to),
        items: (to - from) as u32,
    };
    Some([part(0, half), part(half, count)])
}

/// How many items an `Export*ServiceRequest` of any signal has: spans, log records, metrics or profiles. `None` if it
/// does not decode.
#[must_use]
pub fn items(request: &[u8]) -> Option<u32> {
    let (resources, _) = resources(request)?;
    let scopes = resources.iter().flat_map(|r| &r.scopes);
    let count: usize = scopes.map(|scope| scope.items.len()).sum();
    u32::try_from(count).ok()
}

/// A `Resource*` or a `Scope*`: what is in it besides the list, as it is.
struct ResourceItems<'a> {
    rest: Rest<'a>,
    scopes: Vec<ScopeItems<'a>>,
}

struct ScopeItems<'a> {
    rest: Rest<'a>,
    items: Vec<&'a [u8]>,
}

type Rest<'a> = Vec<&'a [u8]>;

fn resources(request: &[u8]) -> Option<(Vec<ResourceItems<'_>>, Rest<'_>)> {
    let (resources, rest) = list(request, request::RESOURCES)?;
    let resources: Option<_> = resources.into_iter().map(resource).collect();
    Some((resources?, rest))
}

fn resource(message: &[u8]) -> Option<ResourceItems<'_>> {
    let (scopes, rest) = list(message, per_resource::SCOPES)?;
    let scope = |message| {
        let (items, rest) = list(message, per_scope::ITEMS)?;
        Some(ScopeItems { rest, items })
    };
    let scopes: Option<_> = scopes.into_iter().map(scope).collect();
    Some(ResourceItems {
        rest,
        scopes: scopes?,
    })
}

/// The messages of one field, and all other fields with their tags.
fn list(message: &[u8], number: u32) -> Option<(Vec<&[u8]>, Rest<'_>)> {
    let mut reader = Reader::new(message);
    let (mut list, mut rest) = (Vec::new(), Vec::new());
    let mut start = 0;
    while let Some((found, field)) = reader.next().ok()? {
        match field {
            Field::Bytes(slice) if found == number => list.push(slice.bytes),
            _ => rest.push(&message[start..reader.position()]),
        }
        start = reader.position();
    }
    Some((list, rest))
}

/// The request with the items of these numbers.
fn write(rest: &Rest<'_>, resources: &[ResourceItems<'_>], from: usize, to: usize) -> Vec<u8> {
    let mut request = rest.concat();
    let mut at = 0;
    for resource in resources {
        let mut message = resource.rest.concat();
        let mut has_any = false;
        for scope in &resource.scopes {
            let (start, end) = (at, at + scope.items.len());
            at = end;
            let items = from.clamp(start, end) - start..to.clamp(start, end) - start;
            if items.is_empty() {
                continue;
            }
            has_any = true;
            let mut body = scope.rest.concat();
            for item in &scope.items[items] {
                proto::bytes_field(&mut body, per_scope::ITEMS, item);
            }
            proto::bytes_field(&mut message, per_resource::SCOPES, &body);
        }
        if has_any {
            proto::bytes_field(&mut request, request::RESOURCES, &message);
        }
    }
    request
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
    use opentelemetry_proto::tonic::resource::v1::Resource;
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
    use prost::Message as _;

    use super::*;

    fn request(scopes: &[&[usize]]) -> ExportTraceServiceRequest {
        let mut number = 0;
        let mut span = || {
            number += 1;
            Span {
                name: format!("span {number}"),
                ..Span::default()
            }
        };
        let scope = |(index, count): (usize, usize), span: &mut dyn FnMut() -> Span| ScopeSpans {
            scope: Some(InstrumentationScope {
                name: format!("scope {index}"),
                ..InstrumentationScope::default()
            }),
            spans: (0..count).map(|_| span()).collect(),
            schema_url: "https://schema".to_owned(),
        };
        let resource = |(index, counts): (usize, &&[usize])| ResourceSpans {
            resource: Some(Resource {
                dropped_attributes_count: index as u32 + 1,
                ..Resource::default()
            }),
            scope_spans: counts
                .iter()
                .copied()
                .enumerate()
                .map(|one| scope(one, &mut span))
                .collect(),
            schema_url: "https://resource".to_owned(),
        };
        ExportTraceServiceRequest {
            resource_spans: scopes.iter().enumerate().map(resource).collect(),
        }
    }

    /// Spans with what they belong to.
    fn all(request: &ExportTraceServiceRequest) -> Vec<(u32, String, String, String)> {
        let mut all = Vec::new();
        for resource in &request.resource_spans {
            let count = resource.resource.as_ref().unwrap().dropped_attributes_count;
            assert_eq!(resource.schema_url, "https://resource");
            for scope in &resource.scope_spans {
                let name = &scope.scope.as_ref().unwrap().name;
                for span in &scope.spans {
                    let schema = scope.schema_url.clone();
                    all.push((count, name.clone(), schema, span.name.clone()));
                }
            }
        }
        all
    }

    #[test]
    fn both_halves_together_are_the_whole_with_all_it_belongs_to() {
        for scopes in [
            &[&[2][..]][..],
            &[&[5, 1], &[0, 7]],
            &[&[1], &[1], &[1]],
            &[&[3, 0, 0]],
        ] {
            let whole = request(scopes);
            let halves = split(&whole.encode_to_vec()).unwrap();
            let decoded = halves.clone().map(|half| {
                let decoded = ExportTraceServiceRequest::decode(&half.bytes[..]).unwrap();
                assert_eq!(all(&decoded).len(), half.items as usize);
                decoded
            });
            let together: Vec<_> = decoded.iter().flat_map(all).collect();
            assert_eq!(together, all(&whole), "{scopes:?}");
            assert!(halves[0].items.abs_diff(halves[1].items) <= 1);
        }
    }

    #[test]
    fn what_is_one_or_none_or_broken_cannot_be_split() {
        for scopes in [&[&[1][..]][..], &[&[0, 1]], &[]] {
            assert_eq!(split(&request(scopes).encode_to_vec()), None, "{scopes:?}");
        }
        let whole = request(&[&[4]]).encode_to_vec();
        for len in 1..whole.len() {
            // Cut anywhere, it is no request any more.
            assert_eq!(split(&whole[..len]), None, "{len}");
        }
    }
}
