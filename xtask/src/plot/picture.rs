//! Drawing a comparison: bars from zero, intervals, and every seed as a dot.

use anyhow::anyhow;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::comparison::{Comparison, Method};

/// Radius in pixels of a seed's dot among the win rates.
pub const WIN_RATE_DOT: i32 = 4;
/// The same among the skills.
pub const SKILL_DOT: i32 = 3;

const HEIGHT: u32 = 360;
const TITLE_HEIGHT: u32 = 34;
const FOOT_HEIGHT: u32 = 30;
/// Pixels of a panel per method, and at its sides.
const METHOD_WIDTH: u32 = 86;
const PANEL_SIDES: u32 = 80;
/// Of the whole picture: the line at its foot is as wide.
const LEAST_WIDTH: u32 = 620;

/// Axes and text: mid-grey has a contrast of about 4 to 1 with white and with near-black alike.
const GREY: RGBColor = RGBColor(128, 128, 128);
/// Of Okabe and Ito's palette, which colour-blind readers can tell apart.
const WIN_RATE_COLOR: RGBColor = RGBColor(0, 114, 178);
const SKILL_COLORS: [RGBColor; 3] =
    [RGBColor(213, 94, 0), RGBColor(0, 158, 115), RGBColor(204, 121, 167)];

/// Share of a method's width that its bars take.
const BARS: f64 = 0.72;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// A bar with a dot for each seed; shares from 0 to 1.
struct Bar {
    color: RGBColor,
    mean: f64,
    /// The 95 % interval, where there is one.
    interval: Option<(f64, f64)>,
    seeds: Vec<f64>,
}

/// A panel: its heading, and per method a group of bars.
struct Panel {
    heading: &'static str,
    legend: Vec<(String, RGBColor)>,
    groups: Vec<(String, Vec<Bar>)>,
    dot: i32,
}

/// The picture as SVG; the same comparison gives the same bytes. The background is transparent.
pub fn draw(comparison: &Comparison, title: Option<&str>) -> anyhow::Result<String> {
    let mut panels = vec![win_rates(comparison)];
    panels.extend(skills(comparison));
    let panel_width = PANEL_SIDES + METHOD_WIDTH * comparison.methods.len().max(3) as u32;
    let title_height = title.map_or(0, |_| TITLE_HEIGHT);
    let width = (panel_width * panels.len() as u32).max(LEAST_WIDTH);
    let size = (width, title_height + HEIGHT + FOOT_HEIGHT);
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        if let Some(title) = title {
            let middle = (size.0 as i32 / 2, TITLE_HEIGHT as i32 / 2 + 2);
            write(&root, title, middle, 21, Pos::new(HPos::Center, VPos::Center))?;
        }
        let (_, rest) = root.split_vertically(title_height);
        let (body, foot) = rest.split_vertically(HEIGHT);
        for (panel, area) in panels.iter().zip(body.split_evenly((1, panels.len()))) {
            draw_panel(&area, panel)?;
        }
        write(&foot, &caption(comparison), (12, 4), 15, Pos::new(HPos::Left, VPos::Top))?;
        root.present().map_err(|error| anyhow!("cannot draw: {error}"))?;
    }
    Ok(svg)
}

fn win_rates(comparison: &Comparison) -> Panel {
    let bar = |method: &Method| Bar {
        color: WIN_RATE_COLOR,
        mean: method.win_rate.mean,
        interval: Some((method.win_rate.low, method.win_rate.high)),
        seeds: method.win_rates.clone(),
    };
    let methods = comparison.methods.iter();
    Panel {
        heading: "Test tasks won (%)",
        legend: Vec::new(),
        groups: methods.map(|method| (method.name.clone(), vec![bar(method)])).collect(),
        dot: WIN_RATE_DOT,
    }
}

/// Nothing where the runs say nothing about skills.
fn skills(comparison: &Comparison) -> Option<Panel> {
    let skills = comparison.skills();
    let colors = || skills.iter().zip(SKILL_COLORS.iter().cycle());
    let bar = |method: &str, skill: &str, color: RGBColor| {
        let seeds = comparison.won_with(method, skill);
        let mean = seeds.iter().sum::<f64>() / seeds.len().max(1) as f64;
        Bar { color, mean, interval: None, seeds }
    };
    let group = |method: &Method| {
        let bars = colors().map(|(skill, &color)| bar(&method.name, skill, color));
        (method.name.clone(), bars.collect())
    };
    (!skills.is_empty()).then(|| Panel {
        heading: "Test tasks won using a skill (%)",
        legend: colors().map(|(skill, &color)| ((*skill).to_owned(), color)).collect(),
        groups: comparison.methods.iter().map(group).collect(),
        dot: SKILL_DOT,
    })
}

fn caption(comparison: &Comparison) -> String {
    match comparison.n_seeds() {
        1 => "Bars: one seed (the dot). Whiskers: 95 % interval over test tasks.".to_owned(),
        n => format!(
            "Bars: mean of {n} seeds. Dots: single seeds. Whiskers: 95 % interval over seeds and \
             test tasks."
        ),
    }
}

fn draw_panel(area: &Area<'_>, panel: &Panel) -> anyhow::Result<()> {
    let failed = |error| anyhow!("cannot draw {}: {error}", panel.heading);
    write(area, panel.heading, (12, 10), 17, Pos::new(HPos::Left, VPos::Top))?;
    draw_legend(area, panel)?;
    let top = axis_top(panel);
    let mut chart = ChartBuilder::on(area)
        .margin_top(56)
        .margin_right(12)
        .y_label_area_size(44)
        .x_label_area_size(36)
        .build_cartesian_2d(0.0..panel.groups.len() as f64, 0.0..top)
        .map_err(failed)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .disable_x_axis()
        .y_labels(6)
        .y_label_formatter(&|percent| format!("{percent:.0}"))
        .y_label_style(style(15, Pos::default()))
        .axis_style(GREY)
        .bold_line_style(GREY.mix(0.35))
        .light_line_style(TRANSPARENT)
        .draw()
        .map_err(failed)?;
    // Coordinates of a chart are those of the whole picture, those of an area its own.
    let (columns, rows) = area.get_pixel_range();
    for (i, (name, bars)) in panel.groups.iter().enumerate() {
        let width = BARS / bars.len().max(1) as f64;
        for (j, bar) in bars.iter().enumerate() {
            let left = i as f64 + (1.0 - BARS) / 2.0 + j as f64 * width;
            let shapes = bar.shapes(left, width, panel.dot);
            chart.draw_series([shapes.body]).map_err(failed)?;
            chart.draw_series(shapes.lines).map_err(failed)?;
            chart.draw_series(shapes.dots).map_err(failed)?;
            let highest = bar.highest() * 100.0;
            let (x, y) = chart.plotting_area().map_coordinate(&(left + width / 2.0, highest));
            let above = (x - columns.start, y - rows.start - 7);
            let mean = format!("{:.1}", 100.0 * bar.mean);
            write(area, &mean, above, 15, Pos::new(HPos::Center, VPos::Bottom))?;
        }
        let (x, y) = chart.plotting_area().map_coordinate(&(i as f64 + 0.5, 0.0));
        let below = (x - columns.start, y - rows.start + 8);
        write(area, name, below, 17, Pos::new(HPos::Center, VPos::Top))?;
    }
    Ok(())
}

/// The top of the axis in percent: above everything, on a multiple of five.
fn axis_top(panel: &Panel) -> f64 {
    let bars = panel.groups.iter().flat_map(|(_, bars)| bars);
    let highest = bars.map(Bar::highest).fold(0.0, f64::max);
    // 8 % of room for the figure above the highest bar.
    ((100.0 * highest * 1.08 / 5.0).ceil() * 5.0).clamp(5.0, 110.0)
}

fn draw_legend(area: &Area<'_>, panel: &Panel) -> anyhow::Result<()> {
    let mut x = 12;
    for (name, color) in &panel.legend {
        let square = Rectangle::new([(x, 34), (x + 11, 45)], color.filled());
        area.draw(&square).map_err(|error| anyhow!("cannot draw the legend: {error}"))?;
        write(area, name, (x + 17, 40), 15, Pos::new(HPos::Left, VPos::Center))?;
        // Text is not measured: nine pixels are wider than a letter of this size.
        x += 34 + 9 * name.chars().count() as i32;
    }
    Ok(())
}

type Point = (f64, f64);

struct Shapes {
    body: Rectangle<Point>,
    lines: Vec<PathElement<Point>>,
    dots: Vec<Circle<Point, i32>>,
}

impl Bar {
    fn highest(&self) -> f64 {
        let high = self.interval.map_or(self.mean, |(_, high)| high);
        self.seeds.iter().copied().fold(high, f64::max)
    }

    /// The interval stands left of the dots, which stand side by side in the order of the seeds.
    fn shapes(&self, left: f64, width: f64, dot: i32) -> Shapes {
        let x = |share: f64| left + share * width;
        let mean = 100.0 * self.mean;
        let body = Rectangle::new([(x(0.04), 0.0), (x(0.96), mean)], self.color.mix(0.3).filled());
        let line =
            |from: Point, to: Point| PathElement::new([from, to], self.color.stroke_width(2));
        let mut lines = vec![line((x(0.04), mean), (x(0.96), mean))];
        if let Some((low, high)) = self.interval {
            let (low, high) = (100.0 * low, 100.0 * high);
            lines.push(line((x(0.2), low), (x(0.2), high)));
            lines.push(line((x(0.13), low), (x(0.27), low)));
            lines.push(line((x(0.13), high), (x(0.27), high)));
        }
        let (first, last) = if self.interval.is_some() { (0.35, 0.9) } else { (0.1, 0.9) };
        let step = (last - first) / self.seeds.len().max(1) as f64;
        let dots = self.seeds.iter().enumerate().map(|(i, rate)| {
            let at = (x(first + (i as f64 + 0.5) * step), 100.0 * rate);
            Circle::new(at, dot, self.color.filled())
        });
        Shapes { body, lines, dots: dots.collect() }
    }
}

fn write(
    area: &Area<'_>,
    text: &str,
    at: (i32, i32),
    size: u32,
    anchor: Pos,
) -> anyhow::Result<()> {
    area.draw(&Text::new(text.to_owned(), at, style(size, anchor)))
        .map_err(|error| anyhow!("cannot write {text}: {error}"))
}

fn style(size: u32, anchor: Pos) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&GREY).pos(anchor)
}
