//! The map of the agent's spans: `apps/agent/map.toml`.

use std::collections::BTreeSet;
use std::path::Path;

use toml_edit::DocumentMut;

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

/// REQUIREMENTS Z, section 6.
#[test]
fn the_agents_map_has_every_name_of_the_source_and_no_other() {
    let expected: BTreeSet<String> = NAMES
        .iter()
        .flat_map(|(area, names)| names.iter().map(move |name| format!("{area}.{name}")))
        .collect();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../apps/agent/map.toml");
    let map: DocumentMut = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let mut names = BTreeSet::new();
    for span in map["span"].as_array_of_tables().unwrap() {
        let name = span["name"].as_str().unwrap();
        let attributes = span["attributes"].as_array().unwrap();
        let attributes: Vec<&str> = attributes.iter().filter_map(|key| key.as_str()).collect();
        assert!(!attributes.is_empty(), "{name}");
        // What has certain values is there in any case.
        let values = span.get("values").and_then(|values| values.as_table_like());
        for (key, _) in values.into_iter().flat_map(|values| values.iter()) {
            assert!(attributes.contains(&key), "{name}: `{key}`");
        }
        // Those of a channel have its name.
        let of_channel = name.strip_prefix("channel.");
        let channel =
            of_channel.and_then(|rest| rest.strip_suffix("_send").or(rest.strip_suffix("_recv")));
        if let Some(channel) = channel {
            let said = values.and_then(|values| values.get("channel.name")?.get(0)?.as_str());
            assert_eq!(said, Some(channel), "{name}");
        }
        names.insert(name.to_owned());
    }
    assert_eq!(names, expected);
}
