//! What rounds have measured, as cells of a table.

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
    fn medians_are_of_values_and_of_the_rounds_ratios() {
        assert_eq!(spread(vec![30.0, 10.0, 20.0]), (10.0, 20.0, 30.0));
        assert_eq!(spread(vec![4.0, 1.0]), (1.0, 2.5, 4.0));
        assert_eq!(ratio(&[30.0, 10.0, 20.0], &[10.0, 5.0, 5.0]), 3.0);
    }
}
