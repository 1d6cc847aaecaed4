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
