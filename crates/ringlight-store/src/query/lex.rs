//! Text to tokens.

use super::ast::{Operator, is_plain_key_char};
use super::error::QueryError;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    OpenBrace,
    CloseBrace,
    OpenParen,
    CloseParen,
    And,
    Or,
    Not,
    Pipe,
    Minus,
    Operator(Operator),
    Str(String),
    Int(u64),
    Double(f64),
    Duration(i64),
    /// A word, with everything that hangs on it by `:`.
    Word(String),
    /// `scope.key`; the scope is empty for `.key`.
    Attribute {
        scope: String,
        key: String,
    },
    End,
}

/// A token and the bytes it covers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spanned {
    pub(super) token: Token,
    pub(super) start: usize,
    pub(super) end: usize,
}

impl Token {
    /// How the token is called in an error.
    pub(super) fn describe(&self, text: &str) -> String {
        match self {
            Self::End => "the end of the query".to_owned(),
            Self::Str(_) => "text".to_owned(),
            _ => format!("`{text}`"),
        }
    }
}

/// All tokens of the text, ending with [`Token::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Spanned>, QueryError> {
    let mut lexer = Lexer { text, at: 0 };
    let mut tokens = Vec::new();
    loop {
        let next = lexer.next()?;
        let is_end = next.token == Token::End;
        tokens.push(next);
        if is_end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take_while(&mut self, mut accept: impl FnMut(char) -> bool) -> &'a str {
        let rest = self.rest();
        let length = rest.find(|c| !accept(c)).unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn error(&self, start: usize, message: impl Into<String>) -> QueryError {
        QueryError::new(self.text, start, self.at, message)
    }

    fn next(&mut self) -> Result<Spanned, QueryError> {
        self.take_while(char::is_whitespace);
        let start = self.at;
        let token = match self.peek() {
            None => Token::End,
            Some('"' | '`') => Token::Str(self.string()?),
            Some(c) if c.is_ascii_digit() => self.number()?,
            Some('.') => {
                self.at += 1;
                let key = self.key(start)?;
                Token::Attribute {
                    scope: String::new(),
                    key,
                }
            }
            Some(c) if c.is_alphabetic() || c == '_' => self.word()?,
            Some(c) => self.symbol(c)?,
        };
        Ok(Spanned {
            token,
            start,
            end: self.at,
        })
    }

    fn symbol(&mut self, first: char) -> Result<Token, QueryError> {
        const SYMBOLS: [(&str, Token); 17] = [
            // Longer ones first: `=~` is not `=` and something.
            ("&&", Token::And),
            ("||", Token::Or),
            ("!=", Token::Operator(Operator::NotEqual)),
            ("!~", Token::Operator(Operator::NotMatch)),
            ("=~", Token::Operator(Operator::Match)),
            ("<=", Token::Operator(Operator::LessEqual)),
            (">=", Token::Operator(Operator::GreaterEqual)),
            ("=", Token::Operator(Operator::Equal)),
            ("<", Token::Operator(Operator::Less)),
            (">", Token::Operator(Operator::Greater)),
            ("!", Token::Not),
            ("|", Token::Pipe),
            ("-", Token::Minus),
            ("{", Token::OpenBrace),
            ("}", Token::CloseBrace),
            ("(", Token::OpenParen),
            (")", Token::CloseParen),
        ];
        // Written by habit from elsewhere, or TraceQL outside the subset.
        const FOREIGN: [(&str, &str, &str); 12] = [
            ("==", "equality is written with one sign", "`=`"),
            ("=>", "there is no such operator", "`>=`"),
            ("=<", "there is no such operator", "`<=`"),
            ("<>", "there is no such operator", "`!=`"),
            (">>", "relations between spans are not supported", ""),
            ("<<", "relations between spans are not supported", ""),
            ("!>", "relations between spans are not supported", ""),
            ("!<", "relations between spans are not supported", ""),
            ("~=", "there is no such operator", "`=~`"),
            ("&", "there is no such operator", "`&&`"),
            ("'", "text stands in double quotes or backticks", "`\"`"),
            ("~", "there is no such operator", "`=~`"),
        ];
        let start = self.at;
        let rest = self.rest();
        let symbol = SYMBOLS
            .into_iter()
            .find(|(symbol, _)| rest.starts_with(symbol));
        let foreign = FOREIGN
            .into_iter()
            .find(|(symbol, ..)| rest.starts_with(symbol));
        match (symbol, foreign) {
            (Some((symbol, token)), foreign)
                if foreign.is_none_or(|(other, ..)| other.len() <= symbol.len()) =>
            {
                self.at += symbol.len();
                Ok(token)
            }
            (_, Some((symbol, message, expected))) => {
                self.at += symbol.len();
                let error = self.error(start, message);
                Err(if expected.is_empty() {
                    error
                } else {
                    error.expecting([expected])
                })
            }
            _ => {
                self.at += first.len_utf8();
                let shown = first.escape_debug();
                Err(self.error(start, format!("`{shown}` means nothing here")))
            }
        }
    }

    // A word, an intrinsic such as `span:name`, or an attribute such as `span.http.method`.
    fn word(&mut self) -> Result<Token, QueryError> {
        let start = self.at;
        let word = self.take_while(|c| c.is_alphanumeric() || c == '_');
        match self.peek() {
            Some('.') => {
                self.at += 1;
                let key = self.key(start)?;
                Ok(Token::Attribute {
                    scope: word.to_owned(),
                    key,
                })
            }
            Some(':') => {
                self.at += 1;
                let name = self.take_while(|c| c.is_alphanumeric() || c == '_');
                Ok(Token::Word(format!("{word}:{name}")))
            }
            _ => Ok(Token::Word(word.to_owned())),
        }
    }

    // The key of an attribute: plain and quoted parts, one behind the other.
    fn key(&mut self, start: usize) -> Result<String, QueryError> {
        let mut key = String::new();
        loop {
            key.push_str(self.take_while(is_plain_key_char));
            if self.peek() != Some('"') {
                break;
            }
            let quote = self.at;
            self.at += 1;
            loop {
                key.push_str(self.take_while(|c| !matches!(c, '"' | '\\')));
                let rest = self.rest();
                if rest.starts_with('"') {
                    self.at += 1;
                    break;
                }
                if rest.starts_with("\\\"") || rest.starts_with("\\\\") {
                    key.push_str(&rest[1..2]);
                    self.at += 2;
                    continue;
                }
                let (start, message, expected) = match rest.chars().nth(1) {
                    _ if rest.is_empty() => (quote, "the attribute's name is not closed", "`\"`"),
                    escaped => {
                        let backslash = self.at;
                        self.at += 1 + escaped.map_or(0, char::len_utf8);
                        let message = "unknown escape in the attribute's name";
                        (backslash, message, "`\\\\` or `\\\"`")
                    }
                };
                return Err(self.error(start, message).expecting([expected]));
            }
        }
        if key.is_empty() {
            return Err(self
                .error(start, "the attribute has no name")
                .expecting(["a name such as `http.request.method`"]));
        }
        Ok(key)
    }

    fn string(&mut self) -> Result<String, QueryError> {
        let start = self.at;
        if self.rest().starts_with('`') {
            self.at += 1;
            let content = self.take_while(|c| c != '`').to_owned();
            if self.rest().is_empty() {
                return Err(self
                    .error(start, "the text is not closed")
                    .expecting(["a backtick"]));
            }
            self.at += 1;
            return Ok(content);
        }
        self.at += 1;
        let mut content = String::new();
        loop {
            content.push_str(self.take_while(|c| !matches!(c, '"' | '\\' | '\n')));
            match self.peek() {
                Some('"') => {
                    self.at += 1;
                    return Ok(content);
                }
                Some('\\') => content.push(self.escape()?),
                _ => {
                    return Err(self
                        .error(start, "the text is not closed")
                        .expecting(["`\"`"]));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, QueryError> {
        let start = self.at;
        self.at += 1;
        let Some(c) = self.peek() else {
            return Err(self
                .error(start, "the text is not closed")
                .expecting(["`\"`"]));
        };
        self.at += c.len_utf8();
        let digits = match c {
            '"' | '\\' => return Ok(c),
            'n' => return Ok('\n'),
            'r' => return Ok('\r'),
            't' => return Ok('\t'),
            'a' => return Ok('\x07'),
            'b' => return Ok('\x08'),
            'f' => return Ok('\x0c'),
            'v' => return Ok('\x0b'),
            'x' => 2,
            'u' => 4,
            'U' => 8,
            _ => 0,
        };
        let code = self.rest().get(..digits).unwrap_or("");
        let is_hex = !code.is_empty() && code.bytes().all(|byte| byte.is_ascii_hexdigit());
        // `\x80` and above would be a byte in the middle of a character.
        let decoded = u32::from_str_radix(code, 16)
            .ok()
            .filter(|code| is_hex && (digits > 2 || *code < 0x80))
            .and_then(char::from_u32);
        if let Some(decoded) = decoded {
            self.at += digits;
            return Ok(decoded);
        }
        let message = if digits == 0 {
            format!("unknown escape `\\{c}`; a backslash itself is `\\\\`")
        } else {
            format!("`\\{c}` needs the {digits} hexadecimal digits of a character")
        };
        Err(self
            .error(start, message)
            .expecting([r#"`\"`, `\\`, `\n`, `\r`, `\t`, `\uXXXX`, or text in backticks"#]))
    }

    fn number(&mut self) -> Result<Token, QueryError> {
        let start = self.at;
        let literal = self.take_while(|c| c.is_alphanumeric() || matches!(c, '.' | '_'));
        let mut literal = literal;
        // The sign of an exponent, as in `1e-3`.
        let mantissa_end = literal.len().saturating_sub(1);
        let wants_exponent = literal.ends_with(['e', 'E'])
            && literal[..mantissa_end]
                .bytes()
                .all(|b| b.is_ascii_digit() || b == b'.');
        if wants_exponent && self.rest().starts_with(['-', '+']) {
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
            literal = &self.text[start..self.at];
        }
        if literal.bytes().all(|byte| byte.is_ascii_digit()) {
            return literal.parse().map(Token::Int).map_err(|_| {
                self.error(start, "the number is too large")
                    .expecting(["an integer of 64 bits"])
            });
        }
        let is_float = literal
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'));
        if is_float && let Ok(value) = literal.parse::<f64>() {
            if value.is_finite() {
                return Ok(Token::Double(value));
            }
            return Err(self.error(start, "the number is too large"));
        }
        match duration_nanos(literal) {
            Some(Some(nanos)) => Ok(Token::Duration(nanos)),
            Some(None) => Err(self
                .error(start, "the duration is too long")
                .expecting(["at most 292 years"])),
            None => Err(self
                .error(
                    start,
                    format!("`{literal}` is neither a number nor a duration"),
                )
                .expecting(["a number", "a duration such as `100ms`, `1.5s` or `2h30m`"])),
        }
    }
}

/// The nanoseconds of a duration such as `1h30m` or `1.5s`. `None` if it is not one, `Some(None)`
/// if it is too long.
fn duration_nanos(text: &str) -> Option<Option<i64>> {
    const UNITS: [(&str, u64); 10] = [
        ("ns", 1),
        ("us", 1_000),
        // Both the micro sign and the Greek letter.
        ("\u{b5}s", 1_000),
        ("\u{3bc}s", 1_000),
        ("ms", 1_000_000),
        ("s", 1_000_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
        ("d", 86_400_000_000_000),
        ("w", 604_800_000_000_000),
    ];
    const YEAR: (&str, u64) = ("y", 365 * 86_400_000_000_000);
    let mut rest = text;
    let mut total = Some(0_u128);
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(number_end);
        let unit_end = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        let (_, size) = UNITS
            .into_iter()
            .chain([YEAR])
            .find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        // Digits behind the 18th are far below a nanosecond of any unit.
        let fraction = &fraction[..fraction.len().min(18)];
        let scale = 10_u128.pow(u32::try_from(fraction.len()).unwrap_or(0));
        let part = whole.parse::<u128>().or_else(
            |error| {
                if whole.is_empty() { Ok(0) } else { Err(error) }
            },
        );
        let fraction = fraction.parse::<u128>().unwrap_or(0);
        total = total.zip(part.ok()).and_then(|(total, whole)| {
            whole
                .checked_mul(u128::from(size))?
                .checked_add(fraction * u128::from(size) / scale)?
                .checked_add(total)
        });
        rest = after;
    }
    Some(total.and_then(|nanos| i64::try_from(nanos).ok()))
}
