use std::time::{Duration, SystemTime};

use super::*;
use crate::{Message, Role};

fn memory() -> (tempfile::TempDir, Memory) {
    let directory = tempfile::tempdir().unwrap();
    let memory = Memory::open(&directory.path().join("memory.db")).unwrap();
    (directory, memory)
}

async fn count(memory: &Memory, table: &'static str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    memory
        .sqlite("SELECT", table, move |connection| {
            Ok((connection.query_row(&query, [], |row| row.get(0))?, 1))
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn what_was_remembered_is_recalled_after_a_restart() {
    let (directory, memory) = memory();
    memory
        .remember(
            "a",
            Role::User,
            "the cache must flush before storage",
            1.0,
            None,
        )
        .await
        .unwrap();
    memory
        .remember("b", Role::Assistant, "billing has 42 lines", 1.0, None)
        .await
        .unwrap();
    drop(memory);
    let memory = Memory::open(&directory.path().join("memory.db")).unwrap();
    let found = memory
        .recall("b", "what about the cache?", None, 5)
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].role, "user");
    assert!(found[0].content.contains("flush"));
}

#[tokio::test]
async fn a_question_is_never_read_as_a_search_expression() {
    let (_directory, memory) = memory();
    for question in [
        "\" OR 1=1 --",
        "NEAR(",
        "content:*",
        "",
        "a b c",
        "AND AND AND NOTE",
    ] {
        memory.recall("a", question, None, 5).await.unwrap();
    }
}

#[tokio::test]
async fn what_shares_no_word_is_recalled_by_its_vector() {
    let (_directory, memory) = memory();
    for (content, vector) in [
        ("storage comes last", [0.0, 1.0]),
        ("flush first", [1.0, 0.1]),
    ] {
        memory
            .remember("a", Role::User, content, 1.0, Some(&vector))
            .await
            .unwrap();
    }
    let found = memory
        .recall("a", "what is to be done?", Some(&[1.0, 0.0]), 1)
        .await
        .unwrap();
    assert_eq!(found[0].content, "flush first");
}

#[tokio::test]
async fn the_same_is_admitted_once_and_too_little_never() {
    let (_directory, memory) = memory();
    let said = "the cache must flush";
    let admit = |session: &'static str, content: &'static str| {
        let memory = memory.clone();
        async move { memory.admit(session, Role::User, content).await.unwrap() }
    };
    assert!(matches!(admit("a", said).await, Admission::Admitted(_)));
    memory
        .remember("a", Role::User, said, 0.5, None)
        .await
        .unwrap();
    assert_eq!(admit("a", said).await, Admission::Known);
    assert!(matches!(admit("b", said).await, Admission::Admitted(_)));
    assert_eq!(admit("a", "ok").await, Admission::TooShort);
}

#[tokio::test]
async fn what_has_faded_is_deleted_with_its_words_and_vector() {
    let (_directory, memory) = memory();
    for (content, importance) in [("hardly worth it", 0.15), ("most important", 1.0)] {
        memory
            .remember("a", Role::User, content, importance, Some(&[1.0]))
            .await
            .unwrap();
    }
    let later = SystemTime::now() + Duration::from_secs(60);
    assert_eq!(memory.forget(later).await.unwrap(), 1);
    for table in ["memories", "words", "vectors"] {
        assert_eq!(count(&memory, table).await, 1, "{table}");
    }
    assert_eq!(memory.forget(later).await.unwrap(), 0);
}

#[tokio::test]
async fn alike_memories_are_brought_together() {
    let (_directory, memory) = memory();
    for content in ["the cache flushes", "it flushes, the cache"] {
        memory
            .remember("a", Role::User, content, 0.5, Some(&[1.0, 0.0]))
            .await
            .unwrap();
    }
    assert_eq!(memory.consolidate().await.unwrap(), 1);
    let found = memory.recall("a", "flushes", None, 5).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].content, "it flushes, the cache");
}

#[tokio::test]
async fn a_conversation_is_bounded_and_restored_in_order() {
    let (_directory, memory) = memory();
    for number in 0..40 {
        let role = if number % 2 == 0 {
            Role::User
        } else {
            Role::Assistant
        };
        memory
            .append_history("a", role, &format!("message {number}"))
            .await
            .unwrap();
    }
    memory
        .append_history("b", Role::User, "other")
        .await
        .unwrap();
    let history = memory.history("a").await.unwrap();
    assert_eq!(history.len(), 24);
    assert_eq!(history[0], Message::text(Role::User, "message 16"));
    assert_eq!(history[23], Message::text(Role::Assistant, "message 39"));
    memory.clear_history("a").await.unwrap();
    assert!(memory.history("a").await.unwrap().is_empty());
    assert_eq!(memory.history("b").await.unwrap().len(), 1);
}

#[tokio::test]
async fn facts_are_found_over_two_steps_and_topics_when_two_sessions_share_them() {
    let (_directory, memory) = memory();
    memory
        .sqlite("INSERT", "relations", |connection| {
            connection.execute_batch(
                "INSERT INTO relations VALUES ('cache', 'precedes', 'storage', 2);
                 INSERT INTO relations VALUES ('storage', 'offers', 'open_storage', 1);
                 INSERT INTO relations VALUES ('open_storage', 'calls', 'sync', 1);
                 INSERT INTO persona VALUES ('a', 'interest', 'cache');
                 INSERT INTO persona VALUES ('b', 'interest', 'cache');
                 INSERT INTO persona VALUES ('b', 'language', 'queue');",
            )?;
            Ok(((), 6))
        })
        .await
        .unwrap();
    let cache = || vec!["cache".to_owned()];
    assert_eq!(
        memory.facts_about(cache(), 8).await.unwrap(),
        ["cache precedes storage", "storage offers open_storage"]
    );
    assert_eq!(memory.consolidate_sessions().await.unwrap(), 1);
    assert_eq!(
        memory.shared_about(cache(), 8).await.unwrap(),
        ["2 users ask about cache"]
    );
}
