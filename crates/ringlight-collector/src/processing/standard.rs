//! What is known of secrets and personal data.

/// Keys of what is secret, in lower case.
pub(super) const KEYS: [&str; 23] = [
    "*password*",
    "*passwd*",
    "*passphrase*",
    "pwd",
    "*_pwd",
    "*secret*",
    "*credential*",
    "*authorization",
    "cookie",
    "*.cookie",
    "*set-cookie",
    "*set_cookie",
    "token",
    "*.token",
    "*_token",
    "*-token",
    "*api_key",
    "*api-key",
    "*apikey",
    "*private_key",
    "*access_key",
    "*session_id",
    "*card_number*",
];

/// `password=...` and the like. The value, with its quotes, is the group that takes part; what is in
/// `Some("...")` or in JSON within JSON is found as well.
pub(super) const ASSIGNMENTS: &str = r#"(?xi)
    (?: pass(?:word|wd|phrase) | pwd | secret | token | credentials? | authorization
      | (?:api|access|private|secret)[_-]?key )
    \\*["']? \s*
    (?: = \s* (?:[a-z_]+\()* ( \\*"(?:[^"\\]|\\.)*"? | '[^']*'? | [^\s"'&,;)\]}]+ )
      | : \s* (?:[a-z_]+\()* ( \\*"(?:[^"\\]|\\.)*"? | '[^']*'? )
    )
  | (?: pass(?:word|wd|phrase) | pwd | api[_-]?key )
    \s* : \s* ( [^\s"'&,;)\]}]+ )
"#;

/// The password in an address.
pub(super) const URL_PASSWORDS: &str = r"://[^\s/?\#:@]*:([^\s/?\#]+)@";

/// What is said to authorize whoever has it.
pub(super) const BEARERS: &str = r"(?xi) \b bearer (?:[\s:+]|%20)+ ( [a-z0-9._~+/=-]{8,} )";

/// A user's name and password, encoded.
pub(super) const BASICS: &str = r"(?xi) \b basic (?:[\s:+]|%20)+ ( [a-z0-9+/]{8,}={0,2} )";

/// What is a token by how it begins.
pub(super) const TOKENS: &str = r"(?x)
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

/// An email address. The last part of its domain is letters, so that `crate@1.2.3` is none. Everything that is
/// not ASCII may be part of one.
pub(super) const EMAILS: &str = r#"(?xi)
    [^\s@<>()\[\]{},;:"'`=|\\/?&]+ (?:@|%40)
    (?:[a-z0-9\x80-\xff][a-z0-9\x80-\xff-]*\.)+
    (?:[a-z\x80-\xff]{2,}|xn--[a-z0-9-]+)
"#;
