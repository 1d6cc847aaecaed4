//! What can be written in the attribute's parentheses.

use proc_macro2::{Span, TokenStream};
use quote::{ToTokens, quote};
use syn::ext::IdentExt as _;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Ident, LitInt, LitStr, Path, Result, Token, braced, parenthesized, token};

/// What an unknown word could have been.
const KNOWN: &str = "one of `name`, `target`, `level`, `parent`, `follows_from`, `skip`, `skip_all`, \
     `redact`, `fields`, `err`, `ret`";
const LEVELS: &str = "a level is \"trace\", \"debug\", \"info\", \"warn\" or \"error\", a number from 1 (trace) to 5 (error), \
     or a path such as `Level::INFO`";

/// The arguments of the attribute, each given at most once.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) name: Option<Text>,
    pub(crate) target: Option<Text>,
    pub(crate) level: Option<Level>,
    pub(crate) parent: Option<Expr>,
    pub(crate) follows_from: Option<Expr>,
    pub(crate) skip: Option<Vec<Ident>>,
    pub(crate) skip_all: Option<Span>,
    pub(crate) redact: Option<Vec<Ident>>,
    pub(crate) fields: Option<Vec<Field>>,
    pub(crate) err: Option<Event>,
    pub(crate) ret: Option<Event>,
}

/// A literal, or the name of a constant.
pub(crate) enum Text {
    Literal(LitStr),
    Constant(Ident),
}

/// How severe a span or an event is.
#[derive(Clone)]
pub(crate) enum Level {
    /// The constant's name in `tracing::Level`.
    Named(&'static str),
    Path(Path),
}

/// One of `fields(..)`.
pub(crate) struct Field {
    pub(crate) name: FieldName,
    pub(crate) format: Option<Format>,
    pub(crate) value: Option<Expr>,
}

pub(crate) enum FieldName {
    /// Of one or more words.
    Dotted(Punctuated<Ident, Token![.]>),
    /// A constant expression in braces.
    Constant(Expr),
}

/// How a value becomes text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Debug,
    Display,
}

/// How `err` or `ret` are told.
pub(crate) struct Event {
    /// Where it is asked for.
    pub(crate) span: Span,
    pub(crate) level: Option<Level>,
    pub(crate) format: Option<Format>,
}

impl Parse for Args {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut args = Self::default();
        while !input.is_empty() {
            args.one(input)?;
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        args.agree()?;
        Ok(args)
    }
}

impl Args {
    /// Reads one argument.
    fn one(&mut self, input: ParseStream<'_>) -> Result<()> {
        if input.peek(LitStr) {
            let name: LitStr = input.parse()?;
            let span = name.span();
            return set(&mut self.name, "name", span, Text::Literal(name));
        }
        if !input.peek(Ident::peek_any) {
            return Err(input.error(format!("expected {KNOWN}")));
        }
        let key = input.call(Ident::parse_any)?;
        let (word, span) = (key.to_string(), key.span());
        match word.as_str() {
            "name" => set(&mut self.name, &word, span, value(input)?),
            "target" => set(&mut self.target, &word, span, value(input)?),
            "level" => set(&mut self.level, &word, span, value(input)?),
            "parent" => set(&mut self.parent, &word, span, value(input)?),
            "follows_from" => set(&mut self.follows_from, &word, span, value(input)?),
            "skip" => set(&mut self.skip, &word, span, names(input)?),
            "skip_all" => set(&mut self.skip_all, &word, span, span),
            "redact" => set(&mut self.redact, &word, span, names(input)?),
            "fields" => set(&mut self.fields, &word, span, list(input, Field::parse)?),
            "err" => set(&mut self.err, &word, span, Event::parse(input, span)?),
            "ret" => set(&mut self.ret, &word, span, Event::parse(input, span)?),
            _ => Err(Error::new(
                span,
                format!("unknown argument `{word}`, expected {KNOWN}"),
            )),
        }
    }

    /// Refuses arguments that contradict each other.
    fn agree(&self) -> Result<()> {
        let is_skipped = |name: &&Ident| self.skip.iter().flatten().any(|other| other == *name);
        let mut redacted = self.redact.iter().flatten();
        match (self.skip_all, &self.skip, &self.redact) {
            (Some(span), Some(_), _) => {
                return Err(Error::new(span, "either `skip` or `skip_all`, not both"));
            }
            (Some(span), _, Some(_)) => {
                let text = "`skip_all` leaves nothing for `redact`: choose one of them";
                return Err(Error::new(span, text));
            }
            _ => {}
        }
        if let Some(name) = redacted.find(is_skipped) {
            let text = format!("`{name}` is skipped: there is nothing to redact");
            return Err(Error::new(name.span(), text));
        }
        let fields = self.fields.iter().flatten().filter_map(Field::single_name);
        for field in fields {
            if self.redact.iter().flatten().any(|name| name == field) {
                let text = format!("`{field}` is redacted: a field of that name would show it");
                return Err(Error::new(field.span(), text));
            }
        }
        Ok(())
    }
}

fn set<T>(slot: &mut Option<T>, word: &str, span: Span, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(Error::new(span, format!("`{word}` is given twice"))),
    }
}

/// What follows after `=`.
fn value<T: Parse>(input: ParseStream<'_>) -> Result<T> {
    input.parse::<Token![=]>()?;
    input.parse()
}

/// What stands in parentheses, with commas between.
fn list<T>(input: ParseStream<'_>, one: fn(ParseStream<'_>) -> Result<T>) -> Result<Vec<T>> {
    let content;
    parenthesized!(content in input);
    let list = content.parse_terminated(one, Token![,])?;
    Ok(list.into_iter().collect())
}

/// Names of the function's arguments, each once.
fn names(input: ParseStream<'_>) -> Result<Vec<Ident>> {
    let names = list(input, Ident::parse_any)?;
    for (index, name) in names.iter().enumerate() {
        if names.iter().take(index).any(|earlier| earlier == name) {
            return Err(Error::new(name.span(), format!("`{name}` is named twice")));
        }
    }
    Ok(names)
}

impl Parse for Text {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(LitStr) {
            input.parse().map(Self::Literal)
        } else if input.peek(Ident) {
            input.parse().map(Self::Constant)
        } else {
            Err(input.error("expected a text in quotes or the name of a constant"))
        }
    }
}

impl ToTokens for Text {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Literal(text) => text.to_tokens(tokens),
            Self::Constant(name) => name.to_tokens(tokens),
        }
    }
}

impl Parse for Level {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let (found, span) = if input.peek(LitStr) {
            let text: LitStr = input.parse()?;
            (Self::of(&text.value()), text.span())
        } else if input.peek(LitInt) {
            let number: LitInt = input.parse()?;
            (Self::of(number.base10_digits()), number.span())
        } else if input.peek(Ident) || input.peek(Token![::]) || input.peek(Ident::peek_any) {
            return input.call(Path::parse_mod_style).map(Self::Path);
        } else {
            (None, input.span())
        };
        found.ok_or_else(|| Error::new(span, LEVELS))
    }
}

impl Level {
    pub(crate) const ERROR: Self = Self::Named("ERROR");
    pub(crate) const INFO: Self = Self::Named("INFO");

    fn of(text: &str) -> Option<Self> {
        let name = match text.to_ascii_lowercase().as_str() {
            "trace" | "1" => "TRACE",
            "debug" | "2" => "DEBUG",
            "info" | "3" => "INFO",
            "warn" | "4" => "WARN",
            "error" | "5" => "ERROR",
            _ => return None,
        };
        Some(Self::Named(name))
    }
}

impl Parse for Field {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let before = input.call(Format::parse_sigil)?;
        let name = input.parse()?;
        if !input.peek(Token![=]) {
            let format = before;
            return Ok(Self {
                name,
                format,
                value: None,
            });
        }
        if before.is_some() {
            return Err(input.error("`%` and `?` stand before the value: `name = %value`"));
        }
        input.parse::<Token![=]>()?;
        Ok(Self {
            name,
            format: input.call(Format::parse_sigil)?,
            value: Some(input.parse()?),
        })
    }
}

impl Field {
    /// The name, if it is one word.
    pub(crate) fn single_name(&self) -> Option<&Ident> {
        match &self.name {
            FieldName::Dotted(words) if words.len() == 1 => words.first(),
            _ => None,
        }
    }
}

impl Parse for FieldName {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        if input.peek(token::Brace) {
            let content;
            braced!(content in input);
            return content.parse().map(Self::Constant);
        }
        if !input.peek(Ident::peek_any) {
            return Err(input.error("expected the name of a field, such as `order.id`"));
        }
        Punctuated::parse_separated_nonempty_with(input, Ident::parse_any).map(Self::Dotted)
    }
}

impl ToTokens for FieldName {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Dotted(words) => quote!(#words),
            Self::Constant(name) => quote!({ #name }),
        });
    }
}

impl Format {
    /// `%`, `?` or nothing.
    fn parse_sigil(input: ParseStream<'_>) -> Result<Option<Self>> {
        if input.parse::<Option<Token![%]>>()?.is_some() {
            return Ok(Some(Self::Display));
        }
        let is_debug = input.parse::<Option<Token![?]>>()?.is_some();
        Ok(is_debug.then_some(Self::Debug))
    }
}

impl ToTokens for Format {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        tokens.extend(match self {
            Self::Debug => quote!(?),
            Self::Display => quote!(%),
        });
    }
}

impl Event {
    /// What follows `err` or `ret`, in parentheses if there is anything.
    fn parse(input: ParseStream<'_>, span: Span) -> Result<Self> {
        let mut event = Self {
            span,
            level: None,
            format: None,
        };
        if !input.peek(token::Paren) {
            return Ok(event);
        }
        let content;
        parenthesized!(content in input);
        while !content.is_empty() {
            if !content.peek(Ident) {
                return Err(content.error("expected `Debug`, `Display` or `level = ..`"));
            }
            let key: Ident = content.parse()?;
            let (word, span) = (key.to_string(), key.span());
            match word.as_str() {
                "level" => set(&mut event.level, &word, span, value(&content)?)?,
                "Debug" => set(&mut event.format, "format", span, Format::Debug)?,
                "Display" => set(&mut event.format, "format", span, Format::Display)?,
                _ => {
                    let text = format!("unknown `{word}`, expected `Debug`, `Display` or `level`");
                    return Err(Error::new(span, text));
                }
            }
            if !content.is_empty() {
                content.parse::<Token![,]>()?;
            }
        }
        Ok(event)
    }
}
