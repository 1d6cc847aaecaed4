use super::*;
use crate::{FunctionCall, corpus};

struct Fixture {
    directory: tempfile::TempDir,
    tools: Tools,
}

fn fixture() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    corpus::write_code_base(directory.path()).unwrap();
    let tools = Tools::new(Sandbox::new(directory.path()).unwrap());
    Fixture { directory, tools }
}

fn call(name: &str, arguments: serde_json::Value) -> ToolCall {
    ToolCall {
        id: "call_1".to_owned(),
        kind: "function".to_owned(),
        function: FunctionCall {
            name: name.to_owned(),
            arguments: arguments.to_string(),
        },
    }
}

async fn check(fixture: &Fixture, name: &str, arguments: serde_json::Value, expected: &str) {
    let result = match fixture.tools.execute(&call(name, arguments.clone())).await {
        Ok(result) => result,
        Err(error) => format!("error: {error}"),
    };
    assert!(result.contains(expected), "{name} {arguments}: {result}");
}

#[tokio::test]
async fn tools_do_real_work() {
    let fixture = fixture();
    check(
        &fixture,
        "file",
        json!({"path": "src/cache.rs"}),
        "Everything about cache",
    )
    .await;
    check(
        &fixture,
        "file",
        json!({"path": "notes/a.md", "content": "remember"}),
        "wrote 8 bytes",
    )
    .await;
    check(&fixture, "file", json!({"path": "notes/a.md"}), "remember").await;
    check(
        &fixture,
        "search_code",
        json!({"text": "pub fn flush_cache("}),
        "src/cache.rs:",
    )
    .await;
    check(
        &fixture,
        "search_code",
        json!({"text": "no such text"}),
        "nothing found",
    )
    .await;
    check(
        &fixture,
        "shell",
        json!({"command": "wc", "arguments": ["-l", "src/cache.rs"]}),
        "src/cache.rs",
    )
    .await;
}

#[tokio::test]
async fn nothing_leads_out_of_the_sandbox() {
    let fixture = fixture();
    std::os::unix::fs::symlink("/etc", fixture.directory.path().join("etc")).unwrap();
    let outside = "is outside of the working directory";
    for path in [
        "/etc/passwd",
        "../secret",
        "src/../../secret",
        "etc/passwd",
        "etc/new",
    ] {
        check(&fixture, "file", json!({"path": path}), outside).await;
        check(
            &fixture,
            "file",
            json!({"path": path, "content": "x"}),
            outside,
        )
        .await;
        let arguments = json!({"command": "head", "arguments": [path]});
        check(&fixture, "shell", arguments, outside).await;
    }
    let arguments = json!({"command": "wc", "arguments": ["--files0-from=/etc/passwd"]});
    check(&fixture, "shell", arguments, outside).await;
}

#[tokio::test]
async fn a_wrong_call_says_what_is_wrong() {
    let fixture = fixture();
    check(&fixture, "fly", json!({}), "there is no tool `fly`").await;
    check(
        &fixture,
        "file",
        json!({"pat": "x"}),
        "missing field `path`",
    )
    .await;
    check(
        &fixture,
        "file",
        json!({"path": "src/none.rs"}),
        "`src/none.rs`: No such file",
    )
    .await;
    check(
        &fixture,
        "shell",
        json!({"command": "rm"}),
        "`rm` may not be run",
    )
    .await;
    check(
        &fixture,
        "shell",
        json!({"command": "wc", "arguments": ["none"]}),
        "`wc` failed with exit code 1",
    )
    .await;
}

#[tokio::test]
async fn a_batch_keeps_the_order_of_its_calls_and_shortens_results() {
    let fixture = fixture();
    let long = "a long line\n".repeat(1_000);
    std::fs::write(fixture.directory.path().join("long.txt"), &long).unwrap();
    let calls = [
        call("file", json!({"path": "long.txt"})),
        call("file", json!({"path": "none"})),
        call("search_code", json!({"text": "pub fn open_auth("})),
    ];
    let results = fixture.tools.execute_batch(&calls).await;
    assert!(results[0].as_ref().unwrap().ends_with("[shortened]"));
    assert!(results[0].as_ref().unwrap().len() < long.len());
    assert!(results[1].is_err());
    assert!(results[2].as_ref().unwrap().starts_with("src/auth.rs:"));
}
