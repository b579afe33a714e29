//! One frame of the live view, on any screen from 80x24 on.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Style, Stylize as _},
    text::{Line, Span},
    widgets::{Row, Table},
};
use smartfw_core::{Action, Strength};
use smartfw_proto::view::TopFrame;

use crate::{
    duration::date,
    output::{clean, grouped, scaled},
    render,
};

/// Draws `frame` on the whole screen.
pub(super) fn draw(screen: &mut Frame<'_>, frame: &TopFrame) {
    let rest = screen.area().height.saturating_sub(4 + 3);
    let (sources, blocks) = (rest * 2 / 5, rest * 3 / 10);
    let [head, top, recent, alerts, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(sources + 1),
        Constraint::Length(blocks + 1),
        Constraint::Min(2),
        Constraint::Length(1),
    ])
    .areas(screen.area());
    draw_head(screen, head, frame);
    draw_sources(screen, top, frame);
    draw_blocks(screen, recent, frame);
    draw_alerts(screen, alerts, frame);
    screen.render_widget(Line::from(" q quits").dim(), foot);
}

fn draw_head(screen: &mut Frame<'_>, area: Rect, frame: &TopFrame) {
    let lost = if frame.lost_per_second > 0.0 { Style::new().fg(Color::Red) } else { Style::new() };
    let rates = Line::from(vec![
        Span::raw(format!(" {}  ", scaled(frame.packets_per_second, "packets/s"))),
        Span::raw(format!("{}  ", scaled(frame.bits_per_second, "bit/s"))),
        Span::styled(format!("{} lost  ", scaled(frame.lost_per_second, "packets/s")), lost),
        Span::styled(format!("{} dropped", scaled(frame.dropped_per_second, "packets/s")), Color::Yellow),
    ]);
    let counts = Line::from(format!(
        " {} sources  {} connections  {} blocked  {} alerts",
        grouped(frame.sources),
        grouped(frame.connections),
        grouped(frame.blocked),
        grouped(frame.alerts),
    ));
    let title = Line::from(format!(" smartfw top   {} UTC", date(frame.time))).bold();
    screen.render_widget(ratatui::text::Text::from(vec![title, rates, counts]), area);
}

fn draw_sources(screen: &mut Frame<'_>, area: Rect, frame: &TopFrame) {
    let rows = frame.top.iter().map(|source| {
        let seen = &source.features;
        let number = |value: f32| render::number(f64::from(value));
        let style = source.blocked.map_or(Style::new(), |strength| Style::new().fg(strength_color(strength)));
        Row::new([
            source.address.to_string(),
            scaled(f64::from(seen.packets_per_second), ""),
            scaled(f64::from(seen.bytes_per_second), "B"),
            number(seen.distinct_ports),
            number(seen.distinct_hosts),
            number(seen.half_open),
            format!("{:.2}", seen.syn_share),
            number(seen.attempts_per_service),
            source.blocked.map_or("", Strength::as_str).to_owned(),
        ])
        .style(style)
    });
    let widths = [Constraint::Min(15), Constraint::Length(8), Constraint::Length(9)]
        .into_iter()
        .chain([Constraint::Length(6); 5])
        .chain([Constraint::Length(5)]);
    let heading = heading(["SOURCE", "PKT/S", "BYTES/S", "PORTS", "HOSTS", "HALF", "SYN", "TRIES", "BLOCK"]);
    screen.render_widget(Table::new(rows, widths).header(heading), area);
}

fn draw_blocks(screen: &mut Frame<'_>, area: Rect, frame: &TopFrame) {
    let rows = frame.recent_blocks.iter().map(|row| {
        let block = &row.block;
        Row::new([
            block.target.to_string(),
            block.strength.to_string(),
            block.class.to_string(),
            render::until(block.expires, frame.time),
            grouped(row.packets),
            clean(&block.reason).into_owned(),
        ])
        .style(Style::new().fg(strength_color(block.strength)))
    });
    let widths = [
        Constraint::Length(22),
        Constraint::Length(5),
        Constraint::Length(12),
        Constraint::Length(11),
        Constraint::Length(9),
        Constraint::Min(10),
    ];
    let heading = heading(["BLOCKED", "", "CLASS", "ENDS", "DROPPED", "REASON"]);
    screen.render_widget(Table::new(rows, widths).header(heading), area);
}

fn draw_alerts(screen: &mut Frame<'_>, area: Rect, frame: &TopFrame) {
    let rows = frame.recent_alerts.iter().map(|alert| {
        let color = match alert.action {
            Action::Block => Color::Red,
            Action::RateLimit | Action::Pending => Color::Yellow,
            Action::Report | Action::Protected => Color::Reset,
        };
        let time = date(alert.time);
        Row::new([
            time.get(11..).unwrap_or_default().to_owned(),
            render::subject(&alert.subject),
            alert.class.to_string(),
            alert.action.to_string(),
            clean(&alert.reason.text).into_owned(),
        ])
        .style(Style::new().fg(color))
    });
    let widths = [
        Constraint::Length(8),
        Constraint::Length(22),
        Constraint::Length(12),
        Constraint::Length(10),
        Constraint::Min(10),
    ];
    let heading = heading(["TIME", "ALERT", "CLASS", "ACTION", "REASON"]);
    screen.render_widget(Table::new(rows, widths).header(heading), area);
}

fn heading<const N: usize>(names: [&'static str; N]) -> Row<'static> {
    Row::new(names).style(Style::new().bold().reversed())
}

const fn strength_color(strength: Strength) -> Color {
    match strength {
        Strength::Hard => Color::Red,
        Strength::Soft => Color::Yellow,
    }
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend};
    use smartfw_core::Time;
    use smartfw_proto::view::TopSource;

    use super::*;
    use crate::commands::samples;

    fn screen(width: u16, height: u16) -> Vec<String> {
        let address = "203.0.113.7".parse().unwrap();
        let features = samples::alert().features;
        let frame = TopFrame {
            time: Time::from_secs(1_769_860_800),
            packets_per_second: 1234.0,
            bits_per_second: 5_600_000.0,
            lost_per_second: 0.0,
            dropped_per_second: 12.0,
            sources: 3,
            connections: 7,
            blocked: 1,
            alerts: 2,
            top: vec![TopSource { address, features, blocked: Some(Strength::Hard) }; 100],
            recent_blocks: vec![samples::row(); 100],
            recent_alerts: vec![samples::alert(); 100],
        };
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|screen| draw(screen, &frame)).unwrap();
        let buffer = terminal.backend().buffer();
        let row = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| row(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn everything_is_on_a_screen_of_80_by_24() {
        let lines = screen(80, 24);
        assert_eq!(lines[0], " smartfw top   2026-01-31 12:00:00 UTC");
        assert_eq!(lines[1], " 1.2 kpackets/s  5.6 Mbit/s  0 packets/s lost  12 packets/s dropped");
        assert_eq!(lines[2], " 3 sources  7 connections  1 blocked  2 alerts");
        for heading in ["SOURCE", "BLOCKED", "TIME"] {
            let at = lines.iter().position(|line| line.starts_with(heading)).unwrap();
            assert!(lines[at + 1].contains("203.0.113.7"), "{heading}: {}", lines[at + 1]);
        }
        assert_eq!(lines[23], " q quits");
    }

    #[test]
    fn a_tiny_screen_is_no_reason_to_panic() {
        for (width, height) in [(1, 1), (10, 3), (80, 5), (300, 100)] {
            assert_eq!(screen(width, height).len(), usize::from(height));
        }
    }
}
