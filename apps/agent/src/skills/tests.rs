use super::*;

fn skill(name: &str, description: &str) -> Skill {
    Skill {
        name: name.to_owned(),
        description: description.to_owned(),
        instructions: String::new(),
    }
}

/// Two skills, with vectors of their own.
async fn skills() -> (tempfile::TempDir, Skills) {
    let directory = tempfile::tempdir().unwrap();
    let memory = Memory::open(&directory.path().join("memory.db")).unwrap();
    let skills = Skills::new(directory.path().to_owned(), memory.clone());
    let known = vec![
        skill("count", "how many lines a file has"),
        skill("note", "note down what must happen"),
    ];
    memory
        .upsert_vectors(
            crate::memory::Collection::Skills,
            vec![
                (key_of("count"), vec![1.0, 0.0]),
                (key_of("note"), vec![0.0, 1.0]),
            ],
        )
        .await
        .unwrap();
    let texts: Vec<String> = known.iter().map(Skill::text).collect();
    *skills.loaded.write().unwrap() = Loaded {
        words: Bm25::new(texts.iter().map(String::as_str)),
        skills: known,
        weights: HashMap::new(),
    };
    (directory, skills)
}

async fn matching(skills: &Skills, question: &str, vector: Option<&[f32]>) -> Option<String> {
    let found = skills.matching(question, vector).await.unwrap();
    found.map(|skill| skill.name)
}

#[tokio::test]
async fn words_and_vectors_find_a_skill() {
    let (_directory, skills) = skills().await;
    let found = matching(&skills, "How many lines?", None).await;
    assert_eq!(found.as_deref(), Some("count"));
    let found = matching(&skills, "xyz", Some(&[0.1, 1.0])).await;
    assert_eq!(found.as_deref(), Some("note"));
    assert_eq!(matching(&skills, "xyz", None).await, None);
}

#[tokio::test]
async fn what_fails_again_and_again_gives_way() {
    let (_directory, skills) = skills().await;
    // Both fit as well: one by its words, the other by its vector.
    let question = "How many lines?";
    let vector = [0.0, 1.0];
    for _ in 0..5 {
        skills.evolve("count", false).await.unwrap();
        skills.evolve("note", true).await.unwrap();
    }
    let found = matching(&skills, question, Some(&vector)).await;
    assert_eq!(found.as_deref(), Some("note"));
    for _ in 0..10 {
        skills.evolve("count", true).await.unwrap();
        skills.evolve("note", false).await.unwrap();
    }
    let found = matching(&skills, question, Some(&vector)).await;
    assert_eq!(found.as_deref(), Some("count"));
    assert!(skills.weights().await.unwrap()["count"] > 0.8);
}
