//! What was measured, as a picture: a panel for each thing, in it a bar for each server.

use std::path::Path;

use anyhow::Context;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::report::Row;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), Box<dyn std::error::Error>>;

const WIDTH: u32 = 920;
const HEAD: u32 = 84;
/// The height of a panel without its bars.
const PANEL: u32 = 60;
/// Where bars begin, and how long the longest one is.
const LEFT: i32 = 90;
const LONGEST: f64 = 270.0;
const BAR: i32 = 18;
const GAP: u32 = 26;

const INK: RGBColor = RGBColor(51, 51, 51);
const OURS: RGBColor = RGBColor(28, 126, 114);
const FLOOR: RGBColor = RGBColor(176, 176, 176);
const OTHERS: RGBColor = RGBColor(120, 144, 180);

/// Draws the rows, two panels side by side. The panels of a line have one scale.
pub fn save(rows: &[Row], path: &Path) -> anyhow::Result<()> {
    let panels: Vec<&[Row]> = rows.chunk_by(|a, b| a.group == b.group && a.clients == b.clients).collect();
    let lines: Vec<&[&[Row]]> = panels.chunk_by(|a, b| a[0].group == b[0].group).collect();
    let bars = panels.iter().map(|panel| panel.len()).max().unwrap_or(0);
    let height = HEAD + u32::try_from(lines.len())? * (PANEL + u32::try_from(bars)? * GAP);
    // A card of its own, which is readable on a dark page, too.
    let picture = SVGBackend::new(path, (WIDTH, height)).into_drawing_area();
    let draw = || -> Drawn {
        picture.fill(&WHITE)?;
        let (head, body) = picture.split_vertically(HEAD);
        draw_head(&head)?;
        for (area, line) in body.split_evenly((lines.len(), 1)).iter().zip(&lines) {
            let rates = line.iter().flat_map(|panel| panel.iter()).map(|row| row.spread.1);
            let longest = rates.filter(|rate| rate.is_finite()).fold(0.0, f64::max);
            for (area, panel) in area.split_evenly((1, 2)).iter().zip(*line) {
                draw_panel(area, panel, longest)?;
            }
        }
        picture.present()?;
        Ok(())
    };
    draw().map_err(|error| anyhow::anyhow!("{error}")).with_context(|| format!("cannot write {}", path.display()))
}

fn style(size: i32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn draw_head(area: &Area<'_>) -> Drawn {
    area.draw_text(
        "Millions of deliveries (one line to one client) per second of the server's CPU time",
        &style(17),
        (12, 12),
    )?;
    let mut x = 14;
    for (colour, what) in [
        (OURS, "gotcp"),
        (FLOOR, "floor: the same writes with no chat around them, a wave for each line"),
        (OTHERS, "other servers"),
    ] {
        area.draw(&Rectangle::new([(x, 43), (x + 12, 55)], colour.filled()))?;
        area.draw_text(what, &style(13), (x + 18, 42))?;
        x += 50 + 6 * i32::try_from(what.len())?;
    }
    area.draw_text(
        "bars: medians; whiskers: lowest and highest run; panels side by side have one scale",
        &style(12),
        (12, 62),
    )?;
    Ok(())
}

fn draw_panel(area: &Area<'_>, rows: &[Row], longest: f64) -> Drawn {
    let [first, ..] = rows else { return Ok(()) };
    area.draw_text(&format!("{}, {} clients", first.group, first.clients), &style(14), (12, 12))?;
    #[allow(clippy::cast_possible_truncation)] // It is at most LONGEST.
    let at = |rate: f64| LEFT + (rate / longest * LONGEST).max(1.0) as i32;
    let mut y = 40;
    for row in rows {
        let middle = y + BAR / 2;
        let before = style(13).pos(Pos::new(HPos::Right, VPos::Center));
        let after = style(13).pos(Pos::new(HPos::Left, VPos::Center));
        area.draw_text(&row.subject, &before, (LEFT - 8, middle))?;
        if row.why.is_empty() {
            let colour = match row.subject.as_str() {
                "floor" => FLOOR,
                name if name.starts_with("gotcp") => OURS,
                _ => OTHERS,
            };
            area.draw(&Rectangle::new([(LEFT, y), (at(row.rate), y + BAR)], colour.filled()))?;
            let (low, high) = (at(row.spread.0), at(row.spread.1));
            for line in
                [[(low, middle), (high, middle)], [(low, y + 5), (low, y + 13)], [(high, y + 5), (high, y + 13)]]
            {
                area.draw(&PathElement::new(line, INK))?;
            }
            let rate = row.rate / 1e6;
            let figure = if rate < 1.0 { format!("{rate:.3}") } else { format!("{rate:.1}") };
            area.draw_text(&figure, &after, (high.max(at(row.rate)) + 8, middle))?;
        } else {
            let why =
                if row.why == "not installed" { row.why.clone() } else { format!("refused {} clients", row.clients) };
            area.draw_text(&why, &after, (LEFT + 8, middle))?;
        }
        y += GAP.cast_signed();
    }
    Ok(())
}
