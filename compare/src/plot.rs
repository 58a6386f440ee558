//! What was measured, as a picture: a panel for each thing, in it a bar for each server.

use std::path::Path;

use anyhow::Context;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::Row;

const WIDTH: u32 = 920;
const PANEL: u32 = 190;
/// Where bars begin, and how long the longest one is.
const LEFT: i32 = 70;
const LONGEST: f64 = 300.0;
const BAR: i32 = 18;
const GAP: i32 = 26;

/// Draws the rows, two panels side by side.
pub fn save(rows: &[Row], path: &Path) -> anyhow::Result<()> {
    let panels: Vec<&[Row]> = rows.chunk_by(|a, b| a.group == b.group && a.clients == b.clients).collect();
    let lines = u32::try_from(panels.len().div_ceil(2))?;
    let picture = SVGBackend::new(path, (WIDTH, lines * PANEL)).into_drawing_area();
    let draw = || -> Result<(), Box<dyn std::error::Error>> {
        picture.fill(&WHITE)?;
        for (area, panel) in picture.split_evenly((lines as usize, 2)).iter().zip(panels) {
            draw_panel(area, panel)?;
        }
        picture.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow::anyhow!("{error}")).with_context(|| format!("cannot write {}", path.display()))
}

fn draw_panel(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    rows: &[Row],
) -> Result<(), Box<dyn std::error::Error>> {
    let style = |size: i32| ("sans-serif", size).into_font().color(&RGBColor(51, 51, 51));
    let [first, ..] = rows else { return Ok(()) };
    let title = format!("{}, {} clients (M deliveries per CPU second)", first.group, first.clients);
    area.draw_text(&title, &style(14), (12, 12))?;
    let longest = rows.iter().map(|row| row.rate).filter(|rate| rate.is_finite()).fold(0.0, f64::max);
    let mut y = 40;
    for row in rows {
        #[allow(clippy::cast_possible_truncation)] // It is at most LONGEST.
        let right = LEFT + (row.rate / longest * LONGEST).max(1.0) as i32;
        let colour = match row.subject.as_str() {
            "gotcp" => RGBColor(28, 126, 114),
            "floor" => RGBColor(176, 176, 176),
            _ => RGBColor(120, 144, 180),
        };
        area.draw(&Rectangle::new([(LEFT, y), (right, y + BAR)], colour.filled()))?;
        let middle = y + BAR / 2;
        let before = style(13).pos(Pos::new(HPos::Right, VPos::Center));
        let after = style(13).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw_text(&row.subject, &before, (LEFT - 8, middle))?;
        let rate = row.rate / 1e6;
        let figure = match rate {
            _ if !rate.is_finite() => "none".into(),
            ..1.0 => format!("{rate:.3}"),
            _ => format!("{rate:.1}"),
        };
        area.draw_text(&figure, &after, (right + 8, middle))?;
        y += GAP;
    }
    Ok(())
}
