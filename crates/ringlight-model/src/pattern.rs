//! Patterns for names, in which `*` stands for any text.

/// Whether a text is what a pattern describes, in which `*` stands for any text, also none.
#[must_use]
pub fn glob_matches(pattern: &str, text: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(start) else {
        return false;
    };
    // Every part but the last where it comes first, which leaves most for those after it.
    let mut parts = rest.split('*');
    let end = parts.next_back().unwrap_or_default();
    for part in parts {
        match text.find(part) {
            Some(at) => text = &text[at + part.len()..],
            None => return false,
        }
    }
    text.ends_with(end)
}

/// Whether a target, or one it is below, is what a pattern describes: `shop` is also about
/// `shop::checkout`.
#[must_use]
pub fn target_matches(pattern: &str, target: &str) -> bool {
    glob_matches(pattern, target)
        || target
            .match_indices("::")
            .any(|(end, _)| glob_matches(pattern, &target[..end]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_text() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(glob_matches(pattern, text), expected, "{pattern} {text}");
        };
        check("", "", true);
        check("", "a", false);
        check("*", "", true);
        check("*", "anything", true);
        check("GET /health", "GET /health", true);
        check("GET /health", "GET /healthz", false);
        check("GET *", "GET /", true);
        check("GET *", "POST /", false);
        check("*z", "healthz", true);
        check("a*b*c", "a-b-b-c", true);
        check("a*b*c", "acb", false);
        check("a*a", "a", false);
        check("**", "x", true);
        check("ä*ö", "äxö", true);
        check("*aab", "aaab", true);
    }

    #[test]
    fn a_target_is_also_below_the_modules_around_it() {
        let check = |pattern: &str, target: &str, expected: bool| {
            assert_eq!(
                target_matches(pattern, target),
                expected,
                "{pattern} {target}"
            );
        };
        check("shop", "shop", true);
        check("shop", "shop::api", true);
        check("shop", "shopping", false);
        check("shop::api", "shop", false);
        check("*::api", "shop::api::v1", true);
    }
}
