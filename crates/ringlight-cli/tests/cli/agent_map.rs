//! The map of the agent's spans: `apps/agent/map.toml`.

use std::collections::BTreeSet;
use std::path::Path;

use toml_edit::{DocumentMut, TableLike};

/// The names the source document asks for, by its areas: REQUIREMENTS Z, section 6.
const NAMES: [(&str, &[&str]); 9] = [
    (
        "agent",
        &[
            "turn",
            "prepare_context",
            "process_response",
            "security_prescreen",
            "tool_loop",
            "tool_exec",
            "tool_batch",
            "learning",
            "code_index",
            "mcp_dispatch",
            "plan_execute",
            "persist_message",
            "restore_history",
        ],
    ),
    (
        "context",
        &[
            "assembly",
            "fetch_recall",
            "fetch_summaries",
            "fetch_code",
            "fetch_cross_session",
            "fetch_graph_facts",
            "compaction",
            "check_summarization",
            "microcompact",
        ],
    ),
    (
        "llm",
        &[
            "chat",
            "chat_stream",
            "embed",
            "extract",
            "http_request",
            "retry",
            "router",
        ],
    ),
    (
        "memory",
        &[
            "remember",
            "recall",
            "summarize",
            "graph_extract",
            "persona_extract",
            "cross_session",
            "vector_store",
            "sqlite",
            "admission",
            "compaction_probe",
            "forgetting",
            "consolidation",
            "consolidation_loop",
        ],
    ),
    (
        "tool",
        &[
            "execute",
            "execute_call",
            "shell",
            "web_scrape",
            "file",
            "search_code",
            "audit_log",
            "cache",
        ],
    ),
    (
        "skill",
        &[
            "registry_load",
            "match",
            "matcher_sync",
            "hot_reload",
            "generate",
            "evolution",
            "bm25_search",
            "qdrant_match",
        ],
    ),
    (
        "mcp",
        &[
            "connect",
            "connect_url",
            "list_tools",
            "call_tool",
            "shutdown",
            "tool_refresh",
        ],
    ),
    ("channel", &["cli", "telegram", "discord", "slack"]),
    (
        "channel",
        &[
            "status_send",
            "status_recv",
            "skill_reload_send",
            "skill_reload_recv",
            "config_reload_send",
            "config_reload_recv",
            "elicitation_send",
            "elicitation_recv",
            "metrics_send",
            "metrics_recv",
            "cancel_send",
            "cancel_recv",
        ],
    ),
];

/// What the map says of one name.
#[derive(Debug, Default)]
pub(crate) struct MapSpan {
    pub(crate) name: String,
    /// Spans of the name are inside one of these; if there are none, they may begin a trace.
    pub(crate) within: Vec<String>,
    /// One of each of these is inside each span of the name that did not fail.
    pub(crate) encloses: Vec<String>,
    /// Each span of the name that did not fail has these.
    pub(crate) attributes: Vec<String>,
    /// Attributes with a value, each of which is seen on a span of the name.
    pub(crate) values: Vec<(String, String)>,
    /// Whether spans of the name may end after those they are inside of.
    pub(crate) is_handed_over: bool,
}

/// Reads the map.
pub(crate) fn agent_map() -> Vec<MapSpan> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps/agent/map.toml");
    let map: DocumentMut = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let spans = map["span"].as_array_of_tables().unwrap();
    spans.iter().map(|span| read(span)).collect()
}

fn read(table: &dyn TableLike) -> MapSpan {
    let mut span = MapSpan::default();
    for (key, item) in table.iter() {
        match key {
            "name" => span.name = item.as_str().unwrap().to_owned(),
            "within" => span.within = texts(item),
            "encloses" => span.encloses = texts(item),
            "attributes" => span.attributes = texts(item),
            "handed_over" => span.is_handed_over = item.as_bool().unwrap(),
            "values" => {
                for (key, item) in item.as_table_like().unwrap().iter() {
                    let values = texts(item).into_iter();
                    span.values
                        .extend(values.map(|value| (key.to_owned(), value)));
                }
            }
            _ => panic!("the map has no key `{key}`"),
        }
    }
    span
}

fn texts(item: &toml_edit::Item) -> Vec<String> {
    let array = item.as_array().unwrap();
    array
        .iter()
        .map(|value| value.as_str().unwrap().to_owned())
        .collect()
}

/// REQUIREMENTS Z, section 6.
#[test]
fn the_agents_map_has_every_name_of_the_source_and_no_other() {
    let expected: BTreeSet<String> = NAMES
        .iter()
        .flat_map(|(area, names)| names.iter().map(move |name| format!("{area}.{name}")))
        .collect();
    let map = agent_map();
    let names: BTreeSet<String> = map.iter().map(|span| span.name.clone()).collect();
    assert_eq!(names, expected);
    assert_eq!(names.len(), map.len(), "a name is there twice");
    for span in &map {
        for other in span.within.iter().chain(&span.encloses) {
            assert!(names.contains(other), "{}: `{other}`", span.name);
        }
        assert!(!span.attributes.is_empty(), "{}", span.name);
        for (key, _) in &span.values {
            assert!(span.attributes.contains(key), "{}: `{key}`", span.name);
        }
    }
}
