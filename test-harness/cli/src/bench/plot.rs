//! A bar chart as SVG: added CPU per request, with quartiles.

use std::fmt::Write as _;

use super::statistic::Spread;

/// One bar.
pub(crate) struct Bar {
    /// Its label.
    pub(crate) name: String,
    /// Its length, with quartiles.
    pub(crate) value: Spread,
}

const LABELS: f64 = 190.0;
const WIDTH: f64 = 560.0;
const ROW: f64 = 22.0;
const TOP: f64 = 40.0;

/// The chart.
pub(crate) fn svg(bars: &[Bar]) -> String {
    let longest = bars.iter().map(|bar| bar.value.high).fold(1.0, f64::max);
    let step = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0]
        .into_iter()
        .find(|step| longest / step <= 8.0)
        .unwrap_or(1000.0);
    let scale = WIDTH / longest;
    let height = TOP + bars.len() as f64 * ROW + 10.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{height}\" viewBox=\"0 0 {0} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n<text x=\"8\" y=\"18\" font-weight=\"bold\">Added CPU per request, µs (median and quartiles)</text>\n",
        LABELS + WIDTH + 60.0
    );
    for mark in (0..)
        .map(|number| f64::from(number) * step)
        .take_while(|mark| *mark <= longest)
    {
        let x = LABELS + mark * scale;
        let _ = writeln!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{:.1}\" stroke=\"#dddddd\"/><text x=\"{x:.1}\" y=\"34\" fill=\"#666666\" text-anchor=\"middle\">{mark}</text>",
            height - 10.0
        );
    }
    for (index, Bar { name, value }) in bars.iter().enumerate() {
        let y = TOP + index as f64 * ROW;
        let [low, median, high] =
            [value.low, value.median, value.high].map(|micros| micros.max(0.0) * scale);
        let middle = y + ROW / 2.0;
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            LABELS - 8.0,
            middle + 4.0
        );
        let _ = writeln!(
            svg,
            "<rect x=\"{LABELS}\" y=\"{:.1}\" width=\"{median:.1}\" height=\"{:.1}\" fill=\"{}\"/>",
            y + 3.0,
            ROW - 6.0,
            color(name)
        );
        let _ = writeln!(
            svg,
            "<line x1=\"{:.1}\" y1=\"{middle:.1}\" x2=\"{:.1}\" y2=\"{middle:.1}\" stroke=\"#222222\"/>",
            LABELS + low,
            LABELS + high
        );
        let _ = writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"#222222\">{:.1}</text>",
            LABELS + high + 6.0,
            middle + 4.0,
            value.median
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn color(name: &str) -> &'static str {
    match name {
        _ if name.starts_with("Lua") => "#d98c5f",
        _ if name.starts_with("Envoy") => "#8fae8b",
        "empty filter" => "#999999",
        "suite" => "#2f5f98",
        _ => "#6f9fd8",
    }
}
