//! What a setting may be: what is checked, and how it is said.

use std::fmt;
use std::time::Duration;

use crate::budget::OverheadBudget;
use crate::config::units::{self, DURATIONS, SIZES};
use crate::filter::Filter;

/// What a setting may be in a file.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Shape {
    /// `true` or `false`.
    Truth,
    /// Any text that is not empty.
    Text,
    /// A path, below the directory the process runs in unless it is absolute.
    Path,
    /// `http://host:port` or `https://host:port`, without credentials.
    Url,
    /// `host:port`, the host a name or an address.
    HostPort,
    /// One of these words.
    Word(&'static [&'static str]),
    /// An array of these words, or of any texts if there are none here.
    Words(&'static [&'static str]),
    /// A whole number from the first to the second.
    Whole(u64, u64),
    /// A number from 0 to 1.
    Ratio,
    /// A time such as `"200ms"` or `"12h"`, from the first to the second.
    Time(Duration, Duration),
    /// A size such as `"500MiB"`, of so many bytes at least.
    Size(u64),
    /// Something such as `"2%"`.
    Percentage,
    /// Directives such as `"info,my_crate=debug"`.
    Directives,
    /// A table of texts, numbers and truths.
    Table,
}

impl Shape {
    /// Whether a text, as a variable or a string of the file has it, is of this shape.
    pub(crate) fn takes(self, text: &str) -> bool {
        match self {
            Self::Truth => matches!(text, "true" | "false"),
            Self::Text | Self::Path => !text.trim().is_empty(),
            Self::Url => is_address(text),
            Self::HostPort => is_host_and_port(text),
            Self::Word(words) => words.contains(&text),
            Self::Words(words) => {
                words.is_empty() && !text.trim().is_empty() || words.contains(&text)
            }
            Self::Whole(least, most) => {
                (text.parse()).is_ok_and(|number: u64| (least..=most).contains(&number))
            }
            Self::Ratio => (text.parse()).is_ok_and(|number: f64| (0.0..=1.0).contains(&number)),
            Self::Time(least, most) => {
                units::duration(text).is_some_and(|time| (least..=most).contains(&time))
            }
            Self::Size(least) => units::size(text).is_some_and(|bytes| bytes >= least),
            Self::Percentage => text.parse::<OverheadBudget>().is_ok(),
            Self::Directives => Filter::parse_strictly(text).is_ok_and(|filter| filter.is_some()),
            Self::Table => false,
        }
    }
}

/// An address that names no secret: what stands before an `@` would be a user's name and password.
fn is_address(text: &str) -> bool {
    let rest = (text.strip_prefix("http://")).or_else(|| text.strip_prefix("https://"));
    rest.is_some_and(|rest| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !authority.is_empty() && !authority.contains('@')
    })
}

/// A name or an address, one of version 6 in brackets, and a port.
pub(in crate::config) fn is_host_and_port(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else {
        return false;
    };
    let in_brackets = (host.strip_prefix('[')).and_then(|host| host.strip_suffix(']'));
    let is_host = match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let is_wrong = |c: char| c.is_whitespace() || "/:[]@?#".contains(c);
            !host.is_empty() && !host.contains(is_wrong)
        }
    };
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    is_host && is_number && port.parse::<u16>().is_ok()
}

/// What is allowed, as errors and the reference say it.
impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truth => f.write_str("`true` or `false`"),
            Self::Text => f.write_str("a text"),
            Self::Path => f.write_str("a path"),
            Self::Url => f.write_str(
                "an address such as `\"http://localhost:4317\"`, without credentials",
            ),
            Self::HostPort => f.write_str("`host:port`, such as `\"localhost:9464\"` or `\"0.0.0.0:9464\"`"),
            Self::Word(words) => quoted(words, " or ", f),
            Self::Words([]) => f.write_str("an array of texts"),
            Self::Words(words) => {
                f.write_str("an array of ")?;
                quoted(words, " and ", f)
            }
            Self::Whole(least, most) => write!(f, "a whole number from {least} to {most}"),
            Self::Ratio => f.write_str("a number from 0 to 1"),
            Self::Time(least, most) => write!(
                f,
                "{DURATIONS}, from `\"{}\"` to `\"{}\"`",
                units::written(*least),
                units::written(*most)
            ),
            Self::Size(least) => {
                write!(f, "{SIZES}, at least `\"{}\"`", units::written_size(*least))
            }
            Self::Percentage => f.write_str("a percentage from `\"0.01%\"` to `\"100%\"`"),
            Self::Directives => f.write_str(
                "directives such as `\"info,my_crate=debug\"`, with the levels `off`, `error`, `warn`, `info`, \
                 `debug` and `trace`",
            ),
            Self::Table => f.write_str("a table of texts, numbers, `true` and `false`"),
        }
    }
}

fn quoted(words: &[&str], last: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, word) in words.iter().enumerate() {
        let before = match index {
            0 => "",
            _ if index + 1 == words.len() => last,
            _ => ", ",
        };
        write!(f, "{before}`\"{word}\"`")?;
    }
    Ok(())
}
