//! Screens as a picture.
#![allow(clippy::cast_precision_loss)] // No screen has so many columns.

use std::fmt::Write;

use unicode_segmentation::UnicodeSegmentation;
use vt100::{Color, Screen};

/// The size of a character cell, and of the letters in it.
const CELL: (f32, f32) = (8.4, 18.0);
const FONT_SIZE: f32 = 14.0;

/// Around the screen of each terminal, and above it for its title.
const MARGIN: f32 = 14.0;
const TITLE: f32 = 30.0;

const BACKGROUND: &str = "#16181d";
const FOREGROUND: &str = "#d7dae0";

/// The sixteen colours that a terminal has names for.
const COLORS: [&str; 16] = [
    "#3b4048", "#e06c75", "#98c379", "#d19a66", "#61afef", "#c678dd", "#56b6c2", "#d7dae0", "#5c6370", "#ff7b86",
    "#b5e890", "#e5c07b", "#82c4ff", "#de98f2", "#7fdbe6", "#ffffff",
];

/// Draws titled screens of the same size, some of them in a row.
pub fn draw(panes: &[(&str, Screen)], in_a_row: usize) -> String {
    let (rows, columns) = panes[0].1.size();
    let width = f32::from(columns.get()) * CELL.0 + 2.0 * MARGIN;
    let height = f32::from(rows.get()) * CELL.1 + TITLE + MARGIN;
    let (across, down) = (in_a_row.min(panes.len()), panes.len().div_ceil(in_a_row));
    let total = |count: usize, size: f32| count as f32 * (size + MARGIN) + MARGIN;
    let (total_width, total_height) = (total(across, width), total(down, height));
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {total_width:.0} {total_height:.0}\" \
         font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Noto Sans Mono CJK KR', \
         monospace\" font-size=\"{FONT_SIZE}\">\n"
    );
    for (index, (title, screen)) in panes.iter().enumerate() {
        let x = MARGIN + (index % in_a_row) as f32 * (width + MARGIN);
        let y = MARGIN + (index / in_a_row) as f32 * (height + MARGIN);
        let _ = writeln!(svg, "<g transform=\"translate({x:.1} {y:.1})\">");
        let _ = writeln!(svg, "<rect width=\"{width:.1}\" height=\"{height:.1}\" rx=\"8\" fill=\"{BACKGROUND}\"/>");
        for (dot, color) in ["#e06c75", "#e5c07b", "#98c379"].iter().enumerate() {
            let _ = writeln!(svg, "<circle cx=\"{}\" cy=\"15\" r=\"5\" fill=\"{color}\"/>", 18 + 17 * dot);
        }
        let middle = width / 2.0;
        let _ = writeln!(
            svg,
            "<text x=\"{middle:.1}\" y=\"20\" fill=\"#8b919c\" text-anchor=\"middle\">{}</text>",
            escape(title)
        );
        draw_screen(&mut svg, screen);
        svg += "</g>\n";
    }
    svg + "</svg>\n"
}

/// A stretch of a row that looks the same throughout.
#[derive(PartialEq)]
struct Style {
    color: &'static str,
    is_bold: bool,
    is_dim: bool,
    is_inverse: bool,
}

fn draw_screen(svg: &mut String, screen: &Screen) {
    let (rows, columns) = screen.size();
    for row in 0..rows.get() {
        let mut column = 0;
        while column < columns.get() {
            let (start, style) = (column, style_at(screen, row, column));
            let is_wide = screen.cell(row, column).unwrap().is_wide();
            let mut text = String::new();
            while column < columns.get() && style_at(screen, row, column) == style {
                let cell = screen.cell(row, column).unwrap();
                if !cell.is_wide_continuation() && cell.is_wide() != is_wide {
                    break;
                }
                if !cell.is_wide_continuation() {
                    text += if cell.has_contents() { cell.contents() } else { " " };
                }
                column += 1;
            }
            draw_stretch(svg, (start, row), column - start, &text, is_wide, &style);
        }
    }
    if !screen.hide_cursor() {
        let (row, column) = screen.cursor_position();
        let (x, y) = place(column, row);
        let (width, height) = CELL;
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width}\" height=\"{height}\" fill=\"{FOREGROUND}\" opacity=\".6\"/>"
        );
    }
}

fn draw_stretch(svg: &mut String, (column, row): (u16, u16), columns: u16, text: &str, is_wide: bool, style: &Style) {
    let visible = text.trim_end();
    if visible.is_empty() && !style.is_inverse {
        return;
    }
    let (x, y) = place(column, row);
    let width = f32::from(columns) * CELL.0;
    if style.is_inverse {
        let height = CELL.1;
        let _ = writeln!(
            svg,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{}\"/>",
            style.color
        );
    }
    let fill = if style.is_inverse { BACKGROUND } else { style.color };
    let spaces = text.len() - visible.len();
    let length = width - spaces as f32 * CELL.0;
    let weight = if style.is_bold { " font-weight=\"bold\"" } else { "" };
    let opacity = if style.is_dim { " opacity=\".62\"" } else { "" };
    let baseline = y + 13.5;
    let rest = format!("y=\"{baseline:.1}\" fill=\"{fill}\"{weight}{opacity}");
    if is_wide {
        // A place for each character: no two fonts have the same idea of what is twice as wide.
        for (number, character) in visible.graphemes(true).enumerate() {
            let x = x + number as f32 * 2.0 * CELL.0;
            let _ = writeln!(svg, "<text x=\"{x:.1}\" {rest}>{character}</text>");
        }
        return;
    }
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" {rest} textLength=\"{length:.1}\" lengthAdjust=\"spacingAndGlyphs\" \
         xml:space=\"preserve\">{}</text>",
        escape(visible)
    );
}

fn place(column: u16, row: u16) -> (f32, f32) {
    (MARGIN + f32::from(column) * CELL.0, TITLE + f32::from(row) * CELL.1)
}

fn style_at(screen: &Screen, row: u16, column: u16) -> Style {
    let cell = screen.cell(row, column).unwrap();
    let color = match cell.fgcolor() {
        Color::Idx(index) if index < 16 => COLORS[usize::from(index)],
        _ => FOREGROUND,
    };
    Style { color, is_bold: cell.bold(), is_dim: cell.dim(), is_inverse: cell.inverse() }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
