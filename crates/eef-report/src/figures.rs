//! The paper's figures, drawn by plotters.
//!
//! Mid-grey ink on no background has a contrast of about 4 to 1 with white and with near-black alike;
//! the colours are Okabe and Ito's, which colour-blind readers can tell apart, and every series has a
//! name beside it.

use std::collections::BTreeMap;
use std::fmt::Display;

use eef::{Comparison, Estimate, MethodSummary, display_name};
use plotters::coord::Shift;
use plotters::element::{Drawable, PointCollection};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::labels::{self, Named};
use crate::tables::{runs_of, sizes, skill_names, skill_shares};
use crate::{Figure, ReportError};

const INK: RGBColor = RGBColor(128, 128, 128);
const COLORS: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(148, 103, 189),
    RGBColor(160, 100, 80),
];

/// Pixels of a method's row, of what stands above and below all rows, of the names beside them, and of
/// the values beyond the last tick.
const ROW: u32 = 26;
const HEAD: u32 = 34;
const FOOT: u32 = 48;
const NAMES: u32 = 200;
const VALUES: u32 = 90;
const WIDTH: u32 = 820;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// All pictures that there is something to show in.
///
/// # Errors
/// [`ReportError::NoRuns`]; [`ReportError::Drawing`].
pub fn all(comparison: &Comparison) -> Result<Vec<Figure>, ReportError> {
    if comparison.runs.is_empty() || comparison.methods.is_empty() {
        return Err(ReportError::NoRuns);
    }
    let mut figures = vec![win_rates(comparison)?];
    if comparison.methods.iter().any(|method| method.mean_simulations > 0.0) {
        figures.push(by_simulations(comparison)?);
    }
    if !skill_names(comparison).is_empty() {
        figures.push(skills(comparison)?);
    }
    if comparison.runs.iter().any(|run| run.rounds.len() > 1) {
        figures.push(by_rounds(comparison)?);
    }
    Ok(figures)
}

/// Table 3 as a picture: each method's win rate with its interval, and every seed.
fn win_rates(comparison: &Comparison) -> Result<Figure, ReportError> {
    let file = "win-rates.svg";
    let rows: Vec<Row> = (comparison.methods.iter())
        .map(|method| Row {
            name: display_name(&method.method),
            interval: Some(method.win_rate),
            dots: method.win_rates.clone(),
            color: COLORS[0],
        })
        .collect();
    let svg = rows_of(file, "Test tasks won (%)", &rows)?;
    let caption = format!(
        "Test win rates: {}. Squares: means; lines: 95 % intervals over seeds and tasks; dots: seeds.",
        sizes(comparison)
    );
    Ok(Figure { file, caption, svg })
}

/// Figure 2: how often each skill was tried, and tried and the task won.
fn skills(comparison: &Comparison) -> Result<Figure, ReportError> {
    let file = "skills.svg";
    let names = skill_names(comparison);
    let methods: Vec<&str> =
        comparison.methods.iter().map(|method| method.method.as_str()).collect();
    let panel = HEAD + FOOT + ROW * methods.len() as u32;
    let svg = drawn(file, (WIDTH, panel * names.len() as u32), |root| {
        for (area, skill) in root.split_evenly((names.len(), 1)).iter().zip(&names) {
            let shares: Vec<(String, f64, f64)> = (methods.iter())
                .map(|method| {
                    let (tried, won) = skill_shares(comparison, method, skill);
                    (display_name(method), tried, won)
                })
                .collect();
            let scale = Scale::to(shares.iter().map(|(_, tried, _)| *tried), area);
            scale.axis(&format!("{skill}: tried (light) and won (dark), % of test tasks"))?;
            for (index, (name, tried, won)) in shares.iter().enumerate() {
                let y = row_at(index);
                scale.name(name, y)?;
                for (share, color) in [(*tried, COLORS[5].mix(0.45)), (*won, COLORS[0].mix(1.0))] {
                    let bar = [(scale.x(0.0), y - 8), (scale.x(share), y + 8)];
                    draw(area, Rectangle::new(bar, color.filled()))?;
                }
                let label = format!("{:.1} / {:.1}", 100.0 * tried, 100.0 * won);
                write(
                    area,
                    &label,
                    (scale.x(*tried) + 6, y),
                    13,
                    Pos::new(HPos::Left, VPos::Center),
                )?;
            }
        }
        Ok(())
    })?;
    let caption =
        "Share of test tasks in which a skill was tried, and tried and the task won; means \
                   over seeds."
            .to_owned();
    Ok(Figure { file, caption, svg })
}

/// Figure 3: the win rate against the number of simulations. Methods of a family, which differ in
/// a number alone, are joined by a line.
fn by_simulations(comparison: &Comparison) -> Result<Figure, ReportError> {
    let file = "simulations.svg";
    let mut families: BTreeMap<&str, Vec<&MethodSummary>> = BTreeMap::new();
    for method in &comparison.methods {
        families.entry(family(&method.method)).or_default().push(method);
    }
    for members in families.values_mut() {
        members.sort_by(|a, b| a.mean_simulations.total_cmp(&b.mean_simulations));
    }
    let methods = || comparison.methods.iter();
    let most = methods().map(|method| method.mean_simulations).fold(1.0, f64::max) * 1.12;
    let (low, high) =
        bounds(methods().flat_map(|method| [method.win_rate.low, method.win_rate.high]));
    let svg = drawn(file, (WIDTH, 460), |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(16)
            .x_label_area_size(46)
            .y_label_area_size(56)
            .build_cartesian_2d(-0.02 * most..most, low..high)
            .map_err(reason)?;
        chart
            .configure_mesh()
            .axis_style(INK)
            .bold_line_style(INK.mix(0.25))
            .light_line_style(TRANSPARENT)
            .label_style(style(14, Pos::default()))
            .x_desc("simulations in all rounds, mean over seeds")
            .y_desc("test tasks won (%)")
            .y_label_formatter(&|share| format!("{:.1}", 100.0 * share))
            .x_label_formatter(&|n| format!("{n:.0}"))
            .draw()
            .map_err(reason)?;
        let (mut named, mut lines) = (Vec::new(), Vec::new());
        for members in families.values() {
            // That of its first member in every picture.
            let first = members.iter().filter_map(|member| place(comparison, &member.method)).min();
            let first = first.unwrap_or(0);
            let color = COLORS[first % COLORS.len()];
            let first_of_family = named.len();
            let at = |method: &MethodSummary| (method.mean_simulations, method.win_rate.mean);
            if members.len() > 1 {
                let line = LineSeries::new(
                    members.iter().map(|&method| at(method)),
                    color.stroke_width(2),
                );
                chart.draw_series(line).map_err(reason)?;
            }
            for &method in members {
                let (x, y) = at(method);
                let whisker = [(x, method.win_rate.low), (x, method.win_rate.high)];
                let whisker = PathElement::new(whisker.to_vec(), color.mix(0.6));
                chart.draw_series([whisker]).map_err(reason)?;
                let at_pixel = |y: f64| chart.plotting_area().map_coordinate(&(x, y));
                mark(root, at_pixel(y), first, color)?;
                lines.push([at_pixel(method.win_rate.low), at_pixel(method.win_rate.high)]);
                named.push((display_name(&method.method), color, at_pixel(y)));
            }
            let joined = named[first_of_family..].windows(2);
            lines.extend(joined.map(|two| [two[0].2, two[1].2]));
        }
        let (columns, rows) = chart.plotting_area().get_pixel_range();
        name_points(root, &named, &lines, [columns.start, rows.start, WIDTH as i32 - 4, rows.end])
    })?;
    let caption = format!(
        "Test win rate against the number of simulations: {}. Lines down and up: 95 % intervals; \
         joined are methods that differ in a number alone.",
        sizes(comparison)
    );
    Ok(Figure { file, caption, svg })
}

/// Marks a point: where the colours come again it is a ring, and then a square.
fn mark(root: &Area<'_>, point: (i32, i32), place: usize, color: RGBColor) -> Result<(), String> {
    let (x, y) = point;
    match place / COLORS.len() {
        0 => draw(root, Circle::new(point, 4, color.filled())),
        1 => draw(root, Circle::new(point, 4, color.stroke_width(2))),
        _ => draw(root, Rectangle::new([(x - 4, y - 4), (x + 4, y + 4)], color.filled())),
    }
}

/// Writes the names of points within an area, none over another or over a line; one that stands
/// elsewhere than beside its point has a line to it.
fn name_points(
    root: &Area<'_>,
    named: &[(String, RGBColor, (i32, i32))],
    lines: &[[(i32, i32); 2]],
    area: labels::Rectangle,
) -> Result<(), String> {
    let style = |color: &RGBColor| {
        ("sans-serif", 13).into_font().color(color).pos(Pos::new(HPos::Left, VPos::Center))
    };
    let mut points = Vec::new();
    for (name, color, point) in named {
        let (width, _) = root.estimate_text_size(name, &style(color)).map_err(reason)?;
        points.push(Named { point: *point, width: width as i32 });
    }
    let places = labels::places(&points, lines, area);
    for ((name, color, (x, y)), ((left, middle), Named { width, .. })) in
        named.iter().zip(places.into_iter().zip(points))
    {
        if middle != *y {
            let end = if left > *x { left - 2 } else { left + width + 2 };
            draw(root, PathElement::new([(*x, *y), (end, middle)], color.mix(0.4)))?;
        }
        draw(root, Text::new(name.clone(), (left, middle), style(color)))?;
    }
    Ok(())
}

/// A method's place among those that are compared, by which it has its colour.
fn place(comparison: &Comparison, method: &str) -> Option<usize> {
    comparison.methods.iter().position(|one| one.method == method)
}

/// The validation win rate of every round.
fn by_rounds(comparison: &Comparison) -> Result<Figure, ReportError> {
    let file = "rounds.svg";
    let mut series: Vec<(String, Vec<f64>, usize)> = Vec::new();
    for (place, method) in comparison.methods.iter().enumerate() {
        let runs = runs_of(comparison, &method.method);
        let n_rounds = runs.iter().map(|run| run.rounds.len()).max().unwrap_or(0);
        if n_rounds > 1 {
            let of_round = |index: usize| {
                let rounds = runs.iter().filter_map(|run| run.rounds.get(index));
                crate::tables::mean(rounds.map(|round| round.validation.win_rate.mean))
            };
            let rates = (0..n_rounds).map(of_round).collect();
            series.push((display_name(&method.method), rates, place));
        }
    }
    let n_rounds = series.iter().map(|(_, rates, _)| rates.len()).max().unwrap_or(1);
    let (low, high) = bounds(series.iter().flat_map(|(_, rates, _)| rates.iter().copied()));
    // Names stand where their line ends, one below the other.
    let mut names: Vec<(f64, usize)> = (series.iter().enumerate())
        .map(|(index, (_, rates, _))| (rates.last().copied().unwrap_or_default(), index))
        .collect();
    names.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let svg = drawn(file, (WIDTH, 460), |root| {
        let mut chart = ChartBuilder::on(root)
            .margin(16)
            .margin_right(NAMES)
            .x_label_area_size(46)
            .y_label_area_size(56)
            .build_cartesian_2d(0.9..n_rounds as f64 + 0.05, low..high)
            .map_err(reason)?;
        chart
            .configure_mesh()
            .axis_style(INK)
            .disable_x_mesh()
            .x_labels(n_rounds)
            .bold_line_style(INK.mix(0.25))
            .light_line_style(TRANSPARENT)
            .label_style(style(14, Pos::default()))
            .x_desc("round; the first is behaviour cloning")
            .y_desc("validation tasks won (%)")
            .y_label_formatter(&|share| format!("{:.1}", 100.0 * share))
            .x_label_formatter(&|round| format!("{round:.0}"))
            .draw()
            .map_err(reason)?;
        let mut lowest = i32::MIN;
        for (rate, index) in &names {
            let (name, rates, place) = &series[*index];
            let color = COLORS[place % COLORS.len()];
            let points: Vec<(f64, f64)> =
                (1..).zip(rates).map(|(round, &rate)| (f64::from(round), rate)).collect();
            // Where the colours come again a line has dashes, and then dots.
            let dash = [0, 6, 2][(place / COLORS.len()).min(2)];
            if dash == 0 {
                let line = LineSeries::new(points.clone(), color.stroke_width(2));
                chart.draw_series(line).map_err(reason)?;
            } else {
                let line = DashedLineSeries::new(points.clone(), dash, 4, color.stroke_width(2));
                chart.draw_series(line).map_err(reason)?;
            }
            let dots = points.iter().map(|&point| Circle::new(point, 3, color.filled()));
            chart.draw_series(dots).map_err(reason)?;
            let (x, y) = chart.plotting_area().map_coordinate(&(rates.len() as f64, *rate));
            let below = y.max(lowest.saturating_add(15));
            lowest = below;
            let text = format!("{name} {:.1}", 100.0 * rate);
            let named = ("sans-serif", 13).into_font().color(&color);
            let named = named.pos(Pos::new(HPos::Left, VPos::Center));
            draw(root, Text::new(text, (x + 14, below), named))?;
        }
        Ok(())
    })?;
    let caption =
        "Validation win rate by round, means over seeds; methods of one round are left out."
            .to_owned();
    Ok(Figure { file, caption, svg })
}

/// The name without the number at its end: `rft-x` of `rft-x6`, `eef-m` of `eef-m5`. (`rft` itself samples
/// at one temperature, and is none of that family.)
fn family(method: &str) -> &str {
    match method.rsplit_once('-') {
        Some((family, number)) if number.trim_start_matches(['x', 'm']).parse::<u32>().is_ok() => {
            &method[..=family.len() + 1]
        }
        _ => method,
    }
}

/// A method's row.
struct Row {
    name: String,
    interval: Option<Estimate>,
    dots: Vec<f64>,
    color: RGBColor,
}

fn rows_of(file: &'static str, heading: &str, rows: &[Row]) -> Result<String, ReportError> {
    let height = HEAD + FOOT + ROW * rows.len() as u32;
    drawn(file, (WIDTH, height), |area| {
        let highest = rows.iter().flat_map(|row| {
            row.dots.iter().copied().chain(row.interval.map(|interval| interval.high))
        });
        let scale = Scale::to(highest, area);
        scale.axis(heading)?;
        for (index, row) in rows.iter().enumerate() {
            let y = row_at(index);
            scale.name(&row.name, y)?;
            for dot in &row.dots {
                draw(area, Circle::new((scale.x(*dot), y), 4, row.color.mix(0.45).filled()))?;
            }
            if let Some(Estimate { mean, low, high }) = row.interval {
                let line = [(scale.x(low), y), (scale.x(high), y)];
                draw(area, PathElement::new(line, row.color.stroke_width(2)))?;
                let square = [(scale.x(mean) - 4, y - 4), (scale.x(mean) + 4, y + 4)];
                draw(area, Rectangle::new(square, row.color.filled()))?;
                let last = row.dots.iter().copied().fold(high, f64::max);
                let at = (scale.x(last) + 8, y);
                write(
                    area,
                    &format!("{:.1}", 100.0 * mean),
                    at,
                    13,
                    Pos::new(HPos::Left, VPos::Center),
                )?;
            }
        }
        Ok(())
    })
}

/// The middle of a row in pixels.
fn row_at(index: usize) -> i32 {
    (HEAD + ROW * index as u32 + ROW / 2) as i32
}

/// Shares from 0 on beside the methods' names.
struct Scale<'a, 'b> {
    /// Percent from one tick to the next.
    step: u32,
    n_steps: u32,
    area: &'a Area<'b>,
}

impl<'a, 'b> Scale<'a, 'b> {
    /// To the tick above all shares.
    fn to(shares: impl Iterator<Item = f64>, area: &'a Area<'b>) -> Self {
        let (step, n_steps) = ticks(100.0 * shares.fold(0.0, f64::max));
        Self { step, n_steps, area }
    }

    /// The share at the last tick.
    fn end(&self) -> f64 {
        f64::from(self.n_steps * self.step) / 100.0
    }

    fn x(&self, share: f64) -> i32 {
        let width = f64::from(WIDTH - NAMES - VALUES);
        NAMES as i32 + (width * share / self.end()) as i32
    }

    fn axis(&self, heading: &str) -> Result<(), String> {
        let (_, height) = self.area.dim_in_pixel();
        let bottom = (height - FOOT) as i32 + 4;
        write(self.area, heading, (12, 8), 15, Pos::new(HPos::Left, VPos::Top))?;
        for tick in 0..=self.n_steps {
            let share = f64::from(tick * self.step) / 100.0;
            let line = [(self.x(share), HEAD as i32), (self.x(share), bottom)];
            draw(self.area, PathElement::new(line, INK.mix(0.25)))?;
            let at = (self.x(share), bottom + 6);
            write(
                self.area,
                &format!("{:.0}", 100.0 * share),
                at,
                13,
                Pos::new(HPos::Center, VPos::Top),
            )?;
        }
        Ok(())
    }

    fn name(&self, name: &str, y: i32) -> Result<(), String> {
        write(self.area, name, (NAMES as i32 - 10, y), 14, Pos::new(HPos::Right, VPos::Center))
    }
}

/// Percent from tick to tick, and how many steps it takes from 0 past the highest share, in percent; to
/// 100 at most. Eight steps at most.
fn ticks(highest: f64) -> (u32, u32) {
    let n_steps = |step: u32| ((highest / f64::from(step)).floor() as u32 + 1).min(100 / step);
    let step = [1, 2, 5, 10].into_iter().find(|&step| n_steps(step) <= 8).unwrap_or(20);
    (step, n_steps(step))
}

/// The ends of an axis around values, on multiples of five percent.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    for value in values {
        low = low.min(value);
        high = high.max(value);
    }
    if low > high {
        return (0.0, 1.0);
    }
    let (low, high) = (((low - 0.01) * 20.0).floor() / 20.0, ((high + 0.01) * 20.0).ceil() / 20.0);
    (low.max(0.0), high.max(low + 0.05))
}

/// Draws a picture of a size in pixels.
fn drawn(
    figure: &'static str,
    size: (u32, u32),
    content: impl FnOnce(&Area<'_>) -> Result<(), String>,
) -> Result<String, ReportError> {
    let mut svg = String::new();
    let result = {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        content(&root).and_then(|()| root.present().map_err(reason))
    };
    result.map_err(|reason| ReportError::Drawing { figure, reason })?;
    Ok(svg)
}

fn draw<'a, E>(area: &Area<'a>, element: E) -> Result<(), String>
where
    for<'b> &'b E: PointCollection<'b, (i32, i32)>,
    E: Drawable<SVGBackend<'a>>,
{
    area.draw(&element).map_err(reason)
}

fn write(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    size: u32,
    anchor: Pos,
) -> Result<(), String> {
    draw(area, Text::new(text.to_owned(), at, style(size, anchor)))
}

fn style(size: u32, anchor: Pos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK).pos(anchor)
}

fn reason(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use super::ticks;

    #[test]
    fn axes_end_at_a_round_tick_past_the_highest_share() {
        let expected = [
            (0.0, (1, 1)),
            (2.9, (1, 3)),
            (8.0, (2, 5)),
            (16.0, (5, 4)),
            (49.6, (10, 5)),
            (80.0, (20, 5)),
            (100.0, (20, 5)),
        ];
        for (highest, found) in expected {
            assert_eq!(ticks(highest), found, "{highest}");
        }
    }
}
