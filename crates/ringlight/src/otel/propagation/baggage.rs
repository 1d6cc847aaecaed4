//! W3C Baggage.
//!
//! Source: W3C Baggage, <https://www.w3.org/TR/baggage/>.

use std::fmt::Write as _;

use opentelemetry::Context;
use opentelemetry::baggage::{Baggage, BaggageExt as _};
use opentelemetry::propagation::{Extractor, Injector};

const HEADER: &str = "baggage";
/// Bytes of all members, written or read.
const BYTES_MAX: usize = 8192;
/// Members, written or read.
const MEMBERS_MAX: usize = 64;

/// Writes the baggage of a context, as many members as fit.
pub(super) fn inject(context: &Context, injector: &mut dyn Injector) {
    let mut header = String::new();
    for (key, (value, metadata)) in context.baggage() {
        let before = header.len();
        if before > 0 {
            header.push(',');
        }
        header.push_str(key.as_str());
        header.push('=');
        encode(&mut header, value.as_str());
        let metadata = metadata.as_str();
        if !metadata.is_empty() && metadata.bytes().all(is_property) {
            header.push(';');
            header.push_str(metadata);
        }
        if header.len() > BYTES_MAX {
            header.truncate(before);
        }
    }
    if !header.is_empty() {
        injector.set(HEADER, header);
    }
}

/// The context with the baggage of the headers; `None` if they have none. A member that is not right
/// is left out, and so are those beyond the limits.
pub(super) fn extract(context: &Context, extractor: &dyn Extractor) -> Option<Context> {
    let headers = extractor.get_all(HEADER)?;
    let mut baggage = Baggage::new();
    let mut bytes_left = BYTES_MAX;
    let members = headers.iter().flat_map(|header| header.split(','));
    for member in members.take(MEMBERS_MAX) {
        let Some(left) = bytes_left.checked_sub(member.len()) else {
            break;
        };
        bytes_left = left;
        let (pair, metadata) = member.split_once(';').unwrap_or((member, ""));
        if let Some((key, value)) = pair.split_once('=') {
            let value = decode(value.trim());
            baggage.insert_with_metadata(key.trim().to_owned(), value, metadata);
        }
    }
    (!baggage.is_empty()).then(|| context.with_baggage(baggage))
}

/// What a header of Jaeger's for a member begins with; its key follows.
#[cfg(feature = "jaeger")]
const JAEGER_PREFIX: &str = "uberctx-";

/// Writes the baggage of a context as Jaeger does, a header for each member.
#[cfg(feature = "jaeger")]
pub(super) fn inject_jaeger(context: &Context, injector: &mut dyn Injector) {
    for (key, (value, _)) in context.baggage() {
        let mut header = String::new();
        encode(&mut header, value.as_str());
        injector.set(&format!("{JAEGER_PREFIX}{key}"), header);
    }
}

/// The context with the baggage of Jaeger's headers; `None` if there is none, or the carrier does not
/// say what headers it has.
#[cfg(feature = "jaeger")]
pub(super) fn extract_jaeger(context: &Context, extractor: &dyn Extractor) -> Option<Context> {
    let mut baggage = Baggage::new();
    for header in extractor.keys() {
        let name = header.to_ascii_lowercase();
        if let Some(key) = name.strip_prefix(JAEGER_PREFIX)
            && let Some(value) = extractor.get(header)
        {
            baggage.insert(key.to_owned(), decode(value.trim()));
        }
    }
    (!baggage.is_empty()).then(|| context.with_baggage(baggage))
}

/// Whether a byte stands for itself in a value: `baggage-octet`, but for the percent sign.
const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%' | b',' | b';' | b'\\')
}

/// Whether properties may hold a byte.
const fn is_property(byte: u8) -> bool {
    (byte.is_ascii_graphic() || matches!(byte, b' ' | b'\t')) && byte != b','
}

fn encode(header: &mut String, value: &str) {
    for byte in value.bytes() {
        if is_plain(byte) {
            header.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(header, "%{byte:02X}");
        }
    }
}

/// Undoes percent-encoding. What is no escape stands for itself, and what is no text becomes U+FFFD.
fn decode(value: &str) -> String {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => digit(*high).zip(digit(*low)),
            _ => None,
        };
        bytes.push(escaped.map_or(*first, |(high, low)| high << 4 | low));
        rest = match escaped {
            Some(_) => rest.get(3..).unwrap_or_default(),
            None => after,
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(header: &str) -> Option<Context> {
        let headers = HashMap::from([(HEADER.to_owned(), header.to_owned())]);
        extract(&Context::new(), &headers)
    }

    #[track_caller]
    fn check(header: &str, expected: &[(&str, &str, &str)]) {
        let context = read(header);
        assert_eq!(context.is_some(), !expected.is_empty(), "{header}");
        let context = context.unwrap_or_default();
        assert_eq!(context.baggage().len(), expected.len(), "{header}");
        for (key, value, metadata) in expected {
            let (found, found_metadata) = context.baggage().get_with_metadata(key).unwrap();
            assert_eq!(found.as_str(), *value);
            assert_eq!(found_metadata.as_str(), *metadata);
        }
    }

    #[test]
    fn the_header_is_read_as_its_specification_says() {
        // The examples of the specification.
        check(
            "key1=value1;property1;property2, key2 = value2, key3=value3; propertyKey=propertyValue",
            &[
                ("key1", "value1", "property1;property2"),
                ("key2", "value2", ""),
                ("key3", "value3", "propertyKey=propertyValue"),
            ],
        );
        check(
            "serverNode=DF%2028,isProduction=false",
            &[("serverNode", "DF 28", ""), ("isProduction", "false", "")],
        );
        check("userId=Am%C3%A9lie", &[("userId", "Am\u{e9}lie", "")]);
        check("a=b=c", &[("a", "b=c", "")]);
        check("a=", &[("a", "", "")]);
        check("a=%ff%zz%", &[("a", "\u{fffd}%zz%", "")]);
    }

    #[test]
    fn what_is_not_right_or_too_much_is_left_out() {
        check("", &[]);
        check(",,;,=,=a,no value,k\u{e9}y=a", &[]);
        check("a=1,,b", &[("a", "1", "")]);
        let many: Vec<_> = (0..100).map(|n| format!("k{n}=v")).collect();
        assert_eq!(read(&many.join(",")).unwrap().baggage().len(), MEMBERS_MAX);
        let long = format!("a=1,b={},c=2", "x".repeat(BYTES_MAX));
        check(&long, &[("a", "1", "")]);
    }

    #[cfg(feature = "jaeger")]
    #[test]
    fn jaeger_has_a_header_for_each_member() {
        let mut baggage = Baggage::new();
        baggage.insert("user", "Am\u{e9}lie");
        baggage.insert("tier", "a b");
        let context = Context::new().with_baggage(baggage);
        let mut headers = HashMap::new();
        inject_jaeger(&context, &mut headers);
        assert_eq!(headers.len(), 2);
        assert_eq!(headers["uberctx-user"], "Am%C3%A9lie");
        headers.insert("other".to_owned(), "x".to_owned());
        let found = extract_jaeger(&Context::new(), &headers).unwrap();
        assert_eq!(found.baggage().len(), 2);
        assert_eq!(found.baggage().get("tier").unwrap().as_str(), "a b");
        assert!(extract_jaeger(&Context::new(), &HashMap::<String, String>::new()).is_none());
    }

    #[test]
    fn what_is_written_is_read_again() {
        let mut baggage = Baggage::new();
        baggage.insert("plain", "value");
        baggage.insert("odd", "a b,c;d=e%20\"\\\u{e9}");
        baggage.insert_with_metadata("with", "1", "property;key=value");
        baggage.insert_with_metadata("without", "1", "not,right");
        let context = Context::new().with_baggage(baggage);
        let mut headers = HashMap::new();
        inject(&context, &mut headers);
        let header: &str = &headers[HEADER];
        assert!(header.bytes().all(|b| b.is_ascii_graphic()), "{header}");
        let expected = [
            ("plain", "value", ""),
            ("odd", "a b,c;d=e%20\"\\\u{e9}", ""),
            ("with", "1", "property;key=value"),
            ("without", "1", ""),
        ];
        check(header, &expected);

        let mut long = Baggage::new();
        long.insert("short", "1");
        long.insert("long", "\u{e9}".repeat(2000));
        headers.clear();
        inject(&Context::new().with_baggage(long), &mut headers);
        assert_eq!(headers[HEADER], "short=1");
        headers.clear();
        inject(&Context::new(), &mut headers);
        assert!(headers.is_empty());
    }
}
