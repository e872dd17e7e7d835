//! Renders text tables. Pure.

/// A table of `rows` under `head`: each column as wide as its widest cell, two blanks between
/// columns, no trailing blanks, no final line break.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let head = head.map(str::to_owned);
    let all = || std::iter::once(&head).chain(rows);
    let widths: [usize; N] =
        std::array::from_fn(|column| all().map(|row| width(&row[column])).max().unwrap_or(0));
    let lines: Vec<String> = all().map(|row| line(row, &widths)).collect();
    lines.join("\n")
}

fn line<const N: usize>(row: &[String; N], widths: &[usize; N]) -> String {
    let cells = row.iter().zip(widths);
    let padded = cells.map(|(cell, &to)| format!("{cell}{}", " ".repeat(to - width(cell))));
    let line: Vec<String> = padded.collect();
    line.join("  ").trim_end().to_owned()
}

/// The width in characters. Wide characters, which are rare here, only misalign a row.
fn width(cell: &str) -> usize {
    cell.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_as_wide_as_its_widest_cell() {
        let rows = [
            ["linux".to_owned(), "1".to_owned()],
            ["é".to_owned(), "1000".to_owned()],
        ];
        assert_eq!(
            table(["Profile", "N"], &rows),
            "Profile  N\nlinux    1\né        1000"
        );
    }

    #[test]
    fn a_table_without_rows_is_its_head() {
        assert_eq!(table(["A", "B"], &[]), "A  B");
    }
}
