//! Reading pages of the documentation.

use serde::Deserialize;
use tracing::Span;

use super::ToolError;
use crate::http_client::HttpClient;

/// What is not text, with all it contains.
const HIDDEN: [&str; 2] = ["script", "style"];

#[derive(Debug, Deserialize)]
pub(super) struct Arguments {
    page: String,
}

/// Fetches a page of the one site there is, and returns its text.
#[tracing::instrument(
    name = "tool.web_scrape",
    skip_all,
    fields(
        otel.kind = "client",
        http.request.method = "GET",
        url.path = arguments.page,
        http.response.status_code,
        http.response.body.size,
        scrape.text_bytes,
    )
)]
pub(super) async fn run(site: &HttpClient, arguments: Arguments) -> Result<String, ToolError> {
    let page = arguments.page;
    if !page.starts_with('/') {
        return Err(ToolError::OutsideSite(page));
    }
    let (status, body) = site.fetch(&page).await.map_err(ToolError::Web)?;
    let span = Span::current();
    span.record("http.response.status_code", status.as_u16());
    span.record("http.response.body.size", body.len());
    if !status.is_success() {
        return Err(ToolError::Page {
            page,
            status: status.as_u16(),
        });
    }
    let text = text_of(&String::from_utf8_lossy(&body));
    span.record("scrape.text_bytes", text.len());
    Ok(text)
}

/// The text of a page: without tags, scripts and styles, with blanks in one.
fn text_of(html: &str) -> String {
    let mut text = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        text.push_str(before);
        // A tag stands for a break between words.
        text.push(' ');
        let Some((tag, after)) = after.split_once('>') else {
            rest = "";
            break;
        };
        rest = after;
        let name = tag.split(char::is_whitespace).next().unwrap_or_default();
        if let Some(hidden) = HIDDEN
            .iter()
            .find(|hidden| name.eq_ignore_ascii_case(hidden))
        {
            let end = format!("</{hidden}");
            rest = rest.find(&end).map_or("", |at| &rest[at..]);
        }
    }
    text.push_str(rest);
    let plain = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&amp;", "&");
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_its_text() {
        let check = |html: &str, expected: &str| assert_eq!(text_of(html), expected, "{html}");
        check("<p>one</p><p class=\"x\">two</p>", "one two");
        check("a<script>if (a < b) { c > d }</script> b", "a b");
        check("<style>p { }</style><STYLE>q</style>x", "x");
        check("1 &lt; 2 &amp;amp; 3", "1 < 2 &amp; 3");
        check("cut <b", "cut");
        check("", "");
        check("<script>never ends", "");
    }
}
