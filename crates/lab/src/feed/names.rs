//! What a symbol or a file name says: base asset, quote currency, venue, bar width. Nothing here guesses: two readings are none.

use super::Micros;
use super::time::parse_span;

/// Currencies that prices are quoted in, in the order in which a venue's plain name goes to one of several symbols of a market.
const QUOTES: [&str; 24] = [
    "USD", "USDT", "USDC", "FDUSD", "BUSD", "TUSD", "PYUSD", "USDP", "USDD", "DAI", "UST", "USD1", "EUR", "GBP", "JPY",
    "KRW", "TRY", "BRL", "AUD", "CHF", "CAD", "BTC", "ETH", "BNB",
];
/// How many of [`QUOTES`] are money rather than coins that are themselves markets.
const QUOTES_MONEY: usize = 21;

/// Assets that settle a symbol with two readings: `DOTUSD` is DOT in USD, not DO in TUSD.
const BASES: [&str; 119] = [
    "1INCH", "AAVE", "ADA", "AGIX", "ALGO", "ALICE", "ANKR", "APE", "APT", "AR", "ARB", "ATOM", "AUDIO", "AVAX", "AXS",
    "BAL", "BAND", "BAT", "BCH", "BLUR", "BNB", "BNT", "BONK", "BTC", "BTT", "CAKE", "CELO", "CHZ", "COMP", "CRO",
    "CRV", "CVX", "DASH", "DOGE", "DOT", "DYDX", "EGLD", "ENA", "ENJ", "ENS", "EOS", "ETC", "ETH", "ETHFI", "FET",
    "FIL", "FLOKI", "FLOW", "FTM", "FTT", "FXS", "GALA", "GMT", "GMX", "GRT", "HBAR", "HNT", "HYPE", "ICP", "IMX",
    "INJ", "IOTA", "JTO", "JUP", "KAVA", "KSM", "LDO", "LINK", "LRC", "LTC", "LUNA", "LUNC", "MANA", "MATIC", "MINA",
    "MKR", "NEAR", "NEO", "OCEAN", "OM", "ONDO", "OP", "ORDI", "PAXG", "PENDLE", "PEPE", "POL", "PYTH", "QNT",
    "RENDER", "RNDR", "RUNE", "SAND", "SEI", "SHIB", "SKY", "SNX", "SOL", "STETH", "STORJ", "STX", "SUI", "SUSHI",
    "TAO", "THETA", "TIA", "TON", "TRUMP", "TRX", "UNI", "VET", "WBTC", "WIF", "WLD", "WLFI", "XLM", "XMR", "XRP",
    "ZEC",
];

/// Words after a symbol that name the instrument and not the asset.
const INSTRUMENTS: [&str; 6] = ["PERP", "PERPETUAL", "SWAP", "SPOT", "INDEX", "FUTURES"];

/// A symbol taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) base: String,
    pub(crate) quote: String,
}

/// Splits `AAVE-USD`, `BTCUSDT`, `AAVEUSD_PERP`, `btc/usdt:usdt`. `None` if it has no reading or more than one.
pub(crate) fn split_symbol(symbol: &str) -> Option<Pair> {
    let symbol = symbol.trim().to_ascii_uppercase();
    let symbol = match symbol.split_once(':') {
        Some((pair, settled)) if QUOTES.contains(&settled) => pair.to_string(),
        Some(_) => return None,
        None => symbol,
    };
    let mut parts: Vec<&str> = symbol.split(['-', '_', '/']).collect();
    while parts.last().is_some_and(|last| INSTRUMENTS.contains(last)) {
        parts.pop();
    }
    match parts[..] {
        [whole] => split_joined(whole),
        [base, quote] if is_asset(base) && QUOTES.contains(&quote) => Some(pair(base, quote)),
        _ => None,
    }
}

fn split_joined(whole: &str) -> Option<Pair> {
    if QUOTES.contains(&whole) || !is_asset(whole) {
        return None;
    }
    let candidates: Vec<Pair> = QUOTES
        .iter()
        .enumerate()
        .filter_map(|(rank, quote)| {
            let base = whole.strip_suffix(quote)?;
            // A coin as quote only behind a base that is known: WBTC is an asset, not W in BTC.
            let plausible = !base.is_empty() && (rank < QUOTES_MONEY || is_known(base));
            plausible.then(|| pair(base, quote))
        })
        .collect();
    if BASES.contains(&whole) {
        return None;
    }
    match &candidates[..] {
        [] => None,
        [only] => Some(only.clone()),
        several => {
            let mut known = several.iter().filter(|c| is_known(&c.base));
            match (known.next(), known.next()) {
                (Some(one), None) => Some(one.clone()),
                _ => None,
            }
        }
    }
}

/// The quote currency of `symbol` where another column names the base: what remains once the base is taken away.
pub(crate) fn quote_after_base(symbol: &str, base: &str) -> Option<String> {
    let symbol = symbol.trim().to_ascii_uppercase();
    let rest = symbol.strip_prefix(&base.to_ascii_uppercase())?;
    let mut rest = rest.trim_start_matches(['-', '_', '/']);
    for instrument in INSTRUMENTS {
        if let Some(shorter) = rest.strip_suffix(instrument) {
            rest = shorter.trim_end_matches(['-', '_', '/']);
        }
    }
    QUOTES.contains(&rest).then(|| rest.to_string())
}

/// Letters and digits of a symbol: `BTC-USDT` and `BTCUSDT` name one instrument, `BTCUSD_PERP` another.
pub(crate) fn plain_symbol(symbol: &str) -> String {
    symbol.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// Where a quote currency stands in the order of preference.
pub(crate) fn quote_rank(quote: &str) -> usize {
    QUOTES.iter().position(|q| *q == quote).unwrap_or(QUOTES.len())
}

/// The operator behind a venue name: the name up to the first `-`, `_` or `:`. `binance`, `binance-delivery` and `binance_um` fail
/// together, so they count as one.
pub(crate) fn lineage(source: &str) -> String {
    let end = source.find(['-', '_', ':']).unwrap_or(source.len());
    source[..end].to_ascii_lowercase()
}

/// What a file name says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FileHint {
    pub(crate) source: Option<String>,
    pub(crate) symbol: Option<String>,
    pub(crate) pair: Option<Pair>,
    pub(crate) width: Option<Micros>,
}

/// Reads `binance_um_BTCUSDT_5m_2023-03-06_20.csv.gz` as source `binance_um`, symbol `BTCUSDT`, width 5 minutes.
pub(crate) fn file_hint(file_name: &str) -> FileHint {
    let stem = file_name.strip_suffix(".gz").unwrap_or(file_name);
    let stem = [".csv", ".txt", ".tsv"].iter().find_map(|end| stem.strip_suffix(end)).unwrap_or(stem);
    let tokens: Vec<&str> = stem.split('_').filter(|t| !t.is_empty()).collect();

    let mut widths = tokens.iter().filter_map(|t| width_token(t));
    let width = match (widths.next(), widths.next()) {
        (Some(first), None) => Some(first),
        _ => None,
    };
    let Some((at, symbol, pair)) = symbol_token(&tokens) else { return FileHint { width, ..FileHint::default() } };
    let source = (0 < at).then(|| tokens[..at].join("_"));
    FileHint { source, symbol: Some(symbol), pair: Some(pair), width }
}

fn symbol_token(tokens: &[&str]) -> Option<(usize, String, Pair)> {
    for (at, token) in tokens.iter().enumerate() {
        let shouted = !token.chars().any(|c| c.is_ascii_lowercase());
        let split = split_symbol(token).filter(|p| shouted || quote_rank(&p.quote) < QUOTES_MONEY);
        if let Some(pair) = split {
            let perpetual = tokens.get(at + 1).is_some_and(|next| next.eq_ignore_ascii_case("PERP"));
            let symbol = if perpetual { format!("{token}_PERP") } else { (*token).to_string() };
            return Some((at, symbol, pair));
        }
    }
    // `usdc_usd`, `btc_usdt`: two neighbours, the second of them money.
    for (at, neighbours) in tokens.windows(2).enumerate() {
        let (base, quote) = (neighbours[0].to_ascii_uppercase(), neighbours[1].to_ascii_uppercase());
        if is_asset(&base) && quote_rank(&quote) < QUOTES_MONEY {
            let symbol = format!("{base}-{quote}");
            return Some((at, symbol, Pair { base, quote }));
        }
    }
    None
}

fn width_token(token: &str) -> Option<Micros> {
    let unit = token.chars().last()?;
    let digits = token.strip_suffix(unit)?;
    let is_width = matches!(unit, 's' | 'm' | 'h' | 'd') && digits.bytes().all(|b| b.is_ascii_digit());
    is_width.then(|| parse_span(token)).flatten().filter(|w| 0 < *w)
}

fn pair(base: &str, quote: &str) -> Pair {
    let base = if base == "XBT" { "BTC" } else { base };
    Pair { base: base.to_string(), quote: quote.to_string() }
}

fn is_known(base: &str) -> bool {
    BASES.contains(&base) || QUOTES.contains(&base)
}

/// What may stand as an asset's name: 1 to 15 letters and digits.
pub(crate) fn is_asset(name: &str) -> bool {
    (1..=15).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(symbol: &str, want: &str) {
        let got = split_symbol(symbol).map_or("-".to_string(), |p| format!("{} {}", p.base, p.quote));
        assert_eq!(got, want, "{symbol}");
    }

    #[test]
    fn symbols() {
        check("AAVE-USD", "AAVE USD");
        check("BTCUSDT", "BTC USDT");
        check("btc/usdt:usdt", "BTC USDT");
        check("DOTUSD_PERP", "DOT USD");
        check("BTC-USDT-SWAP", "BTC USDT");
        check("XBTUSD", "BTC USD");
        check("USDEUSDT", "USDE USDT");
        check("USDCUSDT", "USDC USDT");
        check("1000PEPEUSDT", "1000PEPE USDT");
        check("ETHBTC", "ETH BTC");
        check("BNBBTC", "BNB BTC");
        check("BTCFDUSD", "BTC FDUSD");
        check("USTUSDT", "UST USDT");
    }

    #[test]
    fn two_readings_are_settled_by_a_known_asset_or_not_at_all() {
        check("DOTUSD", "DOT USD");
        check("BNBUSD", "BNB USD");
        check("SHIBUSD", "SHIB USD");
        check("BTCTUSD", "BTC TUSD");
        check("LUNABUSD", "LUNA BUSD");
        check("FOOTUSD", "-");
        // Any base has a price in money, only a known one in a coin.
        check("XYZCAD", "XYZ CAD");
        check("XYZBTC", "-");
        check("XYZ-BTC", "XYZ BTC");
    }

    #[test]
    fn what_is_no_pair_is_none() {
        check("BTC", "-");
        check("TUSD", "-");
        check("WBTC", "-");
        check("STETH", "-");
        check("INDEX-BTCUSD", "-");
        check("PERP", "-");
        check("BTC/USDT:XYZ", "-");
        check("BTC:USDT", "-");
        check("", "-");
        check("-USD", "-");
        check("ÄUSD", "-");
        check("AVERYVERYLONGNAMEUSD", "-");
    }

    #[test]
    fn the_base_column_leaves_the_quote() {
        assert_eq!(quote_after_base("DOTUSD_PERP", "DOT").as_deref(), Some("USD"));
        assert_eq!(quote_after_base("AAVE-USD", "AAVE").as_deref(), Some("USD"));
        assert_eq!(quote_after_base("xyz_btc-swap", "xyz").as_deref(), Some("BTC"));
        assert_eq!(quote_after_base("AAVE-XYZ", "AAVE"), None);
        assert_eq!(quote_after_base("AAVE", "BTC"), None);
    }

    #[test]
    fn file_names() {
        let hint = |name| {
            let h = file_hint(name);
            let pair = h.pair.map_or("-".to_string(), |p| format!("{} {}", p.base, p.quote));
            format!(
                "{} | {} | {pair} | {}",
                h.source.unwrap_or("-".into()),
                h.symbol.unwrap_or("-".into()),
                h.width.unwrap_or(0) / 1_000_000
            )
        };
        assert_eq!(hint("binance_um_BTCUSDT_5m_2023-03-06_20.csv.gz"), "binance_um | BTCUSDT | BTC USDT | 300");
        assert_eq!(hint("coinbase_BTC-USD_4h_2016-05_2022-10-24.csv.gz"), "coinbase | BTC-USD | BTC USD | 14400");
        assert_eq!(hint("BTCUSDT_1h.csv"), "- | BTCUSDT | BTC USDT | 3600");
        assert_eq!(
            hint("binance_cm_BTCUSD_PERP_markprice_1m_2025-10-09_10.csv.gz"),
            "binance_cm | BTCUSD_PERP | BTC USD | 60"
        );
        assert_eq!(hint("usdc_usd_15m_2023-03_depeg.csv"), "- | USDC-USD | USDC USD | 900");
        assert_eq!(hint("binance_btc_usdt_1h.csv"), "binance | BTC-USDT | BTC USDT | 3600");
        assert_eq!(hint("trades_1s_bars_20h45_22h15.csv.gz"), "- | - | - | 1");
        assert_eq!(hint("panel_1h_2022-05-01_2022-06-30.csv.gz"), "- | - | - | 3600");
        assert_eq!(hint("tradingview_INDEX-BTCUSD_1d_2011_2022-10-24.csv.gz"), "- | - | - | 86400");
        assert_eq!(hint("ethbtc_1h.csv"), "- | - | - | 3600");
        assert_eq!(hint("ETHBTC_1h.csv"), "- | ETHBTC | ETH BTC | 3600");
        assert_eq!(hint("ethcad_1h.csv"), "- | ethcad | ETH CAD | 3600");
        assert_eq!(hint("eth_btc_1h.csv"), "- | - | - | 3600");
        assert_eq!(hint("eth_cad_1h.csv"), "- | ETH-CAD | ETH CAD | 3600");
        assert_eq!(hint("BTCUSDT_1m_5m.csv"), "- | BTCUSDT | BTC USDT | 0");
        assert_eq!(hint("sp500.csv.gz"), "- | - | - | 0");
        assert_eq!(hint("labels.csv.gz"), "- | - | - | 0");
        assert_eq!(hint("uniswap_v3_USDe-USDT_per_block_2025-10-10.csv.gz"), "uniswap_v3 | USDe-USDT | USDE USDT | 0");
    }

    #[test]
    fn a_width_in_a_file_name_is_a_count_and_one_letter() {
        assert_eq!(width_token("1s"), Some(1_000_000));
        for token in ["", "m", "0m", "5", "5ms", "5us", "x5m", "5x", "µ"] {
            assert_eq!(width_token(token), None, "{token}");
        }
    }

    #[test]
    fn an_asset_has_one_to_fifteen_letters_and_digits() {
        assert!(is_asset("A") && is_asset("1INCH") && is_asset(&"A".repeat(15)));
        assert!(!is_asset("") && !is_asset(&"A".repeat(16)) && !is_asset("A-B") && !is_asset("Ä"));
    }

    #[test]
    fn venues_of_one_operator_share_a_lineage() {
        for name in ["binance", "binance-delivery", "Binance_um", "binance:BTCBUSD"] {
            assert_eq!(lineage(name), "binance");
        }
        assert_eq!(lineage("binanceus"), "binanceus");
    }
}
