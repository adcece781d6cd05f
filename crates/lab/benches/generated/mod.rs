//! A feed that looks like a real one: three venues' second bars of one market, as gz files.

use flate2::{Compression, write::GzEncoder};
use lab::feed::{BarsArg, Feed, FeedOptions};
use policy::Policy;
use std::io::{BufWriter, Write};
use std::path::Path;

/// The policies that come with the repository: the default one and the competent baseline's.
pub fn policies() -> (Policy, Policy) {
    let parse = |name: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies").join(name);
        let text = std::fs::read_to_string(&path).expect("a policy of the repository");
        Policy::parse(&text, name).expect("it is well formed")
    };
    (parse("default.toml"), parse("competent.toml"))
}

/// The number that follows `--bars` or `--rounds` on the command line.
pub fn number(name: &str, otherwise: i64) -> i64 {
    let arguments: Vec<String> = std::env::args().collect();
    let place = arguments.iter().position(|argument| argument == name);
    let given = place.and_then(|place| arguments.get(place + 1)).map(|text| text.parse().expect("a number"));
    given.unwrap_or(otherwise)
}

/// How the files are opened: given files, or `bars` seconds of three venues written to `dir`.
pub fn options(dir: &Path, bars: i64) -> FeedOptions {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let value = |(place, _): &(usize, &String)| {
        arguments.get(place.wrapping_sub(1)).is_some_and(|before| ["--bars", "--rounds"].contains(&before.as_str()))
    };
    let files = arguments.iter().enumerate().filter(|argument| !argument.1.starts_with("--") && !value(argument));
    let given: Vec<String> = files.map(|(_, file)| file.clone()).collect();
    let named = |text: &String| BarsArg::parse(text).expect("a file of bars");
    if !given.is_empty() {
        return FeedOptions::new(given.iter().map(named).collect(), Vec::new());
    }
    let files = ["one", "two", "three"].into_iter().zip(1..).map(|(venue, seed)| {
        let path = dir.join(format!("{venue}_BTCUSDT_1s.csv.gz"));
        write(&path, bars, seed);
        format!("{}:source={venue},market=BTC,quote=USDT", path.display())
    });
    FeedOptions::new(files.map(|text| named(&text)).collect(), Vec::new())
}

/// Opened, with the number of observations in it.
pub fn open(options: &FeedOptions) -> (Feed, u64) {
    let feed = Feed::open(options).expect("opens");
    let observations = feed.counts().observations;
    (feed, observations)
}

/// Second bars of a price that wanders and falls by a tenth now and then; each venue a little apart.
fn write(path: &Path, bars: i64, seed: u64) {
    let file = std::fs::File::create(path).expect("create");
    let mut out = GzEncoder::new(BufWriter::new(file), Compression::default());
    writeln!(out, "ts_ms,open,high,low,close,volume").expect("write");
    let (mut common, mut own): (u64, u64) = (7, seed);
    let mut price: i64 = 12_000_000;
    for second in 0..bars {
        let next = |noise: &mut u64| {
            *noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *noise >> 40
        };
        let (walk, apart) = (next(&mut common), next(&mut own));
        let fall = if second % 20_000 == 19_000 { price / 10 } else { 0 };
        let close = price + (walk & 2_047) as i64 - 1_023 - fall + (12_000_000 - price) / 4_096;
        let (low, high) = (price.min(close) - (apart & 255) as i64, price.max(close) + (apart >> 8 & 255) as i64);
        let cents = |price: i64| format!("{}.{:02}", price / 100, price % 100);
        let time = 1_760_129_100_000 + second * 1_000;
        let volume = 10 + apart % 100;
        writeln!(out, "{time},{},{},{},{},{volume}", cents(price), cents(high), cents(low), cents(close))
            .expect("write");
        price = close;
    }
    out.finish().expect("finish").flush().expect("flush");
}
