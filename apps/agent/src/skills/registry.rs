//! Skills as files.

use std::io;
use std::path::Path;

use crate::corpus;

/// Skills loaded at most, in the order of their files' names.
const SKILLS_MAX: usize = 32;

/// How to do something, told to the model when a question calls for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Skill {
    /// Its name, which is its file's.
    pub(crate) name: String,
    /// When it helps.
    pub(crate) description: String,
    /// What to do.
    pub(crate) instructions: String,
}

impl Skill {
    /// Reads what [`Self::written`] writes.
    fn parse(name: &str, text: &str) -> Option<Self> {
        let (head, instructions) = text.strip_prefix("---\n")?.split_once("\n---\n")?;
        let description = head
            .lines()
            .find_map(|line| line.strip_prefix("description:"))?;
        Some(Self {
            name: name.to_owned(),
            description: description.trim().to_owned(),
            instructions: instructions.trim().to_owned(),
        })
    }

    /// The text of its file: a head with the description, and the instructions.
    pub(super) fn written(&self) -> String {
        format!(
            "---\nname: {}\ndescription: {}\n---\n\n{}\n",
            self.name, self.description, self.instructions
        )
    }

    /// What it is found by.
    pub(super) fn text(&self) -> String {
        format!("{} {}", self.name, self.description)
    }
}

/// Writes the skills the agent begins with, unless they are there.
pub(crate) fn write_first_skills(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    for (name, description, instructions) in corpus::SKILLS {
        let skill = Skill {
            name: name.to_owned(),
            description: description.to_owned(),
            instructions: instructions.to_owned(),
        };
        let path = directory.join(format!("{name}.md"));
        if !path.exists() {
            std::fs::write(path, skill.written())?;
        }
    }
    Ok(())
}

/// Reads the skills of a directory. A file that is none is passed over.
///
/// # Errors
/// The directory cannot be read.
pub(super) async fn read(directory: &Path) -> io::Result<Vec<Skill>> {
    let mut entries = tokio::fs::read_dir(directory).await?;
    let mut paths = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        let path = entry.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            paths.push(path);
        }
    }
    paths.sort();
    paths.truncate(SKILLS_MAX);
    let mut skills = Vec::with_capacity(paths.len());
    for path in &paths {
        let text = tokio::fs::read_to_string(path).await?;
        let name = path.file_stem().map(|name| name.to_string_lossy());
        skills.extend(name.and_then(|name| Skill::parse(&name, &text)));
    }
    Ok(skills)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_written_is_loaded_and_other_files_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        write_first_skills(directory.path()).unwrap();
        std::fs::write(directory.path().join("notes.md"), "no skill").unwrap();
        std::fs::write(directory.path().join("x.txt"), "---\n").unwrap();
        let skills = read(directory.path()).await.unwrap();
        assert_eq!(skills.len(), corpus::SKILLS.len());
        assert!(skills.iter().any(|skill| skill.name == "count-lines"
            && skill.description == "how many lines a file has"
            && skill.instructions.starts_with("Run `wc -l`")));
    }
}
