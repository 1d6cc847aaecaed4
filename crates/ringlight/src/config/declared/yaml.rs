//! YAML with lines, and with variables substituted.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::config::environment::Environment;

/// Nested lists and maps, at most.
const DEPTH_MAX: usize = 64;

/// Values, those that stand for others counted as often as they are used.
const NODES_MAX: usize = 100_000;

/// A value.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// From 1.
    pub(super) line: usize,
    pub(super) kind: Kind,
    /// Not to be shown: it comes from a variable.
    pub(super) is_substituted: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Kind {
    Null,
    /// A text that stands without quotes, which may be a number or a truth.
    Plain(String),
    Quoted(String),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// What is wrong, and in which line.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) message: String,
}

/// Reads the first document of a text.
///
/// # Errors
/// It is not YAML, or a reference to a variable is none.
pub(super) fn read(text: &str, variables: &Environment) -> Result<Node, Wrong> {
    let mut reader = Reader {
        parser: Parser::new_from_str(text),
        variables,
        anchors: HashMap::new(),
        left: NODES_MAX,
    };
    loop {
        match reader.next()? {
            (Event::StreamEnd, line) => {
                return Ok(Node {
                    line,
                    kind: Kind::Null,
                    is_substituted: false,
                });
            }
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (event, line) => return reader.node(event, line, 0),
        }
    }
}

struct Reader<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    variables: &'a Environment,
    anchors: HashMap<usize, Node>,
    left: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<(Event<'a>, usize), Wrong> {
        match self.parser.next_event() {
            Some(Ok((event, span))) => Ok((event, span.start.line())),
            Some(Err(error)) => Err(Wrong {
                line: error.marker().line(),
                message: format!("this is not YAML: {}", error.info()),
            }),
            None => Ok((Event::StreamEnd, 1)),
        }
    }

    fn node(&mut self, event: Event<'a>, line: usize, depth: usize) -> Result<Node, Wrong> {
        let wrong = |message: &str| Wrong {
            line,
            message: message.to_owned(),
        };
        if depth > DEPTH_MAX {
            return Err(wrong("this is nested too deep"));
        }
        let mut is_substituted = false;
        let (kind, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let new = substituted(&text, self.variables)
                    .map_err(|message| Wrong { line, message })?;
                is_substituted = new != text;
                (scalar(new, style), anchor)
            }
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| wrong("this stands for itself"))?;
                self.count(nodes_of(&node), line)?;
                return Ok(node);
            }
            _ => return Err(wrong("this is not YAML: a value is missing")),
        };
        self.count(1, line)?;
        let node = Node {
            line,
            kind,
            is_substituted,
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn count(&mut self, nodes: usize, line: usize) -> Result<(), Wrong> {
        self.left = self.left.checked_sub(nodes).ok_or_else(|| Wrong {
            line,
            message: format!("there are more than {NODES_MAX} values"),
        })?;
        Ok(())
    }

    fn list(&mut self, depth: usize) -> Result<Kind, Wrong> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Kind::List(items)),
                (event, line) => items.push(self.node(event, line, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Kind, Wrong> {
        let mut entries: Vec<(String, Node)> = Vec::new();
        loop {
            let (event, line) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Kind::Map(entries)),
                // Names are not substituted.
                Event::Scalar(key, ..) => key.into_owned(),
                _ => {
                    return Err(Wrong {
                        line,
                        message: "a name is a text".to_owned(),
                    });
                }
            };
            let (event, of_value) = self.next()?;
            let mut node = self.node(event, of_value, depth + 1)?;
            // A person looks where the name is.
            node.line = line;
            if entries.iter().any(|(known, _)| *known == key) {
                let message = format!("`{key}` is there twice");
                return Err(Wrong { line, message });
            }
            entries.push((key, node));
        }
    }
}

fn nodes_of(node: &Node) -> usize {
    1 + match &node.kind {
        Kind::List(items) => items.iter().map(nodes_of).sum(),
        Kind::Map(entries) => entries.iter().map(|(_, node)| nodes_of(node)).sum(),
        _ => 0,
    }
}

fn scalar(text: String, style: ScalarStyle) -> Kind {
    match style {
        ScalarStyle::Plain => match text.as_str() {
            "" | "~" | "null" | "Null" | "NULL" => Kind::Null,
            _ => Kind::Plain(text),
        },
        _ => Kind::Quoted(text),
    }
}

/// A text with what variables say in place of `${NAME}`, `${env:NAME}` and `${NAME:-otherwise}`; `$$` is `$`. What is put
/// in is not looked at again.
fn substituted(text: &str, variables: &Environment) -> Result<String, String> {
    let mut new = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        new.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            new.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = after.find('}').ok_or("a `${` has no `}`")?;
            let reference = &after[..end];
            rest = &after[end + 1..];
            let name = reference.strip_prefix("env:").unwrap_or(reference);
            let (name, otherwise) = name.split_once(":-").unwrap_or((name, ""));
            let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
                && (name.chars()).all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_name {
                return Err(format!(
                    "`${{{reference}}}` is no reference to a variable; written are `${{NAME}}`, `${{env:NAME}}` and \
                     `${{NAME:-otherwise}}`"
                ));
            }
            match variables.get(name) {
                Some(value) => new.push_str(&value),
                None => new.push_str(otherwise),
            }
        } else {
            new.push('$');
        }
    }
    new.push_str(rest);
    Ok(new)
}
