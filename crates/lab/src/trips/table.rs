//! A calibration as text.

use super::{Calibration, Class, LARGE_PERCENT, MarketTrips};
use std::fmt::{self, Write};

/// How an outside name is shown.
type Shown<'a> = &'a dyn Fn(&str) -> String;

/// A heading and a line a market.
///
/// # Errors
/// As `out`.
pub fn table<'a>(
    out: &mut dyn Write,
    markets: impl IntoIterator<Item = &'a MarketTrips>,
    shown: Shown<'_>,
) -> fmt::Result {
    writeln!(
        out,
        "  {:<8}{:>7}{:>8}  {:>7}{:>8}{:>8}{:>8}  {:>7}{:>8}{:>8}{:>8}{:>9}  {:>7}{:>8}",
        "market",
        "years",
        "gap h",
        "moves",
        "a year",
        "hours",
        "a year",
        "sources",
        "a year",
        "hours",
        "a year",
        "of moves",
        "large",
        "caught"
    )?;
    for market in markets {
        let (moves, sources) = (&market.by_market, &market.by_source);
        writeln!(
            out,
            "  {:<8}{:>7.2}{:>8.1}  {:>7}{:>8.1}{:>8.1}{:>8.1}  {:>7}{:>8.1}{:>8.1}{:>8.1}{:>9}  {:>7}{:>8}",
            shown(&market.market),
            market.years,
            market.gap_hours,
            moves.trips,
            moves.trips_per_year,
            moves.hours,
            moves.hours_per_year,
            sources.trips,
            sources.trips_per_year,
            sources.hours,
            sources.hours_per_year,
            market.by_source_then_market,
            market.large,
            market.large_caught,
        )?;
    }
    Ok(())
}

impl Calibration {
    /// Everything, in tables. `shown` makes names from outside harmless.
    #[must_use]
    pub fn text(&self, shown: Shown<'_>) -> String {
        let mut text = String::new();
        // Writing into a String can't fail.
        let _ = self.write(&mut text, shown);
        text
    }

    fn write(&self, out: &mut String, shown: Shown<'_>) -> fmt::Result {
        writeln!(out, "policy {}", self.policy_digest)?;
        writeln!(out, "\nTrips into ReduceOnly or stricter, and the hours until the mode was milder")?;
        table(out, &self.markets, shown)?;
        writeln!(
            out,
            "  moves: a detector of the market's move asked for it; sources: only detectors of sources did; of moves: of those, \
             such as a detector of the move joined later; large: bars from whose open the close is {LARGE_PERCENT}% away or more"
        )?;
        writeln!(out, "\nDetectors: how often each began to ask for as much / the trips at which it asked")?;
        write!(out, "  {:<8}", "market")?;
        for (name, class) in &self.detectors {
            let class = match class {
                Class::Market => "move",
                Class::Source => "source",
            };
            write!(out, "{:>22}", format!("{name} ({class})"))?;
        }
        writeln!(out)?;
        for market in &self.markets {
            write!(out, "  {:<8}", shown(&market.market))?;
            for asked in &market.detectors {
                write!(out, "{:>22}", format!("{} / {}", asked.asked, asked.trips))?;
            }
            writeln!(out)?;
        }
        writeln!(out, "\nWith every threshold of the detectors of the move scaled (a year: moves, sources)")?;
        writeln!(
            out,
            "  {:<8}{:>6}  {:>8}{:>8}  {:>8}{:>8}  {:>12}",
            "market", "scale", "trips", "hours", "trips", "hours", "large caught"
        )?;
        for row in &self.curve {
            writeln!(
                out,
                "  {:<8}{:>6}  {:>8.1}{:>8.1}  {:>8.1}{:>8.1}  {:>12}",
                shown(&row.market),
                format!("{}%", row.scale_percent),
                row.market_trips_per_year,
                row.market_hours_per_year,
                row.source_trips_per_year,
                row.source_hours_per_year,
                format!("{} of {}", row.large_caught, row.large),
            )?;
        }
        Ok(())
    }
}
