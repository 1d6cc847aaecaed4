//! Tables for people: every column is as wide as its widest cell.
//!
//! In a window that is too narrow for that, the widest column of text gives way, and what does not fit in a cell of it goes on in
//! the next line. A cell is never cut: a name can be told from another one that begins the same. Widths are counted in
//! characters: rows with wide ones, such as those of Chinese, are longer than that.

use crate::console::printable;

/// A column of text does not become narrower than this.
const TEXT_COLUMN_MIN: usize = 16;

const BETWEEN_COLUMNS: &str = "  ";

/// How the cells of a column stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    /// From the left.
    Text,
    /// At the right end.
    Number,
}

/// Rows below the names of their columns.
#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    columns: [Column; N],
    lines: Vec<Line<N>>,
}

#[derive(Debug)]
enum Line<const N: usize> {
    Row([String; N]),
    /// Goes across the columns, however wide they are.
    Text(String),
}

impl<const N: usize> Table<N> {
    pub(crate) fn new(columns: [(&str, Column); N]) -> Self {
        let mut table = Self {
            columns: columns.map(|(_, column)| column),
            lines: Vec::new(),
        };
        table.row(columns.map(|(name, _)| name.to_owned()));
        table
    }

    pub(crate) fn row(&mut self, cells: [String; N]) {
        let cells = cells.map(|cell| on_one_line(&cell));
        self.lines.push(Line::Row(cells));
    }

    /// A line that is no row.
    pub(crate) fn text(&mut self, text: &str) {
        self.lines.push(Line::Text(on_one_line(text)));
    }

    /// The whole of it, for a window of so many characters, or for no window.
    pub(crate) fn render(&self, window: Option<usize>) -> String {
        let widths = self.widths(window);
        let mut text = String::new();
        for line in &self.lines {
            match line {
                Line::Row(cells) => self.push_row(&mut text, cells, widths),
                Line::Text(line) => {
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        text
    }

    /// How wide each column is, in characters.
    fn widths(&self, window: Option<usize>) -> [usize; N] {
        let mut widths = [0; N];
        for line in &self.lines {
            if let Line::Row(cells) = line {
                for (width, cell) in widths.iter_mut().zip(cells) {
                    *width = cell.chars().count().max(*width);
                }
            }
        }
        let between = BETWEEN_COLUMNS.len() * N.saturating_sub(1);
        let needed = widths.iter().sum::<usize>() + between;
        let mut excess = needed.saturating_sub(window.unwrap_or(needed));
        while excess > 0 {
            let texts = widths.iter_mut().zip(self.columns);
            let texts = texts.filter(|(_, column)| *column == Column::Text);
            let Some((widest, _)) = texts.max_by_key(|(width, _)| **width) else {
                break;
            };
            if *widest <= TEXT_COLUMN_MIN {
                break;
            }
            *widest -= 1;
            excess -= 1;
        }
        widths
    }

    /// As many lines as its longest cell needs.
    fn push_row(&self, text: &mut String, cells: &[String; N], widths: [usize; N]) {
        let mut rests = cells.each_ref().map(String::as_str);
        loop {
            let mut line = String::new();
            for (at, rest) in rests.iter_mut().enumerate() {
                let width = widths[at];
                let (part, later) = rest.split_at(fitting(rest, width));
                *rest = later.trim_start();
                let before = if at == 0 { "" } else { BETWEEN_COLUMNS };
                line.push_str(&match self.columns[at] {
                    Column::Text => format!("{before}{part:width$}"),
                    Column::Number => format!("{before}{part:>width$}"),
                });
            }
            text.push_str(line.trim_end());
            text.push('\n');
            if rests.iter().all(|rest| rest.is_empty()) {
                return;
            }
        }
    }
}

/// How many bytes of a text go on a line of so many characters, whole words where there are some.
fn fitting(text: &str, width: usize) -> usize {
    let Some((end, _)) = text.char_indices().nth(width) else {
        return text.len();
    };
    let begins_word = text[..end].rfind(' ').map(|space| space + 1);
    begins_word
        .filter(|_| !text[end..].starts_with(' '))
        .unwrap_or(end)
}

/// Names come from other processes, and must neither take the terminal over nor break a row.
fn on_one_line(text: &str) -> String {
    printable(text).replace('\n', "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(names: &[&str], window: Option<usize>, expected: &[&str]) {
        let columns = [
            ("NAME", Column::Text),
            ("SEEN", Column::Number),
            ("", Column::Text),
        ];
        let mut table = Table::new(columns);
        for name in names {
            table.row([(*name).to_owned(), "12".to_owned(), "ok".to_owned()]);
        }
        table.text("a line that is longer than all of the columns together");
        let text = table.render(window);
        let mut lines: Vec<&str> = text.lines().collect();
        let across = "a line that is longer than all of the columns together";
        assert_eq!(lines.pop(), Some(across));
        assert_eq!(lines, expected, "{text}");
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cells() {
        check(&["a"], None, &["NAME  SEEN", "a       12  ok"]);
        let long = "n".repeat(100);
        let blank = " ".repeat(96);
        check(
            &["ä", &long],
            None,
            &[
                &format!("NAME{blank}  SEEN"),
                &format!("ä   {blank}    12  ok"),
                &format!("{long}    12  ok"),
            ],
        );
    }

    #[test]
    fn what_does_not_fit_in_the_window_goes_on_in_the_next_line() {
        check(
            &["order.place", "a.service.with/long.names.of.its.spans"],
            Some(30),
            &[
                "NAME                  SEEN",
                "order.place             12  ok",
                "a.service.with/long.    12  ok",
                "names.of.its.spans",
            ],
        );
        check(
            &["none, or it is where the endpoint leads", "a"],
            Some(30),
            &[
                "NAME                  SEEN",
                "none, or it is where    12  ok",
                "the endpoint leads",
                "a                       12  ok",
            ],
        );
        // Not to nothing.
        check(
            &["a.service.with/long.names"],
            Some(3),
            &[
                "NAME              SEEN",
                "a.service.with/l    12  ok",
                "ong.names",
            ],
        );
    }

    #[test]
    fn a_cell_breaks_neither_its_row_nor_the_terminal() {
        check(
            &["a\n\x1b[2J\u{202e}"],
            None,
            &["NAME     SEEN", "a\u{fffd}\u{fffd}[2J\u{fffd}    12  ok"],
        );
    }
}
