//! Reading JSON, one piece at a time, without recursion.

use std::borrow::Cow;

/// Objects and lists inside each other before the text is refused. An attribute value of 64 levels
/// takes some 200; what is deeper is an attack or a mistake.
const DEPTH_MAX: usize = 512;

/// What is wrong with some JSON, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JsonError {
    pub(super) offset: usize,
    pub(super) reason: &'static str,
    /// The text is not JSON, so that nothing after the place can be trusted; otherwise a value is
    /// not what its field needs.
    pub(super) is_syntax: bool,
}

/// What kind of value comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    List,
    Text,
    Number,
    Bool(bool),
    Null,
}

/// A cursor over JSON text.
#[derive(Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    /// At most `text.len()`, at a character boundary.
    at: usize,
    depth: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
        }
    }

    /// A place to come back to with [`rewind`](Self::rewind).
    pub(super) const fn mark(&self) -> (usize, usize) {
        (self.at, self.depth)
    }

    pub(super) const fn rewind(&mut self, mark: (usize, usize)) {
        (self.at, self.depth) = mark;
    }

    fn syntax(&self, reason: &'static str) -> JsonError {
        JsonError {
            offset: self.at,
            reason,
            is_syntax: true,
        }
    }

    /// A value of the wrong kind.
    pub(super) fn mismatch(&self, reason: &'static str) -> JsonError {
        JsonError {
            offset: self.at,
            reason,
            is_syntax: false,
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
            self.at += 1;
        }
    }

    /// Takes `byte` if it comes next.
    fn take(&mut self, byte: u8) -> bool {
        self.space();
        let is_next = self.peek() == Some(byte);
        self.at += usize::from(is_next);
        is_next
    }

    /// What comes next, not taken yet.
    pub(super) fn kind(&mut self) -> Result<Kind, JsonError> {
        self.space();
        let rest = &self.text[self.at..];
        match self.peek() {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::List),
            Some(b'"') => Ok(Kind::Text),
            Some(b'-' | b'0'..=b'9') => Ok(Kind::Number),
            Some(b't') if rest.starts_with("true") => Ok(Kind::Bool(true)),
            Some(b'f') if rest.starts_with("false") => Ok(Kind::Bool(false)),
            Some(b'n') if rest.starts_with("null") => Ok(Kind::Null),
            Some(_) => Err(self.syntax("expected a JSON value")),
            None => Err(self.syntax("the JSON text ends too early")),
        }
    }

    /// Takes `true`, `false` or `null`, which [`kind`](Self::kind) saw.
    pub(super) fn take_word(&mut self) -> Result<(), JsonError> {
        self.at += match self.kind()? {
            Kind::Bool(false) => 5,
            _ => 4,
        };
        Ok(())
    }

    /// Takes the `{` or `[` that [`kind`](Self::kind) saw.
    pub(super) fn begin(&mut self) -> Result<(), JsonError> {
        if self.depth == DEPTH_MAX {
            return Err(self.syntax("JSON nested deeper than 512 levels"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Whether an object has another member, whose name and colon are taken; otherwise its `}` is.
    /// `first` is true until the first call for this object.
    pub(super) fn member(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>, JsonError> {
        if !self.another(b'}', first)? {
            return Ok(None);
        }
        self.space();
        if self.peek() != Some(b'"') {
            return Err(self.syntax("expected the name of an object member in quotes"));
        }
        let name = self.text()?;
        if !self.take(b':') {
            return Err(self.syntax("expected `:` after the name of an object member"));
        }
        Ok(Some(name))
    }

    /// Whether a list has another item; otherwise its `]` is taken. `first` as in
    /// [`member`](Self::member).
    pub(super) fn item(&mut self, first: &mut bool) -> Result<bool, JsonError> {
        self.another(b']', first)
    }

    fn another(&mut self, end: u8, first: &mut bool) -> Result<bool, JsonError> {
        if self.take(end) {
            self.depth -= 1;
            return Ok(false);
        }
        if !std::mem::take(first) && !self.take(b',') {
            return Err(self.syntax("expected `,` or the end of the list or object"));
        }
        Ok(true)
    }

    /// Nothing but space may follow.
    pub(super) fn end(&mut self) -> Result<(), JsonError> {
        self.space();
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.syntax("there is more text after the end of the JSON value")),
        }
    }

    /// Takes the text that [`kind`](Self::kind) saw. Half a surrogate pair is read as U+FFFD.
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>, JsonError> {
        self.at += 1;
        let start = self.at;
        loop {
            match self.peek() {
                Some(b'"') => {
                    let text = &self.text[start..self.at];
                    self.at += 1;
                    return Ok(Cow::Borrowed(text));
                }
                Some(b'\\') => break,
                _ => self.text_byte()?,
            }
        }
        let mut text = self.text[start..self.at].to_owned();
        loop {
            let plain = self.at;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Owned(text));
                }
                Some(b'\\') => {
                    let c = self.escape()?;
                    text.push(c);
                }
                _ => {
                    while !matches!(self.peek(), Some(b'"' | b'\\')) {
                        self.text_byte()?;
                    }
                    text.push_str(&self.text[plain..self.at]);
                }
            }
        }
    }

    fn text_byte(&mut self) -> Result<(), JsonError> {
        match self.peek() {
            None => Err(self.syntax("the JSON text ends inside a string")),
            Some(0..=0x1f) => Err(self.syntax("a control character in a string is not escaped")),
            Some(_) => {
                self.at += 1;
                Ok(())
            }
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        self.at += 1;
        let escaped = self.peek();
        self.at += usize::from(escaped.is_some_and(|byte| byte.is_ascii()));
        Ok(match escaped {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.four_digits()?;
                return self.surrogates(first);
            }
            _ => return Err(self.syntax("an unknown escape in a string")),
        })
    }

    fn surrogates(&mut self, first: u32) -> Result<char, JsonError> {
        if (0xd800..0xdc00).contains(&first) && self.text[self.at..].starts_with("\\u") {
            let mark = self.at;
            self.at += 2;
            let second = self.four_digits()?;
            if (0xdc00..0xe000).contains(&second) {
                let c = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = mark;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn four_digits(&mut self) -> Result<u32, JsonError> {
        let digits = self.text.get(self.at..self.at + 4);
        match digits {
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                self.at += 4;
                u32::from_str_radix(digits, 16).map_err(|_| self.syntax("an unknown escape"))
            }
            _ => Err(self.syntax("expected four hexadecimal digits after `\\u`")),
        }
    }

    /// Takes the number that [`kind`](Self::kind) saw.
    pub(super) fn number(&mut self) -> Result<&'a str, JsonError> {
        let start = self.at;
        self.at += usize::from(self.peek() == Some(b'-'));
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        if !self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            return Err(self.syntax("expected a digit"));
        }
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    /// Takes a value of any kind and depth.
    pub(super) fn skip(&mut self) -> Result<(), JsonError> {
        // One entry for each object or list that is open: its kind, and whether it is still empty.
        let mut open: Vec<(Kind, bool)> = Vec::new();
        loop {
            let kind = self.kind()?;
            match kind {
                Kind::Object | Kind::List => {
                    self.begin()?;
                    open.push((kind, true));
                }
                Kind::Text => {
                    self.text()?;
                }
                Kind::Number => {
                    self.number()?;
                }
                Kind::Bool(_) | Kind::Null => self.take_word()?,
            }
            loop {
                let Some((kind, first)) = open.last_mut() else {
                    return Ok(());
                };
                let goes_on = match kind {
                    Kind::Object => self.member(first)?.is_some(),
                    _ => self.item(first)?,
                };
                if goes_on {
                    break;
                }
                open.pop();
            }
        }
    }
}
