//! What the stand-in model says.

use serde_json::{Value, json};

use crate::context::RECALLED;
use crate::memory::SUMMARIZE;
use crate::skills::WRITE_SKILL;
use crate::{FunctionCall, Message, Role, ToolCall};

/// The next message of a conversation: the tools a question calls for, or the answer once their
/// results are there.
pub(super) fn reply(messages: &[Message], number: u64, random: &mut fastrand::Rng) -> Message {
    let asked = messages
        .iter()
        .rposition(|message| message.role == Role::User);
    let (question, after) = match asked {
        Some(index) => (
            messages[index].content.as_deref().unwrap_or_default(),
            &messages[index + 1..],
        ),
        None => ("", messages),
    };
    let rounds = after
        .iter()
        .filter(|message| !message.tool_calls.is_empty())
        .count();
    let results: Vec<&str> = after
        .iter()
        .filter(|message| message.role == Role::Tool)
        .filter_map(|message| message.content.as_deref())
        .collect();
    if let Some(text) = writing(question) {
        return Message::text(Role::Assistant, text);
    }
    let wanted = wanted_tools(question, rounds, &results, number);
    if wanted.is_empty() {
        return Message::text(Role::Assistant, answer(messages, &results));
    }
    let tool_calls = wanted
        .into_iter()
        .enumerate()
        .map(|(index, (name, arguments))| ToolCall {
            id: format!("call_{number}_{index}"),
            kind: "function".to_owned(),
            function: FunctionCall {
                name: name.to_owned(),
                arguments: written(&arguments, random),
            },
        })
        .collect();
    Message {
        role: Role::Assistant,
        content: None,
        tool_calls,
        tool_call_id: None,
    }
}

/// What is written without any tool: a summary, or a skill.
fn writing(question: &str) -> Option<String> {
    if let Some(conversation) = question.strip_prefix(SUMMARIZE) {
        let lines: Vec<&str> = conversation
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| &line[..line.floor_char_boundary(60)])
            .take(6)
            .collect();
        return Some(format!("In short: {}", lines.join("; ")));
    }
    let task = question.strip_prefix(WRITE_SKILL)?.trim();
    Some(format!(
        "{task}\nDo what was asked with as few tools as possible, and say where you looked."
    ))
}

/// Models get their JSON wrong now and then.
fn written(arguments: &Value, random: &mut fastrand::Rng) -> String {
    let mut text = arguments.to_string();
    if random.u32(..80) == 0 {
        text.pop();
    }
    text
}

fn wanted_tools(
    question: &str,
    rounds: usize,
    results: &[&str],
    number: u64,
) -> Vec<(&'static str, Value)> {
    let paths = || {
        question
            .split(|c: char| c.is_whitespace() || c == ',' || c == '?')
            .map(|word| word.trim_end_matches('.'))
            .filter(|word| word.starts_with("src/"))
    };
    let is = |beginning: &str| question.starts_with(beginning);
    match rounds {
        0 if is("Where is") => question
            .split('`')
            .nth(1)
            .map(|name| ("search_code", json!({"text": format!("fn {name}(")})))
            .into_iter()
            .collect(),
        // What the search found is read next.
        1 if is("Where is") => results
            .first()
            .and_then(|found| found.split_once(':'))
            .filter(|(path, _)| path.starts_with("src/"))
            .map(|(path, _)| ("file", json!({"path": path})))
            .into_iter()
            .collect(),
        0 if is("Please read") || is("Compare") => paths()
            .map(|path| ("file", json!({"path": path})))
            .collect(),
        0 if is("How many lines") => paths()
            .map(|path| ("shell", json!({"command": "wc", "arguments": ["-l", path]})))
            .collect(),
        0 if is("Note down") => {
            let path = format!("notes/{}.md", number % 100);
            vec![("file", json!({"path": path, "content": question}))]
        }
        0 if is("What does the documentation") => last_word(question)
            .map(|module| ("web_scrape", json!({"page": format!("/docs/{module}")})))
            .into_iter()
            .collect(),
        0 if is("What does the glossary") => last_word(question)
            .map(|term| ("glossary", json!({"term": term})))
            .into_iter()
            .collect(),
        0 if is("Bookmark") => paths()
            .map(|path| ("bookmark", json!({"path": path})))
            .collect(),
        _ => Vec::new(),
    }
}

fn last_word(question: &str) -> Option<&str> {
    question
        .trim_end_matches(['?', '.'])
        .rsplit(char::is_whitespace)
        .next()
}

fn answer(messages: &[Message], results: &[&str]) -> String {
    if let Some(error) = results.iter().find(|result| result.starts_with("error: ")) {
        return format!("That did not work: {}", &error["error: ".len()..]);
    }
    if !results.is_empty() {
        let lines: Vec<&str> = results
            .iter()
            .filter_map(|result| result.lines().next())
            .collect();
        return format!("Here is what I found: {}", lines.join("; "));
    }
    let remembered = messages
        .iter()
        .filter(|message| message.role == Role::System)
        .filter_map(|message| message.content.as_deref())
        .find_map(|content| content.split_once(RECALLED));
    match remembered.and_then(|(_, lines)| lines.lines().next()) {
        Some(line) => format!("I remember this: {line}"),
        None => "I do not know anything about that yet.".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(question: &str) -> Message {
        Message::text(Role::User, question)
    }

    #[track_caller]
    fn check_calls(messages: &[Message], expected: &[(&str, Value)]) {
        let mut random = fastrand::Rng::with_seed(1);
        let said = reply(messages, 7, &mut random);
        let calls: Vec<(&str, Value)> = said
            .tool_calls
            .iter()
            .map(|call| {
                let arguments = serde_json::from_str(&call.function.arguments).unwrap();
                (call.function.name.as_str(), arguments)
            })
            .collect();
        assert_eq!(calls, expected);
    }

    #[test]
    fn questions_call_for_tools() {
        check_calls(
            &[user(
                "Where is `open_cache` defined, and what does it call?",
            )],
            &[("search_code", json!({"text": "fn open_cache("}))],
        );
        check_calls(
            &[user("Compare src/a.rs with src/b.rs.")],
            &[
                ("file", json!({"path": "src/a.rs"})),
                ("file", json!({"path": "src/b.rs"})),
            ],
        );
        check_calls(
            &[user("How many lines does src/a.rs have?")],
            &[(
                "shell",
                json!({"command": "wc", "arguments": ["-l", "src/a.rs"]}),
            )],
        );
        check_calls(
            &[user("What does the documentation say about cache?")],
            &[("web_scrape", json!({"page": "/docs/cache"}))],
        );
        check_calls(
            &[user("Bookmark src/a.rs, please.")],
            &[("bookmark", json!({"path": "src/a.rs"}))],
        );
        check_calls(&[user("Remind me, what did we find out?")], &[]);
    }

    #[test]
    fn a_summary_names_the_beginnings() {
        let said = reply(
            &[user(&format!("{SUMMARIZE}\nuser: one\nassistant: two"))],
            1,
            &mut fastrand::Rng::with_seed(1),
        );
        assert_eq!(
            said.content.as_deref(),
            Some("In short: user: one; assistant: two")
        );
    }

    #[test]
    fn what_a_search_found_is_read_and_then_answered() {
        let mut random = fastrand::Rng::with_seed(1);
        let mut messages = vec![user("Where is `open_cache` defined?")];
        messages.push(reply(&messages, 1, &mut random));
        let call = messages[1].tool_calls[0].id.clone();
        messages.push(Message::tool_result(
            &call,
            "src/cache.rs:5: pub fn open_cache(",
        ));
        check_calls(&messages, &[("file", json!({"path": "src/cache.rs"}))]);
        messages.push(reply(&messages, 2, &mut random));
        messages.push(Message::tool_result("x", "//! Everything about cache.\n"));
        let said = reply(&messages, 3, &mut random);
        assert!(said.content.unwrap().contains("Everything about cache."));
    }
}
