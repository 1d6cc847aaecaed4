//! Sections of earlier versions: what they say is taken over, and a person is told what to write instead.

use std::ops::Range;

use toml_edit::TableLike;

use super::Entry;
use super::check::{Check, span_of, text};
use crate::config::old::{OLD_SECTIONS, OldKey, OldSection};

impl Check<'_> {
    /// Takes over what the old sections say, as far as nothing said it before.
    pub(super) fn old_sections(&mut self, root: &dyn TableLike) {
        for section in OLD_SECTIONS {
            if let Some((table, span)) = find(root, section)
                && section.is_meant(&self.file.path, table.iter().map(|(key, _)| key))
            {
                self.old_section(section, table, span);
            }
        }
    }

    fn old_section(
        &mut self,
        section: &'static OldSection,
        table: &dyn TableLike,
        span: Option<Range<usize>>,
    ) {
        self.file.has_section = true;
        let mut instead = Vec::new();
        for (key, item) in table.iter() {
            let span = span_of(table, key, item);
            let Some(old) = section.key(key) else {
                let known: Vec<_> = section.keys.iter().map(|old| old.key).collect();
                self.unknown(key, span, &known);
                continue;
            };
            match text(old.shape, item) {
                Some(value) => {
                    let line = self.line(span.or_else(|| item.span()));
                    instead.push(self.old_setting(section, old, &value, line));
                }
                None => self.wrong(key, old.shape, item, span),
            }
        }
        let place = self.file.position(self.line(span));
        let what = match instead.is_empty() {
            true => "leave it out".to_owned(),
            false => format!("write below `[telemetry]` {}", instead.join(", ")),
        };
        let path = self.file.path.display();
        self.file.warnings.push(format!(
            "`[{}]` in {place} is deprecated: {what}; hint: `ringlight config migrate {path}` rewrites it",
            section.name
        ));
    }

    /// Takes a setting over; what to write in its place.
    fn old_setting(
        &mut self,
        section: &OldSection,
        old: &OldKey,
        value: &str,
        line: usize,
    ) -> String {
        let key = old.key;
        let replaced = old.replaced(value);
        let mut written = Vec::new();
        let is_same = replaced
            .iter()
            .any(|new| new.setting.key == key && new.literal.is_none());
        for new in replaced {
            written.push(match new.literal {
                Some(literal) => format!("`{} = {literal}`", new.setting.key),
                None => format!("`{}`", new.setting.key),
            });
            if self.file.by_key(new.setting.key).is_none() {
                self.file.entries.push(Entry {
                    setting: new.setting,
                    text: new.text(value),
                    line,
                    name: format!("{}.{key}", section.name),
                });
            }
        }
        let written = written.join(" and ");
        match is_same {
            true => written,
            false => format!("{written} in place of `{key}`"),
        }
    }
}

/// A section that is a table, and where its name is.
fn find<'t>(
    root: &'t dyn TableLike,
    section: &OldSection,
) -> Option<(&'t dyn TableLike, Option<Range<usize>>)> {
    let (mut table, mut span) = (root, None);
    for part in section.name.split('.') {
        let item = table.get(part)?;
        span = span_of(table, part, item);
        table = item.as_table_like()?;
    }
    Some((table, span))
}
