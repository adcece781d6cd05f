//! Every kind of bad input: a clear error, or counted and listed while the rest goes on.

mod feed_support;

use feed_support::{Files, START, echoes, gz, listed, minute_bars, open, open_quotes};
use lab::feed::{BarsArg, Feed, FeedError, FeedOptions, Reason};

const HEADER: &str = "ts_s,open,high,low,close,volume\n";

fn bar(minute: i64, rest: &str) -> String {
    format!("{},{rest}\n", START + 60 * minute)
}

fn good(minute: i64) -> String {
    bar(minute, "100,110,90,105,3")
}

/// One bad line between good ones: the good ones are used, the bad one is listed for this reason.
#[track_caller]
fn check(bad_line: impl AsRef<[u8]>, want: &str) {
    let files = Files::new();
    let mut bytes = [HEADER.as_bytes(), good(0).as_bytes(), good(1).as_bytes()].concat();
    bytes.extend_from_slice(bad_line.as_ref());
    bytes.extend_from_slice(good(3).as_bytes());
    for (name, bytes) in [("a.csv", bytes.clone()), ("a.csv.gz", gz(&bytes))] {
        let feed = open(minute_bars(files.put(name, bytes))).expect("the rest can go on");
        assert_eq!(listed(&feed), format!("4:{want}"));
        let counts = feed.counts();
        assert_eq!((counts.input, counts.used, counts.listed, counts.observations), (4, 3, 1, 12));
    }
}

#[test]
fn a_price_that_is_no_price() {
    check(bar(2, "NaN,110,90,105,3"), "price_not_a_number");
    check(bar(2, "100,nan,90,105,3"), "price_not_a_number");
    check(bar(2, "100,inf,90,105,3"), "price_infinite");
    check(bar(2, "100,110,-inf,105,3"), "price_infinite");
    check(bar(2, "100,1e400,90,105,3"), "price_too_large");
    check(bar(2, "100,110,1e-400,105,3"), "price_too_small");
    check(bar(2, "100,110,0,105,3"), "price_zero");
    check(bar(2, "100,110,0.000,105,3"), "price_zero");
    check(bar(2, "100,110,-90,105,3"), "price_negative");
    check(bar(2, "100,110,-1e-400,105,3"), "price_negative");
    check(bar(2, "100,110,90,,3"), "price_missing");
    check(bar(2, "100,110,90,12x,3"), "price_malformed");
}

#[test]
fn prices_at_odds_with_each_other() {
    check(bar(2, "100,90,110,105,3"), "high_below_low");
    check(bar(2, "111,110,90,105,3"), "open_outside_range");
    check(bar(2, "89.99,110,90,105,3"), "open_outside_range");
    check(bar(2, "100,110,90,110.01,3"), "close_outside_range");
    check(bar(2, "100,110,90,89,3"), "close_outside_range");
}

#[test]
fn volumes() {
    check(bar(2, "100,110,90,105,-1"), "bad_volume");
    check(bar(2, "100,110,90,105,nan"), "bad_volume");
    check(bar(2, "100,110,90,105,1e400"), "bad_volume");
}

#[test]
fn times() {
    check("yesterday,100,110,90,105,3\n", "bad_time");
    check(",100,110,90,105,3\n", "bad_time");
    check("0,100,110,90,105,3\n", "absurd_time");
    check("631151999,100,110,90,105,3\n", "absurd_time");
    check("4102444800,100,110,90,105,3\n", "absurd_time");
    check(format!("{}000,100,110,90,105,3\n", START + 120), "absurd_time");
    check(good(1), "duplicate");
    check(bar(1, "100,999,90,105,3"), "duplicate");
    check(good(0), "out_of_order");
}

#[test]
fn a_receive_lag_is_at_most_a_day() {
    let files = Files::new();
    let lags = ["86400000", "86400000.001", "nan", "", "0"];
    let rows: String = (0..).zip(lags).map(|(minute, lag)| bar(minute, &format!("5,5,5,5,{lag}"))).collect();
    let path = files.put("a.csv", format!("ts_s,open,high,low,close,recv_lag_ms_max\n{rows}"));
    let feed = open(minute_bars(path)).expect("opens");
    assert_eq!(listed(&feed), "3:bad_lag 4:bad_lag 5:bad_lag");
    let details: Vec<&str> = feed.quarantine.samples().map(|l| l.detail.as_str()).collect();
    assert_eq!(details, ["86400000.001: more than a day", "nan: NotANumber", ": Empty"]);
}

#[test]
fn a_unit_in_the_name_of_a_column_holds_for_its_first_row() {
    let files = Files::new();
    // The first row is written in another unit than the name says; one of seconds would be a good time if the row decided.
    for (name, wrong, zeros) in
        [("ts_s", "000", ""), ("ts_ms", "", "000"), ("ts_us", "", "000000"), ("ts_ns", "", "000000000")]
    {
        let rows = format!("{START}{wrong},5,5,5,5\n{}{zeros},5,5,5,5\n", START + 60);
        let feed = open(minute_bars(files.put("a.csv", format!("{name},open,high,low,close\n{rows}")))).expect("opens");
        assert_eq!((listed(&feed).as_str(), feed.counts().used), ("2:absurd_time", 1), "{name}");
    }
}

#[test]
fn what_is_refused_by_its_place_is_listed_with_its_values() {
    let shown = |feed: &Feed| {
        let sample = feed.quarantine.samples().next().expect("listed");
        format!("{}: {}: {}: {}", sample.line, sample.reason.name(), sample.detail, sample.text)
    };
    let files = Files::new();
    let text = [HEADER.to_string(), good(0), bar(0, "100,110.5,90,105,3")].concat();
    assert_eq!(
        shown(&open(minute_bars(files.put("a.csv", text))).expect("opens")),
        "3: duplicate: 2025-10-10T20:45:00Z after 2025-10-10T20:45:00Z in line 2: \
         2025-10-10T20:45:00Z open 100 high 110.5 low 90 close 105"
    );
    let text = [HEADER.to_string(), good(9), good(1), good(2)].concat();
    assert_eq!(
        shown(&open(minute_bars(files.put("a.csv", text))).expect("opens")),
        "2: time_jump: 2025-10-10T20:54:00Z is ahead of the rows that follow: 2025-10-10T20:46:00Z: \
         2025-10-10T20:54:00Z open 100 high 110 low 90 close 105"
    );
    let quote = format!("o,BTC,100,0.5,{START},{START}\n");
    assert_eq!(
        shown(&open_quotes(files.put("q.csv", format!("{QUOTES}{quote}{quote}"))).expect("opens")),
        "3: duplicate: received 2025-10-10T20:45:00Z published 2025-10-10T20:45:00Z after \
         received 2025-10-10T20:45:00Z published 2025-10-10T20:45:00Z in line 2: \
         received 2025-10-10T20:45:00Z published 2025-10-10T20:45:00Z price 100 confidence 0.5"
    );
}

#[test]
fn one_time_far_ahead_costs_one_row() {
    let files = Files::new();
    let text = [HEADER.to_string(), good(0), good(1), good(1_000_000), good(2), good(3), good(4)].concat();
    let feed = open(minute_bars(files.put("a.csv", text))).expect("opens");
    assert_eq!(listed(&feed), "4:time_jump");
    assert_eq!(feed.counts().used, 5);
}

#[test]
fn lines_that_are_no_rows() {
    check(b"1760129220,100,110,90,\xff\xfe,3\n", "bad_utf8");
    check(b"\x00\x01\x02\x03\x7f\n", "binary_bytes");
    check(b"1760129220,100,110,90,105\n", "wrong_field_count");
    check(b"1760129220,100,110,90,105,3,9\n", "wrong_field_count");
    check(b"1760129220,\"100,110,90,105,3\n", "bad_quoting");
    check(b"1760129220,100,110,90,105,\"3\"\"\n", "bad_quoting");
    check(vec![b'7'; 65_537].into_iter().chain([b'\n']).collect::<Vec<u8>>(), "line_too_long");
}

#[test]
fn a_line_of_64_kib_is_read_and_one_byte_more_is_not() {
    let padded = |length: usize| {
        let row = good(2);
        let row = row.trim_end();
        format!("{}{row}\n", " ".repeat(length - row.len()))
    };
    let files = Files::new();
    let text = |length| [HEADER.to_string(), good(0), good(1), padded(length), good(3)].concat();
    let feed = open(minute_bars(files.put("fits.csv", text(65_536)))).expect("opens");
    assert_eq!((feed.counts().used, listed(&feed).as_str()), (4, ""));
    let feed = open(minute_bars(files.put("long.csv", text(65_537)))).expect("opens");
    assert_eq!((feed.counts().used, listed(&feed).as_str()), (3, "4:line_too_long"));
}

#[test]
fn a_hundred_megabyte_line_is_one_listed_row() {
    const LENGTH: usize = 100 << 20;
    let files = Files::new();
    let bytes = [HEADER.as_bytes(), good(0).as_bytes(), &vec![b'a'; LENGTH], b"\n", good(1).as_bytes()].concat();
    let feed = open(minute_bars(files.put("a.csv.gz", gz(&bytes)))).expect("opens");
    assert_eq!(listed(&feed), "3:line_too_long");
    let sample = feed.quarantine.samples().next().expect("listed");
    assert_eq!(sample.detail, format!("{LENGTH} bytes"));
    assert_eq!(feed.counts().used, 2);
    assert_eq!(feed.replay().expect("replay").last().expect("events").expect("read").line, 4);
}

#[test]
fn a_long_line_at_the_end_without_newline() {
    let files = Files::new();
    let bytes = [HEADER.as_bytes(), good(0).as_bytes(), &[b'a'; 300_000]].concat();
    let feed = open(minute_bars(files.put("a.csv", bytes))).expect("opens");
    assert_eq!(listed(&feed), "3:line_too_long");
    assert_eq!(feed.quarantine.samples().next().expect("listed").detail, "300000 bytes");
}

#[test]
fn a_truncated_gzip_keeps_its_whole_lines_and_says_where_it_ends() {
    let files = Files::new();
    let text: String = [HEADER.to_string()].into_iter().chain((0..2_000).map(good)).collect();
    let whole = gz(text.as_bytes());
    for keep in [whole.len() / 2, whole.len() - 9, whole.len() - 1] {
        let feed = open(minute_bars(files.put("a.csv.gz", &whole[..keep]))).expect("opens");
        assert_eq!(feed.quarantine.count(Reason::TruncatedFile), 1, "{keep}");
        assert_eq!(feed.quarantine.total(), 1);
        let used = feed.counts().used;
        assert!(0 < used && used <= 2_000, "{used}");
        let sample = feed.quarantine.samples().next().expect("listed");
        assert_eq!(sample.line, used + 2, "the line after the last whole one");
    }
}

#[test]
fn a_gzip_followed_by_other_bytes_or_damaged_says_so() {
    let files = Files::new();
    let text: String = [HEADER.to_string()].into_iter().chain((0..2_000).map(good)).collect();
    let mut followed = gz(text.as_bytes());
    followed.extend_from_slice(b"garbage after the end of it");
    let feed = open(minute_bars(files.put("followed.csv.gz", followed))).expect("opens");
    assert_eq!(feed.counts().used, 2_000);
    assert_eq!(listed(&feed), "2002:corrupt_file");

    let mut damaged = gz(text.as_bytes());
    let sum = damaged.len() - 8;
    damaged[sum] ^= 1;
    let feed = open(minute_bars(files.put("damaged.csv.gz", damaged))).expect("opens");
    assert_eq!(feed.quarantine.count(Reason::CorruptFile), 1);
}

#[test]
fn members_of_a_gzip_are_one_text() {
    let files = Files::new();
    let text = [HEADER.to_string(), good(0), good(1), good(2)].concat();
    let (left, right) = text.as_bytes().split_at(50);
    let feed = open(minute_bars(files.put("misnamed.csv", [gz(left), gz(right)].concat()))).expect("opens");
    assert_eq!((feed.counts().used, feed.counts().listed), (3, 0));
    assert_eq!(echoes(&feed, "gzip, by its first bytes"), 1);
}

#[track_caller]
fn refused(name: &str, bytes: impl AsRef<[u8]>) -> String {
    let files = Files::new();
    let error = open(minute_bars(files.put(name, bytes))).expect_err("refused");
    error.to_string().replace(&files.path("").display().to_string(), "")
}

#[test]
fn files_that_cannot_be_used_at_all() {
    assert_eq!(refused("a.csv", ""), "a.csv: an empty file");
    assert_eq!(refused("a.csv", "\n\n"), "a.csv: an empty file");
    assert_eq!(refused("a.csv", gz(b"")), "a.csv: an empty file");
    assert_eq!(refused("a.csv", HEADER), "a.csv: a header and no rows");
    assert_eq!(refused("a.csv", b"PK\x03\x04rest"), "a.csv: this is zip; needed is CSV, plain or gzip");
    assert_eq!(refused("a.csv", b"\xff\xfet\x00s\x00"), "a.csv: this is UTF-16 text; needed is CSV, plain or gzip");
    assert!(refused("a.csv", [0x1f, 0x8b, 8, 0]).starts_with("a.csv:1: found a broken gzip stream"));
    assert!(
        refused("a.csv", b"\x01\x02\x03\n")
            .starts_with("a.csv:1: found \\u{1}\\u{2}\\u{3}; needed is a header line of text")
    );
    assert!(
        refused("a.csv", b"ts\xff,open\n").starts_with("a.csv:1: found ts\\xff,open; needed is a header line in UTF-8")
    );
    assert!(
        refused("a.csv", vec![b'x'; 70_000])
            .starts_with("a.csv:1: found a line of 70000 bytes; needed is a header line")
    );
    let wrong = refused("a.csv", "ts_s,price\n1,2\n");
    assert!(wrong.starts_with("a.csv:1: found ts_s,price; needed is bars: a time"), "{wrong}");
    let twice = refused("a.csv", "ts_s,open,high,low,close,close\n");
    assert!(twice.ends_with("needed is one column \"close\", not two"), "{twice}");
    let columns = |count: usize| format!("ts_s,{}\n", vec!["x"; count - 1].join(","));
    let most = refused("a.csv", columns(256));
    assert!(most.contains("needed is bars: a time"), "{most}");
    assert_eq!(refused("a.csv", columns(257)), "a.csv:1: found 257 columns; needed is at most 256 columns");
    let missing = Feed::open(&FeedOptions::new(vec![BarsArg::file("no/such/file.csv")], vec![])).expect_err("refused");
    assert!(missing.to_string().starts_with("no/such/file.csv: cannot be read"), "{missing}");
    assert!(matches!(Feed::open(&FeedOptions::new(vec![], vec![])), Err(FeedError::NoFiles)));
}

#[test]
fn sixteen_lines_before_the_header_are_skipped() {
    let files = Files::new();
    let preamble = |lines: usize| {
        let first = "# 1\n\nsep=,\nhttps://example.org\n";
        format!("{first}{}{HEADER}{}", "#\n".repeat(lines - 4), good(0))
    };
    let feed = open(minute_bars(files.put("a.csv", preamble(16)))).expect("opens");
    assert_eq!(feed.counts().used, 1);
    assert_eq!(echoes(&feed, "was skipped"), 15);
    for what in ["line 1 was skipped: # 1", "line 3 was skipped: sep=,", "line 4 was skipped: https://example.org"] {
        assert_eq!(echoes(&feed, what), 1, "{what}");
    }
    let error = refused("a.csv", preamble(17));
    assert!(error.starts_with("a.csv:17: found #; needed is bars: a time"), "{error}");
}

#[test]
fn klines_without_a_header_have_twelve_columns_and_a_count_of_ten_digits() {
    let named = |row: &str| refused("a.csv", format!("{row}\n"));
    for row in [
        "999999999,5,6,4,5,10,1,1,1,1,1,0",
        "176012910x,5,6,4,5,10,1,1,1,1,1,0",
        "1760129100,5,6,4,5,10,1,1,1,1,1",
        "1760129100,5,6,4,5,ten,1,1,1,1,1,0",
    ] {
        let error = named(row);
        assert!(error.starts_with(&format!("a.csv:1: found {row}; needed is bars: a time")), "{error}");
    }
    let files = Files::new();
    let path = files.put("a.csv", "1760129100,5,6,4,5,10,1,1,1,1,1,0\n");
    assert_eq!(open(minute_bars(path)).expect("opens").counts().used, 1);
}

#[test]
fn a_file_of_which_no_row_is_good_is_an_error_that_shows_one() {
    let text = [HEADER.to_string(), bar(0, "0,0,0,0,0"), bar(1, "0,0,0,0,0")].concat();
    let want = "no row can be used: 2 of 2 are quarantined, such as a.csv:2: price_zero: open 0";
    assert_eq!(refused("a.csv", text), want);
}

#[test]
fn rows_that_a_filter_set_aside_are_not_among_those_that_cannot_be_used() {
    let files = Files::new();
    let text = [HEADER.to_string(), good(0), bar(1, "0,0,0,0,0")].concat();
    let arg = minute_bars(files.put("a.csv", text));
    let opened = |from: i64, to: i64| {
        let options = FeedOptions {
            from: Some((START + from) * 1_000_000),
            to: Some((START + to) * 1_000_000),
            ..FeedOptions::new(vec![arg.clone()], vec![])
        };
        let error = Feed::open(&options).expect_err("refused").to_string();
        error.replace(&files.path("").display().to_string(), "")
    };
    let want = "no row can be used: 1 of 1 are quarantined, such as a.csv:3: price_zero: open 0";
    assert_eq!(opened(60, 120), want);
    assert_eq!(opened(61, 120), "all 2 rows are outside the markets or times asked for");
}

#[test]
fn names_that_nothing_decides_name_the_option() {
    let files = Files::new();
    let text = [HEADER.to_string(), good(0), good(1), good(2)].concat();
    let path = files.put("BTCUSDT_1m.csv", &text);
    let error = open(BarsArg::file(&path)).expect_err("no source").to_string();
    assert!(
        error.contains("neither the columns nor the file name say which source (venue) its prices come from; give"),
        "{error}"
    );
    assert!(error.ends_with(":source=NAME"), "{error}");
    let error = open(BarsArg::file(files.put("prices.csv", &text))).expect_err("no names").to_string();
    assert!(error.ends_with(":source=NAME,market=NAME,quote=NAME"), "{error}");
}

#[test]
fn a_width_is_inferred_or_asked_for_but_not_guessed() {
    let files = Files::new();
    let names = |path: &std::path::Path| {
        BarsArg::parse(&format!("{}:source=v,market=BTC,quote=USD", path.display())).expect("parses")
    };
    let with = |name: &str, minutes: &[i64]| {
        let rows: String = minutes.iter().map(|m| good(*m)).collect();
        open(names(&files.put(name, format!("{HEADER}{rows}"))))
    };
    assert_eq!(with("a.csv", &[0, 1, 2]).expect("three rows").series[0].width, Some(60_000_000));
    assert_eq!(with("a.csv", &[0, 5, 15, 20]).expect("steps of 5 and 10").series[0].width, Some(300_000_000));
    assert_eq!(with("a_1m.csv", &[0, 5]).expect("the name says it").series[0].width, Some(60_000_000));
    let refused = |result: Result<Feed, FeedError>| result.expect_err("refused").to_string();
    assert!(refused(with("a.csv", &[0, 1])).contains("(fewer than three rows of one series); give --bars"));
    assert!(
        refused(with("a.csv", &[0, 10, 25, 40, 55])).contains("3 of 4 steps are not multiples of the smallest, 10m")
    );
    assert!(refused(with("a_1h.csv", &[0, 1, 2])).contains("the file name says 1h, but 2 rows are only 1m apart"));
    // Steps in minutes, so many of each.
    let steps = |name: &str, steps: &[(usize, i64)]| {
        let mut minutes = vec![0];
        for (count, step) in steps {
            for _ in 0..*count {
                minutes.push(minutes.last().expect("a minute") + step);
            }
        }
        match with(name, &minutes) {
            Ok(feed) => format!("{}m", feed.series[0].width.expect("bars") / 60_000_000),
            Err(error) => {
                let text = error.to_string();
                let (_, why) = text.split_once('(').expect("why");
                why.split_once(')').expect("why").0.to_string()
            }
        }
    };
    // One step in twenty may be shorter than the name says, one in four no multiple of it.
    assert_eq!(steps("a_5m.csv", &[(38, 5), (2, 1)]), "5m");
    assert_eq!(steps("a_5m.csv", &[(37, 5), (2, 1)]), "the file name says 5m, but 2 rows are only 1m apart");
    assert_eq!(steps("a_5m.csv", &[(6, 5), (2, 7)]), "5m");
    assert_eq!(steps("a_5m.csv", &[(5, 5), (2, 7)]), "the file name says 5m, but 2 of 7 steps are not multiples of it");
    // Without a name a smallest step is believed that is one in twenty, or the most common one.
    assert_eq!(steps("a.csv", &[(38, 60), (2, 1)]), "1m");
    assert_eq!(steps("a.csv", &[(39, 60), (2, 1)]), "most rows are 1h apart, but 2 of 41 only 1m");
    assert_eq!(steps("a.csv", &[(1, 5), (3, 10)]), "5m");
    let all_different: Vec<(usize, i64)> = (1..=22).map(|step| (1, step)).collect();
    assert_eq!(steps("a.csv", &all_different), "1m");
    assert_eq!(steps("a.csv", &[(18, 10), (2, 15)]), "10m");
    assert_eq!(steps("a.csv", &[(17, 10), (2, 15)]), "2 of 19 steps are not multiples of the smallest, 10m");
    let hourly_with_one_stray: Vec<i64> = (0..50).map(|h| h * 60).chain([49 * 60 + 1]).collect();
    assert!(refused(with("a.csv", &hourly_with_one_stray)).contains("most rows are 1h apart, but 1 of 50 only 1m"));
}

#[test]
fn dates_with_slashes_are_never_read_both_ways() {
    let files = Files::new();
    let text = "Date,Open,High,Low,Close\n1/10/2025,1,1,1,1\n2/10/2025,1,1,1,1\n13/10/2025,1,1,1,1\n";
    let path = files.put("a.csv", text);
    let error = open(BarsArg::parse(&format!("{}:source=v,market=X,quote=USD", path.display())).expect("parses"))
        .expect_err("refused");
    assert!(
        error.to_string().contains("a.csv:4: 13/10/2025 shows that day and month were read the wrong way round"),
        "{error}"
    );
    let arg = BarsArg::parse(&format!("{}:source=v,market=X,quote=USD,dates=dmy", path.display())).expect("parses");
    assert_eq!(open(arg).expect("day first").counts().used, 3);

    // The same where the first date already shows it.
    let path =
        files.put("b.csv", "Date,Open,High,Low,Close\n31/10/2025,1,1,1,1\n1/11/2025,1,1,1,1\n2/11/2025,1,1,1,1\n");
    let error = open(BarsArg::parse(&format!("{}:source=v,market=X,quote=USD", path.display())).expect("parses"));
    assert!(error.expect_err("refused").to_string().contains("b.csv:2: 31/10/2025 shows"));

    // Where no date shows it, the echo says so.
    let path =
        files.put("c.csv", "Date,Open,High,Low,Close\n1/10/2025,1,1,1,1\n1/11/2025,1,1,1,1\n1/12/2025,1,1,1,1\n");
    let arg = BarsArg::parse(&format!("{}:source=v,market=X,quote=USD", path.display())).expect("parses");
    let feed = open(arg).expect("opens");
    assert_eq!(echoes(&feed, "M/D/YYYY, UTC (no date in it tells day and month apart"), 1);
}

const QUOTES: &str = "source,market,price,confidence,published_at,received_at\n";

/// Quotes at (published, received) seconds after the start, in one series.
#[track_caller]
fn check_quotes(rows: &[(i64, i64)], want: &str) {
    let files = Files::new();
    let line =
        |(published, received): &(i64, i64)| format!("o,BTC,100,0.5,{},{}\n", START + published, START + received);
    let text: String = rows.iter().map(line).collect();
    let feed = open_quotes(files.put("q.csv", format!("{QUOTES}{text}"))).expect("opens");
    assert_eq!(listed(&feed), want);
}

#[test]
fn quote_times() {
    check_quotes(&[(0, 0), (1, 1), (2, 3)], "");
    check_quotes(&[(0, 0), (2, 1), (2, 3)], "3:future_dated");
    check_quotes(&[(0, 0), (1, 2), (1, 1), (3, 3)], "4:clock_back");
    check_quotes(&[(0, 0), (2, 2), (1, 3), (3, 4)], "4:out_of_order");
    check_quotes(&[(0, 1), (0, 1), (0, 2)], "3:duplicate");
    check_quotes(&[(0, 1), (0, 2), (1, 2)], "");
}

#[test]
fn quotes_that_are_no_quotes() {
    let files = Files::new();
    let rows = format!(
        "o,BTC,100,0.5,{START},{START}\n,BTC,100,1,{START},{START}\no,B?C,100,1,{START},{START}\no,BTC,0,1,{START},{START}\n\
         o,BTC,100,-1,{START},{START}\no,BTC,100,nan,{START},{START}\no,BTC,100,1,,{START}\no,BTC,100,1,{START},5\n"
    );
    let feed = open_quotes(files.put("q.csv", format!("{QUOTES}{rows}"))).expect("opens");
    let want =
        "3:unknown_source 4:unknown_market 5:price_zero 6:bad_confidence 7:bad_confidence 8:bad_time 9:absurd_time";
    assert_eq!(listed(&feed), want);
    let details: Vec<&str> = feed.quarantine.samples().map(|l| l.detail.as_str()).collect();
    assert_eq!(details, ["", "B?C in USD", "", "5", "price 0", "below zero", "NotANumber"],);
    let error = open_quotes(files.put("w.csv", "source,market,price\n")).expect_err("refused").to_string();
    assert!(
        error.contains("w.csv:1: found source,market,price; needed is quotes: source, market, price, confidence"),
        "{error}"
    );
}

#[test]
fn a_market_that_the_policy_does_not_have_is_listed_and_one_not_asked_for_is_set_aside() {
    let files = Files::new();
    let rows: String = (0..3).map(|m| format!("BTCUSDT,{}", good(m)) + &format!("ETHUSDT,{}", good(m))).collect();
    let path = files.put("venue_1m.csv", format!("symbol,{HEADER}{rows}"));
    let arg = BarsArg::parse(&format!("{}:source=venue", path.display())).expect("parses");
    let options =
        FeedOptions { markets_known: Some(vec!["BTC".into()]), ..FeedOptions::new(vec![arg.clone()], vec![]) };
    let feed = Feed::open(&options).expect("opens");
    assert_eq!(listed(&feed), "3:unknown_market 5:unknown_market 7:unknown_market");
    assert_eq!(feed.counts().input, 6);
    let options = FeedOptions { market_filter: Some(vec!["btc".into()]), ..FeedOptions::new(vec![arg], vec![]) };
    let feed = Feed::open(&options).expect("opens");
    let counts = feed.counts();
    assert_eq!((counts.rows, counts.filtered, counts.input, counts.used, counts.listed), (6, 3, 3, 3, 0));
}

#[test]
fn a_symbol_without_one_reading_is_listed_with_the_option_to_give() {
    let opened = |columns: &str, names: &[&str], options: &str| {
        let files = Files::new();
        let rows: String = names.iter().map(|names| format!("{names},{START},5,5,5,5\n")).collect();
        let path = files.put("a.csv", format!("{columns},ts_s,open,high,low,close\n{rows}"));
        let arg = BarsArg::parse(&format!("{}:width=1m{options}", path.display())).expect("parses");
        let feed = open(arg).expect("opens");
        let listed: Vec<String> =
            feed.quarantine.samples().map(|l| format!("{}:{}: {}", l.line, l.reason.name(), l.detail)).collect();
        let series: Vec<String> = feed
            .series
            .iter()
            .map(|s| format!("{} {} {}", feed.markets[s.market as usize].name, s.symbol, s.quote))
            .collect();
        (series.join(", "), listed.join(", "))
    };
    let check = |columns: &str, names: &[&str], options: &str, series: &str, listed: &str| {
        assert_eq!(opened(columns, names, options), (series.to_string(), listed.to_string()));
    };
    check(
        "symbol",
        &["BTC-USD", "FOOTUSD"],
        ",source=v",
        "BTC BTCUSD USD",
        "3:unknown_market: symbol FOOTUSD has no single reading as base and quote: give quote=, or market= and quote=",
    );
    check(
        "symbol",
        &["btc", "BTC-USD", "B?C"],
        ",source=v,quote=USD",
        "BTC BTC USD, BTC BTCUSD USD",
        "4:unknown_market: symbol B?C has no single reading as base and quote: give quote=, or market= and quote=",
    );
    check(
        "symbol,base",
        &["AAVE-USD,aave", "AAVE-XYZ,AAVE", "AAVE-USD,A?"],
        ",source=v",
        "AAVE AAVEUSD USD",
        "3:unknown_market: symbol AAVE-XYZ has no single reading as base and quote: give quote=, 4:unknown_market: A? is no asset",
    );
    check("venue,symbol", &["v,BTC-USD", "a b,BTC-USD"], "", "BTC BTCUSD USD", "3:unknown_source: a b");
}

#[test]
fn a_series_of_which_no_row_is_good_is_none() {
    let files = Files::new();
    let text = format!("symbol,{HEADER}BTC-USD,{}ETH-USD,{}", good(0), bar(0, "0,0,0,0,0"));
    let feed =
        open(BarsArg::parse(&format!("{}:source=v,width=1m", files.put("a.csv", text).display())).expect("parses"))
            .expect("opens");
    assert_eq!((feed.series.len(), feed.markets.len(), listed(&feed).as_str()), (1, 1, "3:price_zero"));
}

#[test]
fn the_listing_on_disk_is_complete() {
    let files = Files::new();
    let rows: String = (0..5_000).map(|m| if m % 2 == 0 { good(m) } else { bar(m, "0,1,1,1,1") }).collect();
    let mut feed = open(minute_bars(files.put("a.csv", format!("{HEADER}{rows}")))).expect("opens");
    assert_eq!(feed.quarantine.samples().count(), 1_000);
    let path = files.path("quarantine.csv");
    assert_eq!(feed.quarantine.write_csv(&path).expect("writes"), 2_500);
    let text = std::fs::read_to_string(&path).expect("reads");
    assert_eq!(text.lines().count(), 2_501);
    let second = text.lines().nth(1).expect("a row");
    assert!(second.ends_with("a.csv,3,price_zero,open 0,\"1760129160,0,1,1,1,1\""), "{second}");
}

#[test]
fn four_thousand_and_ninety_six_series_fit_and_one_more_is_listed() {
    let files = Files::new();
    let rows: String = (0..4_097).map(|n| format!("S{n}-USD,{START},5,5,5,5\n")).collect();
    let path = files.put("a.csv", format!("symbol,ts_s,open,high,low,close\n{rows}S7-USD,{},6,6,6,6\n", START + 60));
    let feed = open(BarsArg::parse(&format!("{}:source=v,width=1m", path.display())).expect("parses")).expect("opens");
    assert_eq!(feed.series.len(), 4_096);
    assert_eq!(listed(&feed), "4098:too_many_series");
    assert_eq!(feed.counts().used, 4_097);
}
