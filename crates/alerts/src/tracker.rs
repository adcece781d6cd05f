//! What is new among what is wrong, what is over, and what is too much to tell one by one.

use serde::Serialize;
use std::collections::BTreeMap;

/// The most incidents that are told one by one within a window.
pub(crate) const SINGLE_MAX: usize = 20;
/// The length of a window, seconds.
pub(crate) const WINDOW_S: i64 = 60;
/// The most incidents that are remembered; more are counted and not told apart.
pub(crate) const OPEN_MAX: usize = 10_000;
/// The key of the incident that stands for those that were not told one by one.
pub(crate) const STORM: &str = "storm";

/// How much somebody is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It ends by itself.
    Warning,
    /// Only a person can do what is to be done.
    Critical,
}

impl Severity {
    /// Its name in a file of targets.
    #[must_use]
    pub fn of(name: &str) -> Option<Severity> {
        match name {
            "warning" => Some(Severity::Warning),
            "critical" => Some(Severity::Critical),
            _ => None,
        }
    }
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// Its name, as long as it lasts: `no-price:BTC`.
    pub key: String,
    /// How much somebody is needed.
    pub severity: Severity,
    /// What is wrong, in a line.
    pub summary: String,
    /// What to do, in a line.
    pub remedy: String,
}

/// What is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It began, or became worse.
    Begun(Incident),
    /// It is over.
    Over {
        /// Its name.
        key: String,
        /// How much somebody was needed.
        severity: Severity,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Open {
    severity: Severity,
    /// Whether it was told by itself, or with the storm.
    is_told: bool,
}

/// Remembers what is wrong and what was told.
#[derive(Clone, Debug, Default)]
pub struct Tracker {
    open: BTreeMap<String, Open>,
    /// When the window began, seconds, and how many were told in it.
    window: Option<(i64, usize)>,
    /// How many the storm stands for, as it was told last; none without one.
    storm: Option<usize>,
}

impl Tracker {
    /// Takes in everything that is wrong at `now`, seconds, and says what of it is news. Each key is told once for as long as it lasts, and again only if it
    /// becomes worse. What is more than may be told one by one is one incident with a count, told again when that has doubled, and over when all of it is.
    pub fn see(&mut self, now: i64, wrong: impl IntoIterator<Item = Incident>) -> Vec<News> {
        let mut found: BTreeMap<String, Incident> = BTreeMap::new();
        for incident in wrong {
            // The worst of a key counts.
            let known = found.get(&incident.key).is_some_and(|known| incident.severity <= known.severity);
            if !known && (found.len() < OPEN_MAX || found.contains_key(&incident.key)) {
                found.insert(incident.key.clone(), incident);
            }
        }
        let mut news = Vec::new();
        self.open.retain(|key, open| {
            let lasts = found.contains_key(key);
            if !lasts && open.is_told {
                news.push(News::Over { key: key.clone(), severity: open.severity });
            }
            lasts
        });
        let told = match self.window {
            Some((since, told)) if (since..since + WINDOW_S).contains(&now) => told,
            Some(_) | None => {
                self.window = Some((now, 0));
                0
            }
        };
        let mut left = SINGLE_MAX.saturating_sub(told);
        // The worst first: what is left for the storm is the mildest.
        let mut fresh: Vec<Incident> = found
            .into_values()
            .filter(|incident| self.open.get(&incident.key).is_none_or(|open| open.severity < incident.severity))
            .collect();
        fresh.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.key.cmp(&b.key)));
        for incident in fresh {
            let is_told = 0 < left;
            self.open.insert(incident.key.clone(), Open { severity: incident.severity, is_told });
            if is_told {
                left -= 1;
                news.push(News::Begun(incident));
            }
        }
        if let Some(window) = &mut self.window {
            window.1 = SINGLE_MAX - left;
        }
        self.storm(&mut news);
        news
    }

    /// One incident for all that were not told.
    fn storm(&mut self, news: &mut Vec<News>) {
        let untold = self.open.values().filter(|open| !open.is_told);
        let (count, worst) =
            untold.fold((0, Severity::Warning), |(count, worst), open| (count + 1, worst.max(open.severity)));
        match (self.storm, count) {
            (None, 0) => {}
            (Some(_), 0) => {
                self.storm = None;
                news.push(News::Over { key: STORM.to_owned(), severity: Severity::Critical });
            }
            (Some(told), count) if count < told.saturating_mul(2) => {}
            (Some(_) | None, count) => {
                self.storm = Some(count);
                let summary = format!("{count} more incidents than are told one by one, the worst {worst:?}");
                let remedy = "look at the dashboard: what they have in common is what is wrong".to_owned();
                news.push(News::Begun(Incident {
                    key: STORM.to_owned(),
                    severity: Severity::Critical,
                    summary,
                    remedy,
                }));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn incident(key: &str, severity: Severity) -> Incident {
        let (summary, remedy) = (format!("{key} is wrong"), "mend it".to_owned());
        Incident { key: key.to_owned(), severity, summary, remedy }
    }

    fn keys(news: &[News]) -> Vec<String> {
        let key = |news: &News| match news {
            News::Begun(incident) => format!("+{}", incident.key),
            News::Over { key, .. } => format!("-{key}"),
        };
        news.iter().map(key).collect()
    }

    #[test]
    fn each_is_told_once_when_it_begins_and_when_it_is_over() {
        use Severity::{Critical, Warning};
        let mut tracker = Tracker::default();
        assert_eq!(keys(&tracker.see(0, [incident("a", Warning)])), ["+a"]);
        assert_eq!(keys(&tracker.see(1, [incident("a", Warning), incident("a", Warning)])), [""; 0]);
        assert_eq!(
            keys(&tracker.see(2, [incident("a", Critical), incident("b", Warning)])),
            ["+a", "+b"],
            "it became worse"
        );
        assert_eq!(
            keys(&tracker.see(3, [incident("a", Warning), incident("b", Warning)])),
            [""; 0],
            "better is no news"
        );
        assert_eq!(keys(&tracker.see(4, [incident("b", Warning)])), ["-a"]);
        assert_eq!(keys(&tracker.see(5, [])), ["-b"]);
        assert_eq!(keys(&tracker.see(6, [incident("a", Warning)])), ["+a"], "it began again");
    }

    #[test]
    fn of_one_key_the_worst_counts() {
        let mut tracker = Tracker::default();
        let news = tracker.see(
            0,
            [incident("a", Severity::Warning), incident("a", Severity::Critical), incident("a", Severity::Warning)],
        );
        assert_eq!(news, [News::Begun(incident("a", Severity::Critical))]);
    }

    #[test]
    fn a_storm_is_one_incident_with_the_worst_told_first() {
        let many = |from: usize, to: usize| (from..to).map(|n| incident(&format!("k{n:05}"), Severity::Warning));
        let mut tracker = Tracker::default();
        let news = tracker.see(0, many(0, 10_000).chain([incident("z", Severity::Critical)]));
        // What is beyond what is remembered is not, but the first ones are.
        assert_eq!(news.len(), SINGLE_MAX + 1);
        assert_eq!(keys(&news)[0], "+k00000");
        assert_eq!(keys(&news)[SINGLE_MAX], "+storm");
        let mut tracker = Tracker::default();
        let news = tracker.see(0, many(0, 25).chain([incident("z", Severity::Critical)]));
        assert_eq!(keys(&news)[0], "+z");
        let News::Begun(storm) = &news[SINGLE_MAX] else { panic!("{news:?}") };
        assert!(storm.summary.starts_with("6 more incidents"), "{}", storm.summary);
        // Told again when it has doubled, and not before; and over when all of it is.
        assert_eq!(
            keys(&tracker.see(1, many(0, 30).chain([incident("z", Severity::Critical)]))),
            [""; 0],
            "11 are fewer than 12"
        );
        assert_eq!(keys(&tracker.see(2, many(0, 31).chain([incident("z", Severity::Critical)]))), ["+storm"]);
        let over = keys(&tracker.see(3, []));
        assert_eq!((over.len(), over.last().map(String::as_str)), (SINGLE_MAX + 1, Some("-storm")));
    }

    #[test]
    fn a_window_that_is_over_has_room_again() {
        let some = |n: usize| (0..n).map(|n| incident(&format!("k{n:03}"), Severity::Warning));
        let mut tracker = Tracker::default();
        assert_eq!(tracker.see(0, some(SINGLE_MAX)).len(), SINGLE_MAX);
        assert_eq!(keys(&tracker.see(WINDOW_S - 1, some(SINGLE_MAX + 1))), ["+storm"]);
        let mut tracker = Tracker::default();
        tracker.see(0, some(SINGLE_MAX));
        assert_eq!(keys(&tracker.see(WINDOW_S, some(SINGLE_MAX + 1))), ["+k020"]);
        // A clock that was set back begins a window, too.
        assert_eq!(keys(&tracker.see(-5, some(SINGLE_MAX + 2))), ["+k021"]);
    }
}
