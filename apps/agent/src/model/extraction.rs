//! What the stand-in model extracts from a text: answers that keep to a schema.

use serde_json::{Value, json};

use crate::corpus::MODULES;

/// The answer to a request whose schema is named `schema`.
pub(super) fn extract(schema: &str, text: &str) -> Value {
    match schema {
        "relations" => json!({"relations": relations(text)}),
        "persona" => json!({"facts": facts(text)}),
        _ => json!({}),
    }
}

/// Who has to do with whom: `A must VERB before B`, and modules that one line names together.
fn relations(text: &str) -> Vec<Value> {
    let mut found = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line
            .split(|c: char| !(c.is_alphanumeric() || c == '_'))
            .filter(|word| !word.is_empty())
            .collect();
        let relation = |subject: &str, predicate: &str, object: &str| json!({"subject": subject, "predicate": predicate, "object": object});
        for five in words.windows(5) {
            if let [subject, "must", _, "before", object] = five {
                found.push(relation(subject, "precedes", object));
            }
        }
        let modules: Vec<&str> = MODULES
            .into_iter()
            .filter(|module| words.contains(module))
            .collect();
        for pair in modules.windows(2) {
            found.push(relation(pair[0], "is asked about with", pair[1]));
        }
        for (module, word) in words.iter().filter_map(|word| {
            let (_, module) = word.split_once('_')?;
            MODULES.contains(&module).then_some((module, *word))
        }) {
            found.push(relation(module, "offers", word));
        }
    }
    found
}

/// What is said of the person who asks: what they are interested in, most of all.
fn facts(text: &str) -> Vec<Value> {
    MODULES
        .into_iter()
        .map(|module| (text.matches(module).count(), module))
        .filter(|(count, _)| *count > 0)
        .max_by_key(|(count, _)| *count)
        .map(|(_, module)| json!({"key": "interest", "value": module}))
        .into_iter()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn relations_and_interests_are_found() {
        let text = "Note down that cache must flush before storage.\nWhere is `open_cache`?";
        let found = extract("relations", text);
        let relations = found["relations"].as_array().unwrap();
        assert!(
            relations.contains(
                &json!({"subject": "cache", "predicate": "precedes", "object": "storage"})
            )
        );
        assert!(
            relations.contains(
                &json!({"subject": "cache", "predicate": "offers", "object": "open_cache"})
            )
        );
        assert_eq!(
            extract("persona", text)["facts"],
            json!([{"key": "interest", "value": "cache"}])
        );
        assert_eq!(extract("persona", "hello")["facts"], json!([]));
    }
}
