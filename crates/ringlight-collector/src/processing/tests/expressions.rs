//! What the scanners are to find, as regular expressions: the group that takes part, or all if there is none. Each
//! goes by bytes, without Unicode. Payment cards, which have a check digit, are not among them.

/// `password=...` and the like. The value, with its quotes, is the group that takes part; what is in
/// `Some("...")` or in JSON within JSON is found as well.
const ASSIGNMENTS: &str = r#"(?xi)
    (?: pass(?:word|wd|phrase) | pwd | secret | token | credentials? | authorization
      | (?:api|access|private|secret)[_-]?key )
    \\*["']? \s*
    (?: = \s* (?:[a-z_]+\()* ( \\*"(?:[^"\\]|\\(?s:.)?)*"? | '[^']*'? | [^\s"'&,;)\]}]+ )
      | : \s* (?:[a-z_]+\()* ( \\*"(?:[^"\\]|\\(?s:.)?)*"? | '[^']*'? )
    )
  | (?: pass(?:word|wd|phrase) | pwd | api[_-]?key )
    \s* : \s* ( [^\s"'&,;)\]}]+ )
"#;

/// The password in an address. A user's name may be an email address.
const URL_PASSWORDS: &str = r"://[^\s/?\#:]*:([^\s/?\#]+)@";

/// What is said to authorize whoever has it.
const BEARERS: &str = r"(?xi) \b bearer (?:[\s:+]|%20)+ ( [a-z0-9._~/=-][a-z0-9._~+/=-]{7,} )";

/// A user's name and password, encoded; a word of a sentence about basic authentication is not meant.
const BASICS: &str = r"(?xi) \b basic (?:[\s:+]|%20)+ ( [a-z0-9/][a-z0-9+/]{7,}={0,2} )";

/// What is a token by how it begins.
const TOKENS: &str = r"(?x)
    eyJ[A-Za-z0-9_-]{10,}(?:\.[A-Za-z0-9_-]+)*
  | \b(?:AKIA|ASIA|ABIA|ACCA|AGPA|AIDA|AIPA|ANPA|ANVA|AROA)[A-Z0-9]{16}\b
  | \bgh[pousr]_[A-Za-z0-9]{20,}
  | \bgithub_pat_[A-Za-z0-9_]{20,}
  | \bglpat-[A-Za-z0-9_.-]{20,}
  | \bxox[abeoprs]-[A-Za-z0-9-]{10,}
  | \b[sr]k_(?:live|test)_[A-Za-z0-9]{16,}
  | \bsk-[A-Za-z0-9_-]{20,}
  | \bAIza[A-Za-z0-9_-]{30,}
  | \bya29\.[A-Za-z0-9_-]{20,}
  | \bnpm_[A-Za-z0-9]{30,}
  | \bhv[sbr]\.[A-Za-z0-9_-]{20,}
  | \bAGE-SECRET-KEY-1[A-Z0-9]{10,}
  | -----BEGIN\ [A-Z0-9\ ]*PRIVATE\ KEY-----(?s:.*?)(?:-----END\ [A-Z0-9\ ]*PRIVATE\ KEY-----|\z)
";

/// An email address.
const EMAILS: &str = r#"(?xi)
    [^\s@<>()\[\]{},;:"'`=|\\/?&]+ (?:@|%40)
    (?:[a-z0-9\x80-\xff][a-z0-9\x80-\xff-]*\.)+
    (?:xn--[a-z0-9-]+|[a-z\x80-\xff]{2,})
"#;

/// All of them, and what kind of data each is about.
pub const EXPRESSIONS: [(&str, &str); 6] = [
    ("credentials", ASSIGNMENTS),
    ("credentials", URL_PASSWORDS),
    ("tokens", BEARERS),
    ("tokens", BASICS),
    ("tokens", TOKENS),
    ("emails", EMAILS),
];
