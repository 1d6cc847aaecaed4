//! Which format is given to whom.

use super::*;

#[test]
fn the_format_is_what_the_scraper_likes_best() {
    use PrometheusFormat::{OpenMetrics, Text};
    let check = |accept: &str, expected| {
        assert_eq!(PrometheusFormat::of_accept(accept), expected, "{accept}");
    };
    // Prometheus 2 and 3.
    check(
        "application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,\
         text/plain;version=1.0.0;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        OpenMetrics,
    );
    check("application/openmetrics-text", OpenMetrics);
    check(
        "text/plain;q=0.9, application/openmetrics-text; q=0.5",
        Text,
    );
    // A browser, curl, nobody.
    check("text/html,application/xhtml+xml,*/*;q=0.8", Text);
    check("*/*", Text);
    check("", Text);
    check("application/openmetrics-text;q=0", Text);
    check("application/openmetrics-text;q=many", Text);
}
