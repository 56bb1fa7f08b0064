//! What rounds have measured, as a table.

use std::collections::BTreeMap;

use anyhow::ensure;

/// What programs did in all rounds, our own first.
#[derive(Default)]
pub struct Table {
    works: Vec<String>,
    programs: Vec<String>,
    figures: BTreeMap<(String, String), Figures>,
}

/// What one program did of one work in all rounds.
#[derive(Default)]
struct Figures {
    /// Tokens per second of each round.
    rates: Vec<f64>,
    peak_bytes: u64,
}

impl Table {
    /// Adds a round: tokens per second, and the most memory in bytes.
    pub fn add(&mut self, work: &str, program: &str, rate: f64, peak_bytes: u64) {
        for (names, name) in [(&mut self.works, work), (&mut self.programs, program)] {
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
        let figures = self.figures.entry((work.to_owned(), program.to_owned())).or_default();
        figures.rates.push(rate);
        figures.peak_bytes = figures.peak_bytes.max(peak_bytes);
    }

    /// A Markdown table: a line for each work, in the order in which they were added, and how many
    /// times as fast the first program is as the others.
    pub fn render(&self) -> anyhow::Result<String> {
        ensure!(!self.figures.is_empty(), "nothing was measured");
        let mut headings = vec!["work".to_owned()];
        for program in &self.programs {
            headings.extend([format!("{program} tokens/s"), "GB".to_owned()]);
        }
        let first = &self.programs[0];
        headings.extend(self.programs.iter().skip(1).map(|other| format!("{first} / {other}")));
        let mut lines = vec![row(&headings), row(&vec!["---".to_owned(); headings.len()])];
        lines.extend(self.works.iter().map(|work| row(&self.cells(work))));
        Ok(lines.join("\n"))
    }

    fn cells(&self, work: &str) -> Vec<String> {
        let of = |program: &String| self.figures.get(&(work.to_owned(), program.clone()));
        let none = || "–".to_owned();
        let mut cells = vec![work.to_owned()];
        for program in &self.programs {
            cells.extend(of(program).map_or([none(), none()], |Figures { rates, peak_bytes }| {
                let (low, middle, high) = spread(rates.clone());
                let gigabytes = *peak_bytes as f64 / 1e9;
                [format!("{middle:.1} ({low:.1} to {high:.1})"), format!("{gigabytes:.2}")]
            }));
        }
        let ours = of(&self.programs[0]);
        for program in self.programs.iter().skip(1) {
            let both = ours.zip(of(program));
            let ratio = both.map(|(ours, theirs)| ratio(&ours.rates, &theirs.rates));
            cells.push(ratio.map_or_else(none, |ratio| format!("{ratio:.2}")));
        }
        cells
    }
}

/// A line of a Markdown table.
pub fn row(cells: &[String]) -> String {
    format!("| {} |", cells.join(" | "))
}

/// Lowest, median and highest.
pub fn spread(mut values: Vec<f64>) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let median = if values.len() % 2 == 1 {
        values[middle]
    } else {
        f64::midpoint(values[middle - 1], values[middle])
    };
    (values[0], median, values[values.len() - 1])
}

/// The median of the rounds' ratios.
pub fn ratio(ours: &[f64], theirs: &[f64]) -> f64 {
    spread(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()).1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_medians_and_ratios_of_rounds() {
        let mut table = Table::default();
        assert!(table.render().is_err());
        let half = 500_000_000;
        table.add("prefill", "eef", 7.0, half);
        for (ours, theirs) in [(30.0, 10.0), (10.0, 5.0), (20.0, 5.0)] {
            table.add("decode", "eef", ours, half);
            table.add("decode", "torch", theirs, half);
        }
        let text = table.render().unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "| work | eef tokens/s | GB | torch tokens/s | GB | eef / torch |");
        assert_eq!(lines[2], "| prefill | 7.0 (7.0 to 7.0) | 0.50 | – | – | – |");
        let decode = "| decode | 20.0 (10.0 to 30.0) | 0.50 | 5.0 (5.0 to 10.0) | 0.50 | 3.00 |";
        assert_eq!(lines[3], decode);
    }

    #[test]
    fn medians_are_of_values_and_of_the_rounds_ratios() {
        assert_eq!(spread(vec![30.0, 10.0, 20.0]), (10.0, 20.0, 30.0));
        assert_eq!(spread(vec![4.0, 1.0]), (1.0, 2.5, 4.0));
        assert_eq!(ratio(&[30.0, 10.0, 20.0], &[10.0, 5.0, 5.0]), 3.0);
    }
}
