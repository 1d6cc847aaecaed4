//! The header `tracestate`.
//!
//! Source: W3C Trace Context Level 2, "Tracestate Header", <https://www.w3.org/TR/trace-context-2/>.

use opentelemetry::propagation::{Extractor, Injector};
use opentelemetry::trace::TraceState;

const HEADER: &str = "tracestate";
/// Members there may be.
const MEMBERS_MAX: usize = 32;

pub(super) fn inject(state: &TraceState, injector: &mut dyn Injector) {
    let state = state.header();
    if !state.is_empty() {
        injector.set(HEADER, state);
    }
}

/// One that is not as its specification has it is none, as a whole: the trace goes on without it.
pub(super) fn extract(extractor: &dyn Extractor) -> TraceState {
    let headers = extractor.get_all(HEADER).unwrap_or_default();
    read(&headers).unwrap_or(TraceState::NONE)
}

/// Several headers are one that goes on in the next; members may be empty, and have space around them.
fn read(headers: &[&str]) -> Option<TraceState> {
    let members = headers.iter().flat_map(|header| header.split(','));
    let members = members.map(|member| member.trim_matches([' ', '\t']));
    let mut state: Vec<(&str, &str)> = Vec::new();
    for member in members.filter(|member| !member.is_empty()) {
        let (key, value) = member.split_once('=')?;
        let is_twice = state.iter().any(|(earlier, _)| *earlier == key);
        if is_twice || key.is_empty() || !is_value(value) || state.len() == MEMBERS_MAX {
            return None;
        }
        state.push((key, value));
    }
    // Which looks at the keys.
    TraceState::from_key_value(state).ok()
}

/// `value`; it does not end with a space, since there is none around the member.
fn is_value(value: &str) -> bool {
    let is_right = |byte| matches!(byte, b' '..=b'~') && !matches!(byte, b',' | b'=');
    !value.is_empty() && value.bytes().all(is_right)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(headers: &[&str], expected: &str) {
        let state = read(headers).unwrap_or(TraceState::NONE);
        assert_eq!(state.header(), expected, "{headers:?}");
    }

    #[test]
    fn the_header_is_read_as_its_specification_says() {
        check(&["foo=1,bar=2"], "foo=1,bar=2");
        check(&["foo=1", "bar=2,baz=3"], "foo=1,bar=2,baz=3");
        check(&[" foo=1 \t , \t bar=2, \t baz=3\t"], "foo=1,bar=2,baz=3");
        check(&["", "foo=1,,\t,bar=2,"], "foo=1,bar=2");
        check(&["foo= a b"], "foo= a b");
        let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/";
        let value: String = (' '..='~').filter(|c| !matches!(c, ',' | '=')).collect();
        let all = format!("{key}={value},{key}@a-z0-9_-*/={value}");
        check(&[&all], &all);
        let longest = format!("{}={}", "k".repeat(256), "v".repeat(256));
        check(&[&longest], &longest);
    }

    #[test]
    fn one_that_is_not_right_is_none() {
        for header in [
            "foo",
            "=1",
            "foo=",
            "foo==1",
            "foo=1=2",
            "foo =1",
            "FOO=1",
            "fo\u{e9}=1",
            "foo=\u{e9}",
            "foo=1\n2",
            "foo=1;bar=2\u{7f}",
            "@foo=1",
            "foo=1,foo=1",
        ] {
            check(&[header, "bar=2"], "");
            check(&["bar=2", header], "");
        }
        check(&["foo=1", "foo=2"], "");
        check(&[&format!("{}=1", "k".repeat(257))], "");
        check(&[&format!("k={}", "v".repeat(257))], "");
    }

    #[test]
    fn there_are_32_members_or_none() {
        let members: Vec<_> = (0..33).map(|n| format!("k{n}=v")).collect();
        let most = members[..32].join(",");
        check(&[&most], &most);
        // Empty ones do not count.
        check(&[&most, ",,"], &most);
        check(&[&members.join(",")], "");
    }
}
