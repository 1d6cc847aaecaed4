//! Skills that the model writes.

use tracing::Span;

use super::registry::Skill;
use super::{SkillError, Skills};
use crate::status::failed;
use crate::{Message, Role, Router};

/// What the model is asked for; the task follows.
pub(crate) const WRITE_SKILL: &str = "Write a skill for this task:";

/// Skills of the model's that are kept; one more takes the place of an older one.
const GENERATED_MAX: u64 = 4;

/// The longest description, in bytes.
const DESCRIPTION_BYTES_MAX: usize = 120;

impl Skills {
    /// Has the model write a skill for a `task` it was given, the `number`th it writes, and puts it
    /// among the files.
    ///
    /// # Errors
    /// The model wrote none, or its file cannot be written.
    #[tracing::instrument(
        name = "skill.generate",
        skip_all,
        fields(skill.name, skill.bytes, otel.status_code, otel.status_message)
    )]
    pub(crate) async fn generate(
        &self,
        llm: &Router,
        task: &str,
        number: u64,
    ) -> Result<(), SkillError> {
        let request = Message::text(Role::User, format!("{WRITE_SKILL} {task}"));
        let completion = llm.chat(&[request], &[], None).await.inspect_err(failed)?;
        let text = completion.message.content.unwrap_or_default();
        let skill = written(&text, number);
        let content = skill.written();
        let span = Span::current();
        span.record("skill.name", skill.name.as_str());
        span.record("skill.bytes", content.len());
        let path = self.directory.join(format!("{}.md", skill.name));
        tokio::fs::write(path, content).await.inspect_err(failed)?;
        Ok(())
    }
}

/// The skill of a text whose first line says what it is for.
fn written(text: &str, number: u64) -> Skill {
    let (description, instructions) = text.split_once('\n').unwrap_or((text, text));
    let end = description.floor_char_boundary(DESCRIPTION_BYTES_MAX);
    Skill {
        name: format!("learned-{}", number % GENERATED_MAX),
        description: description[..end].to_owned(),
        instructions: instructions.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_says_what_it_is_for() {
        let skill = written("count the lines\nRun `wc`.\n", 6);
        assert_eq!(skill.name, "learned-2");
        assert_eq!(skill.description, "count the lines");
        assert_eq!(skill.instructions, "Run `wc`.");
    }
}
