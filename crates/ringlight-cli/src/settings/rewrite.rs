//! Moves sections of earlier versions below `[telemetry]`, with their comments, in the text of a file.

use std::path::Path;

use ringlight::settings::{OLD_SECTIONS, OldSection};
use toml_edit::{Decor, DocumentMut, InlineTable, Item, Key, Table, TableLike, TomlError, Value};

/// The table that takes everything over.
const TABLE: &str = "telemetry";

/// A file as it is to be written.
#[derive(Debug)]
pub(super) struct Rewritten {
    pub(super) text: String,
    /// What has changed, a line each; nothing if the text is what it was.
    pub(super) changes: Vec<String>,
}

/// Rewrites a file that has been checked.
///
/// # Errors
/// It is not TOML.
pub(super) fn rewrite(file: &Path, text: &str) -> Result<Rewritten, TomlError> {
    let mut document: DocumentMut = text.parse()?;
    let root = document.as_table_mut();
    let sections = OLD_SECTIONS.iter().filter_map(|section| {
        let taken = take(root, section, file)?;
        Some((section, taken))
    });
    let sections: Vec<_> = sections.collect();
    if sections.is_empty() {
        return Ok(Rewritten {
            text: text.to_owned(),
            changes: Vec::new(),
        });
    }
    let mut rewrite = Rewrite::default();
    for (section, taken) in sections {
        rewrite.section(root, section, taken);
    }
    if !rewrite.comments.is_empty() {
        let rest = std::mem::take(&mut rewrite.comments);
        let after = document.trailing().as_str().unwrap_or_default();
        document.set_trailing(format!("{after}{rest}"));
    }
    Ok(Rewritten {
        text: document.to_string(),
        changes: rewrite.changes,
    })
}

/// A section that has been taken out of a file.
struct Taken {
    entries: Vec<(Key, Item)>,
    /// What stands before and behind its header.
    header: Decor,
    position: Option<isize>,
}

/// Takes a section out, and what it stood in if nothing is left of that.
fn take(root: &mut Table, section: &OldSection, file: &Path) -> Option<Taken> {
    let path: Vec<&str> = section.name.split('.').collect();
    let mut table: &dyn TableLike = root;
    for part in &path {
        table = table.get(part)?.as_table_like()?;
    }
    if !section.is_meant(file, table.iter().map(|(key, _)| key)) {
        return None;
    }
    take_below(root, &path)
}

fn take_below(table: &mut dyn TableLike, path: &[&str]) -> Option<Taken> {
    let (first, rest) = path.split_first()?;
    if rest.is_empty() {
        let before = prefix_of(table, first);
        return taken(before, table.remove(first)?);
    }
    let outer = table.get_mut(first)?.as_table_like_mut()?;
    let mut inner = take_below(outer, rest)?;
    if outer.is_empty() {
        // The comments of the outer one come before those of the inner one.
        let before = prefix_of(table, first);
        let outer = taken(before, table.remove(first)?)?;
        let both = format!(
            "{}{}{}",
            text_of(outer.header.prefix()),
            comments_in(text_of(outer.header.suffix())),
            text_of(inner.header.prefix())
        );
        inner.header.set_prefix(both);
        inner.position = outer.position.or(inner.position);
    }
    Some(inner)
}

/// What stands before a key, as far as it is not the table's own.
fn prefix_of(table: &mut dyn TableLike, key: &str) -> String {
    let key = table.key(key);
    key.map_or_else(String::new, |key| {
        text_of(key.leaf_decor().prefix()).to_owned()
    })
}

fn taken(before: String, item: Item) -> Option<Taken> {
    let mut header = Decor::default();
    let mut table = match item {
        Item::Table(table) => {
            if !table.is_dotted() {
                header = table.decor().clone();
            }
            table
        }
        Item::Value(Value::InlineTable(table)) => {
            header.set_prefix(before);
            header.set_suffix(text_of(table.decor().suffix()));
            plain(table)
        }
        _ => return None,
    };
    let keys: Vec<String> = table.iter().map(|(key, _)| key.to_owned()).collect();
    Some(Taken {
        header,
        position: table.position(),
        entries: keys
            .iter()
            .filter_map(|key| table.remove_entry(key))
            .collect(),
    })
}

/// A table on lines of its own: what was between its braces had its spaces from there.
fn plain(table: InlineTable) -> Table {
    let mut table = table.into_table();
    for (mut key, item) in table.iter_mut() {
        key.leaf_decor_mut().clear();
        if let Some(value) = item.as_value_mut() {
            value.decor_mut().clear();
        }
    }
    table
}

#[derive(Default)]
struct Rewrite {
    /// Those that belong to nothing that has been moved yet; they stay before what is moved next.
    comments: String,
    changes: Vec<String>,
}

impl Rewrite {
    fn section(&mut self, root: &mut Table, section: &OldSection, taken: Taken) {
        let name = section.name;
        self.changes
            .push(format!("`[{name}]` is part of `[{TABLE}]` now"));
        if root.contains_key(TABLE) {
            self.keep(&taken.header);
        } else {
            let mut table = Table::new();
            *table.decor_mut() = taken.header;
            // Before all others, where it was no table on lines of its own.
            table.set_position(taken.position.or(Some(-1)));
            root.insert(TABLE, Item::Table(table));
        }
        unfold(root);
        let Some(table) = root.get_mut(TABLE).and_then(Item::as_table_mut) else {
            return;
        };
        for (key, item) in taken.entries {
            self.entry(table, section, key, item);
        }
        // One that only has tables below it has no header of its own.
        let has_header = !table.is_dotted()
            && (!table.is_implicit() || table.iter().any(|(_, item)| item.is_value()));
        if !self.comments.is_empty() && has_header {
            let before = std::mem::take(&mut self.comments);
            let decor = table.decor_mut();
            let prefix = format!("{}{before}", text_of(decor.prefix()));
            decor.set_prefix(prefix);
        }
    }

    fn entry(&mut self, table: &mut Table, section: &OldSection, key: Key, item: Item) {
        let old = format!("{}.{}", section.name, key.get());
        let said = (item.as_str().map(str::to_owned)).or_else(|| Some(item.as_bool()?.to_string()));
        let replaced = section
            .key(key.get())
            .map(|old| old.replaced(&said.unwrap_or_default()));
        let mut decors = Some((key.leaf_decor().clone(), decor_of(&item)));
        for new in replaced.unwrap_or_default() {
            let name = new.setting.key;
            if table.contains_key(name) {
                self.changes.push(format!(
                    "`{old}` is left out: `{TABLE}.{name}` holds over it"
                ));
                continue;
            }
            let mut value = match new.literal.and_then(|literal| literal.parse().ok()) {
                Some(value) => Item::Value(value),
                None => item.clone(),
            };
            let mut key = Key::new(name);
            // Of several that take its place, the first has its comments.
            if let Some((of_key, of_value)) = decors.take() {
                let before = std::mem::take(&mut self.comments);
                *key.leaf_decor_mut() = of_key;
                let prefix = format!("{before}{}", text_of(key.leaf_decor().prefix()));
                key.leaf_decor_mut().set_prefix(prefix);
                if let Some(value) = value.as_value_mut() {
                    *value.decor_mut() = of_value;
                }
            }
            self.changes.push(match new.literal {
                Some(literal) => format!("`{old}` is `{TABLE}.{name} = {literal}` now"),
                None => format!("`{old}` is `{TABLE}.{name}` now"),
            });
            table.insert_formatted(&key, value);
        }
        if let Some((of_key, of_value)) = decors {
            self.keep(&of_key);
            self.keep(&of_value);
        }
    }

    /// Keeps the comments around something that goes.
    fn keep(&mut self, decor: &Decor) {
        self.comments
            .push_str(&comments_in(text_of(decor.prefix())));
        self.comments
            .push_str(&comments_in(text_of(decor.suffix())));
    }
}

/// Gives `[telemetry]` lines of its own where it is in braces, which hold no comments.
fn unfold(root: &mut Table) {
    let before = prefix_of(root, TABLE);
    let Some(item) = root.get_mut(TABLE) else {
        return;
    };
    if let Item::Value(Value::InlineTable(inline)) = item {
        let behind = text_of(inline.decor().suffix()).to_owned();
        let mut table = plain(std::mem::take(inline));
        table.set_position(Some(-1));
        *table.decor_mut() = Decor::new(format!("\n{before}"), behind);
        *item = Item::Table(table);
        if let Some(mut key) = root.key_mut(TABLE) {
            key.leaf_decor_mut().clear();
        }
    }
}

fn decor_of(item: &Item) -> Decor {
    item.as_value()
        .map(|value| value.decor().clone())
        .unwrap_or_default()
}

fn text_of(text: Option<&toml_edit::RawString>) -> &str {
    text.and_then(toml_edit::RawString::as_str)
        .unwrap_or_default()
}

/// The comments in what stands around something, each on a line of its own.
fn comments_in(text: &str) -> String {
    let comments = text.lines().map(str::trim);
    let comments = comments.filter(|line| !line.is_empty());
    comments.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let found = rewrite(Path::new("ringlight.toml"), text).unwrap();
        assert_eq!(found.text, expected, "\n{}", found.text);
        assert!(!found.changes.is_empty());
        let again = rewrite(Path::new("ringlight.toml"), &found.text).unwrap();
        assert_eq!(again.text, found.text);
        assert_eq!(again.changes, [""; 0]);
        // To a service both say the same.
        let dir = tempfile::tempdir().unwrap();
        let holds = |text: &str| {
            let path = dir.path().join("ringlight.toml");
            std::fs::write(&path, text).unwrap();
            let builder = ringlight::builder().environment([("", ""); 0]);
            let holds = builder.config_file(path).effective_settings().unwrap();
            let values = holds.settings.into_iter();
            let values: Vec<_> = values.map(|held| (held.key, held.value)).collect();
            (values, holds.warnings.len())
        };
        let ((before, warnings), (after, none)) = (holds(text), holds(&found.text));
        assert_eq!(before, after);
        assert!(warnings > 0);
        assert_eq!(none, 0);
    }

    #[test]
    fn a_section_becomes_the_table_where_it_stood() {
        check(
            "# Top.\n\n# Where it goes.\n[observability] # old\n# OTLP.\nexporter = \"otlp\" # yes\n\
             \n# There.\nendpoint = 'http://h:4317' # here\n",
            "# Top.\n\n# Where it goes.\n[telemetry] # old\n# OTLP.\nbackend = \"otlp\" # yes\nenabled = true\n\
             \n# There.\notlp_endpoint = 'http://h:4317' # here\n",
        );
    }

    #[test]
    fn both_are_put_together_and_no_comment_is_lost() {
        check(
            "# One.\n[observability]\nexporter = \"none\"\n\n# Two.\n[debug.traces] # t\n# Name.\n\
             service_name = \"shop\"\nredact = true # all\n# Off.\nenabled = true # no longer\n# End.\n",
            "# One.\n# Off.\n# no longer\n[telemetry]\nenabled = false\n# Two.\n# t\n# Name.\n\
             service_name = \"shop\"\nredact = \"standard\" # all\n# End.\n",
        );
    }

    #[test]
    fn what_is_there_already_stays_and_holds() {
        check(
            "[debug]\n# T.\n[debug.traces]\nsample_rate = 0.5 # half\nredact = false\n\n# New.\n[telemetry]\n# Rate.\n\
             sample_rate = 0.25\n\n[telemetry.resource_attributes]\nteam = \"a\" # ours\n",
            "\n# New.\n[telemetry]\n# Rate.\nsample_rate = 0.25\n# T.\n# half\nredact = \"none\"\n\n\
             [telemetry.resource_attributes]\nteam = \"a\" # ours\n",
        );
        // Of two sections, the first.
        check(
            "[debug.traces]\notlp_endpoint = \"http://b:1\"\n[observability]\nendpoint = \"http://a:1\"\n",
            "[telemetry]\notlp_endpoint = \"http://a:1\"\n",
        );
    }

    #[test]
    fn tables_may_be_written_in_any_way() {
        check(
            "# O.\nobservability = { endpoint = \"http://a:1\", exporter = \"otlp\" } # inline\n",
            "# O.\n[telemetry] # inline\notlp_endpoint = \"http://a:1\"\nbackend = \"otlp\"\nenabled = true\n",
        );
        check(
            "# T.\ntelemetry = { sample_rate = 1 } # inline\n# D.\ndebug.traces.service_name = \"a\" # dots\n",
            "\n# T.\n[telemetry] # inline\nsample_rate = 1\n# D.\nservice_name = \"a\" # dots\n",
        );
        check(
            "telemetry.sample_rate = 1\n\n# D.\n[debug.traces]\n# S.\nservice_name = \"a\" # s\n",
            "telemetry.sample_rate = 1\n# D.\n# S.\ntelemetry.service_name = \"a\" # s\n",
        );
        check(
            "# I.\ndebug = { traces = { service_name = \"a\" } } # i\n[telemetry]\nsample_rate = 1\n",
            "[telemetry]\nsample_rate = 1\n# I.\n# i\nservice_name = \"a\"\n",
        );
        // Nothing but comments is left.
        check(
            "# E.\n[observability] # e\n\n[telemetry.resource_attributes]\nteam = \"a\"\n",
            "\n[telemetry.resource_attributes]\nteam = \"a\"\n# E.\n# e\n",
        );
    }

    #[test]
    fn what_is_the_applications_own_stays() {
        let check = |text: &str, expected: &str| {
            let found = rewrite(Path::new("shop.toml"), text).unwrap();
            assert_eq!(found.text, expected);
            assert_eq!(found.changes.is_empty(), text == expected);
        };
        let own =
            "[observability]\nendpoint = \"http://a:1\"\nlevel = 3\n\n[debug]\nport = 80 # web\n";
        check(own, own);
        check("[observability]\n", "[observability]\n");
        let mixed =
            "port = 80\n\n[debug]\nverbose = true # so\n\n[debug.traces]\nredact = true\n\n[web]\n";
        let moved = "port = 80\n\n[debug]\nverbose = true # so\n\n[telemetry]\nredact = \"standard\"\n\n[web]\n";
        check(mixed, moved);
    }
}
